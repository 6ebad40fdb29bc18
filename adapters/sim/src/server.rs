//! A board and the sockets of those who use it, served by one thread. Whoever opens, drives or reads the board does so
//! under its lock; the thread only answers requests. No app can hold it up: what an app does not read is not told to it,
//! and counted.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use vyoma_capabilities::board::{Board, Details, Device, Kind, Safe, Serial};
use vyoma_capabilities::control::ControlError;
use vyoma_capabilities::control::sim::{SimAnswer, SimRequest};

use crate::machine::{Change, Machine};
use crate::wire::{MAX_MESSAGE, Message, Request};

mod ask;

use ask::hang_up;

/// Most bytes of what an app said on a serial line that are kept for whoever asks; the oldest go first.
const MAX_SAID: usize = 64 * 1024;

/// A running simulation. It ends when the last clone of it was dropped and the last app closed its devices.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// A byte in it makes the thread look again at what it waits for.
    wake: OwnedFd,
}

struct State {
    board: Board,
    machine: Machine,
    serials: Vec<SerialLine>,
    ends: Vec<End>,
    /// For one message.
    buffer: Vec<u8>,
}

/// Our end of a device.
struct End {
    socket: OwnedFd,
    what: What,
}

enum What {
    Pin {
        chip: usize,
        line: u32,
        safe: Safe,
        watched: bool,
        lost: u32,
    },
    I2c(usize),
    Spi(usize),
    Adc(usize),
    Uart(usize),
}

/// The far end of a serial line.
#[derive(Default)]
struct SerialLine {
    script: Serial,
    /// What was said since the last end of a line.
    line: Vec<u8>,
    /// What was said in all.
    said: Vec<u8>,
    /// Nobody is at the far end any more.
    broken: bool,
}

impl Simulator {
    /// Starts to simulate `board`.
    pub fn start(board: &Board) -> io::Result<Self> {
        let (woken, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let serials = board.uart.iter().map(|port| {
            let script = port.serial.clone().unwrap_or_default();
            SerialLine {
                broken: script.broken,
                script,
                ..SerialLine::default()
            }
        });
        let state = State {
            board: board.clone(),
            machine: Machine::new(board),
            serials: serials.collect(),
            ends: Vec::new(),
            buffer: alloc::vec![0; MAX_MESSAGE],
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake,
        });
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("simulator".into())
            .spawn(move || {
                while let Some(shared) = weak.upgrade() {
                    // Waits on copies, so that others may use the board meanwhile.
                    let Ok(sockets) = shared.lock().sockets() else {
                        return;
                    };
                    drop(shared);
                    if !wait(&woken, &sockets) {
                        return;
                    }
                    drop(sockets);
                    if let Some(shared) = weak.upgrade() {
                        shared.lock().serve();
                    }
                }
            })?;
        Ok(Self { shared })
    }

    /// The app's end of a device: what it is given in the place of the kernel's descriptor.
    pub fn open(&self, device: &Device) -> io::Result<OwnedFd> {
        let kind = if device.kind == Kind::Uart {
            SocketType::STREAM
        } else {
            SocketType::SEQPACKET
        };
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        // Room for the largest message; the kernel may give less, and a message that is larger then fails by itself.
        for end in [&ours, &theirs] {
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(end, 2 * MAX_MESSAGE);
        }
        rustix::io::ioctl_fionbio(&ours, true)?;
        let place = device.place;
        let what = match (device.kind, &device.details) {
            (Kind::Gpio, Details::Pin { line, safe, .. }) => What::Pin {
                chip: place,
                line: *line,
                safe: *safe,
                watched: false,
                lost: 0,
            },
            (Kind::I2c, _) => What::I2c(place),
            (Kind::Spi, _) => What::Spi(place),
            (Kind::Adc, _) => What::Adc(place),
            (Kind::Uart | Kind::Gpio, _) => What::Uart(place),
        };
        let mut state = self.shared.lock();
        if let What::Uart(port) = what
            && let Some(serial) = state.serials.get_mut(port)
        {
            serial.line.clear();
            let _ = rustix::io::write(&ours, serial.script.says.as_bytes());
            if serial.broken {
                hang_up(&ours);
            }
        }
        state.ends.push(End { socket: ours, what });
        drop(state);
        self.shared.look();
        Ok(theirs)
    }

    /// What an operator asks. Nobody is served meanwhile.
    pub fn ask(&self, request: &SimRequest) -> Result<Option<SimAnswer>, ControlError> {
        self.shared.lock().ask(request)
    }
}

impl core::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Simulator")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves a board that is as good as any other.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the thread look at the list anew.
    fn look(&self) {
        // Full: it will look anyway.
        let _ = rustix::io::write(&self.wake, &[0]);
    }
}

/// Waits until there is something to do; false when nobody holds the simulation any more.
fn wait(woken: &OwnedFd, sockets: &[OwnedFd]) -> bool {
    let mut fds: Vec<PollFd<'_>> = core::iter::once(woken)
        .chain(sockets)
        .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
        .collect();
    match rustix::event::poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(_) => return false,
    }
    let mut bytes = [0; 64];
    !matches!(rustix::io::read(woken, &mut bytes), Ok(0))
}

