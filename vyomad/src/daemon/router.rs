//! Lines from app to app. Who is speaking is known from the pipe that it came out of; what is said is handed on as it
//! is. Delivery is to a bounded queue, so a receiver that does not read loses lines and delays nobody.

use std::rc::Rc;

use vyoma_capabilities::control::Stream;

use super::apps::App;
use super::state::Daemon;

/// `@name: payload`
pub(crate) fn send(daemon: &Daemon, from: &Rc<App>, to: &str, payload: &str) {
    match daemon.app(to) {
        Some(target) => deliver(daemon, from, &target, payload),
        None => warn(
            daemon,
            from,
            &format!("@{to}: no app of that name; the message is dropped"),
        ),
    }
}

/// `@broadcast: payload`: to every other app that reads.
pub(crate) fn broadcast(daemon: &Daemon, from: &Rc<App>, payload: &str) {
    for target in daemon.all_apps() {
        if !Rc::ptr_eq(&target, from) {
            hand_over(from, &target, payload);
        }
    }
}

/// `@reply: payload`: to the app that wrote to this one last.
pub(crate) fn reply(daemon: &Daemon, from: &Rc<App>, payload: &str) {
    let last = from.last_writer.borrow().clone();
    match last.and_then(|name| daemon.app(&name)) {
        Some(target) => deliver(daemon, from, &target, payload),
        None => warn(
            daemon,
            from,
            "@reply: nobody has written to it; the message is dropped",
        ),
    }
}

fn deliver(daemon: &Daemon, from: &Rc<App>, to: &App, payload: &str) {
    if !hand_over(from, to, payload) {
        warn(
            daemon,
            from,
            &format!(
                "@{}: it does not run or has no stdio; the message is dropped",
                to.name
            ),
        );
    }
}

fn hand_over(from: &Rc<App>, to: &App, payload: &str) -> bool {
    let Some(stdin) = to.run().and_then(|run| run.stdin.clone()) else {
        return false;
    };
    stdin.push(payload);
    *to.last_writer.borrow_mut() = Some(Rc::clone(&from.name));
    true
}

/// In the sender's own log: a flood of misaddressed lines costs the sender its own throughput only.
fn warn(daemon: &Daemon, app: &App, text: &str) {
    daemon.log(app, Stream::System, &format!("warning: {text}"));
}
