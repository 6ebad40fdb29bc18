//! What waits to be read by an app: a bounded queue in front of its stdin pipe. An app that never reads loses the
//! oldest lines (counted) and holds up nobody who writes to it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;

/// Most bytes in the queue; the pipe holds as many again.
pub(crate) const QUEUE_BYTES: usize = vyoma_capabilities::control::MAX_SEND;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Stdin {
    lines: RefCell<VecDeque<Box<[u8]>>>,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    /// An operator ended it: what comes later is dropped and counted.
    ended: Cell<bool>,
    filled: Notify,
}

impl Stdin {
    /// Adds `line` and its newline; drops the oldest lines until it fits.
    pub(crate) fn push(&self, line: &str) {
        if self.ended.get() {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line.as_bytes());
        whole.push(b'\n');
        let mut bytes = self.bytes.get() + whole.len();
        let mut lines = self.lines.borrow_mut();
        lines.push_back(whole.into_boxed_slice());
        while bytes > QUEUE_BYTES {
            let Some(oldest) = lines.pop_front() else {
                break;
            };
            bytes -= oldest.len();
            self.dropped.set(self.dropped.get() + 1);
        }
        self.bytes.set(bytes);
        self.filled.notify_one();
    }

    /// Adds `text` as it is, and nothing after it if `end`; an error when it does not fit beside what waits.
    pub(crate) fn write(&self, text: &str, end: bool) -> Result<(), String> {
        if self.ended.get() {
            return Err("it was ended; expected an app that was started since".to_string());
        }
        let bytes = self.bytes.get() + text.len();
        if bytes > QUEUE_BYTES {
            return Err(format!(
                "{} bytes, and {} wait already; expected at most {QUEUE_BYTES} in all",
                text.len(),
                self.bytes.get()
            ));
        }
        self.lines.borrow_mut().push_back(text.as_bytes().into());
        self.bytes.set(bytes);
        self.ended.set(end);
        self.filled.notify_one();
        Ok(())
    }

    /// Lines that the app never got.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Writes to the app until it closes its end. A line that is being written has left the queue: it is never cut.
    pub(crate) async fn pump(&self, mut pipe: pipe::Sender) {
        loop {
            let next = self.lines.borrow_mut().pop_front();
            let Some(line) = next else {
                if self.ended.get() {
                    return;
                }
                self.filled.notified().await;
                continue;
            };
            self.bytes.set(self.bytes.get() - line.len());
            if pipe.write_all(&line).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_sends_is_whole_or_refused_and_nothing_follows_its_end() {
        let stdin = Stdin::default();
        stdin.write(&"x".repeat(QUEUE_BYTES - 10), false).unwrap();
        assert!(stdin.write("more than ten bytes", true).is_err());
        stdin.write("the end\n", true).unwrap();
        assert!(stdin.write("", false).is_err());
        stdin.push("a message");
        assert_eq!((stdin.lines.borrow().len(), stdin.dropped()), (2, 1));
    }

    #[test]
    fn an_app_that_never_reads_loses_the_oldest_lines_and_they_are_counted() {
        let stdin = Stdin::default();
        for n in 0..10_000 {
            stdin.push(&format!("message {n:010}"));
        }
        let lines = stdin.lines.borrow();
        assert_eq!(lines.len() as u64 + stdin.dropped(), 10_000);
        assert!(stdin.bytes.get() <= QUEUE_BYTES);
        assert_eq!(&**lines.back().unwrap(), b"message 0000009999\n");
    }
}
