//! Fault injection: `vyoma.fault=stall:SECS,panic:SECS,term:SECS,int:SECS,orphans:N,remount` on the kernel command line.
//!
//! These are hooks for the boot tests, compiled in so that the tests run the binary that ships. They give nobody
//! anything new: whoever writes the kernel command line can as well say `init=` or pass another initramfs. No app,
//! client or network peer can reach them. The daemon calls [`arm`] once, when its main loop runs.

use std::io;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Most orphans in one go: enough for the test of 1,000, too few to exhaust a device's process table.
const MAX_ORPHANS: u32 = 10_000;
/// Longest delay of a fault: a test that waits an hour is none.
const MAX_SECS: u64 = 3600;

/// Which faults to inject; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Stall the main loop for good after so many seconds: the hardware watchdog must reset the device.
    pub(crate) stall_secs: Option<u64>,
    /// Panic after so many seconds: an epitaph must be written and the panic policy obeyed.
    pub(crate) panic_secs: Option<u64>,
    /// SIGTERM to PID 1 after so many seconds: an ordered power off must follow.
    pub(crate) term_secs: Option<u64>,
    /// SIGINT to PID 1 after so many seconds, as Ctrl-Alt-Del sends it: an ordered reboot must follow.
    pub(crate) int_secs: Option<u64>,
    /// Leave so many orphans to PID 1, which must reap them all.
    pub(crate) orphans: Option<u32>,
    /// Go through all mounts a second time: nothing may change.
    pub(crate) remount: bool,
}

impl Faults {
    /// Reads the list; the error says what would have been right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "a list of stall:SECS, panic:SECS, term:SECS, int:SECS (to {MAX_SECS}), orphans:N (to {MAX_ORPHANS}), remount"
            )
        };
        let secs = |text: &str| text.parse().ok().filter(|secs| *secs <= MAX_SECS);
        let mut faults = Self::default();
        for item in text.split(',') {
            match item.split_once(':') {
                Some(("stall", value)) => {
                    faults.stall_secs = Some(secs(value).ok_or_else(expected)?);
                }
                Some(("panic", value)) => {
                    faults.panic_secs = Some(secs(value).ok_or_else(expected)?);
                }
                Some(("term", value)) => {
                    faults.term_secs = Some(secs(value).ok_or_else(expected)?);
                }
                Some(("int", value)) => {
                    faults.int_secs = Some(secs(value).ok_or_else(expected)?);
                }
                Some(("orphans", value)) => {
                    let count = value.parse().ok().filter(|n| *n <= MAX_ORPHANS);
                    faults.orphans = Some(count.ok_or_else(expected)?);
                }
                None if item == "remount" => faults.remount = true,
                _ => return Err(expected()),
            }
        }
        Ok(faults)
    }
}

/// Waits for each fault's time and commits it, on the caller's thread: spawn it on the main loop's runtime.
pub(crate) async fn arm(faults: Faults) {
    if let Some(count) = faults.orphans
        && let Err(error) = orphans_that_ended(count).await
    {
        eprintln!("fault injection: no orphans: {error}");
    }
    let stall = async {
        if let Some(secs) = faults.stall_secs {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            // The point is to block the thread of the main loop, as a bug would.
            loop {
                std::thread::sleep(Duration::from_secs(MAX_SECS));
            }
        }
    };
    let panic = async {
        if let Some(secs) = faults.panic_secs {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            panic!("fault injection: vyoma.fault=panic:{secs}");
        }
    };
    let term = signal_after(faults.term_secs, Signal::SIGTERM);
    let int = signal_after(faults.int_secs, Signal::SIGINT);
    tokio::join!(stall, panic, term, int);
}

/// Sends a signal to this process, as an operator's kill would.
async fn signal_after(secs: Option<u64>, signal: Signal) {
    if let Some(secs) = secs {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        let _ = nix::sys::signal::raise(signal);
    }
}

/// Makes orphans and waits until all have ended: on a slow machine a thousand of them take their time, and the other
/// faults' times count from then.
async fn orphans_that_ended(count: u32) -> io::Result<()> {
    // Every one of them has the writing end; when the last is gone, so is the pipe.
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    make_orphans(count)?;
    drop(write);
    let mut end = pipe::Receiver::from_owned_fd(read)?;
    // Nobody writes: this ends with the end of the pipe, which is no error here.
    let _ = end.read_u8().await;
    Ok(())
}

/// A child starts `count` processes and ends at once, so that all of them become children of PID 1; each ends a moment
/// later with an exit code of its own.
fn make_orphans(count: u32) -> io::Result<()> {
    // SAFETY: the child calls nothing but fork, usleep and _exit, which are async-signal-safe, and never returns.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        for n in 0..count {
            // SAFETY: as above.
            if unsafe { libc::fork() } == 0 {
                // SAFETY: as above. Up to 100 ms, so that they end in bursts and not in order.
                unsafe {
                    libc::usleep(n.wrapping_mul(7919) % 100_000);
                    libc::_exit((n % 256) as i32);
                }
            }
        }
        // SAFETY: as above.
        unsafe { libc::_exit(0) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_faults_is_read() {
        let faults = Faults::parse("stall:3,panic:4,term:6,int:7,orphans:5,remount").unwrap();
        assert_eq!(
            faults,
            Faults {
                stall_secs: Some(3),
                panic_secs: Some(4),
                term_secs: Some(6),
                int_secs: Some(7),
                orphans: Some(5),
                remount: true
            }
        );
    }

    #[test]
    fn what_is_no_fault_is_refused_with_the_list_of_faults() {
        for text in [
            "",
            "stall",
            "stall:",
            "stall:x",
            "panic:99999",
            "orphans:99999",
            "fly:1",
            "stall:1,",
        ] {
            let error = Faults::parse(text).unwrap_err();
            assert!(error.contains("stall:SECS"), "{text}: {error}");
        }
    }

    #[test]
    fn orphans_end_with_their_own_codes_and_none_is_left() {
        // A subreaper in a process of its own stands in for PID 1; the test runner's children stay out of it.
        // SAFETY: the child only calls async-signal-safe functions and _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: plain system calls on values.
            unsafe {
                libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
                let _ = make_orphans(50);
                let mut reaped = 0;
                let mut status = 0;
                while libc::waitpid(-1, &raw mut status, 0) > 0 {
                    reaped += 1;
                }
                libc::_exit(i32::from(reaped != 51));
            }
        }
        let mut status = 0;
        // SAFETY: `status` is valid for the call.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "status {status}"
        );
    }
}
