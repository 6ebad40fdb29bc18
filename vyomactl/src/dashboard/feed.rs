//! The threads of a device: one asks it every now and then and carries out what keys ask for, one follows its logs. A
//! connection that is lost is made anew, after pauses that grow.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use vyoma_capabilities::control::{Request, Response};

use super::state::{Ask, Row, Update};
use crate::caps;
use crate::client::{Client, Patience};
use crate::exit::Failure;
use crate::target::Target;
use crate::targets::Place;
use crate::top::{self, Look};

/// Between two looks: what a person takes for live.
const LOOK: Duration = Duration::from_secs(1);
/// First pause after a connection was lost; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// A device that was rebooted is found within so long after it is up.
const LONGEST: Duration = Duration::from_secs(5);
/// Lines of the past that are shown at first.
const TAIL: u32 = 200;

/// What a thread tells, and of which device.
pub(super) type Told = (usize, Update);

/// Starts the threads of a device; what the result is sent is asked of it.
pub(super) fn start(
    number: usize,
    place: &Place,
    timeout: Option<Duration>,
    sender: &SyncSender<Told>,
) -> Sender<Ask> {
    let (asks, asked) = channel();
    let (own, told) = (place.clone(), sender.clone());
    thread::spawn(move || {
        let mut watched = None;
        again(number, &told, || {
            look_and_ask(number, &own.target, timeout, &told, &asked, &mut watched)
        });
    });
    // A serial line holds one conversation.
    if !matches!(place.target, Target::Serial { .. }) {
        let (own, told) = (place.clone(), sender.clone());
        thread::spawn(move || {
            again(number, &told, || {
                follow(number, &own.target, timeout, &told)
            });
        });
    }
    asks
}

/// Does it again and again, until nobody listens any more (then it returns no error).
fn again(number: usize, told: &SyncSender<Told>, mut attempt: impl FnMut() -> Result<(), Failure>) {
    let mut pause = PAUSE;
    loop {
        let begun = Instant::now();
        let Err(failure) = attempt() else {
            return;
        };
        if told
            .send((number, Update::Lost(failure.message().to_owned())))
            .is_err()
        {
            return;
        }
        // It worked for a while: this is another loss.
        if begun.elapsed() > LONGEST {
            pause = PAUSE;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}

fn look_and_ask(
    number: usize,
    target: &Target,
    timeout: Option<Duration>,
    told: &SyncSender<Told>,
    asked: &Receiver<Ask>,
    watched: &mut Option<String>,
) -> Result<(), Failure> {
    let mut client = Client::open(target, timeout)?;
    let mut before: Option<Look> = None;
    loop {
        let look = top::look(&mut client)?;
        let mut rows: Vec<Row> = top::usage(&look, before.as_ref())
            .into_iter()
            .map(|usage| Row {
                status: usage.status.clone(),
                cpu_percent: usage.cpu_percent,
                calls_per_second: usage.calls_per_second,
            })
            .collect();
        rows.sort_by(|a, b| a.status.name.cmp(&b.status.name));
        let info = Box::new(look.info.clone());
        let update = Update::Look { info, apps: rows };
        if told.send((number, update)).is_err() {
            return Ok(());
        }
        before = Some(look);
        // An app that is gone meanwhile has none; a microcontroller never has.
        if let Some(app) = watched.clone()
            && let Ok(all) = caps::ask(&mut client, &app)
            && told.send((number, Update::Caps(app, all))).is_err()
        {
            return Ok(());
        }
        match asked.recv_timeout(LOOK) {
            Ok(Ask::Watch(app)) => *watched = app,
            Ok(ask) => {
                let done = perform(&mut client, &ask)?;
                if told.send((number, Update::Done(done))).is_err() {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Carries it out; a refusal is a word for the operator, a lost connection a failure.
fn perform(client: &mut Client, ask: &Ask) -> Result<String, Failure> {
    let (request, app, word) = match ask {
        Ask::Start(app) => (Request::Start { app: app.clone() }, app, "started"),
        Ask::Stop(app) => (Request::Stop { app: app.clone() }, app, "stopped"),
        Ask::Restart(app) => (Request::Restart { app: app.clone() }, app, "restarted"),
        Ask::Watch(_) => return Ok(String::new()),
    };
    match client.command(&request, Patience::Ending) {
        Ok(()) => Ok(format!("{app}: {word}")),
        Err(failure) if failure.exit().is_conversation() => Err(failure),
        Err(failure) => Ok(failure.message().to_owned()),
    }
}

fn follow(
    number: usize,
    target: &Target,
    timeout: Option<Duration>,
    told: &SyncSender<Told>,
) -> Result<(), Failure> {
    let mut client = Client::open(target, timeout)?;
    client.send(&Request::Logs {
        app: None,
        follow: true,
        since_ms: None,
        previous: false,
        tail: Some(TAIL),
    })?;
    loop {
        match client.next()? {
            Some(Response::LogLine(line)) => {
                if told.send((number, Update::Line(line))).is_err() {
                    return Ok(());
                }
            }
            Some(other) => return Err(client.unexpected(&other)),
            None => return Ok(()),
        }
    }
}
