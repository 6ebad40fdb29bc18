//! The dashboard on a screen in memory: how it looks is kept as text beside this file, and as a picture for the manual.
//! `VYOMA_UPDATE_PICTURES=1` writes both anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};
use serde_json::json;
use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::{AppStatus, CapabilityUse, DeviceInfo, LogLine, Stream};
use vyoma_capabilities::lifecycle::Phase;

use super::draw::{Palette, draw};
use super::state::{Ask, Outcome, Row, State, Update};

fn info(hostname: &str, platform: &str) -> DeviceInfo {
    serde_json::from_value(json!({
        "platform": platform, "version": "0.1.0", "engine": "wamr 2.4.3", "arch": "aarch64", "hostname": hostname,
        "kernel": "6.12", "mode": "pid1", "uptime_ms": 266_400_000, "time_ms": 1, "apps": 4, "running": 2,
        "max_apps": 200, "daemon_pss_kb": 2150, "memory_total_kb": 500_000, "memory_available_kb": 312_000,
        "data": "disk", "last_epitaph": null, "addresses": []
    }))
    .expect("DeviceInfo")
}

fn row(name: &str, phase: Phase, restarts: u32) -> Row {
    let runs = phase == Phase::Running;
    let status: AppStatus = serde_json::from_value(json!({
        "name": name, "version": "1", "sha256": "", "phase": phase, "last_ending": null, "restarts": restarts,
        "pid": runs.then_some(7), "uptime_ms": runs.then_some(61_000), "pss_kb": runs.then_some(640),
        "cpu_ms": runs.then_some(10), "host_calls": 12, "dropped_lines": 0, "unavailable": []
    }))
    .expect("AppStatus");
    Row {
        status,
        cpu_percent: runs.then_some(1.25),
        calls_per_second: runs.then_some(40.0),
    }
}

fn line(n: u64, app: &str, stream: Stream, text: &str) -> Update {
    Update::Line(LogLine {
        app: app.into(),
        time_ms: 1_700_000_000_000 + n * 250,
        stream,
        text: text.into(),
    })
}

/// Two devices, of which one is lost; the first has four apps and some lines.
fn sample() -> State {
    let mut state = State::new(["edge-1".to_owned(), "edge-2".to_owned()]);
    let apps = vec![
        row("counter", Phase::Running, 0),
        row("http-server", Phase::Running, 2),
        row("sensor", Phase::Backoff, 5),
        row("trap", Phase::Quarantined, 4),
    ];
    let look = Update::Look {
        info: Box::new(info("edge-1", "iot-edge")),
        apps,
    };
    assert_eq!(
        state.update(0, look),
        Outcome::Ask(0, Ask::Watch(Some("counter".into())))
    );
    let caps = |capability, granted, used, denied| CapabilityUse {
        capability,
        declared: capability != Capability::Gpio,
        granted,
        terms: String::new(),
        used,
        denied,
    };
    let all = vec![
        caps(Capability::Stdio, true, 1204, 0),
        caps(Capability::Display, false, 0, 3),
        caps(Capability::Network, true, 17, 1),
        caps(Capability::Gpio, false, 0, 2),
    ];
    state.update(0, Update::Caps("counter".into(), all));
    state.update(1, Update::Lost("cannot connect: refused".into()));
    for n in 0..30 {
        state.update(0, line(n, "counter", Stream::Out, &format!("count {n}")));
    }
    state.update(0, line(31, "http-server", Stream::Err, "GET /missing 404"));
    state.update(
        0,
        line(
            32,
            "sensor",
            Stream::System,
            "trapped: unreachable executed",
        ),
    );
    state.update(
        0,
        line(
            33,
            "sensor",
            Stream::System,
            "\u{1b}[2Jhostile\u{9b}31m\u{202e}",
        ),
    );
    state
}

