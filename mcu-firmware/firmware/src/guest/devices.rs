//! Pins, the serial port and analogue inputs, as calls to the firmware.

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;

use vyoma_component::services::{
    ActiveLevel, Converters, DeviceError, DigitalConfig, Edge, EdgeLog, EdgeMark, GpioError,
    OpenPort, PinEvent, PinSetup, PinState, Pins, Pollable, Range, UartConfig, Uarts,
};

use super::services::{Board, Input, Output, Wait, address};
use super::svc::call;
use crate::board;
use crate::calls::{Call, Device, Refusal, Setup};

/// Edges of a pin that the app has not taken: each takes 16 bytes of its arena.
const EDGES: usize = 32;

impl From<Refusal> for GpioError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Device(error) => error.into(),
            Refusal::Direction => Self::PinModeNotAllowed,
        }
    }
}

impl From<Refusal> for DeviceError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Device(error) => error,
            Refusal::Direction => Self::NotAllowed,
        }
    }
}

/// What is open; dropping it closes it.
struct Open {
    kind: Device,
    number: u8,
}

impl Open {
    /// It, and the value that came with it.
    fn new(kind: Device, number: u8, how: u32) -> Result<(Self, u32), Refusal> {
        let (refusal, value) = call(Call::Open, [kind as u32, number.into(), how]);
        Refusal::decode(refusal)?;
        Ok((Self { kind, number }, value))
    }

    /// What it says now.
    fn sample(&self) -> Result<u32, Refusal> {
        let (refusal, value) = call(Call::Sample, [self.kind as u32, self.number.into(), 0]);
        Refusal::decode(refusal)?;
        Ok(value)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        call(Call::Close, [self.kind as u32, self.number.into(), 0]);
    }
}

/// An open pin. Pollables of it keep it open: the canonical ABI has them dropped first.
pub(super) struct Pin(Rc<OpenPin>);

struct OpenPin {
    open: Open,
    setup: PinSetup,
    log: RefCell<EdgeLog>,
}

impl OpenPin {
    /// The state that a level is.
    fn state(&self, high: bool) -> PinState {
        (high == (self.setup.active == ActiveLevel::ActiveHigh)).into()
    }

    fn now(&self) -> Result<PinState, GpioError> {
        Ok(self.state(self.open.sample()? != 0))
    }

    /// Takes over what the firmware has kept.
    fn collect(&self) {
        let mut words = [0_u32; 4];
        let mut log = self.log.borrow_mut();
        loop {
            let place = address(words.as_mut_ptr());
            if call(Call::Edge, [self.open.number.into(), place, 0]).0 == 0 {
                return;
            }
            let [high, low_us, high_us, lost] = words;
            log.lose(lost.into());
            log.record(Edge {
                state: self.state(high != 0),
                at: (u64::from(low_us) | u64::from(high_us) << 32) * 1000,
            });
        }
    }
}

/// A change of a pin that somebody waits for.
#[derive(Clone)]
pub(super) struct Awaited {
    pin: Rc<OpenPin>,
    state: PinState,
    mark: EdgeMark,
    /// Being in the state is enough.
    level: bool,
}

impl Awaited {
    pub(super) fn number(&self) -> u32 {
        self.pin.open.number.into()
    }

    /// Whether it has come. Nobody is told by this.
    pub(super) fn has_come(&self) -> bool {
        self.pin.collect();
        self.level && self.pin.now() == Ok(self.state)
            || self.pin.log.borrow().mark_now(self.state) != self.mark
    }

    /// Whether it has come; then the app knows.
    pub(super) fn tell(&self) -> bool {
        self.pin.collect();
        let passed = self.pin.log.borrow_mut().passed(self.state, self.mark);
        passed || self.level && self.pin.now() == Ok(self.state)
    }
}

impl Pins for Board {
    type Pin = Pin;

    fn open_pin(&mut self, name: &str, setup: PinSetup) -> Result<Pin, GpioError> {
        let number = board::pin(name)?;
        let (open, _) = Open::new(Device::Pin, number, Setup::encode(setup))?;
        Ok(Pin(Rc::new(OpenPin {
            open,
            setup,
            log: RefCell::new(EdgeLog::new(EDGES)),
        })))
    }

