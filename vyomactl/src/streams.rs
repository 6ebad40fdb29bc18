//! `logs` and `events`: one message a line, as they come.

use vyoma_capabilities::control::{DeviceEvent, LogLine, Request, Response, Stream};

use crate::cli::{EventsArgs, LogsArgs};
use crate::client::{Client, Patience};
use crate::exit::Failure;
use crate::output::{Output, Style, clean};
use crate::units;

/// Width of the app's name in a line: most names are shorter, so that texts line up; a longer one pushes its own line.
const NAME_WIDTH: usize = 12;

/// `logs`
pub(crate) fn logs(client: &mut Client, args: &LogsArgs, out: &mut Output) -> Result<(), Failure> {
    client.send(&Request::Logs {
        app: args.app.clone(),
        follow: args.follow,
        since_ms: args
            .since
            .map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        previous: args.previous,
        tail: args.tail,
    })?;
    stream(
        client,
        args.follow,
        out,
        |client, response, out| match response {
            Response::LogLine(line) if out.is_json() => out.json(&line),
            Response::LogLine(line) => log_line(&line, out),
            other => Err(client.unexpected(&other)),
        },
    )
}

/// `events`
pub(crate) fn events(
    client: &mut Client,
    args: &EventsArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    client.send(&Request::Events {
        follow: args.follow,
    })?;
    stream(
        client,
        args.follow,
        out,
        |client, response, out| match response {
            Response::Event(event) if out.is_json() => out.json(&event),
            Response::Event(event) => event_line(&event, out),
            other => Err(client.unexpected(&other)),
        },
    )
}

/// Takes messages until the device says that it is done, or nobody reads the output any more.
fn stream(
    client: &mut Client,
    follow: bool,
    out: &mut Output,
    mut show: impl FnMut(&Client, Response, &mut Output) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        if !client.has_more() {
            out.flush()?;
        }
        let response = if follow {
            client.next()?.ok_or_else(Failure::quiet)?
        } else {
            client.answer(Patience::Prompt)?
        };
        if response == Response::Done {
            return Ok(());
        }
        show(client, response, out)?;
    }
}

fn log_line(line: &LogLine, out: &mut Output) -> Result<(), Failure> {
    let (tag, style) = match line.stream {
        Stream::Out => ("out", Style::Plain),
        Stream::Err => ("err", Style::Warn),
        Stream::System => ("sys", Style::Dim),
    };
    let text = format!(
        "{}  {:NAME_WIDTH$}  {tag}  {}",
        out.paint(Style::Dim, &units::time(line.time_ms)),
        clean(&line.app),
        out.paint(style, &clean(&line.text)),
    );
    out.line(text.trim_end())
}

fn event_line(event: &DeviceEvent, out: &mut Output) -> Result<(), Failure> {
    let style = match event.kind.as_str() {
        "warning" => Style::Warn,
        "app-quarantined" | "panic" => Style::Bad,
        _ => Style::Plain,
    };
    let text = format!(
        "{}  {:NAME_WIDTH$}  {}  {}",
        out.paint(Style::Dim, &units::time(event.time_ms)),
        clean(event.app.as_deref().unwrap_or("-")),
        out.paint(style, &clean(&event.kind)),
        clean(&event.detail),
    );
    out.line(text.trim_end())
}
