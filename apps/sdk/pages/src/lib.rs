//! A small HTTP server for apps with `std`: `/` for people, `/json` for programs.
//!
//! One thread, no async runtime: it waits for the listener and all connections at once. Every connection has a
//! deadline and every buffer a bound, so slow or hostile clients cost little and end soon. It deliberately does no
//! TLS, no keep-alive and reads no request body.

mod connection;
mod request;
pub mod response;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use connection::Connection;
pub use request::{Page, Request, Status};
use vyoma::ready::{self, Wait};

/// Most connections at once, each with at most about 6 KiB of buffers. One more ends the oldest: an honest client is
/// served in milliseconds, so the oldest is the one that holds its place for nothing.
const MAX_CONNECTIONS: usize = 16;
/// Pause after a failed accept (out of descriptors, network gone), so that it doesn't become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener and its clients.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    connections: Vec<Connection>,
}

impl Server {
    /// Listens on the port that the app's first argument names, else on `default`, and says so in the log. The manifest must give
    /// that port.
    pub fn from_arguments(default: u16) -> io::Result<Self> {
        let port = match std::env::args().nth(1) {
            None => default,
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
        Ok(Self {
            listener,
            connections: Vec::with_capacity(MAX_CONNECTIONS),
        })
    }

    /// Waits until a client stirs, but no longer than `limit` (absent: for ever), and does what can be done without waiting.
    /// `respond` makes the whole response to a request: see [`response`].
    pub fn turn(
        &mut self,
        limit: Option<Duration>,
        respond: &mut dyn FnMut(Request, Instant) -> Vec<u8>,
    ) -> io::Result<()> {
        let mut waits: Vec<Wait> = self.connections.iter().map(Connection::wait).collect();
        waits.push(Wait::to_read(&self.listener.as_raw_fd()));
        let now = Instant::now();
        let deadlines = self.connections.iter();
        let next = deadlines.map(|connection| connection.deadline).min();
        let next = next.map(|deadline| deadline.saturating_duration_since(now));
        let limit = [limit, next].into_iter().flatten().min();
        ready::wait(&mut waits, limit).map_err(|_| io::Error::last_os_error())?;

        let now = Instant::now();
        let mut ready = waits.iter().map(|wait| wait.is_ready());
        self.connections.retain_mut(|connection| {
            let ready = ready.next().unwrap_or(false);
            now < connection.deadline && (!ready || connection.proceed(now, respond))
        });
        if ready.next().unwrap_or(false) {
            self.accept(now);
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant) {
        match self.listener.accept() {
            Ok((stream, _)) => {
                if self.connections.len() == MAX_CONNECTIONS {
                    // They are in the order in which they came.
                    self.connections.remove(0);
                }
                self.connections.extend(Connection::new(stream, now));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                vyoma::log(format_args!("accept failed: {error}"));
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}
