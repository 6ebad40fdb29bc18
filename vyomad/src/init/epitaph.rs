//! A panic of the daemon leaves an epitaph, `epitaphs/device.json` in the state directory, and the device then does
//! what `vyoma.panic` says.
//!
//! The hook trusts nothing of the program that just failed: it formats into a fixed buffer, uses paths made ready at
//! start, and ends in reboot(2) itself. If writing hangs, the hardware watchdog, which nobody feeds now, resets the
//! device. It does not unwind and stops no app: power off does not wait for them either.

use std::ffi::{CStr, CString};
use std::fmt::{self, Write};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::reboot::{RebootMode, reboot};
use nix::time::{ClockId, clock_gettime};

use super::cmdline::PanicPolicy;

/// Room for the whole JSON document; a longer message is cut.
const ROOM: usize = 2048;
/// Longest panic message that is kept; with every character escaped as `\uXXXX` it still fits into [`ROOM`].
const MAX_MESSAGE: usize = 256;
/// Most bytes that are read back: the file may have been damaged since.
const MAX_READ: u64 = 16 * 1024;

/// What the hook needs, made ready while memory was sound.
struct Ready {
    policy: PanicPolicy,
    /// The process that installed the hook: a forked child that panics must not reboot the device.
    pid: u32,
    pid1: bool,
    dir: CString,
    new: CString,
    path: CString,
}

static READY: OnceLock<Ready> = OnceLock::new();

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("epitaphs")
}

/// Installs the hook. `pid1`: after the epitaph the device obeys `policy`; else the process ends as usual (the
/// profile's panic = abort). Only the first call counts: the state directory does not move.
pub(crate) fn install_panic_hook(policy: PanicPolicy, state_dir: &Path, pid1: bool) {
    let dir = folder(state_dir);
    let _ = fs::create_dir_all(&dir);
    let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let ready = Ready {
        policy,
        pid: std::process::id(),
        pid1,
        dir: c(&dir),
        new: c(&dir.join("device.json.new")),
        path: c(&dir.join("device.json")),
    };
    if READY.set(ready).is_err() {
        return;
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Some(ready) = READY.get().filter(|ready| ready.pid == std::process::id()) {
            last_words(ready, info);
        }
        usual(info);
    }));
}

/// Reads the epitaph of the last run and puts it aside (`device.previous.json`), so that it is reported once.
pub(crate) fn take_last(state_dir: &Path) -> Option<String> {
    use std::io::Read;
    let path = folder(state_dir).join("device.json");
    let mut bytes = Vec::new();
    fs::File::open(&path)
        .ok()?
        .take(MAX_READ)
        .read_to_end(&mut bytes)
        .ok()?;
    let _ = fs::rename(&path, folder(state_dir).join("device.previous.json"));
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn last_words(ready: &Ready, info: &PanicHookInfo<'_>) {
    let mut text = Fixed {
        bytes: [0; ROOM],
        used: 0,
    };
    let message = info.payload_as_str().unwrap_or("panic without a message");
    let (file, line) = info
        .location()
        .map_or(("unknown", 0), |at| (at.file(), at.line()));
    let _ = describe(&mut text, message, file, line, unix_ms());
    let text = &text.bytes[..text.used];
    if ready.pid1 {
        say(b"\nvyomad panicked: ");
        say(text);
        say(b"\n");
    }
    let _ = write_durably(ready, text);
    if ready.pid1 {
        let (mode, words): (_, &[u8]) = match ready.policy {
            PanicPolicy::Reboot => (
                RebootMode::RB_AUTOBOOT,
                b"vyomad: reboot (vyoma.panic=reboot)\n",
            ),
            PanicPolicy::Halt => (
                RebootMode::RB_HALT_SYSTEM,
                b"vyomad: halted (vyoma.panic=halt)\n",
            ),
            PanicPolicy::PowerOff => (
                RebootMode::RB_POWER_OFF,
                b"vyomad: power off (vyoma.panic=poweroff)\n",
            ),
        };
        say(words);
        let _ = reboot(mode);
        // Not allowed to reboot: the end of PID 1 is a kernel panic, and kernel.panic decides.
    }
}

/// One JSON object: `{"message":"...","location":"src/x.rs:7","time_ms":1}`.
fn describe(out: &mut Fixed, message: &str, file: &str, line: u32, time_ms: u64) -> fmt::Result {
    out.write_str("{\"message\":\"")?;
    escape(out, message)?;
    out.write_str("\",\"location\":\"")?;
    escape(out, file)?;
    write!(out, ":{line}\",\"time_ms\":{time_ms}}}")
}

fn escape(out: &mut Fixed, text: &str) -> fmt::Result {
    for c in text.chars().take(MAX_MESSAGE) {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            // Other scripts would need surrogate pairs in ASCII; valid UTF-8 is valid JSON.
            c if c.is_control() => write!(out, "\\u{:04x}", c as u32)?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

fn unix_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1000 + now.tv_nsec() as u64 / 1_000_000
    })
}

