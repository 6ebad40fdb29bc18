//! Why a guest trapped, in words that are the same on every engine.
//!
//! Adapters translate their engine's traps into these, so that logs, epitaphs and tests read the same everywhere. The
//! words follow the WebAssembly specification's test suite where it has one.

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
