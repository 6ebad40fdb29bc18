//! The end of a device: whatever still runs is ended, files are brought to the disk, and the power goes.
//!
//! By now the daemon has stopped its apps; what is left here is anything that it did not know of. Every step has a
//! time limit, because a device that hangs while it shuts down can't be reached any more. The hardware watchdog stays
//! armed: if even this hangs, it resets the device. Called by the daemon as PID 1, last of all.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{clock, entropy};

/// For a process to end after SIGTERM. The daemon gave apps their own grace before.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// For the kernel to take down what was killed.
const KILL_GRACE: Duration = Duration::from_secs(2);
/// For sync(2): a dying disk can hold it for minutes.
const SYNC_CAP: Duration = Duration::from_secs(5);
/// Between looks at the remaining processes.
const POLL: Duration = Duration::from_millis(10);

/// How a device ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerAction {
    /// Off.
    PowerOff,
    /// Start again.
    Reboot,
    /// Stop, with the power on.
    Halt,
}

/// Ends the device. In a process that is not PID 1 it only ends the process: nobody else's machine is touched.
pub(crate) fn finish(action: PowerAction, state_dir: &Path) -> ! {
    if std::process::id() != 1 {
        std::process::exit(0);
    }
    end_processes();
    let _ = clock::save(state_dir);
    let _ = entropy::save_seed(state_dir);
    if !within(SYNC_CAP, nix::unistd::sync) {
        say("vyomad: sync was not done after 5 s: going on without it");
    }
    let _ = std::env::set_current_dir("/");
    close_files_below("/data");
    for (path, outcome) in release_data() {
        say(&format!("vyomad: {path} {outcome}"));
    }
    let (mode, word) = match action {
        PowerAction::PowerOff => (RebootMode::RB_POWER_OFF, "power off"),
        PowerAction::Reboot => (RebootMode::RB_AUTOBOOT, "reboot"),
        PowerAction::Halt => (RebootMode::RB_HALT_SYSTEM, "halt"),
    };
    say(&format!("vyomad: {word}"));
    let _ = reboot(mode);
    // Not allowed, or not able to cut the power: a machine at rest is the next best, and the watchdog may reset it.
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

/// Ends every other process, and reaps what ends.
fn end_processes() {
    // -1 is every process but this one.
    for (signal, grace) in [(Signal::SIGTERM, TERM_GRACE), (Signal::SIGKILL, KILL_GRACE)] {
        if kill(Pid::from_raw(-1), signal) == Err(Errno::ESRCH) {
            return;
        }
        let end = Instant::now() + grace;
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return,
                Ok(WaitStatus::StillAlive) | Err(_) if Instant::now() >= end => break,
                Ok(WaitStatus::StillAlive) | Err(_) => std::thread::sleep(POLL),
                Ok(_) => {}
            }
        }
    }
}

/// Runs `work` in a thread of its own; true when it was done within `cap`, else it is left behind.
fn within(cap: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (done, wait) = mpsc::channel();
    let started = std::thread::Builder::new().spawn(move || {
        work();
        let _ = done.send(());
    });
    // Without memory for a thread it is not done at all; the unmount writes everything back as well.
    started.is_ok() && wait.recv_timeout(cap).is_ok()
}

/// Closes this process's own files below `dir`, which would keep the file system busy. The watchdog and the console
/// stay open.
fn close_files_below(dir: &str) {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let below: Vec<i32> = entries
        .flatten()
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(dir)))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in below {
        // SAFETY: whoever owns this descriptor never runs again: `finish` does not return, and no other thread of
        // PID 1 touches files below /data.
        unsafe { libc::close(fd) };
    }
}

/// Unmounts /data and what is mounted in it, innermost first; what is busy becomes read-only instead.
fn release_data() -> Vec<(String, String)> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut outcomes = Vec::new();
    for (path, kind) in below_data(&table).into_iter().rev() {
        let outcome = match umount2(path.as_str(), MntFlags::empty()) {
            Ok(()) => "unmounted".to_owned(),
            Err(busy) => match mount(
                None::<&str>,
                path.as_str(),
                None::<&str>,
                MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
                None::<&str>,
            ) {
                Ok(()) => format!("is in use ({busy}): made read-only"),
                Err(error) => {
                    format!("can neither be unmounted ({busy}) nor made read-only ({error})")
                }
            },
        };
        // A memory file system goes away with the power: no news.
        if kind != "tmpfs" {
            outcomes.push((path, outcome));
        }
    }
    outcomes
}

/// Mount points at and below /data with their types, in the order in which they were mounted.
fn below_data(table: &str) -> Vec<(String, String)> {
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let (path, kind) = (words.nth(1)?, words.next()?);
        (path == "/data" || path.starts_with("/data/")).then(|| (path.to_owned(), kind.to_owned()))
    };
    table.lines().filter_map(entry).collect()
}

/// The daemon's console is gone by now. A console that is stuck gets nothing, it does not hold up the end.
fn say(line: &str) {
    let mut console = super::console::Console::open();
    console.write_line(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_in_data_are_found_in_order_and_no_others() {
        let table = "proc /proc proc rw 0 0\n/dev/vda /data ext4 rw 0 0\n/dev/vda /data/vyoma/store ext4 rw 0 0\n\
                     tmpfs /database tmpfs rw 0 0\n";
        let found: Vec<_> = below_data(table)
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(found, ["/data", "/data/vyoma/store"]);
    }

    #[test]
    fn a_disk_that_hangs_is_not_waited_for() {
        let start = Instant::now();
        assert!(!within(Duration::from_millis(50), || std::thread::sleep(
            Duration::from_secs(30)
        )));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(within(Duration::from_secs(30), || {}));
    }
}
