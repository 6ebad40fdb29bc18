//! Frame for frame: sessions, sequence numbers, and the one answer to each frame.

use alloc::boxed::Box;
use alloc::vec::Vec;

use vyoma_capabilities::link::{Frame, Kind, MAX_FRAME, VERSION, Writer};

use super::answers::Answers;
use super::background::Background;
use super::install::Receiving;
use super::requests::MAX_REQUEST;
use super::{Device, SILENCE_MS};

/// How often what takes its time is looked after, in milliseconds.
const POLL_MS: u64 = 20;

/// What the device is about to say or to hear.
#[derive(Debug)]
pub(super) enum Doing {
    /// Nothing has been asked.
    Nothing,
    /// Bytes of a request have come, and more will.
    Listening,
    /// A request has come, and waits until the background is done.
    Waiting,
    /// The device has something to say.
    Answering(Answers),
    /// A component is on its way.
    Receiving(Box<Receiving>),
    /// The answer comes from the background.
    Pending,
}

/// A client.
#[derive(Debug)]
struct Open {
    session: u16,
    sequence: u8,
    /// It has said Hello.
    greeted: bool,
}

#[derive(Debug)]
pub(super) struct Exchange {
    open: Option<Open>,
    pub(super) doing: Doing,
    pub(super) background: Option<Background>,
    pub(super) request: Vec<u8>,
    /// When the client was heard last.
    heard_ms: u64,
    /// The last answer, for the case that it was lost.
    reply: [u8; MAX_FRAME],
    reply_length: usize,
}

impl Exchange {
    pub(super) const fn new() -> Self {
        Self {
            open: None,
            doing: Doing::Nothing,
            background: None,
            request: Vec::new(),
            heard_ms: 0,
            reply: [0; MAX_FRAME],
            reply_length: 0,
        }
    }

    /// What [`Exchange::frame`] wrote.
    pub(super) fn written(&self, length: usize) -> &[u8] {
        &self.reply[..length]
    }

    /// Takes a frame. The length of the answer to it; `None` when nobody is to be answered.
    pub(super) fn frame(
        &mut self,
        now_ms: u64,
        frame: &Frame<'_>,
        device: &mut impl Device,
    ) -> Option<usize> {
        if frame.kind.is_device() {
            return None;
        }
        self.look_after(now_ms, device);
        if frame.kind == Kind::Open {
            self.heard_ms = now_ms;
            return Some(self.opened(frame));
        }
        let Some(open) = &mut self.open else {
            return Some(self.lost(frame));
        };
        if frame.session != open.session {
            // What is left on the line of a client that has gone.
            return None;
        }
        self.heard_ms = now_ms;
        if frame.sequence == open.sequence {
            return Some(self.reply_length);
        }
        if frame.sequence != open.sequence.wrapping_add(1) {
            return Some(self.lost(frame));
        }
        open.sequence = frame.sequence;
        match frame.kind {
            Kind::Part => self.listen(frame.body),
            Kind::Last => {
                self.listen(frame.body);
                self.doing = Doing::Waiting;
            }
            Kind::Upload => self.upload(now_ms, frame.body, device),
            _ => {}
        }
        self.begin(now_ms, device);
        self.look_after(now_ms, device);
        Some(self.answer(now_ms, frame, device))
    }

    pub(super) fn tick(&mut self, now_ms: u64, device: &mut impl Device) {
        self.look_after(now_ms, device);
        if self.open.is_some() && now_ms.saturating_sub(self.heard_ms) >= SILENCE_MS {
            self.close();
        }
    }

    pub(super) fn wake_at(&self) -> Option<u64> {
        if let Some(background) = &self.background {
            return Some(background.looked_ms + POLL_MS);
        }
        let open = self.open.as_ref();
        open.map(|_| self.heard_ms.saturating_add(SILENCE_MS))
    }

    pub(super) fn greeted(&mut self) -> Option<&mut bool> {
        self.open.as_mut().map(|open| &mut open.greeted)
    }

    fn opened(&mut self, frame: &Frame<'_>) -> usize {
        self.close();
        if frame.body.first() == Some(&VERSION) {
            self.open = Some(Open {
                session: frame.session,
                sequence: frame.sequence,
                greeted: false,
            });
        }
        let [low, high] = (MAX_REQUEST as u16).to_le_bytes();
        let mut writer = Writer::new(Kind::Opened, frame.session, frame.sequence, &mut self.reply);
        writer.push(&[VERSION, low, high]);
        self.reply_length = writer.finish();
        self.reply_length
    }

    /// The client has gone, as far as can be told; what is in the background goes on.
    fn close(&mut self) {
        self.open = None;
        self.doing = Doing::Nothing;
        self.request = Vec::new();
        if let Some(background) = &mut self.background {
            background.asked = false;
        }
    }

    fn lost(&mut self, frame: &Frame<'_>) -> usize {
        self.close();
        let writer = Writer::new(Kind::Lost, frame.session, frame.sequence, &mut self.reply);
        self.reply_length = writer.finish();
        self.reply_length
    }

    /// Bytes of a request; what is past the longest one is counted in, and left out.
    fn listen(&mut self, bytes: &[u8]) {
        if !matches!(self.doing, Doing::Listening) {
            self.doing = Doing::Listening;
            self.request = Vec::new();
        }
        let room = (MAX_REQUEST + 1).saturating_sub(self.request.len());
        let bytes = &bytes[..bytes.len().min(room)];
        // Growing by doubling would take three times as much for a moment.
        self.request.reserve_exact(bytes.len());
        self.request.extend_from_slice(bytes);
    }

    /// The answer to a frame that was taken: what there is to say, or how things stand.
    fn answer(&mut self, now_ms: u64, frame: &Frame<'_>, device: &mut impl Device) -> usize {
        let kind = match &self.doing {
            Doing::Listening | Doing::Receiving(_) => Kind::Taken,
            Doing::Answering(answers) if answers.has_more(device) => Kind::Answer,
            _ => Kind::Wait,
        };
        let mut writer = Writer::new(kind, frame.session, frame.sequence, &mut self.reply);
        if kind == Kind::Answer
            && let Doing::Answering(answers) = &mut self.doing
        {
            answers.fill(now_ms, &mut writer, device);
            if answers.is_over() {
                self.doing = Doing::Nothing;
            }
        }
        self.reply_length = writer.finish();
        self.reply_length
    }
}