    fn pin_config(&mut self, pin: &Pin) -> DigitalConfig {
        let setup = pin.0.setup;
        DigitalConfig {
            label: board::pin_label(pin.0.open.number),
            mode: setup.mode,
            active: setup.active,
            pull: setup.pull,
        }
    }

    fn set_pin(&mut self, pin: &mut Pin, state: PinState) -> Result<(), GpioError> {
        let pin = &pin.0;
        let active_is_high = pin.setup.active == ActiveLevel::ActiveHigh;
        let high = (state == PinState::Active) == active_is_high;
        call(Call::Drive, [pin.open.number.into(), high.into(), 0]);
        Ok(())
    }

    fn pin_state(&mut self, pin: &mut Pin) -> Result<PinState, GpioError> {
        pin.0.now()
    }

    fn watch_pin(&mut self, pin: &mut Pin, event: PinEvent) -> Result<Pollable<Wait>, GpioError> {
        let pin = &pin.0;
        watch(pin)?;
        pin.collect();
        let log = pin.log.borrow();
        let (state, mark, level) = match event {
            PinEvent::State(state) => (state, log.mark_now(state), true),
            PinEvent::Edge(state) => (state, log.mark(state), false),
        };
        Ok(Pollable::Event(Wait::Pin(Awaited {
            pin: Rc::clone(pin),
            state,
            mark,
            level,
        })))
    }

    fn next_edge(&mut self, pin: &mut Pin) -> Result<Option<Edge>, GpioError> {
        watch(&pin.0)?;
        pin.0.collect();
        Ok(pin.0.log.borrow_mut().take())
    }

    fn lost_edges(&mut self, pin: &mut Pin) -> u64 {
        pin.0.collect();
        pin.0.log.borrow().lost()
    }
}

/// Edges are kept from now on, if they were not before.
fn watch(pin: &OpenPin) -> Result<(), GpioError> {
    let (refusal, _) = call(Call::Watch, [pin.open.number.into(), 0, 0]);
    Ok(Refusal::decode(refusal)?)
}

/// The serial port.
pub(super) struct Port {
    open: Open,
    config: UartConfig,
}

impl Uarts for Board {
    type Port = Rc<Port>;

    fn open_uart(
        &mut self,
        name: &str,
        config: Option<UartConfig>,
    ) -> Result<OpenPort<Self>, DeviceError> {
        let number = board::uart(name)?;
        let baud = match config {
            Some(config) if config.baud == 0 || config != UartConfig::plain(config.baud) => {
                return Err(DeviceError::InvalidArgument);
            }
            Some(config) => config.baud,
            None => 0,
        };
        let (open, baud) = Open::new(Device::Uart, number, baud)?;
        let port = Rc::new(Port {
            open,
            config: UartConfig::plain(baud),
        });
        let (input, output) = (
            Input::Port(Rc::clone(&port)),
            Output::Port(Rc::clone(&port)),
        );
        Ok((port, input, output))
    }

    fn uart_config(&mut self, port: &Rc<Port>) -> UartConfig {
        port.config
    }

    fn uart_lost(&mut self, port: &mut Rc<Port>) -> u64 {
        port.open.sample().unwrap_or(0).into()
    }
}

/// An analogue input.
pub(super) struct Channel(Open);

impl Converters for Board {
    type Channel = Channel;

    fn open_channel(&mut self, name: &str) -> Result<Channel, DeviceError> {
        let (open, _) = Open::new(Device::Channel, board::channel(name)?, 0)?;
        Ok(Channel(open))
    }

    fn channel_label(&mut self, channel: &Channel) -> String {
        board::channel_label(channel.0.number)
    }

    fn channel_range(&mut self, _: &Channel) -> Range {
        board::RANGE
    }

    fn sample(&mut self, channel: &mut Channel) -> Result<u32, DeviceError> {
        Ok(channel.0.sample()?)
    }
}
