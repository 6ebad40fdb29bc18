//! For tests of apps, which run on any machine: what was printed.

use std::cell::RefCell;
use std::string::String;
use std::vec::Vec;

thread_local! {
    /// What this thread prints, while it is caught.
    static CAUGHT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What `what` prints on standard output and standard error (in this thread, and through this crate), instead of printing it.
pub fn printed(what: impl FnOnce()) -> String {
    let outer = CAUGHT.replace(Some(Vec::new()));
    what();
    let bytes = CAUGHT.replace(outer).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Keeps what is printed, if it is to be caught.
pub(crate) fn catch(bytes: &[u8]) -> bool {
    CAUGHT.with_borrow_mut(|caught| {
        caught
            .as_mut()
            .map(|caught| caught.extend_from_slice(bytes))
            .is_some()
    })
}
