//! wasm3's texts for what went wrong, as the words that this project has for it on every engine.

use core::ffi::CStr;

use crate::engine::Error;

/// `unreachable` was executed.
pub const UNREACHABLE: &str = "unreachable";
/// An access outside linear memory.
pub const MEMORY: &str = "out of bounds memory access";
/// An access outside a table.
pub const TABLE: &str = "out of bounds table access";
/// An indirect call of an empty table entry.
pub const NULL_CALL: &str = "uninitialized element";
/// An indirect call of a function with another signature.
pub const SIGNATURE: &str = "indirect call type mismatch";
/// Integer division by zero.
pub const DIVIDE_BY_ZERO: &str = "integer divide by zero";
/// The quotient of the smallest integer and -1, or a float too large for the integer.
pub const OVERFLOW: &str = "integer overflow";
/// A NaN truncated to an integer.
pub const CONVERSION: &str = "invalid conversion to integer";
/// Too deep a recursion.
pub const STACK: &str = "call stack exhausted";
/// A host call from inside a call that the host made.
pub const LEAVE: &str = "cannot leave component instance";

/// What a host function returns to wasm3 to end the guest.
pub(crate) const STOPPED: &CStr = c"[vyoma] stopped";
/// What it returns when it may not be called now.
pub(crate) const LEAVING: &CStr = c"[vyoma] leaving";

/// What wasm3 says, sorted.
pub(crate) fn error(said: &'static CStr) -> Error {
    let Ok(text) = said.to_str() else {
        return Error::Module("an error that is not UTF-8");
    };
    Error::Trap(match text {
        "[vyoma] stopped" => return Error::Host,
        "[vyoma] leaving" => LEAVE,
        "[trap] unreachable executed" => UNREACHABLE,
        "[trap] out of bounds memory access" | "data segment out of bounds" => MEMORY,
        "[trap] undefined element"
        | "[trap] out of bounds table access"
        | "out of bounds table access"
        | "table underflow" => TABLE,
        "[trap] uninitialized element" => NULL_CALL,
        "[trap] indirect call type mismatch" => SIGNATURE,
        "[trap] integer divide by zero" => DIVIDE_BY_ZERO,
        "[trap] integer overflow" => OVERFLOW,
        "[trap] invalid conversion to integer" => CONVERSION,
        "[trap] stack overflow" => STACK,
        "memory allocation failed"
        | "memory allocation failed when acquiring a new M3 code page" => {
            return Error::Memory;
        }
        other => return Error::Module(other),
    })
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use vyoma_runtime::trap;

    #[test]
    fn the_words_are_those_of_every_engine() {
        for (ours, everyones) in [
            (super::UNREACHABLE, trap::UNREACHABLE),
            (super::MEMORY, trap::MEMORY),
            (super::TABLE, trap::TABLE),
            (super::NULL_CALL, trap::NULL_CALL),
            (super::SIGNATURE, trap::SIGNATURE),
            (super::DIVIDE_BY_ZERO, trap::DIVIDE_BY_ZERO),
            (super::OVERFLOW, trap::OVERFLOW),
            (super::CONVERSION, trap::CONVERSION),
            (super::STACK, trap::STACK),
            (super::LEAVE, trap::LEAVE),
        ] {
            assert_eq!(ours, everyones);
        }
    }
}
