//! The services of the host functions, as calls to the firmware. No state of its own: everything that is shared between
//! apps is with the firmware.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use vyoma_component::host::{Interface, Platform};
use vyoma_component::services::{Datetime, Instant, Pollable, Services, StreamError};
use vyoma_component::wasi::cli::Cli;
use vyoma_component::wasi::clocks::Clocks;
use vyoma_component::wasi::io::Io;
use vyoma_component::wasi::random::Random;

use super::svc::call;
use crate::calls::{Call, Event, NONE, STDERR, STDOUT};

/// The board, as one app sees it.
#[derive(Default)]
pub(super) struct Board {
    /// Stays the same once it was asked for.
    seed: Option<(u64, u64)>,
}

/// stdin; there are no other inputs.
pub(super) struct Input;

/// stdout or stderr.
pub(super) struct Output(u32);

/// Kinds of [`Event`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait(u32);

/// Most bytes that a stream says it takes at once; the firmware takes any number and waits.
const WRITE: u64 = 4096;

impl Platform for Board {
    fn packages() -> &'static [&'static [&'static Interface<Self>]] {
        &[
            Cli::<Self>::ALL,
            Clocks::<Self>::ALL,
            Io::<Self>::ALL,
            Random::<Self>::ALL,
        ]
    }
}

impl Services for Board {
    type Input = Input;
    type Output = Output;
    type Wait = Wait;

    fn arguments(&mut self) -> Vec<String> {
        texts(Call::Argument).collect()
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        texts(Call::Variable)
            .filter_map(|text| {
                let (key, value) = text.split_once('=')?;
                Some((key.into(), value.into()))
            })
            .collect()
    }

    fn monotonic_now(&mut self) -> Instant {
        let (low, high) = call(Call::Now, [0; 3]);
        Instant::from(low) | Instant::from(high) << 32
    }

    fn monotonic_resolution(&mut self) -> u64 {
        1000
    }

    fn wall_now(&mut self) -> Datetime {
        let mut time = [0_u32; 3];
        call(Call::WallClock, [address(time.as_mut_ptr()), 0, 0]);
        let [low, high, nanoseconds] = time;
        Datetime {
            seconds: u64::from(low) | u64::from(high) << 32,
            nanoseconds,
        }
    }

    fn wall_resolution(&mut self) -> Datetime {
        Datetime {
            seconds: 0,
            nanoseconds: 1000,
        }
    }

    fn random(&mut self, bytes: &mut [u8]) {
        call(
            Call::Random,
            [address(bytes.as_mut_ptr()), bytes.len() as u32, 0],
        );
    }

    fn insecure_seed(&mut self) -> (u64, u64) {
        if let Some(seed) = self.seed {
            return seed;
        }
        let mut bytes = [0; 16];
        self.random(&mut bytes);
        let number = u128::from_le_bytes(bytes);
        *self.seed.insert((number as u64, (number >> 64) as u64))
    }

    fn stdin(&mut self) -> Input {
        Input
    }

    fn stdout(&mut self) -> Output {
        Output(STDOUT)
    }

    fn stderr(&mut self) -> Output {
        Output(STDERR)
    }

    fn read(&mut self, _: &mut Input, most: u64) -> Result<Vec<u8>, StreamError> {
        let (there, _) = call(Call::Read, [0; 3]);
        if there == NONE {
            return Err(StreamError::Closed);
        }
        let mut bytes = vec![0; u64::from(there).min(most) as usize];
        if !bytes.is_empty() {
            let room = bytes.len() as u32;
            let (read, _) = call(Call::Read, [address(bytes.as_mut_ptr()), room, 0]);
            bytes.truncate(read as usize);
        }
        Ok(bytes)
    }

    fn input_ready(&mut self, _: &Input) -> Pollable<Wait> {
        Pollable::Event(Wait(Event::STDIN))
    }

    fn check_write(&mut self, _: &mut Output) -> Result<u64, StreamError> {
        Ok(WRITE)
    }

    fn write(&mut self, output: &mut Output, bytes: &[u8]) -> Result<(), StreamError> {
        call(
            Call::Write,
            [output.0, address(bytes.as_ptr()), bytes.len() as u32],
        );
        Ok(())
    }

    fn flush(&mut self, _: &mut Output) -> Result<(), StreamError> {
        Ok(())
    }

    fn is_unbuffered(&mut self, _: &Output) -> bool {
        true
    }

    fn output_ready(&mut self, _: &Output) -> Pollable<Wait> {
        Pollable::Ready
    }

    fn poll(&mut self, pollables: &[Pollable<Wait>]) -> Vec<u32> {
        let mut events: Vec<Event> = pollables.iter().map(event).collect();
        poll(&mut events, true);
        (0..)
            .zip(&events)
            .filter(|(_, event)| event.kind == Event::READY)
            .map(|(index, _)| index)
            .collect()
    }

    fn is_ready(&mut self, pollable: &Pollable<Wait>) -> bool {
        let mut event = event(pollable);
        poll(core::slice::from_mut(&mut event), false);
        event.kind == Event::READY
    }
}

fn poll(events: &mut [Event], wait: bool) {
    let count = events.len() as u32;
    call(
        Call::Poll,
        [address(events.as_mut_ptr()), count, wait.into()],
    );
}

fn event(pollable: &Pollable<Wait>) -> Event {
    let (kind, at) = match pollable {
        Pollable::Ready => (Event::READY, 0),
        Pollable::At(instant) => (Event::AT, *instant),
        Pollable::Event(Wait(kind)) => (*kind, 0),
    };
    Event {
        kind,
        number: 0,
        at: [at as u32, (at >> 32) as u32],
    }
}

/// All texts that a call gives, one by one.
fn texts(which: Call) -> impl Iterator<Item = String> {
    (0..).map_while(move |index| {
        let (length, _) = call(which, [index, 0, 0]);
        if length == NONE {
            return None;
        }
        let mut bytes = vec![0; length as usize];
        call(which, [index, address(bytes.as_mut_ptr()), length]);
        String::from_utf8(bytes).ok()
    })
}

fn address<T>(pointer: *const T) -> u32 {
    pointer.expose_provenance() as u32
}
