//! What only happens on a terminal: questions, progress, the live table, colours. Each test gives the command a terminal of its
//! own (a pty) and reads what it shows.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vyoma_capabilities::control::{Request, Response};

use crate::device::{App, Device, app, command, info};

/// A command on a terminal.
pub(crate) struct Terminal {
    screen: File,
    child: Child,
}

impl Terminal {
    /// Runs `vyomactl` on a new terminal of 60 columns and 10 rows.
    fn run(device: &Device, args: &[&str], env: &[(&str, &str)]) -> Self {
        let target = device.target();
        Self::start(
            &[&["--target", target.as_str()], args].concat(),
            (60, 10),
            env,
        )
    }

    /// Runs `vyomactl` on a new terminal of so many columns and rows.
    pub(crate) fn start(args: &[&str], size: (u16, u16), env: &[(&str, &str)]) -> Self {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        tcsetwinsize(&master, winsize(size)).unwrap();
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let child = command(args)
            .env("TERM", "xterm-256color")
            .envs(env.iter().copied())
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .unwrap();
        Self {
            screen: master.into(),
            child,
        }
    }

    /// What comes next, in whatever pieces; empty at the end.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        // A terminal without another side reads as an input error.
        let count = self.screen.read(&mut buffer).unwrap_or(0);
        buffer[..count].to_vec()
    }

    /// Keys.
    pub(crate) fn write(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    /// Another size; the program is told as the kernel would, if the terminal were the one that controls it.
    pub(crate) fn resize(&mut self, size: (u16, u16)) {
        tcsetwinsize(&self.screen, winsize(size)).unwrap();
        let process = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(process, Signal::WINCH).unwrap();
    }

    /// Reads until `text` has been shown; everything up to there.
    fn read_until(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let so_far = String::from_utf8_lossy(&shown).into_owned();
            if so_far.contains(text) {
                return so_far;
            }
            let count = self.screen.read(&mut buffer).unwrap_or(0);
            assert!(count > 0, "ended without {text:?}: {so_far:?}");
            shown.extend(&buffer[..count]);
        }
    }

    /// Reads to the end; what was shown and the exit code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let mut shown = Vec::new();
        // A terminal without another side reads as an input error.
        let _ = self.screen.read_to_end(&mut shown);
        let status = self.child.wait().unwrap();
        (String::from_utf8_lossy(&shown).into_owned(), status.code())
    }
}

fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[test]
fn shutdown_asks_and_takes_no_for_no() {
    for answer in ["n\n", "\n", "perhaps\n"] {
        let device = Device::new(|connection| assert_eq!(connection.request(), None));
        let mut terminal = Terminal::run(&device, &["shutdown"], &[]);
        let question = terminal.read_until("[y/N]");
        assert!(
            question.contains("Shut down server-headless at "),
            "{question}"
        );
        terminal.screen.write_all(answer.as_bytes()).unwrap();
        let (shown, code) = terminal.end();
        assert_eq!(code, Some(1));
        assert!(shown.contains("nothing was done"), "{shown}");
        device.finish();
    }
}

#[test]
fn reboot_asks_and_takes_yes_for_yes() {
    let device = Device::answers(Request::Reboot, vec![Response::Done]);
    let mut terminal = Terminal::run(&device, &["reboot"], &[]);
    terminal.read_until("[y/N]");
    terminal.screen.write_all(b"y\n").unwrap();
    let (shown, code) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("is rebooting"), "{shown}");
    device.finish();
}

#[test]
fn with_yes_nothing_is_asked() {
    let device = Device::answers(Request::Shutdown, vec![Response::Done]);
    let (shown, code) = Terminal::run(&device, &["shutdown", "--yes"], &[]).end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("[y/N]"));
    device.finish();
}

#[test]
fn an_install_shows_how_far_it_is_and_leaves_only_the_result() {
    let app = App::new(500_000, "");
    let (size, sha256) = (app.component.len(), app.sha256.clone());
    let device = Device::new(move |connection| {
        connection.keeps_nothing();
        connection.request();
        connection.upload(size);
        connection.send(&Response::Installed {
            app: "hello".into(),
            sha256,
            replaced: false,
            warnings: Vec::new(),
        });
    });
    let (shown, code) = Terminal::run(&device, &["install", &app.text("")], &[]).end();
    device.finish();
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("100% of") && shown.contains("checks and compiles"),
        "{shown}"
    );
    // The last that was drawn before the result is the empty line.
    let (_, result) = shown.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(result.starts_with("hello: installed"), "{result}");
}

fn looking() -> Device {
    Device::new(|connection| {
        while let Some(request) = connection.request() {
            match request {
                Request::Info => connection.send(&Response::Info(info())),
                Request::Ps => connection.send(&Response::Apps(
                    (0..50).map(|n| app(&format!("app-{n}"))).collect(),
                )),
                other => panic!("{other:?}"),
            }
        }
    })
}

/// Text without colours and cursor movements.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        rest = &after[end + 1..];
    }
    text + rest
}

#[test]
fn top_is_redrawn_in_place_and_fits_the_terminal() {
    let device = looking();
    let args = ["top", "--count", "2", "--interval", "100ms"];
    let (shown, code) = Terminal::run(&device, &args, &[]).end();
    device.finish();
    assert_eq!(code, Some(0), "{shown}");
    let looks: Vec<&str> = shown.split("\u{1b}[H").skip(1).collect();
    assert_eq!(looks.len(), 2);
    for look in looks {
        let text = plain(look);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() <= 10, "{} lines", lines.len());
        assert!(
            lines.iter().all(|line| line.chars().count() <= 60),
            "{text}"
        );
        assert!(text.contains("and 44 more"), "{text}");
    }
}

#[test]
fn a_terminal_gets_colours_and_cut_lines_unless_it_does_not_want_them() {
    for (env, coloured) in [
        (&[][..], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
    ] {
        let device = looking();
        let (shown, _) = Terminal::run(&device, &["ps"], env).end();
        device.finish();
        assert_eq!(shown.contains("\u{1b}[32m"), coloured, "{env:?}");
        assert!(
            plain(&shown).lines().all(|line| line.chars().count() <= 60),
            "{shown}"
        );
    }
}
