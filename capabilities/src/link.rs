//! The serial line between `vyomactl` and a microcontroller: frames, and who says what when. The messages are those of
//! [`control`](crate::control), in postcard.
//!
//! ```text
//!   0x00  COBS( kind u8 | session u16 | sequence u8 | body, at most 512 bytes | CRC-32 u32 )  0x00
//! ```
//!
//! No frame has a zero inside, so whatever else is on the line (text of a console, half a frame, noise) ends at the next
//! zero, fails its CRC and is skipped. Numbers are little-endian; the CRC is that of Ethernet and zip (CRC-32/ISO-HDLC).
//!
//! The client speaks, the device answers, each frame of the one with one frame of the other; so the line is never busy
//! while the device erases flash, one frame is the whole window, and only the client keeps time. It repeats its frame
//! until the answer to it has come; the device does nothing twice, but repeats its last answer.
//!
//! ```text
//!   client                             device
//!   Open [version]              ->                  a new session; whatever was before is forgotten
//!                               <-     Opened [version, most bytes of a request u16]
//!   Part [bytes]                ->     Taken        a request that is longer than a frame
//!   Last [bytes]                ->     Answer [bytes] | Wait
//!   Next                        ->     Answer [bytes] | Wait
//!   Upload [bytes]              ->     Taken | Answer [bytes]      the component, after Request::InstallCompact
//!   anything of another session ->     Lost         the device was reset, or another client has come
//! ```
//!
//! The bodies of Answers are one stream in which values of [`Response`](crate::control::Response) stand one after the other: a
//! long one goes over several frames, and a frame may hold several short ones. Used by vyomactl and by the firmware's core;
//! it does no I/O and knows no time.

mod caller;
mod frame;
mod message;

pub use caller::Caller;
pub use frame::{Frame, Kind, Receiver, Writer, encode};
pub use message::{
    APPS, EVENT, FOR_LINUX, INSTALL, LOG_LINE, decode_request, encode_request, encode_response,
    take_response,
};

/// Version of the line: of frames, of the conversation, and of what postcard makes of the messages, since postcard is silent
/// about a field too many or too few. A change of a message that an old program can't read needs a new number.
pub const VERSION: u8 = 2;
/// Most bytes of a body. Twice this is what a device keeps for the line; a longer frame would hardly be faster (at 115200 baud
/// 512 bytes take 45 ms, what stands around them 1 ms).
pub const MAX_BODY: usize = 512;
/// Most bytes of a frame on the line, zeros included.
pub const MAX_FRAME: usize = frame::ENCODED + 2;
/// Most bytes of one answer that a client waits for: far more than any has.
pub const MAX_RESPONSE: usize = 64 * 1024;
