//! What the daemon does beside its apps: logs to the disk, the clock, signals, its own limits.

use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::state::{Daemon, Mode, Shared};
use crate::init::clock;
use crate::init::power::PowerAction;

/// Descriptors of the daemon: 200 apps take five each, 64 clients one each.
const FILES: u64 = 4096;
/// Lines are in the files at most so late; between two writes a flash disk rests.
const FLUSH: Duration = Duration::from_secs(2);
/// How often the time is saved for the next boot: a device that loses power starts at most so far back.
const CLOCK: Duration = Duration::from_mins(10);

/// Which signal ends what. Made before it is awaited, so that none is missed.
pub(super) fn watch_signals(
    daemon: &Shared,
) -> std::io::Result<impl Future<Output = ()> + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut user = signal(SignalKind::user_defined2())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let daemon = Rc::clone(daemon);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => daemon.end(PowerAction::PowerOff),
                _ = user.recv() => daemon.end(PowerAction::PowerOff),
                // Ctrl-Alt-Del, as the kernel tells PID 1; hosted it is Ctrl-C.
                _ = interrupt.recv() => daemon.end(match daemon.settings.mode {
                    Mode::Pid1 => PowerAction::Reboot,
                    Mode::Hosted => PowerAction::PowerOff,
                }),
                // The terminal of a developer is gone; a device has none to lose.
                _ = hang_up.recv() => if daemon.settings.mode == Mode::Hosted { daemon.end(PowerAction::PowerOff) },
            }
        }
    })
}

/// Writes logs and events out, at most [`FLUSH`] late; asleep while there is nothing to write. Whatever the daemon does leaves a
/// line, so this is also when it gives back what that took of the program ([`crate::mapped`]).
pub(super) async fn keep_logs(daemon: Shared) {
    loop {
        daemon.unwritten.notified().await;
        tokio::time::sleep(FLUSH).await;
        flush_logs(&daemon);
        crate::mapped::release();
    }
}

pub(super) fn flush_logs(daemon: &Daemon) {
    for app in daemon.all_apps() {
        if app.log.dirty()
            && let Err(error) = app.log.flush()
            && !app.log_file_failed.replace(true)
        {
            daemon.event(
                Some(&app.name),
                "warning",
                &format!("its log file can't be written: {error}; lines are in memory only"),
            );
        }
    }
    if daemon.events.dirty() {
        daemon.events.flush();
    }
}

pub(super) async fn drain_console(daemon: Shared) {
    daemon.console.drain().await;
}

pub(super) async fn save_clock(daemon: Shared) {
    loop {
        // A disk that takes no 11 bytes is reported by everything else that is written.
        let _ = clock::save(&daemon.settings.state);
        tokio::time::sleep(CLOCK).await;
    }
}

pub(super) fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // As far as we may: root may raise both.
        if soft < FILES && setrlimit(Resource::RLIMIT_NOFILE, FILES, hard.max(FILES)).is_err() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(FILES), hard);
        }
    }
}