/// Straight to the console, without waiting for it.
fn say(bytes: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends in NUL, `bytes` is valid for its length, the descriptor is ours.
    unsafe {
        let console = libc::open(c"/dev/console".as_ptr(), flags);
        if console >= 0 {
            libc::write(console, bytes.as_ptr().cast(), bytes.len());
            libc::close(console);
        }
    }
}

fn write_durably(ready: &Ready, text: &[u8]) -> io::Result<()> {
    let check = |result: libc::c_int| {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result)
        }
    };
    let open = |path: &CStr, flags| {
        // SAFETY: the path ends in NUL.
        check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) })
    };
    let file = open(&ready.new, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC)?;
    // SAFETY: `text` is valid for its length, the descriptor is ours.
    let written = unsafe { libc::write(file, text.as_ptr().cast(), text.len()) };
    if usize::try_from(written) != Ok(text.len()) {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: system calls on our descriptors, and on paths that end in NUL.
    unsafe {
        check(libc::fsync(file))?;
        check(libc::rename(ready.new.as_ptr(), ready.path.as_ptr()))?;
        let dir = open(&ready.dir, libc::O_RDONLY | libc::O_DIRECTORY)?;
        check(libc::fsync(dir))?;
    }
    Ok(())
}

/// Text in a fixed buffer; what does not fit is left out.
struct Fixed {
    bytes: [u8; ROOM],
    used: usize,
}

impl Write for Fixed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used + text.len();
        let place = self.bytes.get_mut(self.used..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(message: &str) -> serde_json::Value {
        let mut out = Fixed {
            bytes: [0; ROOM],
            used: 0,
        };
        describe(&mut out, message, "src/daemon/mod.rs", 7, 1_795_305_600_123).unwrap();
        serde_json::from_slice(&out.bytes[..out.used]).unwrap()
    }

    #[test]
    fn an_epitaph_is_json_whatever_the_message_holds() {
        let value = described("a \"quoted\"\nline \\ with \u{1b}[2J and é");
        assert_eq!(
            value["message"],
            "a \"quoted\"\nline \\ with \u{1b}[2J and é"
        );
        assert_eq!(value["location"], "src/daemon/mod.rs:7");
        assert_eq!(value["time_ms"], 1_795_305_600_123_u64);
    }

    #[test]
    fn the_longest_message_of_the_worst_characters_is_cut_and_still_json() {
        let value = described(&"\u{1}".repeat(10_000));
        assert_eq!(
            value["message"].as_str().unwrap().chars().count(),
            MAX_MESSAGE
        );
    }

    #[test]
    fn an_epitaph_is_written_once_and_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(take_last(dir.path()), None);
        // The hook is per process and the test runner has its own, so the panic happens in a forked child.
        // SAFETY: the child panics on purpose, its hook writes the epitaph, and it leaves by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            install_panic_hook(PanicPolicy::Reboot, dir.path(), false);
            let _ = std::panic::catch_unwind(|| panic!("on purpose"));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) }
        }
        let mut status = 0;
        // SAFETY: `status` is valid for the call.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        let text = take_last(dir.path()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "on purpose");
        assert!(
            value["location"].as_str().unwrap().contains("epitaph.rs:"),
            "{text}"
        );
        assert_eq!(take_last(dir.path()), None);
    }
}
