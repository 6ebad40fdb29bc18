//! A run of an app, from loading to its end: lets it run, and serves its host calls one by one.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;

use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_time::{Instant, Timer};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::{Action, Ending, Event as Life};
use vyoma_component::services::DeviceError;

use super::access::Outside;
use super::devices::Opened;
use super::inspect::does_not_fit;
use super::output::Output;
use super::run::Run;
use super::{App, Device, Figures, now_ms};
use crate::calls::{self, Call, End, Event, NONE, PORT, Refusal, STDIN};
use crate::context::Stop;
use crate::faults::Fault;
use crate::{board, guest, pins};

/// Longest text of an ending: it is in every answer to `ps`.
const ENDING_TEXT: usize = 200;

/// Why a run does not go on.
enum Over {
    Ended(Ending),
    /// It named memory that is not its own, or made a call that there is not. Only a defect of the interpreter can do that.
    Broke,
}

impl From<Outside> for Over {
    fn from(_: Outside) -> Self {
        Self::Broke
    }
}

/// Runs the app to its end.
pub(super) async fn run(device: &'static Device, app: &Rc<App>) -> Ending {
    *app.figures.borrow_mut() = Figures::default();
    let loader = device.loader.lock().await;
    let Some(run) = Run::load(device, app.component, app.arena_bytes.get(), guest::load) else {
        return no_room(device, 0);
    };
    let mut serving = Serving {
        device,
        app,
        run,
        output: Output::new(),
        opened: Opened::new(device),
    };
    // Until it is loaded nobody else may be.
    let mut loader = Some(loader);
    let ending = loop {
        match serving.step().await {
            Ok(true) => {}
            Ok(false) => drop(loader.take()),
            Err(Over::Ended(ending)) => break ending,
            Err(Over::Broke) => break Ending::Trapped("host: a call that is none".into()),
        }
    };
    serving.output.finish(device, app).await;
    ending
}

/// It did not fit into what is free now.
fn no_room(device: &Device, needs: u32) -> Ending {
    let free = device.pool.borrow().largest();
    Ending::NotStarted(does_not_fit(needs, free.end - free.start))
}

/// It was tried in an arena of so many bytes.
fn too_small(arena: u32, needs: u32) -> Ending {
    // The estimate said that it would fit, and it was wrong.
    let needs = if needs <= arena { 0 } else { needs };
    Ending::NotStarted(does_not_fit(needs, arena))
}

struct Serving<'a> {
    device: &'static Device,
    app: &'a Rc<App>,
    run: Run,
    output: Output,
    opened: Opened,
}

impl Drop for Serving<'_> {
    /// However the run ends: a last look at its memory, while it is still there.
    fn drop(&mut self) {
        self.app.measure();
        *self.app.placement.borrow_mut() = None;
    }
}

