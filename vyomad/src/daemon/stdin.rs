//! What waits to be read by an app: a bounded queue in front of its stdin pipe. An app that never reads loses the
//! oldest lines (counted) and holds up nobody who writes to it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;

/// Most bytes in the queue; the pipe holds as many again.
pub(crate) const QUEUE_BYTES: usize = 64 * 1024;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Stdin {
    lines: RefCell<VecDeque<Box<[u8]>>>,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    filled: Notify,
}

impl Stdin {
    /// Adds `line` and its newline; drops the oldest lines until it fits.
    pub(crate) fn push(&self, line: &str) {
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

    /// Lines that the app never got.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Writes to the app until it closes its end. A line that is being written has left the queue: it is never cut.
    pub(crate) async fn pump(&self, mut pipe: pipe::Sender) {
        loop {
            let next = self.lines.borrow_mut().pop_front();
            let Some(line) = next else {
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
