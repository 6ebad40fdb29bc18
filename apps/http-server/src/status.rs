//! What the device says about itself, asked from the supervisor over the app's own lines.

use std::time::{Duration, Instant};

use vyoma::{GrowingInbox, Inbox, RequestError};

/// How long an answer is shown before the supervisor is asked again: many clients cost it no more than one.
const FRESH: Duration = Duration::from_secs(1);

/// The requests, in the order in which they are shown.
pub(crate) const REQUESTS: [&str; 5] = ["platform", "version", "uptime", "memory-info", "list"];

/// Answers (or why there is none), in the order of [`REQUESTS`].
pub(crate) type Status = [Result<String, String>; REQUESTS.len()];

/// Asks, and remembers for a moment.
#[derive(Debug)]
pub(crate) struct Source {
    inbox: GrowingInbox,
    last: Option<(Instant, Status)>,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self {
            inbox: Inbox::growing(),
            last: None,
        }
    }

    /// The device's state, at most [`FRESH`] old.
    pub(crate) fn status(&mut self, now: Instant) -> &Status {
        let fresh = matches!(&self.last, Some((asked, _)) if now < *asked + FRESH);
        if !fresh {
            self.last = None;
        }
        let (_, status) = self.last.get_or_insert_with(|| (now, ask(&mut self.inbox)));
        status
    }
}

/// Asks one after the other. When nobody answers, the rest isn't asked: the clients would wait for each.
fn ask(inbox: &mut GrowingInbox) -> Status {
    let mut gone: Option<String> = None;
    REQUESTS.map(|request| {
        if let Some(why) = &gone {
            return Err(why.clone());
        }
        inbox.request(request).map(str::to_owned).map_err(|error| {
            let why = error.to_string();
            if !matches!(error, RequestError::Refused(_)) {
                gone = Some(why.clone());
            }
            why
        })
    })
}
