//! A run of an app, from loading to its end: lets it run, and serves its host calls one by one.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_time::{Instant, Timer};
use vyoma_capabilities::lifecycle::{Action, Ending, Event as Life};

use super::access::Outside;
use super::life::hex;
use super::output::Output;
use super::run::Run;
use super::{App, Device, Figures, now_ms};
use crate::calls::{Call, End, Event, NONE};
use crate::context::Stop;
use crate::faults::Fault;
use crate::{board, stack};

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
    let Some(run) = Run::load(device, app) else {
        return no_room(device, app);
    };
    let mut serving = Serving {
        device,
        app,
        run,
        output: Output::new(),
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
    serving.measure();
    ending
}

fn no_room(device: &Device, app: &App) -> Ending {
    let needs = vyoma_component::program::Program::of(app.component).map(|program| {
        program
            .needs
            .microcontroller_bytes(u64::from(crate::constants::STACK_BYTES))
    });
    let free = device.pool.borrow().largest();
    let needs = needs.map_or_else(
        |_| "more".to_string(),
        |bytes| format!("about {} KiB", bytes.div_ceil(1024)),
    );
    Ending::NotStarted(format!(
        "does not fit: needs {needs} of memory, {} KiB are free in one piece",
        (free.end - free.start) / 1024
    ))
}

struct Serving<'a> {
    device: &'static Device,
    app: &'a Rc<App>,
    run: Run,
    output: Output,
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
                    return self.loaded(arguments[0]).await.map(|()| false);
                }
                self.app.figures.borrow_mut().host_calls += 1;
                self.serve(call, arguments).await?;
                self.tell(Life::Alive);
            }
            Stop::Preempted => {
                self.app.figures.borrow_mut().preemptions += 1;
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

    async fn loaded(&mut self, loaded: u32) -> Result<(), Over> {
        self.measure();
        self.run.begin(loaded)?;
        self.app.arena_bytes.set(Some(self.run.arena_bytes()));
        self.app.figures.borrow_mut().arena = self.run.arena_bytes();
        let text = format!(
            "sha256 {}, interpreted, {} bytes of memory",
            hex(&self.app.sha256),
            self.run.arena_bytes()
        );
        self.tell(Life::Spawned);
        self.device
            .event(Some(self.app), "app-started", &text)
            .await;
        Ok(())
    }

    /// Looks at its stack and its heap.
    fn measure(&self) {
        let used = stack::used(self.run.stack());
        let space = self.run.space();
        let mut figures = self.app.figures.borrow_mut();
        figures.heap_peak = space.heap().peak();
        if self.run.access.loading {
            figures.loader_stack = used;
        } else {
            figures.stack = used;
        }
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
                self.output.write(self.device, self.app, one, bytes).await;
            }
            Call::Read => {
                let count = self.read(one, two)?;
                self.run.answer(count, 0)?;
            }
            Call::Poll => self.poll(one, two, three != 0).await?,
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
            End::Memory => Ending::OutOfMemory,
            End::Refused => Ending::NotStarted(words()?),
            End::NoRoom => no_room(self.device, self.app),
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
                let [kind, _, low, high] = self.run.access.words(at)?;
                let is_ready = match kind {
                    Event::READY => true,
                    Event::AT => {
                        let instant = u64::from(low) | u64::from(high) << 32;
                        if instant > now {
                            first = first.min(instant);
                        }
                        instant <= now
                    }
                    Event::STDIN => {
                        !self.app.grants.stdio || self.app.stdin.borrow().available() != Some(0)
                    }
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

/// Nanoseconds since the start.
fn now_ns() -> u64 {
    Instant::now().as_micros() * 1000
}
