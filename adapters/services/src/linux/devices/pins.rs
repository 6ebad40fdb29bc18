//! Pins: lines of the kernel's GPIO character device (uAPI v2, Linux 5.10), or of a simulated board.
//!
//! Which level is active is decided here and not by the kernel, so that a line request means the same for whoever holds
//! it. Edges are asked of the kernel from the first watch on; it queues 16 of a line by itself, and numbers them, so that
//! what it forgot is counted.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::rc::Rc;

use gpiocdev_uapi::v2::{
    self, LineConfig, LineEdgeEvent, LineEdgeEventKind, LineFlags, LineValues,
};
use rustix::io::Errno;
use vyoma_capabilities::board::{Details, Kind, Safe};
use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::manifest::Direction;
use vyoma_component::services::{
    ActiveLevel, DigitalConfig, Edge, EdgeLog, EdgeMark, GpioError, PinEvent, PinMode, PinSetup,
    PinState, Pins, Pollable, PullResistor,
};
use vyoma_sim::wire::{Message, Request};

use super::channel::{Channel, is_readable};
use super::{Lease, Opened, label};
use crate::linux::Linux;
use crate::linux::clocks::Monotonic;
use crate::linux::poll::{Event, Interest, Wait, Watch};

/// Edges of a pin that are kept until the app takes them: a second of a fast button, a turn of an encoder.
const MAX_EDGES: usize = 64;
/// Edges that the kernel keeps of a line unless it was asked for more.
const KERNEL_QUEUE: usize = 16;

/// A pin that an app has open.
pub struct Pin(Rc<Line>);

struct Line {
    config: DigitalConfig,
    /// For a simulated one.
    channel: Channel,
    /// Another app reads it too: how it is set up, and its edges, are that one's.
    shared: bool,
    clock: Monotonic,
    log: RefCell<EdgeLog>,
    watched: Cell<bool>,
    /// The kernel or the board does not tell any more: the chip was pulled out.
    gone: Cell<bool>,
    /// What it is driven to: whether it is high.
    driven: Cell<Option<bool>>,
    safe: Safe,
    lease: Lease,
}

/// What became of a line.
type Outcome<T> = Result<T, GpioError>;

impl Pins for Linux {
    type Pin = Pin;

    fn open_pin(&mut self, name: &str, setup: PinSetup) -> Outcome<Pin> {
        let (device, lease) = self.devices.open(Kind::Gpio, name, &self.config)?;
        let Details::Pin {
            direction,
            safe,
            shared,
            ..
        } = device.details
        else {
            return Err(GpioError::HardwareFault);
        };
        let allowed = match direction {
            None => true,
            Some(Direction::Input) => setup.mode == PinMode::In,
            Some(Direction::Output) => setup.mode == PinMode::Out,
        };
        if !allowed {
            self.config.activity.refused(Capability::Gpio);
            return Err(GpioError::PinModeNotAllowed);
        }
        let line = Line {
            config: DigitalConfig {
                label: label(device),
                mode: setup.mode,
                active: setup.active,
                pull: setup.pull,
            },
            channel: Channel::default(),
            shared,
            clock: self.clock.clone(),
            log: RefCell::new(EdgeLog::new(MAX_EDGES)),
            watched: Cell::new(false),
            gone: Cell::new(false),
            driven: Cell::new(None),
            safe,
            lease,
        };
        if setup.mode == PinMode::Out {
            line.drive(line.level(PinState::Inactive))?;
        } else {
            line.release()?;
            // What is left from the last time that the pin was open.
            if !shared {
                line.drain();
            }
            line.log.replace(EdgeLog::new(MAX_EDGES));
        }
        Ok(Pin(Rc::new(line)))
    }

    fn pin_config(&mut self, pin: &Pin) -> DigitalConfig {
        pin.0.config.clone()
    }

    #[inline]
    fn set_pin(&mut self, pin: &mut Pin, state: PinState) -> Outcome<()> {
        pin.0.drive(pin.0.level(state))
    }

    #[inline]
    fn pin_state(&mut self, pin: &mut Pin) -> Outcome<PinState> {
        pin.0.state()
    }

