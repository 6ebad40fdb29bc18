//! Frames: COBS around a header, a body and a CRC.

use cobs::{EncoderState, PushResult};
use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};

use super::{MAX_BODY, MAX_FRAME};

/// Without a table: a kilobyte of flash is worth more than the milliseconds.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
/// kind, session, sequence
const HEADER: usize = 4;
/// Where COBS starts: behind the zero that ends whatever was on the line before.
const START: usize = 1;
/// Bytes of the CRC.
const TRAILER: usize = 4;
/// Most bytes between the zeros: COBS adds one for each 254, and one.
pub(super) const ENCODED: usize = cobs::max_encoding_length(HEADER + MAX_BODY + TRAILER);

/// What a frame is. Those of a client have the top bit clear, so that an echo is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: a new session.
    Open,
    /// Client: bytes of a request; more follow.
    Part,
    /// Client: the last bytes of a request.
    Last,
    /// Client: bytes of an upload.
    Upload,
    /// Client: more of the answers.
    Next,
    /// Device: to [`Kind::Open`].
    Opened,
    /// Device: that is done, and there is nothing to say about it.
    Taken,
    /// Device: there is nothing to say yet; ask again.
    Wait,
    /// Device: the next bytes of the answers.
    Answer,
    /// Device: of no session that is open, or out of its order.
    Lost,
}

const KINDS: [(u8, Kind); 10] = [
    (0x01, Kind::Open),
    (0x02, Kind::Part),
    (0x03, Kind::Last),
    (0x04, Kind::Upload),
    (0x05, Kind::Next),
    (0x81, Kind::Opened),
    (0x82, Kind::Taken),
    (0x83, Kind::Wait),
    (0x84, Kind::Answer),
    (0x85, Kind::Lost),
];

impl Kind {
    /// As it stands in a frame.
    pub fn code(self) -> u8 {
        let known = KINDS.iter().find(|(_, kind)| *kind == self);
        known.map_or(0, |(code, _)| *code)
    }

    /// Whether devices send it.
    pub fn is_device(self) -> bool {
        self.code() & 0x80 != 0
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// A number that the client made up when it opened the session.
    pub session: u16,
    /// 0 for [`Kind::Open`], then one more for each frame of the client, and over again after 255; an answer has the number of
    /// what it answers.
    pub sequence: u8,
    /// At most [`MAX_BODY`] bytes.
    pub body: &'a [u8],
}

/// Writes a frame as it goes over the line. What of its body is past [`MAX_BODY`] is left out.
pub fn encode<'a>(frame: &Frame<'_>, buffer: &'a mut [u8; MAX_FRAME]) -> &'a [u8] {
    let mut writer = Writer::new(frame.kind, frame.session, frame.sequence, buffer);
    writer.push(frame.body);
    let length = writer.finish();
    &buffer[..length]
}

/// Writes a frame whose body comes in pieces, so that it needs no place of its own.
pub struct Writer<'a> {
    buffer: &'a mut [u8; MAX_FRAME],
    /// Where the next byte goes.
    at: usize,
    cobs: EncoderState,
    digest: Digest<'static, u32, NoTable>,
    room: usize,
}

impl<'a> Writer<'a> {
    /// A frame without a body yet.
    pub fn new(kind: Kind, session: u16, sequence: u8, buffer: &'a mut [u8; MAX_FRAME]) -> Self {
        buffer[0] = 0;
        let mut writer = Self {
            buffer,
            // COBS has a place of its own in front of the first byte.
            at: START + 1,
            cobs: EncoderState::default(),
            digest: CRC.digest(),
            room: MAX_BODY,
        };
        let [low, high] = session.to_le_bytes();
        writer.put(&[kind.code(), low, high, sequence]);
        writer
    }

    /// How many bytes more the body may have.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Adds to the body what there is room for; how many bytes that were.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(self.room)];
        self.room -= bytes.len();
        self.put(bytes);
        bytes.len()
    }

    /// Ends the frame: how many bytes of the buffer it is.
    pub fn finish(mut self) -> usize {
        let sum = self.digest.clone().finalize();
        self.put(&sum.to_le_bytes());
        let (place, distance) = self.cobs.finalize();
        self.buffer[START + place] = distance;
        self.buffer[self.at] = 0;
        self.at + 1
    }

    fn put(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        // All of it fits: the buffer is as large as the longest body makes it.
        for byte in bytes {
            self.at += match self.cobs.push(*byte) {
                PushResult::AddSingle(byte) => {
                    self.buffer[self.at] = byte;
                    1
                }
                PushResult::ModifyFromStartAndSkip((place, distance)) => {
                    self.buffer[START + place] = distance;
                    1
                }
                PushResult::ModifyFromStartAndPushAndSkip((place, distance, byte)) => {
                    self.buffer[START + place] = distance;
                    self.buffer[self.at] = byte;
                    2
                }
            };
        }
    }
}

/// Finds the frames in what comes over a line.
#[derive(Debug)]
pub struct Receiver {
    buffer: [u8; ENCODED],
    /// Bytes since the last zero; past the buffer's length once they are too many for a frame.
    length: usize,
}

impl Receiver {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self {
            buffer: [0; ENCODED],
            length: 0,
        }
    }

    /// Takes the next byte. A frame, when the byte ends a good one; everything else is skipped in silence.
    pub fn push(&mut self, byte: u8) -> Option<Frame<'_>> {
        if byte != 0 {
            if let Some(place) = self.buffer.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            } else {
                self.length = ENCODED + 1;
            }
            return None;
        }
        let encoded = core::mem::take(&mut self.length);
        let bytes = self.buffer.get_mut(..encoded)?;
        let length = cobs::decode_in_place(bytes).ok()?;
        decode(bytes.get(..length)?)
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let (covered, trailer) = bytes.split_last_chunk::<TRAILER>()?;
    let (&[kind, low, high, sequence], body) = covered.split_first_chunk::<HEADER>()?;
    if body.len() > MAX_BODY || CRC.checksum(covered) != u32::from_le_bytes(*trailer) {
        return None;
    }
    let (_, kind) = KINDS.iter().find(|(code, _)| *code == kind)?;
    Some(Frame {
        kind: *kind,
        session: u16::from_le_bytes([low, high]),
        sequence,
        body,
    })
}
