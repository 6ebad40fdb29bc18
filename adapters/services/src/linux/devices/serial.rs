//! Serial ports: terminals in raw mode, or the far end of a simulated line. Their streams are the guest's streams.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::termios::{ControlModes, OptionalActions, tcflush, tcgetattr, tcsetattr};
use vyoma_capabilities::board::{Details, Kind};
use vyoma_capabilities::capability::Capability;
use vyoma_component::services::{
    DeviceError, OpenPort, Parity, Pollable, StopBits, StreamError, UartConfig, Uarts,
};

use super::Lease;
use crate::linux::poll::{Event, Interest, Wait, Watch};
use crate::linux::{Input, Linux, Output, Sink, Source, io_error};

/// Most bytes that one read hands over: what a terminal's own buffer holds.
const MAX_READ: usize = 4096;
/// Most bytes of one write: a terminal that `poll` calls writable has room for as many (WAKEUP_CHARS of the kernel).
const MAX_WRITE: u64 = 256;

/// A port that an app has open.
pub struct Port {
    line: Rc<Line>,
    config: UartConfig,
    /// Lost bytes when it was opened.
    lost: u64,
}

struct Line {
    lease: Lease,
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lease.descriptor()
    }
}

impl Uarts for Linux {
    type Port = Port;

    fn open_uart(
        &mut self,
        name: &str,
        config: Option<UartConfig>,
    ) -> Result<OpenPort<Self>, DeviceError> {
        let (device, lease) = self.devices.open(Kind::Uart, name, &self.config)?;
        let Details::Uart { baud } = device.details else {
            return Err(DeviceError::HardwareFault);
        };
        let granted = UartConfig::granted(config, baud);
        let config = self.judge(Capability::Uart, granted, |error| {
            *error == DeviceError::NotAllowed
        })?;
        if let Some(terminal) = lease.kernel() {
            set_up(terminal, config).map_err(|errno| match errno {
                Errno::INVAL | Errno::OPNOTSUPP => DeviceError::InvalidArgument,
                _ => DeviceError::HardwareFault,
            })?;
        }
        let line = Rc::new(Line { lease });
        let port = Port {
            lost: line.lost(),
            line: Rc::clone(&line),
            config,
        };
        Ok((
            port,
            Input::new(Reader(Rc::clone(&line))),
            Output::new(Writer(line)),
        ))
    }

    fn uart_config(&mut self, port: &Port) -> UartConfig {
        port.config
    }

    fn uart_lost(&mut self, port: &mut Port) -> u64 {
        port.line.lost().saturating_sub(port.lost)
    }
}

/// Raw bytes at the asked rate; whatever came before is dropped.
fn set_up(terminal: BorrowedFd<'_>, config: UartConfig) -> Result<(), Errno> {
    let mut termios = tcgetattr(terminal)?;
    termios.make_raw();
    let bits = match config.data_bits {
        5 => ControlModes::CS5,
        6 => ControlModes::CS6,
        7 => ControlModes::CS7,
        _ => ControlModes::CS8,
    };
    let modes = &mut termios.control_modes;
    // Rust's name for the bits of CSIZE is that of all four together.
    modes.remove(ControlModes::CSIZE | ControlModes::CRTSCTS);
    modes.insert(bits | ControlModes::CLOCAL | ControlModes::CREAD);
    modes.set(ControlModes::PARENB, config.parity != Parity::None);
    modes.set(ControlModes::PARODD, config.parity == Parity::Odd);
    modes.set(ControlModes::CSTOPB, config.stop_bits == StopBits::Two);
    termios.set_speed(config.baud)?;
    tcsetattr(terminal, OptionalActions::Now, &termios)?;
    tcflush(terminal, rustix::termios::QueueSelector::IFlush)?;
    // The kernel takes the nearest rate that the port has; more than 3 % away no receiver understands.
    let rate = tcgetattr(terminal)?.output_speed();
    let error = u64::from(rate.abs_diff(config.baud)) * 100;
    if error > u64::from(config.baud) * 3 {
        return Err(Errno::INVAL);
    }
    Ok(())
}

/// `struct serial_icounter_struct` of linux/serial.h
#[repr(C)]
#[derive(Default)]
struct Counters {
    modem: [i32; 4],
    received: i32,
    sent: i32,
    frame: i32,
    overrun: i32,
    parity: i32,
    break_: i32,
    buffer_overrun: i32,
    reserved: [i32; 9],
}

/// asm-generic/ioctls.h
const TIOCGICOUNT: rustix::ioctl::Opcode = 0x545d;

impl Line {
    /// Bytes that the port lost since it exists; nothing where it does not count them.
    fn lost(&self) -> u64 {
        let Some(terminal) = self.lease.kernel() else {
            return 0;
        };
        let mut counters = Counters::default();
        // SAFETY: TIOCGICOUNT writes a `struct serial_icounter_struct`, which `Counters` is.
        let outcome = unsafe {
            let call = rustix::ioctl::Updater::<TIOCGICOUNT, Counters>::new(&mut counters);
            rustix::ioctl::ioctl(terminal, call)
        };
        if outcome.is_err() {
            return 0;
        }
        let counts = [
            counters.frame,
            counters.overrun,
            counters.parity,
            counters.buffer_overrun,
        ];
        counts
            .iter()
            .map(|count| u64::from(count.cast_unsigned()))
            .sum()
    }

    fn is_ready(&self, events: PollFlags, timeout: Option<&Timespec>) -> bool {
        match rustix::event::poll(&mut [PollFd::new(self, events)], timeout) {
            Ok(ready) => ready > 0,
            Err(Errno::INTR) => false,
            Err(_) => true,
        }
    }
}

struct LineEvent {
    line: Rc<Line>,
    interest: Interest,
}

impl Event for LineEvent {
    fn watch(&self) -> Watch<'_> {
        Watch::Descriptor(self.line.as_fd(), self.interest)
    }
}

struct Reader(Rc<Line>);

impl Source for Reader {
    fn read(&mut self, most: usize) -> Result<Vec<u8>, StreamError> {
        if most == 0 || !self.0.is_ready(PollFlags::IN, Some(&Timespec::default())) {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0; most.min(MAX_READ)];
        match rustix::io::read(&*self.0, &mut buffer) {
            // The port went away.
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(StreamError::Failed(io_error(errno))),
        }
    }

    fn ready(&self) -> Pollable<Wait> {
        Wait::pollable(LineEvent {
            line: Rc::clone(&self.0),
            interest: Interest::Read,
        })
    }
}

struct Writer(Rc<Line>);

impl Sink for Writer {
    fn check_write(&mut self) -> Result<u64, StreamError> {
        let ready = self.0.is_ready(PollFlags::OUT, Some(&Timespec::default()));
        Ok(if ready { MAX_WRITE } else { 0 })
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        if bytes.len() as u64 > MAX_WRITE {
            return Err(StreamError::Trap(vyoma_runtime::trap::WRITE_BUDGET));
        }
        while !bytes.is_empty() {
            match rustix::io::write(&*self.0, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.0.is_ready(PollFlags::OUT, None);
                }
                Err(Errno::PIPE) => return Err(StreamError::Closed),
                Err(errno) => return Err(StreamError::Failed(io_error(errno))),
            }
        }
        Ok(())
    }

    /// What was written is on its way; a UART has no end to tell that it arrived.
    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn ready(&self) -> Pollable<Wait> {
        Wait::pollable(LineEvent {
            line: Rc::clone(&self.0),
            interest: Interest::Write,
        })
    }

    fn is_unbuffered(&self) -> bool {
        true
    }
}
