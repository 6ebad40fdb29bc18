//! Serves a status page of the device over HTTP: `/` for people, `/json` for programs.
//!
//! One thread, no async runtime: it waits for the listener and all connections at once. Every connection has a
//! deadline and every buffer a bound, so slow or hostile clients cost little and end soon. It deliberately does no
//! TLS, no keep-alive and reads no request body.

mod connection;
mod page;
mod request;
mod status;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use connection::Connection;
use status::Source;
use vyoma::ready::{self, Wait};

/// Port when no argument names one; `network_port` in vyoma.toml must say the same.
const DEFAULT_PORT: u16 = 8080;
/// Most connections at once, each with at most about 6 KiB of buffers. One more ends the oldest: an honest client is
/// served in milliseconds, so the oldest is the one that holds its place for nothing.
const MAX_CONNECTIONS: usize = 16;
/// Pause after a failed accept (out of descriptors, network gone), so that it doesn't become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    let port = match std::env::args().nth(1) {
        None => DEFAULT_PORT,
        Some(text) => text.parse().map_err(|_| {
            io::Error::other(format!(
                "argument 1: found {text:?}; expected a port from 0 to 65535"
            ))
        })?,
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|error| {
        io::Error::other(format!(
            "can't listen on port {port}: {error}; does vyoma.toml say `network = true` and `network_port = {port}`?"
        ))
    })?;
    listener.set_nonblocking(true)?;
    vyoma::log(format_args!(
        "listening on port {}",
        listener.local_addr()?.port()
    ));
    serve(&listener, &mut Source::new())
}

/// Serves for ever.
fn serve(listener: &TcpListener, source: &mut Source) -> io::Result<()> {
    let mut connections: Vec<Connection> = Vec::with_capacity(MAX_CONNECTIONS);
    loop {
        let mut waits: Vec<Wait> = connections.iter().map(Connection::wait).collect();
        waits.push(Wait::to_read(&listener.as_raw_fd()));
        let now = Instant::now();
        let next_deadline = connections
            .iter()
            .map(|connection| connection.deadline)
            .min();
        let limit = next_deadline.map(|deadline| deadline.saturating_duration_since(now));
        ready::wait(&mut waits, limit).map_err(|_| io::Error::last_os_error())?;

        let now = Instant::now();
        let mut ready = waits.iter().map(|wait| wait.is_ready());
        connections.retain_mut(|connection| {
            let ready = ready.next().unwrap_or(false);
            now < connection.deadline && (!ready || connection.proceed(now, source))
        });
        if ready.next().unwrap_or(false) {
            match listener.accept() {
                Ok((stream, _)) => {
                    if connections.len() == MAX_CONNECTIONS {
                        // They are in the order in which they came.
                        connections.remove(0);
                    }
                    connections.extend(Connection::new(stream, now));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    vyoma::log(format_args!("accept failed: {error}"));
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }
}
