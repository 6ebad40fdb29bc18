//! Reads what an app prints: bytes to lines, lines to where they belong. stdout speaks the line protocol; stderr is
//! log only. One read buffer serves all apps, so an idle app costs no memory here.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::unix::pipe;
use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::Stream;
use vyoma_capabilities::lines::{self, Line, LineSplitter, MAX_LINE};

use super::apps::App;
use super::run::Run;
use super::state::Shared;
use super::{requests, router};

/// One read: a quarter of a pipe, so that no app holds the loop for long.
const READ: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8; READ]>> = RefCell::new(Box::new([0; READ]));
}

/// Reads `pipe` to its end.
pub(crate) async fn read(
    daemon: Shared,
    app: Rc<App>,
    run: Rc<Run>,
    pipe: pipe::Receiver,
    stream: Stream,
) {
    let mut splitter = LineSplitter::new();
    let mut waiting = Vec::new();
    loop {
        if pipe.readable().await.is_err() {
            break;
        }
        let read = BUFFER.with_borrow_mut(|buffer| {
            let count = pipe.try_read(&mut buffer[..])?;
            splitter.feed(&buffer[..count], |line, cut| {
                waiting.push((line.to_string(), cut));
            });
            Ok::<usize, io::Error>(count)
        });
        match read {
            Ok(0) => break,
            Ok(count) => {
                run.printed.set(true);
                let lines = waiting.len();
                for (line, cut) in waiting.drain(..) {
                    handle(&daemon, &app, &run, stream, &line, cut).await;
                }
                waiting.shrink_to(0);
                // Not while its last words are read: what is in the pipe is bounded, and the app is gone.
                let pause = run.throttle.borrow_mut().pay(Instant::now(), count, lines);
                if pause > Duration::ZERO && daemon.reaper.has(run.pid) {
                    tokio::time::sleep(pause).await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    splitter.finish(|line, cut| waiting.push((line.to_string(), cut)));
    for (line, cut) in waiting {
        handle(&daemon, &app, &run, stream, &line, cut).await;
    }
}

fn note(app: &App, capability: Capability) {
    let granted = app.package().resolution.grants.has(capability);
    app.uses.note(capability, granted);
}

/// Requests are answered before the next line is looked at: answers come in the order of the questions.
async fn handle(
    daemon: &Shared,
    app: &Rc<App>,
    run: &Rc<Run>,
    stream: Stream,
    line: &str,
    cut: bool,
) {
    if cut {
        daemon.log(
            app,
            Stream::System,
            &format!("a line was longer than {MAX_LINE} bytes: its rest is dropped"),
        );
    }
    if stream == Stream::Err {
        return daemon.log(app, stream, line);
    }
    match lines::parse(line) {
        // There is no compositor and no mixer yet; without the capability they are to be ignored in silence anyway.
        Line::Draw(_) => note(app, Capability::Display),
        Line::Audio(_) => note(app, Capability::Audio),
        Line::Log(text) => daemon.log(app, stream, text),
        Line::Message { to, payload } => router::send(daemon, app, to, payload),
        Line::Broadcast(payload) => router::broadcast(daemon, app, payload),
        Line::Reply(payload) => router::reply(daemon, app, payload),
        Line::Request(text) => {
            let answer = requests::answer(daemon, app, text).await;
            if let Some(stdin) = &run.stdin {
                stdin.push(&answer);
            }
        }
    }
}