impl Serving<'_> {
    /// Lets it run until it stops, and sees to that. False: it was loaded just now.
    async fn step(&mut self) -> Result<bool, Over> {
        let (stop, us) = self.run.enter();
        self.app.figures.borrow_mut().ran_us += us;
        match stop {
            Stop::Call => {
                let [number, arguments @ ..] = self.run.arguments()?;
                let call = Call::of(number).ok_or(Over::Broke)?;
                if call == Call::Loaded {
                    return self.loaded(arguments).await.map(|()| false);
                }
                self.app.figures.borrow_mut().host_calls += 1;
                self.serve(call, arguments).await?;
                self.tell(Life::Alive);
            }
            Stop::Preempted => {
                yield_now().await;
                self.look_at_watchdog()?;
            }
            Stop::Fault => return Err(Over::Ended(self.fault())),
        }
        Ok(true)
    }

    fn tell(&self, event: Life) -> bool {
        let actions = self.app.machine.borrow_mut().handle(now_ms(), event);
        actions.contains(&Action::Kill)
    }

    /// It has been running without a host call: too long?
    fn look_at_watchdog(&self) -> Result<(), Over> {
        if self.tell(Life::Tick) {
            return Err(Over::Ended(Ending::Watchdog));
        }
        Ok(())
    }

    fn fault(&self) -> Ending {
        let fault = Fault::take();
        if fault.is_overflow(self.run.stack().start) {
            return Ending::Trapped(vyoma_adapter_wasm3::words::STACK.into());
        }
        Ending::Trapped(format!("host: fault, {fault}"))
    }

    async fn loaded(&mut self, [loaded, code, linear]: [u32; 3]) -> Result<(), Over> {
        self.run.begin(loaded)?;
        let placement = self.run.placement();
        let bytes = placement.arena.end - placement.arena.start;
        self.app.arena_bytes.set(Some(bytes));
        *self.app.placement.borrow_mut() = Some(placement);
        {
            let mut figures = self.app.figures.borrow_mut();
            figures.code = code;
            figures.linear = linear;
        }
        let text = format!(
            "sha256 {}, interpreted, {bytes} bytes of memory",
            hex::encode(&self.app.sha256),
        );
        self.tell(Life::Spawned);
        let name = Some(self.app.name());
        self.device.event(name, "app-started", &text).await;
        let text = self.app.figures().line();
        self.device.event(name, "memory", &text).await;
        Ok(())
    }

    async fn serve(&mut self, call: Call, [one, two, three]: [u32; 3]) -> Result<(), Over> {
        match call {
            Call::End => return Err(Over::Ended(self.ended(one, two, three)?)),
            Call::Loaded => return Err(Over::Broke),
            Call::Argument => {
                let app = &self.app.manifest.app;
                let text = match one {
                    0 => Some(app.name.clone()),
                    n => app.args.get(n as usize - 1).cloned(),
                };
                self.text(text, two, three)?;
            }
            Call::Variable => {
                let variable = self.app.manifest.app.env.iter().nth(one as usize);
                let text = variable.map(|(key, value)| format!("{key}={value}"));
                self.text(text, two, three)?;
            }
            Call::Now => {
                let now = now_ns();
                self.run.answer(now as u32, (now >> 32) as u32)?;
            }
            Call::WallClock => {
                // Nobody set it: it starts at 1970 with the device.
                let now = Instant::now().as_micros();
                let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
                let words = [seconds as u32, (seconds >> 32) as u32, micros as u32 * 1000];
                self.run.access.set_words(one, &words)?;
            }
            Call::Random => board::random(self.run.access.write(one, two)?),
            Call::Write => {
                let bytes = self.run.access.read(two, three)?;
                match one {
                    PORT if self.has_port() => board::UART.send(bytes, board::uart_start).await,
                    PORT => {}
                    _ => self.output.write(self.device, self.app, one, bytes).await,
                }
            }
            Call::Read => {
                let count = match one {
                    STDIN => self.read(two, three)?,
                    _ => self.read_port(two, three)?,
                };
                self.run.answer(count, 0)?;
            }
            Call::Poll => self.poll(one, two, three != 0).await?,
            Call::Open => {
                let kind = calls::Device::of(one).ok_or(Over::Broke)?;
                let opened = self.opened.open(&self.app.grants, kind, two, three);
                let value = opened.unwrap_or(0);
                self.run
                    .answer(Refusal::encode(opened.map(|_| ())), value)?;
            }
            Call::Close => {
                let kind = calls::Device::of(one).ok_or(Over::Broke)?;
                self.opened.close(kind, two);
            }
            Call::Drive => board::pin_drive(self.pin(one)?, two != 0),
            Call::Sample => {
                let kind = calls::Device::of(one).ok_or(Over::Broke)?;
                let number = self.opened.has(kind, two).ok_or(Over::Broke)?;
                let sample = match kind {
                    calls::Device::Pin => Ok(board::pin_level(number).into()),
                    calls::Device::Uart => Ok(board::UART.lost()),
                    calls::Device::Channel => board::channel_sample(number),
                };
                let (refusal, value) = match sample {
                    Ok(value) => (Ok(()), value),
                    Err(error) => (Err(Refusal::from(error)), 0),
                };
                self.run.answer(Refusal::encode(refusal), value)?;
            }
            Call::Watch => {
                let watched = watch(self.pin(one)?);
                self.run.answer(Refusal::encode(watched), 0)?;
            }
            Call::Edge => {
                let taken = pins::take(self.pin(one)?);
                if let Some((edge, lost)) = taken {
                    let (low, high) = (edge.at as u32, (edge.at >> 32) as u32);
                    let words = [edge.high.into(), low, high, lost];
                    self.run.access.set_words(two, &words)?;
                }
                self.run.answer(taken.is_some().into(), 0)?;
            }
        }
        Ok(())
    }

    fn ended(&self, how: u32, code: u32, length: u32) -> Result<Ending, Over> {
        let words = || -> Result<String, Over> {
            let bytes = self.run.access.read(code, length)?;
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(ENDING_TEXT)]);
            Ok(text.into_owned())
        };
        Ok(match End::of(how).ok_or(Over::Broke)? {
            End::Exit => Ending::Exited(code as u8),
            End::Trap => Ending::Trapped(words()?),
            End::Memory if self.run.access.loading => too_small(self.run.arena_bytes(), 0),
            End::Memory => Ending::OutOfMemory,
            End::Refused => Ending::NotStarted(words()?),
            End::NoRoom => too_small(self.run.arena_bytes(), code),
            End::Needs => return Err(Over::Broke),
        })
    }

    fn text(&mut self, text: Option<String>, address: u32, room: u32) -> Result<(), Over> {
        let length = match text {
            Some(text) => {
                let cut = &text.as_bytes()[..text.len().min(room as usize)];
                let place = self.run.access.write(address, cut.len() as u32)?;
                place.copy_from_slice(cut);
                text.len() as u32
            }
            None => NONE,
        };
        Ok(self.run.answer(length, 0)?)
    }

    fn read(&mut self, address: u32, room: u32) -> Result<u32, Over> {
        if !self.app.grants.stdio {
            return Ok(NONE);
        }
        let mut stdin = self.app.stdin.borrow_mut();
        let Some(available) = stdin.available() else {
            return Ok(NONE);
        };
        if room == 0 {
            return Ok(available as u32);
        }
        Ok(stdin.read(self.run.access.write(address, room)?) as u32)
    }

    fn has_port(&self) -> bool {
        self.app.grants.uart.is_some() && self.opened.has_any(calls::Device::Uart)
    }

    fn read_port(&mut self, address: u32, room: u32) -> Result<u32, Over> {
        if !self.has_port() {
            return Ok(NONE);
        }
        if room == 0 {
            return Ok(board::UART.available() as u32);
        }
        Ok(board::UART.read(self.run.access.write(address, room)?) as u32)
    }

    /// A pin that it has open.
    fn pin(&self, number: u32) -> Result<u8, Over> {
        let pin = self.opened.has(calls::Device::Pin, number);
        pin.ok_or(Over::Broke)
    }

    fn has_input(&self, stream: u32) -> bool {
        match stream {
            STDIN => !self.app.grants.stdio || self.app.stdin.borrow().available() != Some(0),
            _ => !self.has_port() || board::UART.available() > 0,
        }
    }

    async fn poll(&mut self, address: u32, count: u32, wait: bool) -> Result<(), Over> {
        /// Words of an [`Event`].
        const WORDS: u32 = 4;
        let place = |index: u32| {
            index
                .checked_mul(WORDS * 4)
                .and_then(|offset| address.checked_add(offset))
                .ok_or(Outside)
        };
        loop {
            let now = now_ns();
            let mut first = u64::MAX;
            let mut ready = !wait;
            for index in 0..count {
                let at = place(index)?;
                let [kind, number, low, high] = self.run.access.words(at)?;
                let is_ready = match kind {
                    Event::READY => true,
                    Event::AT => {
                        let instant = u64::from(low) | u64::from(high) << 32;
                        if instant > now {
                            first = first.min(instant);
                        }
                        instant <= now
                    }
                    Event::INPUT => self.has_input(number),
                    Event::EDGE => pins::waits(self.pin(number)?),
                    _ => return Err(Over::Broke),
                };
                if is_ready {
                    ready = true;
                    self.run.access.set_words(at, &[Event::READY])?;
                }
            }
            if ready {
                return Ok(());
            }
            let timer = async {
                if first == u64::MAX {
                    core::future::pending::<()>().await;
                }
                Timer::at(Instant::from_micros(first.div_ceil(1000))).await;
            };
            select(timer, self.app.event.wait()).await;
        }
    }
}

/// Begins to keep the edges of a pin.
fn watch(pin: u8) -> Result<(), Refusal> {
    if !pins::watch(pin) {
        // As many are watched as can be.
        return Err(DeviceError::NotSupported.into());
    }
    board::pin_watch(pin).map_err(|error| {
        pins::forget(pin);
        error.into()
    })
}

/// Nanoseconds since the start.
fn now_ns() -> u64 {
    Instant::now().as_micros() * 1000
}
