//! The native stack that a core module runs on: the process's own.

use nix::sys::resource::{Resource, getrlimit};
use vyoma_runtime::EngineError;

use crate::engine_error;
use crate::settings::WASM_STACK;

/// What else is on it: what is in use by then, and up to 256 KiB for host functions (name look-up is the deepest).
const HOST: u64 = 512 << 10;

/// Whether the main thread's stack may grow as far as a guest may go down on it. Linux's default limit is 8 MiB.
pub(super) fn check() -> Result<(), EngineError> {
    let (limit, _) = getrlimit(Resource::RLIMIT_STACK)
        .map_err(|errno| engine_error(&wasmtime::Error::from(errno).context("stack limit")))?;
    holds(limit)
}

fn holds(limit: u64) -> Result<(), EngineError> {
    let needs = WASM_STACK as u64 + HOST;
    if limit >= needs {
        return Ok(());
    }
    Err(engine_error(&wasmtime::format_err!(
        "the native stack may have {} KiB, expected at least {}; raise the stack limit (ulimit -s)",
        limit / 1024,
        needs / 1024
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_can_t_hold_guest_and_host_is_told_with_what_is_needed() {
        assert!(holds(8 << 20).is_ok());
        assert!(holds(1536 << 10).is_ok());
        let error = holds((1536 << 10) - 1).unwrap_err().to_string();
        assert!(
            error.contains("may have 1535 KiB, expected at least 1536;"),
            "{error}"
        );
        // No limit.
        assert!(holds(u64::MAX).is_ok());
    }
}
