//! Why a guest trapped, in words that are the same on every engine.
//!
//! Adapters translate their engine's traps into these, so that logs, epitaphs and tests read the same everywhere. The
//! words follow the WebAssembly specification's test suite where it has one. `vyoma_component::trap::Trap` says the same words
//! where no engine is involved.

/// `unreachable` was executed: in Rust, a panic or an abort.
pub const UNREACHABLE: &str = "unreachable";
/// A load or store outside linear memory.
pub const MEMORY: &str = "out of bounds memory access";
/// A table access outside the table: in Rust, a call through a bad function pointer.
pub const TABLE: &str = "out of bounds table access";
/// An indirect call of an empty table entry.
pub const NULL_CALL: &str = "uninitialized element";
/// An indirect call of a function with another signature.
pub const SIGNATURE: &str = "indirect call type mismatch";
/// Integer division by zero.
pub const DIVIDE_BY_ZERO: &str = "integer divide by zero";
/// The quotient of the smallest integer and -1.
pub const OVERFLOW: &str = "integer overflow";
/// A float that is no integer or is too large was truncated to one.
pub const CONVERSION: &str = "invalid conversion to integer";
/// Too deep a recursion.
pub const STACK: &str = "call stack exhausted";
/// A value passed to or returned from a host function breaks the canonical ABI.
pub const ABI: &str = "invalid value at the component boundary";
/// A host call from inside `cabi_realloc`, which the canonical ABI forbids.
pub const LEAVE: &str = "cannot leave component instance";
/// A resource was dropped while another that came of it lives.
pub const CHILDREN: &str = "resource has children";
/// More handles than a host keeps for one guest.
pub const HANDLES: &str = "too many handles";
/// `poll` of no pollable: it would wait for ever.
pub const EMPTY_POLL: &str = "empty poll list";
/// A stream was given more bytes than the last `check-write` permitted, or was given some without one.
pub const WRITE_BUDGET: &str = "write of more bytes than `check-write` permitted";
/// `blocking-write-and-flush` or `blocking-write-zeroes-and-flush` of more bytes than WASI allows.
pub const WRITE_SIZE: &str = "write of more than 4096 bytes at once";
/// A datagram stream was given more datagrams than the last `check-send` permitted.
pub const SEND_BUDGET: &str = "sent more datagrams than `check-send` permitted";
/// A UDP socket got new streams while the old ones live.
pub const UDP_STREAMS: &str = "UDP streams not dropped yet";
/// More random bytes in one call than a host hands over (64 MiB).
pub const RANDOM_SIZE: &str = "more than 67108864 random bytes at once";

/// A handle that the guest does not hold: never had, or dropped.
pub fn unknown_handle(handle: u32) -> String {
    format!("unknown handle index {handle}")
}

/// A handle of another resource type than the function takes.
pub fn wrong_handle(handle: u32) -> String {
    format!("handle index {handle} used with the wrong type")
}
