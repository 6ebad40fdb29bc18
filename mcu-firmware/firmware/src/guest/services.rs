//! The services of the host functions, as calls to the firmware. What is shared between apps is with the firmware; here are
//! what one app has open, and the edges that it has not taken.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use vyoma_component::absent;
use vyoma_component::host::{Interface, Platform};
use vyoma_component::services::{Datetime, Instant, Pollable, Services, StreamError};
use vyoma_component::vyoma::{adc::Adc, device::Device, uart::Uart};
use vyoma_component::wasi::cli::Cli;
use vyoma_component::wasi::clocks::Clocks;
use vyoma_component::wasi::gpio::Gpio;
use vyoma_component::wasi::io::Io;
use vyoma_component::wasi::random::Random;
use vyoma_component::wasi::without::{self, Without};

use super::devices::{Awaited, Port};
use super::svc::call;
use crate::calls::{Call, Event, NONE, PORT, STDERR, STDIN, STDOUT};

/// The board, as one app sees it.
#[derive(Default)]
pub(super) struct Board {
    /// Stays the same once it was asked for.
    seed: Option<(u64, u64)>,
}

/// Where bytes come from.
pub(super) enum Input {
    Stdin,
    /// Kept open by this.
    Port(#[expect(dead_code, reason = "dropping it closes the port")] Rc<Port>),
}

/// Where bytes go.
pub(super) enum Output {
    /// stdout or stderr.
    Standard(u32),
    /// Kept open by this.
    Port(#[expect(dead_code, reason = "dropping it closes the port")] Rc<Port>),
}

/// What an app can wait for, besides time.
#[derive(Clone)]
pub(super) enum Wait {
    /// Bytes of the stream of that number.
    Input(u32),
    /// A change of a pin.
    Pin(Awaited),
}

/// Most bytes that a stream says it takes at once; the firmware takes any number and waits.
const WRITE: u64 = 4096;

impl Platform for Board {
    fn packages() -> &'static [&'static [&'static Interface<Self>]] {
        &[
            Cli::<Self>::ALL,
            Clocks::<Self>::ALL,
            Io::<Self>::ALL,
            Random::<Self>::ALL,
            Gpio::<Self>::ALL,
            Device::<Self>::ALL,
            Uart::<Self>::ALL,
            Adc::<Self>::ALL,
            Without::<Self>::FILES,
            Without::<Self>::SOCKETS,
            Without::<Self>::BUSES,
        ]
    }

    fn is_absent(interface: &str, resource: &str) -> bool {
        without::is_absent(interface, resource)
    }
}

absent!(Board: I2cBuses, SpiBuses);

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
        Input::Stdin
    }

    fn stdout(&mut self) -> Output {
        Output::Standard(STDOUT)
    }

    fn stderr(&mut self) -> Output {
        Output::Standard(STDERR)
    }

    fn read(&mut self, input: &mut Input, most: u64) -> Result<Vec<u8>, StreamError> {
        let stream = input_number(input);
        let (there, _) = call(Call::Read, [stream, 0, 0]);
        if there == NONE {
            return Err(StreamError::Closed);
        }
        let mut bytes = vec![0; u64::from(there).min(most) as usize];
        if !bytes.is_empty() {
            let room = bytes.len() as u32;
            let (read, _) = call(Call::Read, [stream, address(bytes.as_mut_ptr()), room]);
            bytes.truncate(read as usize);
        }
        Ok(bytes)
    }

    fn input_ready(&mut self, input: &Input) -> Pollable<Wait> {
        Pollable::Event(Wait::Input(input_number(input)))
    }

    fn check_write(&mut self, _: &mut Output) -> Result<u64, StreamError> {
        Ok(WRITE)
    }

    fn write(&mut self, output: &mut Output, bytes: &[u8]) -> Result<(), StreamError> {
        let stream = match output {
            Output::Standard(number) => *number,
            Output::Port(_) => PORT,
        };
        call(
            Call::Write,
            [stream, address(bytes.as_ptr()), bytes.len() as u32],
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
        loop {
            let mut events: Vec<Event> = pollables.iter().map(event).collect();
            poll(&mut events, true);
            let ready: Vec<u32> = (0..)
                .zip(pollables.iter().zip(&events))
                .filter(|(_, (pollable, event))| is_ready(pollable, event))
                .map(|(index, _)| index)
                .collect();
            // An edge may have come to a pin that is not the one that was waited for.
            if !ready.is_empty() {
                return ready;
            }
        }
    }

    fn is_ready(&mut self, pollable: &Pollable<Wait>) -> bool {
        let mut event = event(pollable);
        poll(core::slice::from_mut(&mut event), false);
        is_ready(pollable, &event)
    }
}

fn input_number(input: &Input) -> u32 {
    match input {
        Input::Stdin => STDIN,
        Input::Port(_) => PORT,
    }
}

fn poll(events: &mut [Event], wait: bool) {
    let count = events.len() as u32;
    call(
        Call::Poll,
        [address(events.as_mut_ptr()), count, wait.into()],
    );
}

/// What the firmware is to wait for.
fn event(pollable: &Pollable<Wait>) -> Event {
    let (kind, number, at) = match pollable {
        Pollable::Ready => (Event::READY, 0, 0),
        Pollable::At(instant) => (Event::AT, 0, *instant),
        Pollable::Event(Wait::Input(number)) => (Event::INPUT, *number, 0),
        Pollable::Event(Wait::Pin(awaited)) if awaited.has_come() => (Event::READY, 0, 0),
        Pollable::Event(Wait::Pin(awaited)) => (Event::EDGE, awaited.number(), 0),
    };
    Event {
        kind,
        number,
        at: [at as u32, (at >> 32) as u32],
    }
}

/// Whether it is ready, by what the firmware said.
fn is_ready(pollable: &Pollable<Wait>, event: &Event) -> bool {
    event.kind == Event::READY
        && match pollable {
            Pollable::Event(Wait::Pin(awaited)) => awaited.tell(),
            _ => true,
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

pub(super) fn address<T>(pointer: *const T) -> u32 {
    pointer.expose_provenance() as u32
}
