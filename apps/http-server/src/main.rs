//! Serves a status page of the device over HTTP: `/` for people, `/json` for programs. Who is served how, and what clients can't do,
//! is in `vyoma-pages`.

mod page;
mod status;

use std::io;

use status::Source;
use vyoma_pages::Server;

/// Port when no argument names one; `network_port` in vyoma.toml must say the same.
const DEFAULT_PORT: u16 = 8080;

fn main() -> io::Result<()> {
    let mut server = Server::from_arguments(DEFAULT_PORT)?;
    let mut source = Source::new();
    loop {
        server.turn(None, &mut |request, now| {
            page::respond(request, source.status(now))
        })?;
    }
}
