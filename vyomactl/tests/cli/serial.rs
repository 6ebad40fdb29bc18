//! A microcontroller on a serial line, played by its own store and session behind a pseudo-terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tempfile::TempDir;
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_mcu_core::session::Session;
use vyoma_mcu_core::store::Store;

use crate::device::{App, Outcome, run};
use crate::played::Played;

/// Bytes of flash of the played device.
const FLASH: usize = 128 * 1024;

/// What becomes of bytes on the line: whether they go to the device, and the how-manieth they are, both ways counted.
type Line = Box<dyn FnMut(bool, u32, &mut Vec<u8>) + Send>;

/// A pseudo-terminal: our end, and the name of the other one.
fn terminal() -> (File, String, File) {
    // Not handed down: a command that had our end itself would never see it close.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master: OwnedFd = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let name = name.to_str().unwrap().to_owned();
    // Held open and raw from the start, like a UART, which has no echo and no end.
    let other = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&name)
        .unwrap();
    let mut settings = tcgetattr(&other).unwrap();
    settings.make_raw();
    tcsetattr(&other, OptionalActions::Now, &settings).unwrap();
    (master.into(), format!("serial://{name}"), other)
}

/// A device at the other end of a pseudo-terminal.
struct Board {
    target: String,
    stop: Sender<()>,
    thread: JoinHandle<Played>,
    _other: File,
}

impl Board {
    /// Starts it. The device ends, as if its cable were pulled, when the line says so by making the bytes of an answer into
    /// [`UNPLUGGED`].
    fn start(played: Played, line: impl FnMut(bool, u32, &mut Vec<u8>) + Send + 'static) -> Self {
        let (master, target, other) = terminal();
        let (stop, stopped) = channel();
        let line: Line = Box::new(line);
        let thread = std::thread::spawn(move || serve(master, played, line, &stopped));
        Self {
            target,
            stop,
            thread,
            _other: other,
        }
    }

    fn run(&self, args: &[&str]) -> Outcome {
        run(&[&["--target", &self.target], args].concat())
    }

