//! `dns-resolve` and `http-get` for apps: bounded in time, in size and in number. Plain HTTP/1.0 only; an app that
//! needs more has sockets of its own.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::state::Daemon;

/// For a look-up, or for a whole fetch.
const TIME: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read; one line of 16 KiB of them reaches the app.
const BODY: u64 = 64 * 1024;

/// `dns <host> <ip|NXDOMAIN>`
pub(crate) async fn resolve(daemon: &Daemon, host: &str) -> String {
    match look_up(daemon, host, 0).await {
        Ok(address) => format!("dns {host} {}", address.ip()),
        Err(_) => format!("dns {host} NXDOMAIN"),
    }
}

/// `http-get <status> <body>`
pub(crate) async fn get(daemon: &Daemon, url: &str) -> String {
    match tokio::time::timeout(TIME, fetch(daemon, url)).await {
        Ok(Ok((status, body))) => format!("http-get {status} {body}"),
        Ok(Err(why)) => format!("error: http-get {why}"),
        Err(_) => format!(
            "error: http-get no answer from {url} within {} s",
            TIME.as_secs()
        ),
    }
}

/// The first address of a host. The system's resolver needs a thread; two of them at once serve all apps.
async fn look_up(daemon: &Daemon, host: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    if host.is_empty() || host.len() > 253 {
        return Err(format!(
            "found host {host:?}; expected a name of 1 to 253 characters"
        ));
    }
    let looking = async {
        let turn = Arc::clone(&daemon.fetching)
            .acquire_owned()
            .await
            .map_err(|_| "the daemon ends".to_string())?;
        let name = host.to_string();
        // The turn goes with the thread: a look-up that nobody waits for any more still occupies it.
        let work = tokio::task::spawn_blocking(move || {
            let first = (name.as_str(), port)
                .to_socket_addrs()
                .map(|mut addresses| addresses.next());
            drop(turn);
            first
        });
        let first = work
            .await
            .map_err(|error| format!("{host}: {error}"))?
            .map_err(|error| format!("{host}: {error}"))?;
        first.ok_or_else(|| format!("{host} has no address"))
    };
    tokio::time::timeout(TIME, looking)
        .await
        .map_err(|_| format!("{host}: no answer within {} s", TIME.as_secs()))?
}

async fn fetch(daemon: &Daemon, url: &str) -> Result<(u16, String), String> {
    let (host, port, path) = parse(url)?;
    let address = look_up(daemon, host, port).await?;
    let named = |error: std::io::Error| format!("{url}: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(named)?;
    // 1.0: the answer ends with the connection and is never chunked.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: vyoma\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(named)?;
    let mut bytes = Vec::new();
    stream
        .take(BODY)
        .read_to_end(&mut bytes)
        .await
        .map_err(named)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .or_else(|| text.split_once("\n\n"))
        .unwrap_or((&text, ""));
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.trim().get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("{url}: the answer is not HTTP/1"))?;
    Ok((status, body.to_string()))
}

/// (host, port, path) of an `http://` URL.
fn parse(url: &str) -> Result<(&str, u16, &str), String> {
    let expected = || format!("found {url:?}; expected http://HOST[:PORT]/PATH");
    let rest = url.strip_prefix("http://").ok_or_else(expected)?;
    let (authority, path) = rest
        .find('/')
        .map_or((rest, "/"), |slash| rest.split_at(slash));
    // Nothing that could end the request line or add a header.
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) || authority.contains('@') {
        return Err(expected());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| expected())?),
        _ => (authority, 80),
    };
    if host.is_empty() {
        Err(expected())
    } else {
        Ok((host, port, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(parse("http://a.b/c?d"), Ok(("a.b", 80, "/c?d")));
        assert_eq!(parse("http://a.b:8080"), Ok(("a.b", 8080, "/")));
        assert_eq!(parse("http://[::1]:81/x"), Ok(("[::1]", 81, "/x")));
    }

    #[test]
    fn urls_that_would_smuggle_something_are_refused() {
        for url in [
            "https://a/",
            "http://",
            "http://a/ HTTP/1.0\r\nX: y",
            "http://u@a/",
            "http://a:99999/",
            "file:///x",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
