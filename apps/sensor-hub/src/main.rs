//! Collects what sensor apps say and serves it over HTTP: `/` for people, `/json` for programs. An app tells its readings with lines
//! such as `@sensor-hub: temperature 25.00 C`: a name, and a value in its own words. Who is served how is in `vyoma-pages`.

mod page;
mod readings;

use std::error::Error;
use std::time::{Duration, Instant};

use readings::Readings;
use vyoma::{Inbox, Incoming, Received};
use vyoma_pages::Server;

/// Port when no argument names one; `network_port` in vyoma.toml must say the same.
const DEFAULT_PORT: u16 = 8081;
/// How long a line may wait while no client stirs: sockets and standard input can't be waited for at once.
const LOOK: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::from_arguments(DEFAULT_PORT)?;
    let mut readings = Readings::default();
    let mut inbox = Inbox::growing();
    loop {
        loop {
            match inbox.receive_within(Duration::ZERO)? {
                Received::Incoming(Incoming::Line(line)) => readings.take(line, Instant::now()),
                Received::Incoming(_) => {}
                Received::Nothing => break,
                Received::Closed => return Ok(()),
            }
        }
        server.turn(Some(LOOK), &mut |request, now| {
            page::respond(request, &readings, now)
        })?;
    }
}
