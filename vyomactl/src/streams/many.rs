//! Several devices at once: a thread listens to each, and their messages are merged by time.
//!
//! Lines of two devices have the times of two clocks, and travel for different times. So a followed line waits for a moment
//! whether an older one comes; what comes later than that is shown when it comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Item, Question, Sorted, Stream, show};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, clean, complain};
use crate::targets::Place;

/// How long a followed line waits for older ones of other devices: longer than a line is on its way in most networks,
/// shorter than a person notices.
const HOLD: Duration = Duration::from_millis(250);
/// Messages between the threads and the one that shows: a device whose lines nobody takes drops and counts them itself.
const QUEUE: usize = 1024;
/// Followed lines that wait at most; beyond, the oldest is shown at once.
const HELD: usize = 16 * 1024;

/// What a thread tells: the device's number, and a message or how its stream ended.
type Told = (usize, Result<Item, Option<Failure>>);

/// Shows what all of them answer. One that fails leaves the others going; the first failure is the command's in the end.
pub(super) fn show(
    places: &[Place],
    timeout: Option<Duration>,
    question: &Question,
    out: &mut Output,
) -> Result<(), Failure> {
    let (sender, told) = sync_channel(QUEUE);
    for (number, place) in places.iter().cloned().enumerate() {
        let (sender, question) = (sender.clone(), question.clone());
        thread::spawn(move || {
            let ended = listen(number, &place, timeout, &question, &sender);
            // Nobody takes it: then the command has ended.
            let _ = sender.send((number, Err(ended.err())));
        });
    }
    drop(sender);
    let mut failures = Failures {
        places,
        first: None,
        following: question.follows(),
    };
    if question.follows() {
        follow(places, &told, &mut failures, out)?;
    } else {
        let mut sorted = Sorted::default();
        for (number, told) in told {
            match told {
                Ok(item) => sorted.push(number, item)?,
                Err(ended) => failures.note(number, ended)?,
            }
        }
        for (number, item) in sorted.last(question.tail()) {
            show::item(Some(&places[number].name), &item, out)?;
        }
    }
    failures.first.map_or(Ok(()), Err)
}

fn listen(
    number: usize,
    place: &Place,
    timeout: Option<Duration>,
    question: &Question,
    sender: &SyncSender<Told>,
) -> Result<(), Failure> {
    let mut client = Client::open(&place.target, timeout)?;
    let mut stream = Stream::begin(&mut client, question)?;
    while let Some(item) = stream.next(|| Ok(()))? {
        if sender.send((number, Ok(item))).is_err() {
            break;
        }
    }
    Ok(())
}

/// Which devices failed.
struct Failures<'a> {
    places: &'a [Place],
    first: Option<Failure>,
    following: bool,
}

impl Failures<'_> {
    /// A device's stream is over. The first failure is kept, further ones are said at once; a quiet end ends everything.
    fn note(&mut self, number: usize, ended: Option<Failure>) -> Result<(), Failure> {
        let Some(failure) = ended else {
            return Ok(());
        };
        if failure.exit() == Exit::Ok {
            return Err(failure);
        }
        let failure = failure.of_device(&self.places[number].name);
        if self.following {
            // Whoever follows is told now: the end may be far.
            let said = format!("{}; the others are followed on", failure.message());
            complain(&format!("vyomactl: {}", clean(&said)));
        } else if self.first.is_some() {
            complain(&format!("vyomactl: {}", clean(failure.message())));
        }
        self.first.get_or_insert(failure);
        Ok(())
    }
}

/// A followed line that waits; ordered by its time, then by when it came.
#[derive(PartialEq, Eq)]
struct Held {
    time_ms: u64,
    order: u64,
    came: Instant,
    number: usize,
    item: Item,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time_ms, self.order).cmp(&(other.time_ms, other.order))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn follow(
    places: &[Place],
    told: &Receiver<Told>,
    failures: &mut Failures<'_>,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut held: BinaryHeap<Reverse<Held>> = BinaryHeap::new();
    let mut order = 0;
    let mut open = true;
    while open || !held.is_empty() {
        let wait = held
            .peek()
            .map_or(Duration::from_hours(1), |Reverse(oldest)| {
                HOLD.saturating_sub(oldest.came.elapsed())
            });
        match told.recv_timeout(wait) {
            Ok((number, Ok(item))) => {
                order += 1;
                held.push(Reverse(Held {
                    time_ms: item.time_ms(),
                    order,
                    came: Instant::now(),
                    number,
                    item,
                }));
            }
            Ok((number, Err(ended))) => failures.note(number, ended)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => open = false,
        }
        while held
            .peek()
            .is_some_and(|Reverse(oldest)| !open || oldest.came.elapsed() >= HOLD)
            || held.len() > HELD
        {
            if let Some(Reverse(line)) = held.pop() {
                show::item(Some(&places[line.number].name), &line.item, out)?;
            }
        }
        out.flush()?;
    }
    Ok(())
}
