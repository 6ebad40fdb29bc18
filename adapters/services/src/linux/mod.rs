//! The services of one app on Linux. What a grant does not give is there all the same and answers with the interface's
//! error. Opens nothing by name except what the app's data folder and the resolver need.

mod clocks;
mod devices;
mod files;
mod poll;
mod sockets;
mod stdio;

use vyoma_capabilities::capability::Capability;
use vyoma_component::host::{Interface, Platform};
use vyoma_component::services::{Datetime, Instant, Pollable, Services, StreamError};
use vyoma_component::vyoma::{adc::Adc, device::Device, uart::Uart};
use vyoma_component::wasi::sockets::AllSockets;
use vyoma_component::wasi::{cli::Cli, clocks::Clocks, filesystem::Files, io::Io, random::Random};
use vyoma_component::wasi::{gpio::Gpio, i2c::I2c, spi::Spi};
use vyoma_runtime::{EngineError, RunConfig};

use self::clocks::Monotonic;
pub(crate) use self::files::io_error;
pub(crate) use self::poll::{Event, Wait, Watch};
use crate::linux::stdio::{Counted, Discard, End, Standard};

/// Where a guest's bytes come from: what is behind an `input-stream`.
pub(crate) trait Source {
    /// See [`Services::read`].
    fn read(&mut self, most: usize) -> Result<Vec<u8>, StreamError>;
    /// See [`Services::input_ready`].
    fn ready(&self) -> Pollable<Wait>;
}

/// Where a guest's bytes go: what is behind an `output-stream`.
pub(crate) trait Sink {
    /// See [`Services::check_write`].
    fn check_write(&mut self) -> Result<u64, StreamError>;
    /// See [`Services::write`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError>;
    /// See [`Services::flush`].
    fn flush(&mut self) -> Result<(), StreamError>;
    /// See [`Services::output_ready`].
    fn ready(&self) -> Pollable<Wait>;
    /// See [`Services::is_unbuffered`].
    fn is_unbuffered(&self) -> bool {
        false
    }
}

/// An `input-stream`.
pub struct Input(Box<dyn Source>);

impl Input {
    pub(crate) fn new(source: impl Source + 'static) -> Self {
        Self(Box::new(source))
    }
}

/// An `output-stream`.
pub struct Output(Box<dyn Sink>);

impl Output {
    pub(crate) fn new(sink: impl Sink + 'static) -> Self {
        Self(Box::new(sink))
    }
}

/// Everything that a guest can ask of Linux, as its grants allow.
pub struct Linux {
    /// Grants and the data folder, for the parts of this module.
    pub(crate) config: RunConfig,
    clock: Monotonic,
    devices: devices::Devices,
    files: files::Files,
    net: sockets::Net,
    seed: (u64, u64),
}

impl Linux {
    /// For one run. What the process needs later than that, it has when this returned.
    pub fn new(mut config: RunConfig) -> Result<Self, EngineError> {
        if config.grants.filesystem && config.data.is_none() {
            return Err(EngineError::Engine {
                engine: "services",
                message: "the filesystem grant needs the data folder".to_owned(),
            });
        }
        let mut seed = [[0; 8]; 2];
        for half in &mut seed {
            fill_random(half);
        }
        Ok(Self {
            files: files::Files::new(&config)?,
            net: sockets::Net::default(),
            devices: devices::Devices::new(std::mem::take(&mut config.devices)),
            config,
            clock: Monotonic::start(),
            seed: (u64::from_ne_bytes(seed[0]), u64::from_ne_bytes(seed[1])),
        })
    }
}

impl Linux {
    /// Counts `answer` if it is a refusal.
    pub(crate) fn judge<T, E>(
        &self,
        capability: Capability,
        answer: Result<T, E>,
        is_refusal: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        answer.inspect_err(|error| {
            if is_refusal(error) {
                self.config.activity.refused(capability);
            }
        })
    }

    /// A standard stream whose uses are counted.
    fn counted<T>(&self, stream: T) -> Counted<T> {
        Counted::new(stream, &self.config.activity, self.config.grants.stdio)
    }

    /// Where standard output or error goes.
    fn output(&self, standard: Standard) -> Output {
        if self.config.grants.stdio {
            Output::new(self.counted(standard))
        } else {
            Output::new(self.counted(Discard))
        }
    }
}

impl Platform for Linux {
    fn packages() -> &'static [&'static [&'static Interface<Self>]] {
        &[
            Cli::<Self>::ALL,
            Clocks::<Self>::ALL,
            Io::<Self>::ALL,
            Random::<Self>::ALL,
            Files::<Self>::ALL,
            AllSockets::<Self>::ALL,
            Gpio::<Self>::ALL,
            I2c::<Self>::ALL,
            Spi::<Self>::ALL,
            Device::<Self>::ALL,
            Uart::<Self>::ALL,
            Adc::<Self>::ALL,
        ]
    }
}

impl Services for Linux {
    type Input = Input;
    type Output = Output;
    type Wait = Wait;

    fn arguments(&mut self) -> Vec<String> {
        std::iter::once(&self.config.name)
            .chain(&self.config.args)
            .cloned()
            .collect()
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        self.config.env.clone()
    }

    fn monotonic_now(&mut self) -> Instant {
        self.clock.now()
    }

    fn monotonic_resolution(&mut self) -> u64 {
        Monotonic::resolution()
    }

    fn wall_now(&mut self) -> Datetime {
        clocks::wall_now()
    }

    fn wall_resolution(&mut self) -> Datetime {
        clocks::wall_resolution()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        fill_random(bytes);
    }

    fn insecure_seed(&mut self) -> (u64, u64) {
        self.seed
    }

    fn stdin(&mut self) -> Input {
        if self.config.grants.stdio {
            Input::new(self.counted(Standard::stdin()))
        } else {
            Input::new(self.counted(End))
        }
    }

    fn stdout(&mut self) -> Output {
        self.output(Standard::stdout())
    }

    fn stderr(&mut self) -> Output {
        self.output(Standard::stderr())
    }

    fn read(&mut self, input: &mut Input, most: u64) -> Result<Vec<u8>, StreamError> {
        input.0.read(usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn input_ready(&mut self, input: &Input) -> Pollable<Wait> {
        input.0.ready()
    }

    fn check_write(&mut self, output: &mut Output) -> Result<u64, StreamError> {
        output.0.check_write()
    }

    fn write(&mut self, output: &mut Output, bytes: &[u8]) -> Result<(), StreamError> {
        output.0.write(bytes)
    }

    fn flush(&mut self, output: &mut Output) -> Result<(), StreamError> {
        output.0.flush()
    }

    fn is_unbuffered(&mut self, output: &Output) -> bool {
        output.0.is_unbuffered()
    }

    fn output_ready(&mut self, output: &Output) -> Pollable<Wait> {
        output.0.ready()
    }

    fn poll(&mut self, pollables: &[Pollable<Wait>]) -> Vec<u32> {
        self.net.poll(&self.clock, pollables)
    }

    fn is_ready(&mut self, pollable: &Pollable<Wait>) -> bool {
        poll::is_ready(&self.clock, pollable)
    }
}

/// # Panics
/// When the kernel has no `getrandom`: before Linux 3.17, or locked in by a filter that forbids it.
fn fill_random(bytes: &mut [u8]) {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => panic!("getrandom: {errno}"),
        }
    }
}

#[cfg(test)]
mod tests;
