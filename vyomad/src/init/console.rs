//! The device's console, written without ever waiting for it.
//!
//! A serial line can be slow, unplugged or stopped with Ctrl-S; a terminal can sit behind a pager. None of that may
//! stall PID 1, so lines go through a bounded buffer, and when it is full the oldest are dropped and counted. It does
//! not decide what is shown, nor makes app output harmless: the daemon does both before it calls.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Bytes that wait for a slow console: 64 KiB are some six seconds of a 115200 baud line, and half the kernel's own
/// log buffer.
const CAPACITY: usize = 64 * 1024;
/// Longest line: one app must not push everything else out of the buffer at once.
const MAX_LINE: usize = 16 * 1024;
/// Room kept for the line that says how many were lost.
const MAX_MARKER: usize = 80;

/// Where lines go.
enum Sink {
    /// A descriptor whose open file description is ours alone, so that O_NONBLOCK concerns nobody else.
    Own(File),
    /// A socket that we share: each send is non-blocking by flag.
    Socket(OwnedFd),
    /// There is no console.
    None,
}

/// The console and the lines that wait for it.
pub(crate) struct Console {
    sink: Sink,
    /// The line that is being written; it is not dropped any more.
    current: Vec<u8>,
    /// Bytes of `current` that are out.
    begun: usize,
    /// Lines with their `\n`, oldest first.
    waiting: VecDeque<Vec<u8>>,
    /// Bytes in `waiting`.
    bytes: usize,
    /// Lines dropped since the last "lines lost" line.
    lost: u64,
}

impl Console {
    /// /dev/console of a device. Without one, lines are dropped.
    pub(crate) fn open() -> Self {
        Self::with(own_description("/dev/console").map_or(Sink::None, Sink::Own))
    }

    /// Standard output of a hosted daemon.
    pub(crate) fn hosted() -> Self {
        // Opening it anew through /proc makes an open file description of our own: setting O_NONBLOCK on fd 1 itself
        // would reach the shell that we share it with.
        let sink = match own_description("/proc/self/fd/1") {
            Ok(file) => Sink::Own(file),
            // A socket can't be opened through /proc.
            Err(_) => io::stdout()
                .as_fd()
                .try_clone_to_owned()
                .map_or(Sink::None, Sink::Socket),
        };
        Self::with(sink)
    }

    fn with(sink: Sink) -> Self {
        Self {
            sink,
            current: Vec::new(),
            begun: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            lost: 0,
        }
    }

    /// Queues one line, without its end, and writes what the console takes now. Never blocks.
    pub(crate) fn write_line(&mut self, line: &str) {
        let mut text = line.as_bytes();
        if text.len() >= MAX_LINE {
            text = &text[..line.floor_char_boundary(MAX_LINE - 1)];
        }
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text);
        bytes.push(b'\n');
        while self.bytes + self.current.len() + bytes.len() + MAX_MARKER > CAPACITY {
            let Some(dropped) = self.waiting.pop_front() else {
                break;
            };
            self.bytes -= dropped.len();
            self.lost += 1;
        }
        self.bytes += bytes.len();
        self.waiting.push_back(bytes);
        self.flush_some();
    }

    /// Writes what the console takes now; true when nothing waits any more. Never blocks. Call it again from
    /// time to time while it says false.
    pub(crate) fn flush_some(&mut self) -> bool {
        loop {
            if self.begun == self.current.len() && !self.next_line() {
                return true;
            }
            match self.sink.write(&self.current[self.begun..]) {
                Ok(written) if written > 0 => self.begun += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Ok(_) => return false,
                // Not any more: nobody will read these lines, the logs have them.
                Err(_) => {
                    self.current.clear();
                    self.waiting.clear();
                    (self.bytes, self.begun, self.lost) = (0, 0, 0);
                    return true;
                }
            }
        }
    }

    /// Takes up the next line, with a word before it when lines before it were dropped; false: there is none.
    fn next_line(&mut self) -> bool {
        self.begun = 0;
        self.current = if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            format!("... {lost} lines lost: the console was too slow\n").into_bytes()
        } else {
            let line = self.waiting.pop_front().unwrap_or_default();
            self.bytes -= line.len();
            line
        };
        !self.current.is_empty()
    }
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Own(file) => file.write(bytes),
            Self::Socket(fd) => send_now(fd.as_fd(), bytes),
            Self::None => Ok(bytes.len()),
        }
    }
}

fn send_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT | nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
    Ok(nix::sys::socket::send(fd.as_raw_fd(), bytes, flags)?)
}

fn own_description(path: &str) -> io::Result<File> {
    // O_APPEND: a redirected stdout is a plain file, and opening it anew starts at its beginning.
    // O_NOCTTY: PID 1 must not get a controlling terminal, else Ctrl-C on it is a signal.
    OpenOptions::new()
        .append(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::{Duration, Instant};

    /// A pipe whose writing end is non-blocking, as the console's is.
    fn pipe() -> (File, Console) {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        (
            File::from(read),
            Console::with(Sink::Own(File::from(write))),
        )
    }

    fn read_all(mut from: &File) -> String {
        let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(n) = from.read(&mut chunk) {
            if n == 0 {
                break;
            }
            text.extend_from_slice(&chunk[..n]);
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_console_that_nobody_reads_never_blocks_and_never_grows() {
        let (reader, mut console) = pipe();
        let start = Instant::now();
        for n in 0..100_000 {
            console.write_line(&format!("line {n}"));
        }
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(
            console.bytes + console.current.len() <= CAPACITY,
            "{}",
            console.bytes
        );
        // Then someone reads: a marker stands exactly where lines are missing, and the newest line is there.
        let mut text = String::new();
        loop {
            let done = console.flush_some();
            text.push_str(&read_all(&reader));
            if done {
                break;
            }
        }
        let mut next = 0;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("... ") {
                next += rest.split(' ').next().unwrap().parse::<u32>().unwrap();
            } else {
                assert_eq!(line, format!("line {next}"));
                next += 1;
            }
        }
        assert_eq!(next, 100_000);
    }

    #[test]
    fn a_terminal_that_was_stopped_does_not_stall_the_writer() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let name = nix::unistd::ttyname(&pty.slave).unwrap();
        let mut console =
            Console::with(Sink::Own(own_description(name.to_str().unwrap()).unwrap()));
        let start = Instant::now();
        for _ in 0..5_000 {
            console.write_line("nobody reads this terminal, and it takes only some kilobytes");
        }
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(!console.flush_some());
        assert!(console.lost > 0 && console.bytes <= CAPACITY);
        // The shared description of the terminal itself was left blocking.
        let flags = nix::fcntl::fcntl(&pty.slave, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn a_huge_line_is_cut_at_a_character() {
        let (reader, mut console) = pipe();
        console.write_line(&"é".repeat(MAX_LINE));
        let text = read_all(&reader);
        assert!(text.len() <= MAX_LINE && text.ends_with("é\n"));
    }

    #[test]
    fn a_console_whose_other_end_is_gone_is_no_error() {
        let (reader, mut console) = pipe();
        drop(reader);
        console.write_line("nobody");
        assert!(console.flush_some());
    }

    #[test]
    fn a_shared_socket_is_written_without_blocking() {
        let (mut here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut console = Console::with(Sink::Socket(there.into()));
        console.write_line("first");
        for _ in 0..50_000 {
            console.write_line("the socket's buffer is full long before this is out");
        }
        assert!(!console.flush_some());
        let mut first = [0; 6];
        here.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"first\n");
    }
}
