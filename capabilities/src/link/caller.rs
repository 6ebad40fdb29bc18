//! The client's side of a session: which number a frame has, and which frame answers it. When to repeat a frame, and when
//! to give up, is decided by whoever has the line and a clock.

use super::{Frame, Kind, MAX_FRAME, VERSION, encode};

/// A client in a session.
#[derive(Debug)]
pub struct Caller {
    session: u16,
    sequence: u8,
}

impl Caller {
    /// A session of that number; to be another one than the last client's, whose answers may still be on their way.
    pub const fn new(session: u16) -> Self {
        Self {
            session,
            sequence: 0,
        }
    }

    /// The frame that opens the session.
    pub fn open<'a>(&mut self, buffer: &'a mut [u8; MAX_FRAME]) -> &'a [u8] {
        self.sequence = 0;
        self.frame(Kind::Open, &[VERSION], buffer)
    }

    /// The next frame. It is repeated as it is, not made anew.
    pub fn next<'a>(
        &mut self,
        kind: Kind,
        body: &[u8],
        buffer: &'a mut [u8; MAX_FRAME],
    ) -> &'a [u8] {
        self.sequence = self.sequence.wrapping_add(1);
        self.frame(kind, body, buffer)
    }

    /// Whether a frame answers the last one that was made.
    pub fn is_answer(&self, frame: &Frame<'_>) -> bool {
        frame.kind.is_device() && (frame.session, frame.sequence) == (self.session, self.sequence)
    }

    fn frame<'a>(&self, kind: Kind, body: &[u8], buffer: &'a mut [u8; MAX_FRAME]) -> &'a [u8] {
        let frame = Frame {
            kind,
            session: self.session,
            sequence: self.sequence,
            body,
        };
        encode(&frame, buffer)
    }
}
