//! `logs` and `events`: one message a line, as they come. Of one device they stand in its order; those of several apps and
//! devices are merged by the time that each has.

mod many;
mod show;

use std::time::Duration;

use vyoma_capabilities::control::{DeviceEvent, LogLine, Request, Response};

use crate::cli::{EventsArgs, LogsArgs};
use crate::client::{Client, Patience};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::targets::Place;
use crate::units::Since;

/// Most bytes of lines that wait to be sorted: more than all files of a device with 200 apps hold.
const SORTED_BYTES: usize = 256 * 1024 * 1024;
/// What a line costs beside its text, roughly.
const LINE_OVERHEAD: usize = 128;

/// What is asked of each device.
#[derive(Debug, Clone)]
enum Question {
    Logs {
        apps: Vec<String>,
        follow: bool,
        since: Option<Since>,
        previous: bool,
        tail: Option<u32>,
    },
    Events {
        follow: bool,
        since: Option<Since>,
    },
}

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Line(LogLine),
    Event(DeviceEvent),
}

impl Item {
    fn time_ms(&self) -> u64 {
        match self {
            Self::Line(line) => line.time_ms,
            Self::Event(event) => event.time_ms,
        }
    }

    fn bytes(&self) -> usize {
        LINE_OVERHEAD
            + match self {
                Self::Line(line) => line.text.len(),
                Self::Event(event) => event.detail.len(),
            }
    }
}

/// `logs`
pub(crate) fn logs(
    places: &[Place],
    timeout: Option<Duration>,
    args: &LogsArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let question = Question::Logs {
        apps: args.apps.clone(),
        follow: args.follow,
        since: args.since,
        previous: args.previous,
        tail: args.tail,
    };
    answer(places, timeout, &question, out)
}

/// `events`
pub(crate) fn events(
    places: &[Place],
    timeout: Option<Duration>,
    args: &EventsArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let question = Question::Events {
        follow: args.follow,
        since: args.since,
    };
    answer(places, timeout, &question, out)
}

/// Shows a line of one device.
pub(crate) fn line(line: &LogLine, out: &mut Output) -> Result<(), Failure> {
    show::item(None, &Item::Line(line.clone()), out)
}

fn answer(
    places: &[Place],
    timeout: Option<Duration>,
    question: &Question,
    out: &mut Output,
) -> Result<(), Failure> {
    match places {
        [place] => one(&mut Client::open(&place.target, timeout)?, question, out),
        _ => many::show(places, timeout, question, out),
    }
}

/// The stream of one device.
fn one(client: &mut Client, question: &Question, out: &mut Output) -> Result<(), Failure> {
    let mut stream = Stream::begin(client, question)?;
    if !question.is_merged() {
        while let Some(item) = stream.next(|| out.flush())? {
            show::item(None, &item, out)?;
        }
        return Ok(());
    }
    let mut sorted = Sorted::default();
    while let Some(item) = stream.next(|| Ok(()))? {
        sorted.push(0, item)?;
    }
    for (_, item) in sorted.last(question.tail()) {
        show::item(None, &item, out)?;
    }
    Ok(())
}

impl Question {
    fn follows(&self) -> bool {
        match self {
            Self::Logs { follow, .. } | Self::Events { follow, .. } => *follow,
        }
    }

    fn tail(&self) -> usize {
        match self {
            Self::Logs { tail, .. } => tail.map_or(usize::MAX, |tail| tail as usize),
            Self::Events { .. } => usize::MAX,
        }
    }

    /// Whether one device's answer has to be put in order here: it reads the files of several apps one after the other.
    fn is_merged(&self) -> bool {
        matches!(self, Self::Logs { previous: true, apps, .. } if apps.len() != 1)
    }

    /// The request to a device, and the Unix milliseconds before which nothing is wanted. Only the device knows its clock.
    fn request(&self, client: &mut Client) -> Result<(Request, u64), Failure> {
        let (since, is_filtered_there) = match self {
            Self::Logs { since, .. } => (*since, matches!(since, Some(Since::Ago(_)))),
            Self::Events { since, .. } => (*since, false),
        };
        let now_ms = match since {
            Some(_) if !is_filtered_there => client.info()?.time_ms,
            _ => 0,
        };
        let from_ms = since.map_or(0, |since| since.begins_ms(now_ms));
        let request = match self {
            Self::Logs {
                apps,
                follow,
                since,
                previous,
                tail,
            } => Request::Logs {
                app: (!apps.is_empty()).then(|| apps.join(",")),
                follow: *follow,
                since_ms: since.map(|since| match since {
                    Since::Ago(ago) => crate::units::millis(ago),
                    Since::At(unix_ms) => now_ms.saturating_sub(unix_ms),
                }),
                previous: *previous,
                tail: *tail,
            },
            Self::Events { follow, .. } => Request::Events { follow: *follow },
        };
        Ok((request, from_ms))
    }
}

/// The answer of one device on its way.
struct Stream<'a> {
    client: &'a mut Client,
    follow: bool,
    from_ms: u64,
}

impl<'a> Stream<'a> {
    fn begin(client: &'a mut Client, question: &Question) -> Result<Self, Failure> {
        let (request, from_ms) = question.request(client)?;
        client.send(&request)?;
        Ok(Self {
            client,
            follow: question.follows(),
            from_ms,
        })
    }

    /// The next message; none when the device says that it is done. `idle` is called before a wait. A stream that is followed
    /// ends quietly when nobody reads the output any more.
    fn next(
        &mut self,
        mut idle: impl FnMut() -> Result<(), Failure>,
    ) -> Result<Option<Item>, Failure> {
        loop {
            if !self.client.has_more() {
                idle()?;
            }
            let response = if self.follow {
                self.client.next()?.ok_or_else(Failure::quiet)?
            } else {
                self.client.answer(Patience::Prompt)?
            };
            let item = match response {
                Response::Done => return Ok(None),
                Response::LogLine(line) => Item::Line(line),
                Response::Event(event) => Item::Event(event),
                other => return Err(self.client.unexpected(&other)),
            };
            if item.time_ms() >= self.from_ms {
                return Ok(Some(item));
            }
        }
    }
}

/// Messages that are put in order before they are shown.
#[derive(Default)]
struct Sorted {
    items: Vec<(usize, Item)>,
    bytes: usize,
}

impl Sorted {
    /// Adds a message of the device of that number.
    fn push(&mut self, device: usize, item: Item) -> Result<(), Failure> {
        self.bytes += item.bytes();
        if self.bytes > SORTED_BYTES {
            return Err(Failure::new(
                Exit::Limit,
                format!(
                    "more than {} MiB of lines to put in order; name the apps, or a later --since",
                    SORTED_BYTES / (1024 * 1024)
                ),
            ));
        }
        self.items.push((device, item));
        Ok(())
    }

    /// The last `count`, oldest first; what has one time stays as each device sent it.
    fn last(mut self, count: usize) -> impl Iterator<Item = (usize, Item)> {
        self.items.sort_by_key(|(_, item)| item.time_ms());
        let skip = self.items.len().saturating_sub(count);
        self.items.into_iter().skip(skip)
    }
}
