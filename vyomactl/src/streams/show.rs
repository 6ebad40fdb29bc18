//! How a message looks on a line.

use serde::Serialize;
use vyoma_capabilities::control::{DeviceEvent, LogLine, Stream};

use super::Item;
use crate::exit::Failure;
use crate::output::{Output, Style, clean};
use crate::units;

/// Width of the app's name in a line: most names are shorter, so that texts line up; a longer one pushes its own line.
const NAME_WIDTH: usize = 12;

/// A document of several devices says whose it is.
#[derive(Serialize)]
struct Of<'a, T> {
    device: &'a str,
    #[serde(flatten)]
    item: &'a T,
}

/// Shows a message; `device` when there are several.
pub(super) fn item(device: Option<&str>, item: &Item, out: &mut Output) -> Result<(), Failure> {
    if out.is_json() {
        return match (item, device) {
            (Item::Line(item), None) => out.json(item),
            (Item::Event(item), None) => out.json(item),
            (Item::Line(item), Some(device)) => out.json(&Of { device, item }),
            (Item::Event(item), Some(device)) => out.json(&Of { device, item }),
        };
    }
    let text = match item {
        Item::Line(line) => log_line(device, line, out),
        Item::Event(event) => event_line(device, event, out),
    };
    out.line(text.trim_end())
}

/// Time, device and app: each device and each app has a colour of its own, the same in every run.
fn head(device: Option<&str>, time_ms: u64, app: &str, out: &Output) -> String {
    let name = |name: &str| {
        let shown = format!("{:NAME_WIDTH$}", clean(name));
        out.paint(Style::of_name(name), &shown)
    };
    let time = out.paint(Style::Dim, &units::time(time_ms));
    match device {
        None => format!("{time}  {}", name(app)),
        Some(device) => format!("{time}  {}  {}", name(device), name(app)),
    }
}

pub(crate) fn log_line(device: Option<&str>, line: &LogLine, out: &Output) -> String {
    let (tag, style) = match line.stream {
        Stream::Out => ("out", Style::Plain),
        Stream::Err => ("err", Style::Warn),
        Stream::System => ("sys", Style::Dim),
    };
    format!(
        "{}  {tag}  {}",
        head(device, line.time_ms, &line.app, out),
        out.paint(style, &clean(&line.text)),
    )
}

fn event_line(device: Option<&str>, event: &DeviceEvent, out: &Output) -> String {
    let style = match event.kind.as_str() {
        "warning" => Style::Warn,
        "app-quarantined" | "panic" => Style::Bad,
        _ => Style::Plain,
    };
    format!(
        "{}  {}  {}",
        head(
            device,
            event.time_ms,
            event.app.as_deref().unwrap_or("-"),
            out
        ),
        out.paint(style, &clean(&event.kind)),
        clean(&event.detail),
    )
}