fn screen(state: &State, width: u16, height: u16, colored: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
    terminal
        .draw(|frame| draw(frame, state, Palette { colored }))
        .expect("drawn");
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let line: String = (0..area.width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn press(state: &mut State, code: KeyCode) -> Outcome {
    state.key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// Compares with what is kept, or keeps it.
fn is_kept(path: &Path, now: &str) {
    if std::env::var_os("VYOMA_UPDATE_PICTURES").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, now).expect("a picture");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == now,
        "{} is not what the dashboard looks like; look at it, then write it anew with VYOMA_UPDATE_PICTURES=1:\n{now}",
        path.display()
    );
}

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn it_looks_as_it_did() {
    let buffer = screen(&sample(), 110, 30, true);
    is_kept(&beside("src/dashboard/dashboard.txt"), &text(&buffer));
}

#[test]
fn the_picture_in_the_manual_is_what_it_looks_like() {
    let buffer = screen(&sample(), 110, 30, true);
    is_kept(&beside("../docs/pictures/dashboard.svg"), &svg(&buffer));
}

#[test]
fn every_size_of_a_terminal_is_drawn() {
    let mut state = sample();
    for help in [false, true] {
        state.help = help;
        for (width, height) in [
            (1, 1),
            (39, 50),
            (40, 10),
            (80, 24),
            (89, 12),
            (90, 10),
            (300, 100),
        ] {
            let shown = text(&screen(&state, width, height, true));
            // The help lies over the names where there is little room.
            if !help {
                let small = width < 40 || height < 10;
                assert_eq!(
                    shown.contains("counter"),
                    !small,
                    "{width}x{height}:\n{shown}"
                );
            }
        }
    }
}

#[test]
fn without_colour_only_the_terminal_s_own_are_used() {
    let buffer = screen(&sample(), 110, 30, false);
    assert!(
        buffer
            .content()
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    assert_eq!(text(&buffer), text(&screen(&sample(), 110, 30, true)));
}

#[test]
fn nothing_that_a_device_says_is_a_control_character_on_the_screen() {
    let buffer = screen(&sample(), 110, 30, true);
    let hostile = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(text(&buffer).contains("hostile"));
    assert!(
        !buffer
            .content()
            .iter()
            .any(|cell| cell.symbol().contains(hostile))
    );
}

#[test]
fn keys_select_an_app_and_ask_for_what_is_done_to_it() {
    let mut state = sample();
    assert_eq!(
        press(&mut state, KeyCode::Down),
        Outcome::Ask(0, Ask::Watch(Some("http-server".into())))
    );
    assert_eq!(
        press(&mut state, KeyCode::Char('r')),
        Outcome::Ask(0, Ask::Restart("http-server".into()))
    );
    assert_eq!(
        press(&mut state, KeyCode::Char('x')),
        Outcome::Ask(0, Ask::Stop("http-server".into()))
    );
    for _ in 0..9 {
        press(&mut state, KeyCode::Char('j'));
    }
    assert_eq!(
        press(&mut state, KeyCode::Down),
        Outcome::Stay,
        "the last one"
    );
    assert_eq!(
        press(&mut state, KeyCode::Char('s')),
        Outcome::Ask(0, Ask::Start("trap".into()))
    );
    assert_eq!(press(&mut state, KeyCode::Char('q')), Outcome::Quit);
}

#[test]
fn a_selected_app_stays_selected_and_one_that_is_gone_leaves_its_place_to_the_next() {
    let mut state = sample();
    press(&mut state, KeyCode::Down);
    let look = |names: &[&str]| Update::Look {
        info: Box::new(info("edge-1", "iot-edge")),
        apps: names
            .iter()
            .map(|name| row(name, Phase::Running, 0))
            .collect(),
    };
    assert_eq!(
        state.update(0, look(&["a", "counter", "http-server"])),
        Outcome::Stay
    );
    assert_eq!(state.devices[0].app(), Some("http-server"));
    assert_eq!(
        state.update(0, look(&["a", "counter"])),
        Outcome::Ask(0, Ask::Watch(Some("counter".into())))
    );
    assert_eq!(
        state.update(0, look(&[])),
        Outcome::Ask(0, Ask::Watch(None))
    );
    assert_eq!(press(&mut state, KeyCode::Char('r')), Outcome::Stay);
}

#[test]
fn a_filter_is_written_kept_and_cleared() {
    let mut state = sample();
    press(&mut state, KeyCode::Char('/'));
    for c in "COUNT 2".chars() {
        assert_eq!(
            press(&mut state, KeyCode::Char(c)),
            Outcome::Stay,
            "letters are no commands now"
        );
    }
    press(&mut state, KeyCode::Char('x'));
    press(&mut state, KeyCode::Backspace);
    press(&mut state, KeyCode::Enter);
    // 2, and 20 to 29.
    assert_eq!(state.lines().count(), 11);
    let shown = text(&screen(&state, 110, 30, true));
    assert!(
        shown.contains("with \"COUNT 2\"") && !shown.contains("404"),
        "{shown}"
    );
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.lines().count(), 33);
    press(&mut state, KeyCode::Char('a'));
    assert_eq!(state.lines().count(), 30, "those of counter");
}

#[test]
fn lines_are_bounded_and_who_reads_older_ones_stays_where_they_are() {
    let mut state = sample();
    press(&mut state, KeyCode::PageUp);
    let newest = |state: &State| {
        state
            .lines()
            .nth(state.scrolled)
            .map(|line| line.text.clone())
    };
    let before = newest(&state);
    for n in 0..50 {
        state.update(0, line(100 + n, "counter", Stream::Out, "more"));
    }
    assert_eq!(newest(&state), before);
    press(&mut state, KeyCode::End);
    assert_eq!(newest(&state).as_deref(), Some("more"));
    for n in 0..5000 {
        state.update(0, line(200 + n, "counter", Stream::Out, "much"));
    }
    assert_eq!(state.devices[0].lines.len(), 2000);
}

#[test]
fn a_lost_device_is_told_and_comes_back() {
    let mut state = sample();
    press(&mut state, KeyCode::Tab);
    let shown = text(&screen(&state, 110, 30, true));
    assert!(
        shown.contains("does not answer, trying again: cannot connect: refused"),
        "{shown}"
    );
    assert_eq!(press(&mut state, KeyCode::Char('r')), Outcome::Stay);
    let look = Update::Look {
        info: Box::new(info("edge-2", "robotics-rt")),
        apps: vec![row("hello", Phase::Running, 0)],
    };
    state.update(1, look);
    let shown = text(&screen(&state, 110, 30, true));
    assert!(
        shown.contains("robotics-rt") && !shown.contains("trying again"),
        "{shown}"
    );
    press(&mut state, KeyCode::Right);
    assert_eq!(state.device, 0, "it goes round");
}

/// The screen as a picture: a letter in its place, in its colour.
fn svg(buffer: &Buffer) -> String {
    /// Pixels of a character of a common monospaced font at this size.
    const SIZE: (u32, u32) = (8, 17);
    let (columns, rows) = (u32::from(buffer.area.width), u32::from(buffer.area.height));
    let (width, height) = (columns * SIZE.0 + 16, rows * SIZE.1 + 16);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1c1f26\"/>\n"
    );
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.modifier);
            let begin = x;
            let mut run = String::new();
            while x < buffer.area.width && (buffer[(x, y)].fg, buffer[(x, y)].modifier) == style {
                run.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            span(&mut picture, (u32::from(begin), u32::from(y)), &run, style);
        }
    }
    picture.push_str("</svg>\n");

    fn span(
        picture: &mut String,
        (x, y): (u32, u32),
        run: &str,
        (fg, modifier): (Color, Modifier),
    ) {
        let (left, top) = (8 + x * SIZE.0, 8 + y * SIZE.1);
        let wide = run.chars().count() as u32 * SIZE.0;
        let mut color = match fg {
            Color::Green => "#7ec16e",
            Color::Yellow => "#d8b25c",
            Color::Red => "#e06c6c",
            Color::DarkGray => "#7d8590",
            Color::Cyan | Color::LightCyan => "#5bc0c9",
            Color::Magenta | Color::LightMagenta => "#c58af0",
            Color::Blue | Color::LightBlue => "#6ea8fe",
            _ => "#d5d9e0",
        };
        if modifier.contains(Modifier::REVERSED) {
            let _ = writeln!(
                picture,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{}\" fill=\"{color}\"/>",
                SIZE.1
            );
            color = "#1c1f26";
        }
        if run.trim().is_empty() {
            return;
        }
        let weight = if modifier.contains(Modifier::BOLD) {
            " font-weight=\"bold\""
        } else {
            ""
        };
        let run = run.trim_end().replace('&', "&amp;").replace('<', "&lt;");
        let length = run.chars().count() as u32 * SIZE.0;
        let _ = writeln!(
            picture,
            "<text x=\"{left}\" y=\"{}\" textLength=\"{length}\" fill=\"{color}\"{weight} xml:space=\"preserve\">{run}</text>",
            top + SIZE.1 - 4
        );
    }
    picture
}
