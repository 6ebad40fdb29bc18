//! How the dashboard looks. It only reads the state; what does not fit is cut, and nothing that a device says moves anything.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState};
use vyoma_capabilities::control::{CapabilityUse, Stream};
use vyoma_capabilities::lifecycle::Phase;

use super::state::{Device, State};
use crate::output::clean;
use crate::units;

/// Fewer columns or rows than these show nothing that one could read.
const LEAST: (u16, u16) = (40, 10);
/// Where there are fewer columns, capabilities are left out: names and figures of apps come first.
const WITH_CAPS: u16 = 90;
/// Columns of the capabilities.
const CAPS_WIDTH: u16 = 38;

/// What keys do, in the bottom line and in the help.
const KEYS: [(&str, &str); 9] = [
    ("↑↓", "app"),
    ("←→", "device"),
    ("r", "restart"),
    ("s", "start"),
    ("x", "stop"),
    ("a", "its lines only"),
    ("/", "filter"),
    ("PgUp PgDn", "scroll"),
    ("q", "quit"),
];

/// Colours, or the terminal's own everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    pub(crate) colored: bool,
}

impl Palette {
    fn fg(self, color: Color) -> Style {
        if self.colored {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    fn good(self) -> Style {
        self.fg(Color::Green)
    }

    fn warn(self) -> Style {
        self.fg(Color::Yellow)
    }

    fn bad(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        self.fg(Color::DarkGray)
    }

    fn name(self, name: &str) -> Style {
        const HUES: [Color; 8] = [
            Color::Cyan,
            Color::Green,
            Color::Magenta,
            Color::Yellow,
            Color::Blue,
            Color::LightCyan,
            Color::LightMagenta,
            Color::LightBlue,
        ];
        let hash = name.bytes().fold(0_usize, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        self.fg(HUES[hash % HUES.len()])
    }
}

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State, palette: Palette) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {}x{} at least", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let Some(device) = state.current() else {
        return;
    };
    // Apps get what they need, logs the rest, and neither less than a third.
    let wanted = u16::try_from(device.apps.len())
        .unwrap_or(u16::MAX)
        .saturating_add(3);
    let middle = wanted.max(6).min((area.height - 3).div_ceil(2));
    let [tabs, head, apps, logs, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(middle),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(devices(state, palette)), tabs);
    frame.render_widget(Paragraph::new(summary(device, palette)), head);
    if area.width >= WITH_CAPS {
        let [left, right] =
            Layout::horizontal([Constraint::Min(40), Constraint::Length(CAPS_WIDTH)]).areas(apps);
        app_table(frame, left, device, palette);
        caps_table(frame, right, device, palette);
    } else {
        app_table(frame, apps, device, palette);
    }
    log_lines(frame, logs, state, palette);
    frame.render_widget(Paragraph::new(bottom(state, palette)), foot);
    if state.help {
        help(frame, area);
    }
}

fn devices<'a>(state: &State, palette: Palette) -> Line<'a> {
    let mut spans = vec![Span::styled(
        "vyoma ",
        Style::new().add_modifier(Modifier::BOLD),
    )];
    for (number, device) in state.devices.iter().enumerate() {
        let (sign, style) = match (&device.lost, &device.info) {
            (Some(_), _) => ("✗", palette.bad()),
            (None, Some(_)) => ("●", palette.good()),
            (None, None) => ("…", palette.dim()),
        };
        let mut name = Style::new();
        if number == state.device {
            name = name.add_modifier(Modifier::REVERSED);
        }
        spans.push(Span::raw(" "));
        spans.push(Span::styled(sign, style));
        spans.push(Span::styled(format!(" {} ", clean(&device.name)), name));
    }
    Line::from(spans)
}

fn summary<'a>(device: &Device, palette: Palette) -> Line<'a> {
    if let Some(why) = &device.lost {
        let text = format!("does not answer, trying again: {}", clean(why));
        return Line::styled(text, palette.bad());
    }
    let Some(info) = &device.info else {
        return Line::styled("connecting ...", palette.dim());
    };
    Line::raw(clean(&format!(
        "{} {}  {}  up {}  {} of {} apps running  memory {} of {} free  daemon {}",
        info.hostname,
        info.platform,
        info.engine,
        units::duration(info.uptime_ms),
        info.running,
        info.apps,
        units::kib(info.memory_available_kb),
        units::kib(info.memory_total_kb),
        info.daemon_pss_kb
            .map_or_else(|| "-".to_owned(), units::kib),
    )))
}

