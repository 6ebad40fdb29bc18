//! The logs of the app that is worked on: over a connection of their own, which is made anew when it is lost.

use std::sync::mpsc::Sender;
use std::time::Duration;

use vyoma_capabilities::control::{Request, Response};

use super::Happening;
use crate::client::Client;
use crate::exit::Failure;
use crate::target::Target;

/// First pause before a new connection; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(500);
/// A daemon that was started again is found within so long.
const LONGEST: Duration = Duration::from_secs(5);

/// Follows the logs of `app` from now on, for ever, in a thread.
pub(super) fn start(
    target: Target,
    timeout: Option<Duration>,
    app: String,
    sender: Sender<Happening>,
) {
    std::thread::spawn(move || {
        let mut pause = PAUSE;
        let mut told = false;
        loop {
            let ended = follow(&target, timeout, &app, &sender, || {
                pause = PAUSE;
                told = false;
            });
            let Err(failure) = ended else {
                return;
            };
            // Said once, not at every try.
            if !std::mem::replace(&mut told, true)
                && sender.send(Happening::Unfollowed(failure)).is_err()
            {
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST);
        }
    });
}

/// One connection; no error when nobody listens any more.
fn follow(
    target: &Target,
    timeout: Option<Duration>,
    app: &str,
    sender: &Sender<Happening>,
    mut connected: impl FnMut(),
) -> Result<(), Failure> {
    let mut client = Client::open(target, timeout)?;
    client.send(&Request::Logs {
        app: Some(app.to_owned()),
        follow: true,
        since_ms: None,
        previous: false,
        tail: Some(0),
    })?;
    loop {
        match client.next()? {
            Some(Response::LogLine(line)) => {
                connected();
                if sender.send(Happening::Line(line)).is_err() {
                    return Ok(());
                }
            }
            Some(other) => return Err(client.unexpected(&other)),
            None => {
                // Nobody reads our output any more.
                let _ = sender.send(Happening::OutputGone);
                return Ok(());
            }
        }
    }
}
