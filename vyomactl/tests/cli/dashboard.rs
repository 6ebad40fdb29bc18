//! `dashboard` on a terminal of its own, against a device that goes away and comes back.

use std::fs;
use std::num::NonZero;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::{CapabilityUse, Request, Response};

use crate::device::{Connection, app, hello, info, log_line, run};
use crate::terminal::Terminal;

/// What every connection is answered; what it was asked to do is written down.
fn serve(mut connection: Connection, asked: &Mutex<Vec<Request>>, gone: &AtomicBool) {
    assert!(matches!(connection.request(), Some(Request::Hello { .. })));
    connection.send(&hello());
    while let Some(request) = connection.request() {
        if gone.load(Ordering::Relaxed) {
            return;
        }
        match request {
            Request::Info => connection.send(&Response::Info(info())),
            Request::Ps => connection.send(&Response::Apps(vec![app("beta"), app("alpha")])),
            Request::Caps { .. } => connection.send(&Response::Caps(vec![CapabilityUse {
                capability: Capability::Network,
                declared: true,
                granted: true,
                terms: String::new(),
                used: 4711,
                denied: 1,
            }])),
            Request::Logs { .. } => {
                connection.send(&Response::LogLine(log_line("a line of hello")));
            }
            other => {
                asked.lock().unwrap().push(other);
                connection.send(&Response::Done);
            }
        }
    }
}

/// A device for any number of connections, until `gone`.
fn device(socket: &Path, asked: &Arc<Mutex<Vec<Request>>>, gone: &Arc<AtomicBool>) {
    let listener = UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (asked, gone) = (Arc::clone(asked), Arc::clone(gone));
    let path = socket.to_owned();
    thread::spawn(move || {
        let mut open = Vec::new();
        while !gone.load(Ordering::Relaxed) {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                open.push(stream.try_clone().unwrap());
                let (asked, gone) = (Arc::clone(&asked), Arc::clone(&gone));
                thread::spawn(move || serve(Connection { stream }, &asked, &gone));
            }
            thread::sleep(Duration::from_millis(5));
        }
        fs::remove_file(path).unwrap();
        for stream in open {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    });
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

/// A terminal, and what is on its screen.
struct Screen {
    terminal: Terminal,
    emulator: vt100::Parser,
}

impl Screen {
    fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.emulator
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        self.terminal.resize((columns, rows));
    }

    /// Waits until the screen shows all of these.
    fn until(&mut self, texts: &[&str]) {
        loop {
            let shown = self.emulator.screen().contents();
            if texts.iter().all(|text| shown.contains(text)) {
                return;
            }
            let more = self.terminal.read();
            assert!(!more.is_empty(), "ended without {texts:?}:\n{shown}");
            self.emulator.process(&more);
        }
    }
}

#[test]
fn it_shows_a_device_takes_keys_survives_a_resize_and_a_lost_connection_and_restores_the_terminal()
{
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("s");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let gone = Arc::new(AtomicBool::new(false));
    device(&socket, &asked, &gone);
    let target = socket.to_str().unwrap();
    let mut screen = Screen {
        terminal: Terminal::start(&["--target", target, "dashboard"], (100, 30), &[]),
        emulator: vt100::Parser::new(cells(30), cells(100), 0),
    };
    screen.until(&[
        "a line of hello",
        "4711",
        "alpha",
        "beta",
        "server-headless",
    ]);
    assert!(screen.emulator.screen().alternate_screen());

    // Down to beta, whose capabilities are shown then, and restart it.
    screen.terminal.write("j");
    screen.until(&["capabilities of beta"]);
    screen.terminal.write("r");
    screen.until(&["beta: restarted"]);
    assert_eq!(
        *asked.lock().unwrap(),
        [Request::Restart { app: "beta".into() }]
    );

    // Smaller, capabilities give way; too small, it says so; and back.
    screen.resize((60, 20));
    screen.until(&["beta"]);
    screen.resize((30, 8));
    screen.until(&["too small"]);
    screen.resize((100, 30));
    screen.until(&["4711", "server-headless"]);

    gone.store(true, Ordering::Relaxed);
    screen.until(&["trying again"]);
    while socket.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    gone.store(false, Ordering::Relaxed);
    device(&socket, &asked, &gone);
    screen.until(&["server-headless"]);

    screen.terminal.write("q");
    let Screen {
        terminal,
        mut emulator,
    } = screen;
    let (rest, code) = terminal.end();
    emulator.process(rest.as_bytes());
    assert_eq!(code, Some(0), "{rest}");
    assert!(
        !emulator.screen().alternate_screen(),
        "back to the first screen"
    );
    assert!(!emulator.screen().hide_cursor(), "with its cursor");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let outcome = run(&["--target", "/no/such.sock", "dashboard"]);
    assert_eq!(outcome.code, 2, "{}", outcome.err);
    assert!(outcome.err.contains("needs a terminal") && outcome.err.contains("vyomactl top"));
    let outcome = run(&["dashboard", "--output", "json"]);
    assert_eq!(outcome.code, 2, "{}", outcome.err);
    assert!(outcome.err.contains("no JSON form"), "{}", outcome.err);
}
