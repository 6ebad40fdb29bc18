//! `dashboard`: devices, apps, capabilities and logs on a full screen, with keys to select, filter and restart.
//!
//! Here are the terminal and the loop; [`state`] decides, [`draw`] shows, [`feed`] talks to devices.

mod draw;
mod feed;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, Sender, sync_channel};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::client::plain;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::targets::Place;

use draw::Palette;
use state::{Ask, Outcome, State};

/// How late what a device told is on the screen.
const FRAME: Duration = Duration::from_millis(100);
/// Updates that wait for the screen: a device that says more waits, and drops lines by its own rule.
const QUEUE: usize = 1024;
/// Updates in one frame at most: keys come through however much devices say.
const IN_A_FRAME: usize = 4096;

/// `dashboard`
pub(crate) fn dashboard(
    places: &[Place],
    timeout: Option<Duration>,
    out: &Output,
) -> Result<(), Failure> {
    if out.is_json() {
        return Err(Failure::new(
            Exit::Usage,
            "dashboard has no JSON form; use `vyomactl top --output json --count N` and `vyomactl logs -f --output json`",
        ));
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Failure::new(
            Exit::Usage,
            "dashboard needs a terminal for its input and output; use `vyomactl top` and `vyomactl logs -f` without one",
        ));
    }
    let (sender, told) = sync_channel(QUEUE);
    let asks: Vec<Sender<Ask>> = places
        .iter()
        .enumerate()
        .map(|(number, place)| feed::start(number, place, timeout, &sender))
        .collect();
    let mut state = State::new(places.iter().map(|place| place.name.clone()));
    let palette = Palette {
        colored: out.is_colored(),
    };
    // Raw mode and the second screen; a panic restores the terminal, too.
    let mut terminal = ratatui::try_init().map_err(|error| terminal_failed(&error))?;
    let outcome = run(&mut terminal, &mut state, palette, &told, &asks);
    ratatui::restore();
    outcome.map_err(|error| terminal_failed(&error))
}

fn terminal_failed(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!("the terminal: {}; look at TERM", plain(error)),
    )
}

fn run(
    terminal: &mut DefaultTerminal,
    state: &mut State,
    palette: Palette,
    told: &Receiver<feed::Told>,
    asks: &[Sender<Ask>],
) -> io::Result<()> {
    let ask = |outcome: Outcome| match outcome {
        Outcome::Stay => true,
        Outcome::Ask(number, ask) => {
            // Its thread lives as long as the device's number.
            let _ = asks[number].send(ask);
            true
        }
        Outcome::Quit => false,
    };
    let mut stale = true;
    loop {
        for (number, update) in told.try_iter().take(IN_A_FRAME) {
            ask(state.update(number, update));
            stale = true;
        }
        if std::mem::take(&mut stale) {
            terminal.draw(|frame| draw::draw(frame, state, palette))?;
        }
        if !event::poll(FRAME)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                if !ask(state.key(key)) {
                    return Ok(());
                }
                stale = true;
            }
            Event::Resize(..) => stale = true,
            _ => {}
        }
    }
}
