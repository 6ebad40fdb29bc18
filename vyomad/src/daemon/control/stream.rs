//! `logs` and `events`, with and without following.

use std::rc::Rc;

use vyoma_capabilities::control::{self, ControlError, DeviceEvent, LogLine, Response, Stream};

use super::connection::{Closed, Connection};
use crate::daemon::feed::Next;
use crate::daemon::operate;
use crate::daemon::state::{Shared, unix_ms};

/// What of the logs is wanted; see `Request::Logs`.
pub(crate) struct Wanted {
    pub(crate) app: Option<String>,
    pub(crate) follow: bool,
    pub(crate) since_ms: Option<u64>,
    pub(crate) previous: bool,
    pub(crate) tail: Option<u32>,
}

impl Wanted {
    fn includes(&self, app: &str) -> bool {
        let names = self.app.as_deref();
        names.is_none_or(|names| control::names(names).any(|name| name == app))
    }

    fn only_app(&self) -> Option<&str> {
        let names = self.app.as_deref()?;
        (control::names(names).count() == 1).then_some(names)
    }
}

/// Sends log lines. The outer error ends the connection, the inner one is an answer.
pub(crate) async fn logs(
    daemon: &Shared,
    connection: &mut Connection,
    wanted: Wanted,
) -> Result<Result<(), ControlError>, Closed> {
    let apps = match &wanted.app {
        Some(names) => {
            let found = control::names(names).map(|name| operate::find(daemon, name));
            match found.collect() {
                Ok(apps) => apps,
                Err(error) => return Ok(Err(error)),
            }
        }
        None => daemon.all_apps(),
    };
    let from = wanted
        .since_ms
        .map_or(0, |since| unix_ms().saturating_sub(since));
    let tail = wanted.tail.map_or(usize::MAX, |tail| tail as usize);
    if wanted.previous {
        // App by app: all files at once would be the memory of a small device.
        for app in apps {
            let lines = app.log.earlier();
            let lines: Vec<LogLine> = lines
                .into_iter()
                .filter(|line| line.time_ms >= from)
                .collect();
            let skip = lines.len().saturating_sub(tail);
            for line in lines.into_iter().skip(skip) {
                connection.send(&Response::LogLine(line)).await?;
            }
        }
        return Ok(Ok(()));
    }
    // In one turn of the loop, so that no line is missed or said twice.
    let follower = wanted.follow.then(|| daemon.logs.feed.follow());
    let mut lines: Vec<_> = apps
        .iter()
        .flat_map(|app| app.log.recent())
        .filter(|line| line.time_ms >= from)
        .collect();
    drop(apps);
    lines.sort_by_key(|line| line.sequence);
    let skip = lines.len().saturating_sub(tail);
    for line in lines.drain(..).skip(skip) {
        connection.send(&Response::LogLine(line.to_line())).await?;
    }
    let Some(follower) = follower else {
        return Ok(Ok(()));
    };
    loop {
        let next = tokio::select! {
            next = follower.next() => next,
            () = connection.client_stirs() => return Err(Closed::Gone),
        };
        let line = match next {
            Next::Item(line) if wanted.includes(&line.app) => line.to_line(),
            Next::Item(_) => continue,
            Next::Dropped(count) => LogLine {
                app: wanted.only_app().unwrap_or("vyomad").into(),
                time_ms: unix_ms(),
                stream: Stream::System,
                text: format!("{count} lines are missing here: this reader was too slow for them"),
            },
        };
        connection.send(&Response::LogLine(line)).await?;
    }
}

/// Sends events.
pub(crate) async fn events(
    daemon: &Shared,
    connection: &mut Connection,
    follow: bool,
) -> Result<(), Closed> {
    let follower = follow.then(|| daemon.events.feed.follow());
    for event in daemon.events.recent() {
        connection
            .send(&Response::Event(DeviceEvent::clone(&event)))
            .await?;
    }
    let Some(follower) = follower else {
        return Ok(());
    };
    loop {
        let next = tokio::select! {
            next = follower.next() => next,
            () = connection.client_stirs() => return Err(Closed::Gone),
        };
        let event = match next {
            Next::Item(event) => Rc::unwrap_or_clone(event),
            Next::Dropped(count) => DeviceEvent {
                time_ms: unix_ms(),
                app: None,
                kind: "warning".into(),
                detail: format!(
                    "{count} events are missing here: this reader was too slow for them"
                ),
            },
        };
        connection.send(&Response::Event(event)).await?;
    }
}
