//! Why a host call does not return to the guest. Adapters turn it into their engine's trap and, at the end of the run,
//! into an `Ending`.

use alloc::string::String;
use core::fmt;

/// Not an error value of an interface: those return to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trap {
    /// `wasi:cli/exit`: the guest ends itself with this code.
    Exit(u8),
    /// The guest broke the canonical ABI: a pointer outside memory or not aligned, a bad discriminant, text that is not
    /// UTF-8, a `cabi_realloc` that misbehaves. What exactly, for people.
    Abi(&'static str),
    /// A handle that the guest does not hold (never had, or dropped).
    UnknownHandle(u32),
    /// A handle of another resource type than the function takes.
    WrongHandle(u32),
    /// A resource was dropped while another that came of it lives.
    HasChildren,
    /// A host call from inside `cabi_realloc`, which the canonical ABI forbids.
    CannotLeave,
    /// `cabi_realloc` itself trapped: the engine holds the reason.
    Guest,
    /// Any other rule of an interface that has no error value, e.g. an empty list for `poll`.
    Interface(String),
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit with code {code}"),
            // The words of `vyoma_runtime::trap::ABI`, which names the same thing for every engine.
            Self::Abi(_) => f.write_str("invalid value at the component boundary"),
            Self::UnknownHandle(handle) => write!(f, "unknown handle index {handle}"),
            Self::WrongHandle(handle) => {
                write!(f, "handle index {handle} used with the wrong type")
            }
            Self::HasChildren => f.write_str("resource has children"),
            Self::CannotLeave => f.write_str("cannot leave component instance"),
            Self::Guest => f.write_str("trap in cabi_realloc"),
            Self::Interface(rule) => f.write_str(rule),
        }
    }
}

impl core::error::Error for Trap {}
