//! Asks the apps `echo-1` to `echo-N` (the argument is N) and says how many have answered, until all have. Then it
//! stays, so that it counts among the resident apps.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use vyoma::{Inbox, Incoming, Received};

/// Those that haven't answered are asked again after this long: some start later than this app.
const PATIENCE: Duration = Duration::from_secs(5);
/// Asked before the answers are read: their answers fit into this app's queue many times over.
const AT_ONCE: usize = 50;

fn main() -> io::Result<()> {
    let count: usize = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(1);
    let mut missing: BTreeSet<String> =
        (1..=count).map(|number| format!("echo-{number}")).collect();
    let mut inbox = Inbox::growing();
    while !missing.is_empty() {
        let asked: Vec<String> = missing.iter().take(AT_ONCE).cloned().collect();
        for name in &asked {
            vyoma::send(name, name.as_str());
        }
        let deadline = Instant::now() + PATIENCE;
        while asked.iter().any(|name| missing.contains(name)) {
            let left = deadline.saturating_duration_since(Instant::now());
            match inbox.receive_within(left).map_err(io::Error::other)? {
                Received::Incoming(Incoming::Line(name)) => {
                    missing.remove(name);
                }
                Received::Incoming(_) => {}
                Received::Nothing | Received::Closed => break,
            }
        }
        vyoma::log(format_args!(
            "{} of {count} answered",
            count - missing.len()
        ));
    }
    while inbox.receive().map_err(io::Error::other)?.is_some() {}
    Ok(())
}
