//! What an app prints: bytes to lines, lines to where they belong. stdout speaks the line protocol, stderr is log only,
//! as on Linux. A line that waits for the console keeps its app waiting, so nothing piles up.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use vyoma_capabilities::control::Stream;
use vyoma_capabilities::lines::{self, Line, LineSplitter};

use super::{App, Device, requests};
use crate::calls::STDERR;

/// Most bytes of a line. On Linux it is 16 KiB; here each app has at most two such lines under way.
const MAX_LINE: usize = 256;

/// The streams of one run.
pub(super) struct Output {
    out: LineSplitter,
    err: LineSplitter,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            out: LineSplitter::with_limit(MAX_LINE),
            err: LineSplitter::with_limit(MAX_LINE),
        }
    }

    /// Takes bytes of one of the two, and returns when all their lines are where they belong.
    pub(super) async fn write(
        &mut self,
        device: &'static Device,
        app: &Rc<App>,
        stream: u32,
        bytes: &[u8],
    ) {
        if !app.grants.stdio {
            return;
        }
        let is_err = stream == STDERR;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let splitter = if is_err { &mut self.err } else { &mut self.out };
            let mut found = None;
            // A piece has one end of a line at most; a line that is too long is handed out before its end.
            splitter.feed(piece, |line, cut| found = Some((line.to_string(), cut)));
            if let Some((line, cut)) = found {
                handle(device, app, is_err, &line, cut).await;
            }
        }
    }

    /// The app is gone: what it began is a line, too.
    pub(super) async fn finish(&mut self, device: &'static Device, app: &Rc<App>) {
        for (splitter, is_err) in [(&mut self.out, false), (&mut self.err, true)] {
            let mut last = None;
            splitter.finish(|line, cut| last = Some((line.to_string(), cut)));
            if let Some((line, cut)) = last {
                handle(device, app, is_err, &line, cut).await;
            }
        }
    }
}

async fn handle(device: &'static Device, app: &Rc<App>, is_err: bool, line: &str, cut: bool) {
    if cut {
        let text = format!("a line was longer than {MAX_LINE} bytes: its rest is dropped");
        device.log(app, Stream::System, &text).await;
    }
    if is_err {
        return device.log(app, Stream::Err, line).await;
    }
    match lines::parse(line) {
        // No such hardware: the guide has them ignored in silence.
        Line::Draw(_) | Line::Audio(_) => {}
        Line::Log(text) => device.log(app, Stream::Out, text).await,
        Line::Message { to, payload } => {
            if let Some(target) = device.app(to) {
                deliver(device, app, &target, payload).await;
            } else {
                let text = format!("warning: @{to}: no app of that name; the message is dropped");
                device.log(app, Stream::System, &text).await;
            }
        }
        Line::Broadcast(payload) => {
            for target in device.apps.borrow().iter() {
                if Rc::ptr_eq(target, app) {
                    continue;
                }
                hand_over(app, target, payload);
            }
        }
        Line::Reply(payload) => {
            let last = app.last_writer.borrow().upgrade();
            if let Some(target) = last {
                deliver(device, app, &target, payload).await;
            } else {
                let text = "warning: @reply: nobody has written to it; the message is dropped";
                device.log(app, Stream::System, text).await;
            }
        }
        Line::Request(text) => {
            let answer = requests::answer(device, app, text).await;
            push(app, &answer);
        }
    }
}

async fn deliver(device: &Device, from: &Rc<App>, to: &Rc<App>, payload: &str) {
    if !hand_over(from, to, payload) {
        let text = format!(
            "warning: @{}: it does not run or has no stdio; the message is dropped",
            to.name()
        );
        device.log(from, Stream::System, &text).await;
    }
}

fn hand_over(from: &Rc<App>, to: &App, payload: &str) -> bool {
    if !to.listens() {
        return false;
    }
    *to.last_writer.borrow_mut() = Rc::downgrade(from);
    push(to, payload);
    true
}

fn push(app: &App, line: &str) {
    app.stdin.borrow_mut().push(line);
    app.event.signal(());
}

/// So much of a text that it fits on a line.
pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_LINE));
    text
}
