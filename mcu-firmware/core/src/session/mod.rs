//! The conversation with an operator on a serial line (`vyoma_capabilities::link`) as a state machine: bytes and the time
//! go in, frames come out, and what is to be done goes to a [`Device`].
//!
//! ```text
//!            Open                       Last (a whole request)
//!   closed ----------> open, idle ------------------------------+
//!     ^                 ^  ^  ^                                 v
//!     | 30 s of silence |  |  +--- all answered --------- answering
//!     +-----------------+  |
//!                          +--- answered -- background <-- uploading (after InstallCompact; Upload frames)
//! ```
//!
//! *Background* is what is finished whatever becomes of the client: an app that is being stopped for good, removed or
//! replaced by what has been uploaded and found good. A new client is greeted meanwhile, and its request waits. Everything
//! else that a session holds is dropped at the next Open, and after 30 s of silence.
//!
//! Memory: two frames, an app's name or two, and on the heap one request (at most [`MAX_REQUEST`] bytes) or one answer. No
//! byte on the line makes it more.

mod answers;
mod background;
mod device;
mod exchange;
mod install;
mod requests;

use vyoma_capabilities::link::{MAX_FRAME, Receiver};

pub use device::{Device, Operation, Power, no_memory};
use exchange::Exchange;
pub use requests::MAX_REQUEST;

/// How long a client may be silent, in milliseconds, before the device forgets it. Long enough for a person who stopped
/// `vyomactl logs -f` for a moment; nobody else waits for the line.
pub const SILENCE_MS: u64 = 30_000;

/// The device's side of a serial line.
#[derive(Debug)]
pub struct Session {
    receiver: Receiver,
    exchange: Exchange,
}

impl Session {
    /// Nobody is there yet.
    pub const fn new() -> Self {
        Self {
            receiver: Receiver::new(),
            exchange: Exchange::new(),
        }
    }

    /// Takes bytes from the line, whatever they are. What is returned is to be written to the line, all of it and nothing
    /// between; it is empty when there is nothing to say. A frame that changes flash makes this call take as long as
    /// that takes; no client sends anything meanwhile.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], device: &mut impl Device) -> &[u8] {
        let mut length = 0;
        for byte in bytes {
            if let Some(frame) = self.receiver.push(*byte) {
                // Of several frames at once all but the last were repeated, or are another client's.
                length = self
                    .exchange
                    .frame(now_ms, &frame, device)
                    .unwrap_or(length);
            }
        }
        self.exchange.written(length)
    }

    /// Goes on with what takes its time, and forgets a client that has gone. To be called when the time is
    /// [`Session::wake_at`], or more often.
    pub fn tick(&mut self, now_ms: u64, device: &mut impl Device) {
        self.exchange.tick(now_ms, device);
    }

    /// When [`Session::tick`] is needed, in the milliseconds of `now_ms`; `None`: not before the next byte.
    pub fn wake_at(&self) -> Option<u64> {
        self.exchange.wake_at()
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that a receiver should be able to hold while the processor does something else: a whole frame.
pub const LONGEST_FRAME: usize = MAX_FRAME;