impl State {
    fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.ends.iter().map(|end| end.socket.try_clone()).collect()
    }

    /// Answers whatever was asked, and forgets whoever is gone.
    fn serve(&mut self) {
        let mut place = 0;
        while place < self.ends.len() {
            if self.serve_one(place) {
                place += 1;
            } else {
                let end = self.ends.swap_remove(place);
                self.close(&end.what);
            }
        }
    }

    /// An output goes to its safe state whatever ended its app.
    fn close(&mut self, what: &What) {
        if let What::Pin {
            chip, line, safe, ..
        } = *what
        {
            // Opened anew already: it is that one's.
            let same = |end: &End| matches!(end.what, What::Pin { chip: c, line: l, .. } if (c, l) == (chip, line));
            if self.ends.iter().any(same) {
                return;
            }
            if self.machine.output(chip, line).is_none() {
                return;
            }
            let output = match safe {
                Safe::Input => None,
                Safe::Low => Some(false),
                Safe::High => Some(true),
            };
            let changes = self.machine.set_output(chip, line, output);
            self.tell(&changes.unwrap_or_default());
        }
    }

    /// False when the app closed the device.
    fn serve_one(&mut self, place: usize) -> bool {
        let mut buffer = core::mem::take(&mut self.buffer);
        let open = self.serve_with(place, &mut buffer);
        self.buffer = buffer;
        open
    }

    fn serve_with(&mut self, place: usize, buffer: &mut [u8]) -> bool {
        loop {
            let end = &self.ends[place];
            let length = match rustix::io::read(&end.socket, &mut *buffer) {
                Ok(0) => return false,
                Ok(length) => length,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            };
            let bytes = &buffer[..length];
            if let What::Uart(port) = end.what {
                self.hear(place, port, bytes);
                continue;
            }
            let Ok(request) = postcard::from_bytes(bytes) else {
                return false;
            };
            let (answer, changes) = self.answer(place, request);
            // Told before it is answered: who has the answer finds the changes that came of it.
            self.tell(&changes);
            self.ends[place].send(&answer);
        }
    }

    fn answer(&mut self, place: usize, request: Request) -> (Message, Vec<Change>) {
        let machine = &mut self.machine;
        let what = &mut self.ends[place].what;
        let mut changes = Vec::new();
        let read = |outcome| match outcome {
            Ok(read) => Message::Read(read),
            Err(fault) => Message::Fault(fault),
        };
        let answer = match (request, what) {
            (Request::Set(output), What::Pin { chip, line, .. }) => {
                match machine.set_output(*chip, *line, output) {
                    Some(changed) => {
                        changes = changed;
                        Message::Done
                    }
                    None => Message::Broken,
                }
            }
            (Request::Get, What::Pin { chip, line, .. }) => machine
                .level(*chip, *line)
                .map_or(Message::Broken, Message::Level),
            (Request::Watch, What::Pin { watched, .. }) => {
                *watched = true;
                Message::Done
            }
            (
                Request::I2c {
                    address,
                    operations,
                },
                What::I2c(bus),
            ) => read(machine.i2c(*bus, address, &operations)),
            (Request::Spi(operations), What::Spi(device)) => machine
                .spi(*device, &operations)
                .map_or(Message::Broken, Message::Read),
            (Request::Sample, What::Adc(channel)) => machine
                .sample(*channel)
                .map_or(Message::Broken, Message::Sample),
            _ => Message::Broken,
        };
        (answer, changes)
    }

    /// Tells those who watch.
    fn tell(&mut self, changes: &[Change]) {
        for change in changes {
            let at = now();
            for end in &mut self.ends {
                if let What::Pin {
                    chip,
                    line,
                    watched: true,
                    lost,
                    ..
                } = &mut end.what
                    && (*chip, *line) == (change.chip, change.line)
                {
                    let message = Message::Changed {
                        high: change.high,
                        at,
                        lost: *lost,
                    };
                    *lost = if send(&end.socket, &message) {
                        0
                    } else {
                        *lost + 1
                    };
                }
            }
        }
    }

    /// Bytes that an app sends on a serial line.
    fn hear(&mut self, place: usize, port: usize, bytes: &[u8]) {
        let Some(serial) = self.serials.get_mut(port) else {
            return;
        };
        serial.said.extend(bytes);
        let excess = serial.said.len().saturating_sub(MAX_SAID);
        serial.said.drain(..excess);
        let mut back = Vec::new();
        for byte in bytes {
            if serial.script.echo {
                back.push(*byte);
            }
            if !matches!(byte, b'\r' | b'\n') {
                serial.line.push(*byte);
                serial.line.truncate(MAX_SAID);
                continue;
            }
            let line = core::mem::take(&mut serial.line);
            let reply = core::str::from_utf8(&line)
                .ok()
                .and_then(|line| serial.script.replies.get(line));
            back.extend(reply.map_or(&[][..], |reply| reply.as_bytes()));
        }
        let _ = rustix::io::write(&self.ends[place].socket, &back);
    }
}

impl End {
    fn send(&self, message: &Message) {
        send(&self.socket, message);
    }
}

/// Whether there was room.
fn send(socket: &OwnedFd, message: &Message) -> bool {
    postcard::to_allocvec(message).is_ok_and(|bytes| rustix::io::write(socket, &bytes).is_ok())
}

/// Nanoseconds of CLOCK_MONOTONIC.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
