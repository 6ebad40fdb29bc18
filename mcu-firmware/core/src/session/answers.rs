//! What a device says to one request, made as it is sent: no answer is longer in memory than one message, however many
//! apps or lines it is about.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vyoma_capabilities::control::{DeviceEvent, LogLine, Response, Stream, names};
use vyoma_capabilities::link::{APPS, EVENT, LOG_LINE, Writer, encode_response};

use super::Device;
use crate::ring::{Record, Ring};

/// The answers to one request.
#[derive(Debug)]
pub(super) struct Answers {
    /// What is left of the message that is being sent.
    message: Vec<u8>,
    sent: usize,
    /// What comes after it.
    then: Then,
}

/// Where further messages come from.
#[derive(Debug)]
enum Then {
    /// Nowhere.
    Nothing,
    /// The apps from this one on, as items of one message.
    Apps { next: usize, count: usize },
    /// Lines or events.
    Records(Records),
}

/// What of a ring is wanted.
#[derive(Debug)]
pub(super) struct Records {
    /// Which ring.
    pub(super) what: What,
    /// Only lines of this app.
    pub(super) app: Option<String>,
    /// Only lines from this time on, by the device's clock.
    pub(super) from_ms: u64,
    /// Number of the next record.
    pub(super) next: u32,
    /// Number after the last one; absent: it goes on.
    pub(super) end: Option<u32>,
}

/// One of the two rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// What apps printed.
    Lines,
    /// What happened.
    Events,
}

impl Answers {
    /// One message.
    pub(super) fn one(response: &Response) -> Self {
        Self {
            message: encode_response(response),
            sent: 0,
            then: Then::Nothing,
        }
    }

    /// All apps.
    pub(super) fn apps(count: usize) -> Self {
        Self {
            // `count` is at most MAX_KNOWN: one byte.
            message: Vec::from([APPS, count as u8]),
            sent: 0,
            then: if count == 0 {
                Then::Nothing
            } else {
                Then::Apps { next: 0, count }
            },
        }
    }

    /// Lines or events.
    pub(super) fn records(records: Records) -> Self {
        Self {
            message: Vec::new(),
            sent: 0,
            then: Then::Records(records),
        }
    }

    /// Whether there is something to say now.
    pub(super) fn has_more(&self, device: &impl Device) -> bool {
        self.sent < self.message.len()
            || match &self.then {
                Then::Nothing => false,
                Then::Apps { .. } => true,
                Then::Records(records) => {
                    records.end.is_some() || records.next != records.ring(device).next()
                }
            }
    }

    /// Whether everything has been said.
    pub(super) fn is_over(&self) -> bool {
        self.sent >= self.message.len() && matches!(self.then, Then::Nothing)
    }

    /// Puts into the frame what there is to say and room for.
    pub(super) fn fill(&mut self, now_ms: u64, frame: &mut Writer<'_>, device: &mut impl Device) {
        loop {
            self.sent += frame.push(&self.message[self.sent..]);
            if frame.room() == 0 || !self.advance(now_ms, device) {
                return;
            }
        }
    }

    /// Makes the next message. False when there is none, or none yet.
    fn advance(&mut self, now_ms: u64, device: &mut impl Device) -> bool {
        self.sent = 0;
        self.message.clear();
        match &mut self.then {
            Then::Nothing => return false,
            Then::Apps { next, count } => {
                let status = device.status(*next);
                self.message = postcard::to_allocvec(&status).unwrap_or_default();
                *next += 1;
                if next == count {
                    self.then = Then::Nothing;
                }
            }
            Then::Records(records) => match records.take(now_ms, device, &mut self.message) {
                Taken::One => {}
                Taken::NoneYet => return false,
                Taken::Last => {
                    self.message = encode_response(&Response::Done);
                    self.then = Then::Nothing;
                }
            },
        }
        true
    }
}

enum Taken {
    One,
    NoneYet,
    Last,
}

impl Records {
    /// Skips what comes before the last `count` wanted records.
    pub(super) fn tail(&mut self, count: u32, device: &impl Device) {
        let ring = self.ring(device);
        let mut wanted = 0;
        let mut number = ring.next();
        while number != self.next && wanted < count {
            number = number.wrapping_sub(1);
            let record = ring.record(number);
            wanted += u32::from(record.is_some_and(|record| self.wants(&record)));
        }
        self.next = number;
    }

    fn ring<'a>(&self, device: &'a impl Device) -> &'a Ring {
        match self.what {
            What::Lines => device.logs(),
            What::Events => device.events(),
        }
    }

    /// Puts the next wanted record into `message`.
    fn take(&mut self, now_ms: u64, device: &impl Device, message: &mut Vec<u8>) -> Taken {
        let ring = self.ring(device);
        let missing = ring.first().wrapping_sub(self.next) as i32;
        if missing > 0 {
            self.next = ring.first();
            *message = encode_response(&self.gap(now_ms, missing));
            return Taken::One;
        }
        loop {
            // A ring that has gone past the end leaves a distance that is no step back.
            let past = self
                .end
                .is_some_and(|end| (self.next.wrapping_sub(end) as i32) >= 0);
            if past {
                return Taken::Last;
            }
            let Some(record) = ring.record(self.next) else {
                return Taken::NoneYet;
            };
            self.next = self.next.wrapping_add(1);
            if self.wants(&record) {
                message.push(match self.what {
                    What::Lines => LOG_LINE,
                    What::Events => EVENT,
                });
                message.extend(record.bytes());
                return Taken::One;
            }
        }
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        self.app
            .as_ref()
            .is_none_or(|apps| names(apps).any(|app| record.is_of(app)))
            && (self.from_ms == 0 || record.line_time() >= Some(self.from_ms))
    }

    /// What a reader is told who was too slow.
    fn gap(&self, now_ms: u64, missing: i32) -> Response {
        match self.what {
            What::Lines => Response::LogLine(LogLine {
                app: self.app.clone().unwrap_or_else(|| String::from("vyoma")),
                time_ms: now_ms,
                stream: Stream::System,
                text: format!(
                    "{missing} lines are missing here: this reader was too slow for them"
                ),
            }),
            What::Events => Response::Event(DeviceEvent {
                time_ms: now_ms,
                app: None,
                kind: String::from("warning"),
                detail: format!(
                    "{missing} events are missing here: this reader was too slow for them"
                ),
            }),
        }
    }
}