    fn watch_pin(&mut self, pin: &mut Pin, event: PinEvent) -> Outcome<Pollable<Wait>> {
        let line = &pin.0;
        if line.driven.get().is_some() {
            return Err(GpioError::OperationNotSupported);
        }
        line.watch_edges()?;
        let log = line.log.borrow();
        let mark = match event {
            PinEvent::Edge(state) => log.mark(state),
            PinEvent::State(state) => log.mark_now(state),
        };
        Ok(Wait::pollable(PinWatch {
            line: Rc::clone(line),
            event,
            mark,
        }))
    }

    fn next_edge(&mut self, pin: &mut Pin) -> Outcome<Option<Edge>> {
        pin.0.watch_edges()?;
        pin.0.drain();
        match pin.0.log.borrow_mut().take() {
            None if pin.0.gone.get() => Err(GpioError::HardwareFault),
            edge => Ok(edge),
        }
    }

    fn lost_edges(&mut self, pin: &mut Pin) -> u64 {
        if pin.0.watched.get() {
            pin.0.drain();
        }
        pin.0.log.borrow().lost()
    }
}

/// A pin that nobody holds is safe.
impl Drop for Pin {
    fn drop(&mut self) {
        if self.0.driven.get().is_none() {
            return;
        }
        // What can't be reached can't be made safe either.
        let _ = match self.0.safe {
            Safe::Input => self.0.release(),
            Safe::Low => self.0.drive(false),
            Safe::High => self.0.drive(true),
        };
    }
}

impl Line {
    fn level(&self, state: PinState) -> bool {
        (state == PinState::Active) == (self.config.active == ActiveLevel::ActiveHigh)
    }

    fn state_of(&self, high: bool) -> PinState {
        PinState::from(high == (self.config.active == ActiveLevel::ActiveHigh))
    }

    /// Drives the line high or low.
    #[inline]
    fn drive(&self, high: bool) -> Outcome<()> {
        if let Opened::Kernel(line) = &*self.lease.handle
            && self.driven.get().is_some()
        {
            v2::set_line_values(line, &LineValues::from_slice(&[high])).map_err(kernel)?;
            self.driven.set(Some(high));
            return Ok(());
        }
        self.drive_first(high)
    }

    /// As [`drive`](Self::drive), when the line is no output yet, or a simulated one.
    #[cold]
    fn drive_first(&self, high: bool) -> Outcome<()> {
        match &*self.lease.handle {
            Opened::Kernel(line) => {
                let mut config = self.line_config(LineFlags::OUTPUT);
                config.add_values(&LineValues::from_slice(&[high]));
                v2::set_line_config(line, config).map_err(kernel)?;
                self.watched.set(false);
            }
            _ => self.done(&Request::Set(Some(high)))?,
        }
        self.driven.set(Some(high));
        Ok(())
    }

    /// Makes the line an input.
    fn release(&self) -> Outcome<()> {
        if self.shared {
            return Ok(());
        }
        match &*self.lease.handle {
            Opened::Kernel(line) => {
                v2::set_line_config(line, self.line_config(LineFlags::INPUT)).map_err(kernel)?;
            }
            _ => self.done(&Request::Set(None))?,
        }
        self.driven.set(None);
        Ok(())
    }

    #[inline]
    fn state(&self) -> Outcome<PinState> {
        let high = match &*self.lease.handle {
            Opened::Kernel(line) => {
                let mut values = LineValues::from_slice(&[false]);
                v2::get_line_values(line, &mut values).map_err(kernel)?;
                values.get(0).ok_or(GpioError::HardwareFault)?
            }
            _ => self.simulated()?,
        };
        Ok(self.state_of(high))
    }

    #[cold]
    fn simulated(&self) -> Outcome<bool> {
        match self.ask(&Request::Get) {
            Some(Message::Level(high)) => Ok(high),
            _ => Err(GpioError::HardwareFault),
        }
    }

    /// Has edges told from now on.
    fn watch_edges(&self) -> Outcome<()> {
        if self.shared {
            return Err(GpioError::AlreadyInUse);
        }
        if self.watched.get() {
            return Ok(());
        }
        match &*self.lease.handle {
            Opened::Kernel(line) => {
                let both = LineFlags::EDGE_RISING | LineFlags::EDGE_FALLING;
                v2::set_line_config(line, self.line_config(LineFlags::INPUT | both))
                    .map_err(kernel)?;
            }
            _ => self.done(&Request::Watch)?,
        }
        self.watched.set(true);
        Ok(())
    }

