//! What waits to be read by an app: a bounded queue of bytes, with the rules of the Linux daemon's. An app that never
//! reads loses the oldest lines (counted) and holds up nobody who writes to it.

use alloc::collections::VecDeque;

/// Most bytes in a queue: a dozen short lines. On Linux it is 64 KiB.
pub const QUEUE_BYTES: usize = 512;

/// The queue.
#[derive(Debug, Default)]
pub struct Stdin {
    bytes: VecDeque<u8>,
    /// Nothing comes after what is there.
    ended: bool,
    dropped: u64,
}

impl Stdin {
    /// Adds `line` and its newline; drops the oldest lines until it fits, or the line itself when it never will.
    pub fn push(&mut self, line: &str) {
        let need = line.len() + 1;
        if self.ended || need > QUEUE_BYTES {
            self.dropped += 1;
            return;
        }
        while self.bytes.len() + need > QUEUE_BYTES {
            self.drop_line();
        }
        self.bytes.extend(line.bytes());
        self.bytes.push_back(b'\n');
    }

    /// Adds `text` as it is, and nothing after it if `end`; false, and nothing changed, when it was ended before or does
    /// not fit beside what waits.
    pub fn write(&mut self, text: &str, end: bool) -> bool {
        if self.ended || self.bytes.len() + text.len() > QUEUE_BYTES {
            return false;
        }
        self.bytes.extend(text.bytes());
        self.ended = end;
        true
    }

    /// Takes bytes out, as many as there are and fit.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.bytes.len());
        for (place, byte) in into.iter_mut().zip(self.bytes.drain(..count)) {
            *place = byte;
        }
        if self.bytes.is_empty() {
            self.bytes.shrink_to_fit();
        }
        count
    }

    /// Bytes that wait; none at the end.
    pub fn available(&self) -> Option<usize> {
        (!self.ended || !self.bytes.is_empty()).then_some(self.bytes.len())
    }

    /// Lines that the app never got.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_line(&mut self) {
        self.dropped += 1;
        while let Some(byte) = self.bytes.pop_front() {
            if byte == b'\n' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    fn read_all(stdin: &mut Stdin) -> String {
        let mut bytes = [0; QUEUE_BYTES];
        let count = stdin.read(&mut bytes);
        String::from_utf8(bytes[..count].into()).unwrap()
    }

    #[test]
    fn an_app_that_never_reads_loses_the_oldest_lines_and_they_are_counted() {
        let mut stdin = Stdin::default();
        for n in 0..1000 {
            stdin.push(&format!("message {n:010}"));
        }
        let text = read_all(&mut stdin);
        assert!(text.len() <= QUEUE_BYTES && text.ends_with("message 0000000999\n"));
        assert_eq!(text.lines().count() as u64 + stdin.dropped(), 1000);
        assert!(text.starts_with("message 0"), "whole lines are lost");
    }

    #[test]
    fn a_line_that_never_fits_costs_only_itself() {
        let mut stdin = Stdin::default();
        stdin.push("first");
        stdin.push(&"x".repeat(QUEUE_BYTES));
        assert_eq!(
            (read_all(&mut stdin).as_str(), stdin.dropped()),
            ("first\n", 1)
        );
        stdin.push(&"x".repeat(QUEUE_BYTES - 1));
        assert_eq!(read_all(&mut stdin).len(), QUEUE_BYTES);
    }

    #[test]
    fn what_an_operator_sends_is_whole_or_refused_and_nothing_follows_its_end() {
        let mut stdin = Stdin::default();
        assert!(stdin.write(&"x".repeat(QUEUE_BYTES - 10), false));
        assert!(!stdin.write("more than ten bytes", true));
        assert!(stdin.write("the end\n", true));
        assert!(!stdin.write("", false));
        stdin.push("a message");
        assert_eq!(stdin.available(), Some(QUEUE_BYTES - 2));
        assert!(read_all(&mut stdin).ends_with("the end\n"));
        assert_eq!((stdin.available(), stdin.dropped()), (None, 1));
    }

    #[test]
    fn a_read_takes_what_fits_and_the_rest_later() {
        let mut stdin = Stdin::default();
        stdin.push("abc");
        let mut two = [0; 2];
        assert_eq!((stdin.read(&mut two), &two), (2, b"ab"));
        assert_eq!(stdin.available(), Some(2));
        assert_eq!((stdin.read(&mut two), &two), (2, b"c\n"));
        assert_eq!((stdin.read(&mut two), stdin.available()), (0, Some(0)));
    }
}