    /// The device, as it is now.
    fn end(self) -> Played {
        let _ = self.stop.send(());
        match self.thread.join() {
            Ok(played) => played,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn clean() -> impl FnMut(bool, u32, &mut Vec<u8>) + Send + 'static {
    |_, _, _| {}
}

/// What the firmware's task for the line does.
fn serve(mut master: File, mut played: Played, mut line: Line, stopped: &Receiver<()>) -> Played {
    let mut session = Session::new();
    let start = Instant::now();
    let mut count = 0;
    let mut buffer = [0; 256];
    loop {
        if stopped.try_recv().is_ok() {
            return played;
        }
        let mut watched = [PollFd::new(&master, PollFlags::IN)];
        let soon = Timespec {
            tv_sec: 0,
            tv_nsec: 10_000_000,
        };
        let _ = poll(&mut watched, Some(&soon));
        let readable = watched[0].revents().contains(PollFlags::IN);
        let now = u64::try_from(start.elapsed().as_millis()).unwrap();
        played.now_ms = now;
        session.tick(now, &mut played);
        if !readable {
            continue;
        }
        let Ok(length) = master.read(&mut buffer) else {
            continue;
        };
        let mut bytes = buffer[..length].to_vec();
        line(true, count, &mut bytes);
        let mut answer = session.receive(now, &bytes, &mut played).to_vec();
        line(false, count + 1, &mut answer);
        count += 2;
        if answer == UNPLUGGED {
            return played;
        }
        let _ = master.write_all(&answer);
    }
}

/// What a [`Line`] makes of an answer when the cable is pulled: our end of the terminal closes.
const UNPLUGGED: &[u8] = b"unplugged";

fn played() -> Played {
    Played::new(FLASH)
}

/// A small app that fits.
fn app() -> App {
    App::new(6000, "")
}

fn install(board: &Board, app: &App) -> Outcome {
    board.run(&["install", &app.text("")])
}

#[track_caller]
fn good(outcome: &Outcome) -> &str {
    assert_eq!(
        (outcome.code, outcome.err.as_str()),
        (0, ""),
        "{}",
        outcome.out
    );
    &outcome.out
}

#[track_caller]
fn refused(outcome: &Outcome, code: i32, said: &str) {
    assert_eq!(outcome.code, code, "{}", outcome.err);
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    assert!(outcome.err.contains(said), "{}", outcome.err);
}

#[test]
fn an_app_is_installed_operated_and_removed_over_a_serial_line() {
    let board = Board::start(played(), clean());
    assert!(good(&board.run(&["ps"])).contains("no apps"));
    let app = app();
    let outcome = install(&board, &app);
    let out = good(&outcome);
    assert!(
        out.contains(&format!("hello: installed, sha256 {}", app.sha256)),
        "{out}"
    );
    assert!(out.contains("warning: hello declares display"), "{out}");
    let out = install(&board, &app).out;
    assert!(out.contains("hello: replaced"), "{out}");
    let out = board.run(&["ps"]).out;
    assert!(out.contains("hello") && out.contains("running"), "{out}");
    assert_eq!(good(&board.run(&["stop", "hello"])), "hello: stopped\n");
    assert!(board.run(&["ps"]).out.contains("stopped"));
    assert_eq!(good(&board.run(&["start", "hello"])), "hello: started\n");
    assert_eq!(
        good(&board.run(&["restart", "hello"])),
        "hello: restarted\n"
    );
    assert_eq!(
        good(&board.run(&["send", "hello", "text"])),
        "hello: sent\n"
    );
    let info = board.run(&["info"]);
    assert!(good(&info).contains("mcu-minimal"), "{}", info.out);
    let events = board.run(&["events"]);
    assert_eq!(good(&events).lines().count(), 4);
    refused(
        &board.run(&["stop", "other"]),
        3,
        "no app \"other\"; expected one of: hello",
    );
    refused(&board.run(&["start", "hello"]), 7, "runs already");
    assert_eq!(good(&board.run(&["remove", "hello"])), "hello: removed\n");
    let played = board.end();
    assert_eq!(played.input["hello"], "text\n");
    assert_eq!(Store::open(played.store.into_flash()).apps().count(), 0);
}

#[test]
fn what_was_installed_is_there_byte_for_byte_after_a_boot() {
    let app = app();
    let board = Board::start(played(), clean());
    good(&install(&board, &app));
    let played = board.end();
    let store = Store::open(played.store.into_flash());
    let entry = store.find("hello").unwrap();
    assert_eq!(hex::encode(&store.hash(entry)), app.sha256);
    assert_eq!(store.manifest(entry).unwrap().app.name, "hello");
    let board = Board::start(Played::with(store), clean());
    let outcome = board.run(&["ps", "--output", "json"]);
    let apps: serde_json::Value = serde_json::from_str(good(&outcome)).unwrap();
    assert_eq!(apps[0]["sha256"], app.sha256.as_str());
    assert_eq!(apps[0]["phase"], "running");
}

#[test]
fn a_report_and_a_look_for_faults_ask_a_microcontroller_only_for_what_it_has() {
    let mut played = played();
    played.prints("hello", "token=abc and a line");
    let board = Board::start(played, clean());
    let app = app();
    good(&install(&board, &app));
    refused(
        &board.run(&["caps", "hello"]),
        7,
        "a microcontroller counts no uses",
    );
    let doctor = board.run(&["doctor", "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&doctor.out).unwrap();
    let ids: Vec<&str> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| finding["id"].as_str())
        .filter(|id| !id.starts_with("rust"))
        .collect();
    // Its clock counts from its start, which is no fault.
    assert!(doctor.code == 0 && ids.is_empty(), "{document}");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("report.tar.gz");
    let outcome = board.run(&["support", archive.to_str().unwrap(), "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(good(&outcome)).unwrap();
    let files = document["files"].to_string();
    assert!(
        files.contains("logs/hello.jsonl") && files.contains("events.jsonl"),
        "{files}"
    );
    assert!(!files.contains("caps/"), "{files}");
    board.end();
}

#[test]
fn logs_are_shown_and_followed() {
    let mut played = played();
    for number in 0..5 {
        played.prints("hello", &format!("line {number}"));
    }
    let board = Board::start(played, clean());
    let outcome = board.run(&["logs", "--tail", "2"]);
    let lines: Vec<&str> = good(&outcome).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].ends_with("line 4"), "{lines:?}");
    let mut follower = crate::device::command(&["--target", &board.target, "logs", "-f"])
        .spawn()
        .unwrap();
    let mut out = follower.stdout.take().unwrap();
    let mut shown = String::new();
    let mut buffer = [0; 256];
    while !shown.contains("line 4") {
        let count = out.read(&mut buffer).unwrap();
        assert!(count > 0, "ended: {shown}");
        shown.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    // It ends soon when nobody reads what it prints.
    drop(out);
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn a_line_that_garbles_every_fourth_transmission_costs_time_only() {
    let app = app();
    let board = Board::start(played(), |_, number, bytes| {
        if number % 8 == 5 || number % 8 == 2 {
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x55;
            }
        }
    });
    let outcome = install(&board, &app);
    assert!(
        good(&outcome).contains("hello: installed"),
        "{}",
        outcome.out
    );
    assert!(board.run(&["ps"]).out.contains("running"));
    let played = board.end();
    assert_eq!(played.starts["hello"], 1);
}

#[test]
fn text_of_a_console_between_the_frames_does_no_harm() {
    let app = app();
    let board = Board::start(played(), |there, number, bytes| {
        if !there {
            let text = format!("[hello] tick {number}\r\n");
            bytes.splice(0..0, text.bytes());
            bytes.extend(text.bytes());
        }
    });
    assert!(good(&install(&board, &app)).contains("hello: installed"));
    assert!(good(&board.run(&["ps"])).contains("running"));
}

#[test]
fn when_the_cable_is_pulled_it_ends_soon_and_can_be_repeated() {
    let app = app();
    let board = Board::start(played(), clean());
    good(&install(&board, &app));
    let mut store = board.end().store;
    let old = store.find("hello").unwrap().sha256();
    let newer = App::new(9000, "");
    for (pulled, silent) in [(9, false), (13, true), (30, false), (45, true)] {
        // Either the port goes away with the cable, or nothing comes any more.
        let board = Board::start(Played::with(store), move |there, number, bytes| {
            if number >= pulled {
                bytes.clear();
                if !there && !silent {
                    bytes.extend(UNPLUGGED);
                }
            }
        });
        let start = Instant::now();
        let outcome = board.run(&["install", &newer.text(""), "--timeout", "3"]);
        let (code, said) = if silent {
            (12, "no answer any more")
        } else {
            (13, "the port has gone")
        };
        refused(&outcome, code, said);
        assert!(
            outcome.err.contains("has changed nothing"),
            "{}",
            outcome.err
        );
        assert!(start.elapsed() < Duration::from_mins(1));
        let played = board.end();
        assert_eq!(played.phases["hello"], Phase::Running);
        store = Store::open(played.store.into_flash());
        assert_eq!(store.find("hello").unwrap().sha256(), old);
    }
    let board = Board::start(Played::with(store), clean());
    assert!(good(&install(&board, &newer)).contains("hello: replaced"));
    let store = Store::open(board.end().store.into_flash());
    let entry = store.find("hello").unwrap();
    assert_eq!(hex::encode(&store.hash(entry)), newer.sha256);
}

/// How many frames of a component's bytes reached the device.
fn frames_to(board: Board) -> u32 {
    board.end().starts.values().sum()
}

#[test]
fn what_can_not_fit_is_refused_before_it_is_sent_with_needs_and_free() {
    let app = app();
    let wide = wat::parse_str(
        r#"(component
            (core module $m (memory (export "memory") 2) (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $r (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $r)))"#,
    )
    .unwrap();
    fs::write(app.path("hello.wasm"), &wide).unwrap();
    let (seen, uploads) = channel();
    let board = Board::start(played(), move |there, _, bytes| {
        if there {
            let _ = seen.send(bytes.len());
        }
    });
    let outcome = install(&board, &app);
    refused(&outcome, 6, "free are 102400");
    assert!(outcome.err.contains("needs about 14"), "{}", outcome.err);
    let bytes: usize = uploads.try_iter().sum();
    assert!(bytes < 200, "{bytes} bytes were sent");
    assert_eq!(frames_to(board), 0);
    // `inspect` says it without a device.
    let outcome = run(&["inspect", &app.text("")]);
    assert!(
        outcome.out.contains("does not fit: needs"),
        "{}",
        outcome.out
    );
}

#[test]
fn what_the_flash_has_no_room_for_is_refused_by_the_device_before_it_is_sent() {
    let app = App::new(20_000, "");
    let small = Played::new(12 * 1024);
    let board = Board::start(small, clean());
    refused(&install(&board, &app), 6, "no room in flash: needs 2");
    assert!(board.run(&["ps"]).out.contains("no apps"));
}

#[test]
fn a_manifest_that_a_microcontroller_can_not_hold_is_refused_here() {
    let args = format!("args = {:?}", vec!["x"; 40]);
    let app = App::new(10, &args);
    let board = Board::start(played(), clean());
    refused(
        &install(&board, &app),
        4,
        "app.args: found 40; a microcontroller takes at most 16",
    );
}

#[test]
fn too_much_text_for_an_app_is_refused_with_the_number() {
    let board = Board::start(played(), clean());
    let text = "x".repeat(3000);
    refused(
        &board.run(&["send", "hello", &text]),
        6,
        "the device takes at most 1152",
    );
}

#[test]
fn a_port_that_is_not_there_or_none_at_all_is_10() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("ttyACM7");
    let target = |path: &PathBuf| format!("serial://{}", path.display());
    refused(
        &run(&["ps", "--target", &target(&missing)]),
        10,
        "plug the board in",
    );
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    refused(
        &run(&["ps", "--target", &target(&file)]),
        10,
        "no serial port",
    );
    assert_eq!(fs::read(&file).unwrap(), b"text");
}

#[test]
fn a_port_that_another_program_has_is_10() {
    let (_master, target, other) = terminal();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    refused(&run(&["ps", "--target", &target]), 10, "the port is busy");
}

#[test]
fn a_speed_that_the_port_does_not_have_is_no_panic() {
    let board = Board::start(played(), clean());
    let target = format!("{}?baud=9600", board.target);
    assert_eq!(run(&["ps", "--target", &target]).code, 0);
}

#[test]
fn a_silent_port_is_12_with_what_to_look_at() {
    let (_master, target, _other) = terminal();
    let start = Instant::now();
    let outcome = run(&["ps", "--target", &target, "--timeout", "0.5"]);
    refused(&outcome, 12, "nothing answers at 115200 bits a second");
    assert!(outcome.err.contains("?baud="), "{}", outcome.err);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_port_where_something_else_talks_is_11_and_quoted_harmlessly() {
    let (mut master, target, other) = terminal();
    let talker = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while master.read(&mut buffer).is_ok_and(|count| count > 0) {
            if master.write_all(b"\r\n\x1b[2Jlogin: ").is_err() {
                break;
            }
        }
    });
    let outcome = run(&["ps", "--target", &target, "--timeout", "1"]);
    refused(&outcome, 11, "login: ");
    assert!(!outcome.err.contains('\x1b'), "{:?}", outcome.err);
    drop(other);
    talker.join().unwrap();
}

#[test]
fn a_port_that_echoes_is_11() {
    let (mut master, target, other) = terminal();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok(count) = master.read(&mut buffer) {
            if count == 0 || master.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    });
    let outcome = run(&["ps", "--target", &target, "--timeout", "1"]);
    refused(&outcome, 11, "comes back");
    drop(other);
    echo.join().unwrap();
}

#[test]
fn a_component_of_several_core_modules_is_refused_before_it_is_sent() {
    let app = app();
    let linked = wat::parse_str(
        r#"(component
            (core module $env (memory (export "memory") 1))
            (core instance $env (instantiate $env))
            (core module $m
                (import "env" "memory" (memory 1))
                (func (export "run") (result i32) (i32.load (i32.const 0))))
            (core instance $i (instantiate $m (with "env" (instance $env))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $r (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $r)))"#,
    )
    .unwrap();
    fs::write(app.path("hello.wasm"), &linked).unwrap();
    let board = Board::start(played(), clean());
    refused(
        &install(&board, &app),
        4,
        "must be merged, which a microcontroller can't",
    );
}