    fn line_config(&self, flags: LineFlags) -> LineConfig {
        let pull = match self.config.pull {
            None => LineFlags::empty(),
            Some(PullResistor::PullUp) => LineFlags::BIAS_PULL_UP,
            Some(PullResistor::PullDown) => LineFlags::BIAS_PULL_DOWN,
        };
        LineConfig {
            flags: flags | pull,
            ..LineConfig::default()
        }
    }

    fn ask(&self, request: &Request) -> Option<Message> {
        self.channel
            .ask(self.lease.descriptor(), request, |changed| {
                self.record(changed.high, changed.at, changed.lost);
            })
    }

    fn done(&self, request: &Request) -> Outcome<()> {
        match self.ask(request) {
            Some(Message::Done) => Ok(()),
            _ => Err(GpioError::HardwareFault),
        }
    }

    fn record(&self, high: bool, at: u64, lost: u64) {
        let mut log = self.log.borrow_mut();
        log.lose(lost);
        log.record(Edge {
            state: self.state_of(high),
            at: self.clock.of_kernel(at),
        });
    }

    /// Takes what the kernel or the board has told. Who can't tell any more is gone.
    fn drain(&self) {
        if let Opened::Kernel(line) = &*self.lease.handle {
            let edge = &self.lease.edge;
            while is_readable(line.as_fd()) {
                let mut bytes = [0_u8; KERNEL_QUEUE * size_of::<LineEdgeEvent>()];
                let length = match rustix::io::read(line, &mut bytes) {
                    Ok(length @ 1..) => length,
                    Err(Errno::INTR | Errno::AGAIN) => continue,
                    _ => return self.gone.set(true),
                };
                for event in bytes[..length].chunks_exact(size_of::<LineEdgeEvent>()) {
                    let words = event.as_chunks().0.iter();
                    let words: Vec<u64> = words.map(|word| u64::from_ne_bytes(*word)).collect();
                    let Ok(event) = LineEdgeEvent::from_slice(&words) else {
                        return;
                    };
                    let skipped = event.line_seqno.wrapping_sub(edge.get());
                    edge.set(event.line_seqno);
                    let high = event.kind == LineEdgeEventKind::RisingEdge as u32;
                    self.record(high, event.timestamp_ns, skipped.saturating_sub(1).into());
                }
            }
        } else {
            let answers = self.channel.drain(self.lease.descriptor(), |changed| {
                self.record(changed.high, changed.at, changed.lost);
            });
            self.gone.set(!answers);
        }
    }
}

/// A pollable of a pin.
struct PinWatch {
    line: Rc<Line>,
    event: PinEvent,
    mark: EdgeMark,
}

impl PinWatch {
    fn is_ready(&self) -> bool {
        match self.event {
            // No edge will come from a pin that is gone; the next call says so.
            PinEvent::Edge(state) => {
                self.line.gone.get() || self.line.log.borrow_mut().passed(state, self.mark)
            }
            // A pin that can't be read is one to read, so that the app is told.
            PinEvent::State(state) => {
                self.line.log.borrow().came(state, self.mark)
                    || self.line.state().map_or(true, |now| now == state)
            }
        }
    }
}

impl Event for PinWatch {
    fn watch(&self) -> Watch<'_> {
        if self.is_ready() {
            return Watch::Ready;
        }
        Watch::Descriptor(self.line.lease.descriptor(), Interest::Read)
    }

    fn arrived(&self) -> bool {
        self.line.drain();
        self.is_ready()
    }
}

/// An error of the GPIO uAPI as the interface's.
#[cold]
fn kernel(error: gpiocdev_uapi::Error) -> GpioError {
    let gpiocdev_uapi::Error::Os(error) = error else {
        return GpioError::HardwareFault;
    };
    match Errno::from_raw_os_error(error.0) {
        Errno::INVAL => GpioError::PinModeNotAvailable,
        Errno::OPNOTSUPP | Errno::NXIO => GpioError::OperationNotSupported,
        Errno::BUSY => GpioError::AlreadyInUse,
        Errno::PERM => GpioError::PinModeNotAllowed,
        _ => GpioError::HardwareFault,
    }
}