fn app_table(frame: &mut Frame<'_>, area: Rect, device: &Device, palette: Palette) {
    let figure =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let right = |text: String| Cell::new(Line::raw(text).right_aligned());
    let rows = device.apps.iter().map(|row| {
        let app = &row.status;
        let (phase, style) = phase(app.phase, palette);
        let restarts = if app.restarts == 0 {
            Style::new()
        } else {
            palette.warn()
        };
        Row::new([
            Cell::new(clean(&app.name)).style(palette.name(&app.name)),
            Cell::new(phase).style(style),
            right(figure(row.cpu_percent)),
            right(app.pss_kb.map_or_else(|| "-".to_owned(), units::kib)),
            right(figure(row.calls_per_second)),
            right(app.restarts.to_string()).style(restarts),
            right(
                app.uptime_ms
                    .map_or_else(|| "-".to_owned(), units::duration),
            ),
        ])
    });
    let widths = [
        Constraint::Min(8),
        Constraint::Length(11),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(7),
    ];
    let head = [
        "NAME",
        "PHASE",
        "  CPU%",
        "   MEMORY",
        "  CALLS/S",
        "RESTARTS",
        " UPTIME",
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(" apps "))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut selected = TableState::default().with_selected(device.place());
    frame.render_stateful_widget(table, area, &mut selected);
}

fn phase(phase: Phase, palette: Palette) -> (&'static str, Style) {
    match phase {
        Phase::Starting => ("starting", palette.warn()),
        Phase::Running => ("running", palette.good()),
        Phase::Stopping => ("stopping", palette.warn()),
        Phase::Backoff => ("backoff", palette.warn()),
        Phase::Exited => ("exited", Style::new()),
        Phase::Stopped => ("stopped", palette.dim()),
        Phase::Quarantined => ("quarantined", palette.bad()),
    }
}

fn caps_table(frame: &mut Frame<'_>, area: Rect, device: &Device, palette: Palette) {
    let caps: &[CapabilityUse] = match (&device.caps, device.app()) {
        (Some((app, caps)), Some(selected)) if app == selected => caps,
        _ => &[],
    };
    let right = |count: u64| Cell::new(Line::raw(count.to_string()).right_aligned());
    let rows = caps.iter().map(|one| {
        let (style, sign) = match (one.granted, one.declared) {
            (true, _) => (palette.good(), "granted"),
            (false, true) => (palette.warn(), "not here"),
            (false, false) => (palette.bad(), "undeclared"),
        };
        let denied = if one.denied == 0 {
            Style::new()
        } else {
            palette.bad()
        };
        Row::new([
            Cell::new(one.capability.name()),
            Cell::new(sign).style(style),
            right(one.used),
            right(one.denied).style(denied),
        ])
    });
    let widths = [
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Min(6),
        Constraint::Length(6),
    ];
    let title = device.app().map_or_else(
        || " capabilities ".to_owned(),
        |app| format!(" capabilities of {} ", clean(app)),
    );
    let head = Row::new([
        Cell::new("NAME"),
        Cell::new("STATE"),
        Cell::new(Line::raw("USED").right_aligned()),
        Cell::new(Line::raw("DENIED").right_aligned()),
    ]);
    let table = Table::new(rows, widths)
        .header(head.style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

fn log_lines(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let rows = usize::from(area.height.saturating_sub(2));
    let mut lines: Vec<Line<'_>> = state
        .lines()
        .skip(state.scrolled)
        .take(rows)
        .map(|line| {
            let style = match line.stream {
                Stream::Out => Style::new(),
                Stream::Err => palette.warn(),
                Stream::System => palette.dim(),
            };
            let time = units::time(line.time_ms);
            Line::from(vec![
                Span::styled(time.get(11..).unwrap_or_default().to_owned(), palette.dim()),
                Span::styled(
                    format!(" {:12} ", clean(&line.app)),
                    palette.name(&line.app),
                ),
                Span::styled(clean(&line.text), style),
            ])
        })
        .collect();
    lines.reverse();
    let whose = state
        .current()
        .filter(|_| state.only_selected)
        .and_then(Device::app)
        .map_or_else(String::new, |app| format!(" of {}", clean(app)));
    let which = if state.filter.is_empty() {
        String::new()
    } else {
        format!(" with {:?}", clean(&state.filter))
    };
    let place = if state.scrolled > 0 {
        format!(" ({} newer)", state.scrolled)
    } else {
        String::new()
    };
    let block = Block::bordered().title(format!(" lines{whose}{which}{place} "));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn bottom<'a>(state: &State, palette: Palette) -> Line<'a> {
    if state.editing {
        return Line::raw(format!(
            "filter: {}▏ Enter keeps it, Esc clears it",
            clean(&state.filter)
        ));
    }
    if !state.message.is_empty() {
        return Line::styled(clean(&state.message), palette.warn());
    }
    let mut spans = Vec::new();
    for (key, meaning) in KEYS {
        spans.push(Span::styled(key, Style::new().add_modifier(Modifier::BOLD)));
        spans.push(Span::styled(format!(" {meaning}  "), palette.dim()));
    }
    spans.push(Span::styled("? help", palette.dim()));
    Line::from(spans)
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let width = 44.min(area.width);
    let height = (KEYS.len() as u16 + 4).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let mut lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, meaning)| Line::raw(format!(" {key:<15} {meaning}")))
        .collect();
    lines.push(Line::raw(format!(
        " {:<15} {}",
        "Esc", "clear filter and messages"
    )));
    lines.push(Line::raw(" any key closes this"));
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys ")),
        place,
    );
}
