//! A host whose clock and input follow a script: what an app does under it is the same in every run, and takes no time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use vyoma_adapter_wasm3::engine::{Caller, Error, Function, Host, Limits, Machine, Stop};
use vyoma_component::program::{Program, Target};

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// What happens to an app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// Its arguments after its name.
    pub(crate) arguments: &'static [&'static str],
    /// What comes on standard input, each at its nanosecond, in order of time. After the last, nothing.
    pub(crate) input: Vec<(u64, String)>,
    /// When standard input ends; absent: never.
    pub(crate) input_ends: Option<u64>,
    /// When the app is stopped.
    pub(crate) ends: u64,
    /// When each rising edge of the one input comes; after the last, none.
    pub(crate) edges: Vec<u64>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// `run` returned, or `exit` was called: whether with success.
    Exited(bool),
    /// It trapped, in wasm3's words.
    Trapped(&'static str),
    /// The script was over.
    Stopped,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) ending: Ending,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// Calls of `blocking-write-and-flush`.
    pub(crate) writes: usize,
    /// What its output was set to, one after the other.
    pub(crate) levels: Vec<bool>,
    /// The lowest address below `stack` that isn't zero, counted from `stack` down: bytes of shadow stack that were used.
    pub(crate) stack_used: usize,
}

/// Linear memory of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// As small as a microcontroller makes it: up to `__heap_base`.
    Small,
    /// Some pages, for programs with `std`.
    Pages(u32),
}

/// Runs a component.
pub(crate) fn run(component: &[u8], memory: Memory, stack: usize, script: &Script) -> Outcome {
    let program = Program::of(component).expect("a program");
    let heap_base = program.needs.heap_base.expect("an exported __heap_base");
    let (memory_pages, memory_bytes) = match memory {
        Memory::Small => (1, Some(heap_base.next_multiple_of(16))),
        Memory::Pages(pages) => (pages, None),
    };
    let limits = Limits {
        stack_bytes: 64 << 10,
        memory_pages,
        memory_bytes,
    };
    let mut machine = Machine::new(&program.module, &limits).expect("a module that wasm3 takes");
    let marker = 0_u8;
    machine.limit_native_stack((&raw const marker).addr() - (256 << 10));
    let names = program.imports.iter().map(|import| match &import.target {
        Target::Function {
            interface,
            function,
        } => (bare(interface), function.to_string()),
        Target::Drop {
            interface,
            resource,
        } => (bare(interface), format!("drop {resource}")),
    });
    let mut host = Scripted {
        script: script.clone(),
        names: names.collect(),
        realloc: machine.function("cabi_realloc"),
        now: 1,
        input: 0,
        timers: Vec::new(),
        streams: [const { Vec::new() }; 2],
        writes: 0,
        edge: 0,
        levels: Vec::new(),
        exited: None,
        fault: None,
    };
    let run = machine.function(&program.run).expect("an entry");
    let called = machine.call(run, &[], &mut host);
    if let Some(fault) = host.fault {
        resume_unwind(fault);
    }
    let ending = match (called, host.exited) {
        (Ok(Some(result)), _) => Ending::Exited(result == 0),
        (Err(Error::Host), Some(success)) => Ending::Exited(success),
        (Err(Error::Host), None) => Ending::Stopped,
        (Err(Error::Trap(why)), _) => Ending::Trapped(why),
        (other, _) => panic!("{other:?}"),
    };
    let touched = machine.memory()[..stack].iter().position(|byte| *byte != 0);
    let [out, err] = host
        .streams
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Outcome {
        ending,
        out,
        err,
        writes: host.writes,
        levels: host.levels,
        stack_used: touched.map_or(0, |first| stack - first),
    }
}

fn bare(interface: &str) -> String {
    interface.split('@').next().unwrap_or_default().to_owned()
}

/// Handles: streams, the pollable of standard input, and timers after it.
const OUT: u64 = 1;
const STDIN: u64 = 3;
const READABLE: u64 = 4;
const DEVICE: u32 = 5;
const FIRST_TIMER: u64 = 6;

struct Scripted {
    script: Script,
    /// Interface and function of each import.
    names: Vec<(String, String)>,
    realloc: Option<Function>,
    /// Nanoseconds.
    now: u64,
    /// The next of `script.input`.
    input: usize,
    /// Moments; dropped ones stay.
    timers: Vec<u64>,
    streams: [Vec<u8>; 2],
    writes: usize,
    /// The next of `script.edges`.
    edge: usize,
    levels: Vec<bool>,
    exited: Option<bool>,
    /// A panic of this host.
    fault: Option<Box<dyn Any + Send>>,
}

impl Host for Scripted {
    fn call(&mut self, import: u32, slots: &mut [u64], guest: &mut Caller<'_>) -> Result<(), Stop> {
        // A panic must not unwind through wasm3: it goes on when the run is over.
        let call = AssertUnwindSafe(|| self.serve(import, slots, guest));
        catch_unwind(call).unwrap_or_else(|fault| {
            self.fault = Some(fault);
            Err(Stop)
        })
    }
}

impl Scripted {
    fn serve(
        &mut self,
        import: u32,
        slots: &mut [u64],
        guest: &mut Caller<'_>,
    ) -> Result<(), Stop> {
        // Every call takes a microsecond.
        self.now += 1000;
        if self.now >= self.script.ends {
            return Err(Stop);
        }
        let (interface, function) = self.names[import as usize].clone();
        match (interface.as_str(), function.as_str()) {
            ("wasi:cli/stdout", _) => slots[0] = OUT,
            ("wasi:cli/stderr", _) => slots[0] = OUT + 1,
            ("wasi:cli/stdin", _) => slots[0] = STDIN,
            ("wasi:cli/exit", "exit") => {
                self.exited = Some(slots[0] as u32 == 0);
                return Err(Stop);
            }
            ("wasi:cli/environment", "get-arguments") => {
                self.arguments(slots[0] as u32 as usize, guest)?;
            }
            ("wasi:cli/environment", "get-environment")
            | ("wasi:filesystem/preopens", "get-directories") => {
                store(guest, slots[0] as u32 as usize, &[0, 0]);
            }
            ("wasi:io/streams", "[method]output-stream.blocking-write-and-flush") => {
                let [stream, start, length, result] =
                    [0, 1, 2, 3].map(|slot| slots[slot] as u32 as usize);
                let bytes = &guest.memory()[start..start + length];
                assert!(length <= 4096, "a write of {length} bytes");
                self.streams[stream - OUT as usize].extend_from_slice(bytes);
                self.writes += 1;
                guest.memory()[result] = 0;
            }
            // What only programs with `std` call.
            ("wasi:io/streams", "[method]output-stream.check-write") => {
                let result = slots[1] as u32 as usize;
                store(guest, result, &[0, 0, 4096, 0]);
            }
            ("wasi:io/streams", "[method]output-stream.write") => {
                let [stream, start, length, result] =
                    [0, 1, 2, 3].map(|slot| slots[slot] as u32 as usize);
                let bytes = &guest.memory()[start..start + length];
                self.streams[stream - OUT as usize].extend_from_slice(bytes);
                self.writes += 1;
                guest.memory()[result] = 0;
            }
            ("wasi:io/streams", "[method]output-stream.blocking-flush") => {
                guest.memory()[slots[1] as u32 as usize] = 0;
            }
            ("wasi:io/streams", "[method]output-stream.subscribe") => {
                slots[0] = self.new_timer(0);
            }
            (
                "wasi:cli/terminal-stdout" | "wasi:cli/terminal-stderr" | "wasi:cli/terminal-stdin",
                _,
            ) => {
                guest.memory()[slots[0] as u32 as usize] = 0;
            }
            ("wasi:io/streams", "[method]input-stream.subscribe") => slots[0] = READABLE,
            ("wasi:io/streams", "[method]input-stream.blocking-read") => {
                let [_, most, result] = [0, 1, 2].map(|slot| slots[slot] as u32 as usize);
                self.read(most, result, guest)?;
            }
            ("wasi:io/poll", "poll") => {
                let [start, length, result] = [0, 1, 2].map(|slot| slots[slot] as u32 as usize);
                self.poll(start, length, result, guest)?;
            }
            ("wasi:io/poll", "[method]pollable.block") => {
                self.wait_until(self.timer(slots[0] as u32))?;
            }
            ("wasi:clocks/monotonic-clock", "now") => slots[0] = self.now,
            ("wasi:clocks/monotonic-clock", "subscribe-instant") => {
                slots[0] = self.new_timer(slots[0]);
            }
            ("wasi:clocks/monotonic-clock", "subscribe-duration") => {
                slots[0] = self.new_timer(self.now + slots[0]);
            }
            ("wasi:clocks/wall-clock", "now") => {
                // 2026-11-25 00:00:00 UTC when the script begins.
                let seconds = 1_795_564_800 + self.now / SECOND;
                let nanoseconds = (self.now % SECOND) as u32;
                let words = [seconds as u32, (seconds >> 32) as u32, nanoseconds];
                store(guest, slots[0] as u32 as usize, &words);
            }
            (_, drop) if drop.starts_with("drop ") => {}
            (device, _) if device.contains("gpio") || device.contains("i2c") => {
                self.serve_device(&function, slots, guest)?;
            }
            ("vyoma:device/buses" | "vyoma:adc/adc", _) => {
                self.serve_device(&function, slots, guest)?;
            }
            other => panic!("the script has no {other:?}"),
        }
        Ok(())
    }

    /// One output, one input, a converter at 2048 of 4095, and a sensor at 25 degrees.
    fn serve_device(
        &mut self,
        function: &str,
        slots: &mut [u64],
        guest: &mut Caller<'_>,
    ) -> Result<(), Stop> {
        let last = |count: usize| slots[count - 1] as u32 as usize;
        match function {
            "get-digital-out" | "get-digital-in" => store(guest, last(4), &[0, DEVICE]),
            "open-i2c" | "open" => store(guest, last(3), &[0, DEVICE]),
            "[method]digital-out-pin.set-active" | "[method]digital-out-pin.set-inactive" => {
                self.levels.push(function.ends_with("set-active"));
                guest.memory()[last(2)] = 0;
            }
            "[method]digital-in-pin.watch-rising-edge" => {
                let next = self.script.edges.get(self.edge).copied();
                self.edge += 1;
                let timer = self.new_timer(next.unwrap_or(u64::MAX));
                store(guest, last(2), &[0, timer as u32]);
            }
            "[method]channel.get-range" => store(guest, last(2), &[4095, 3_300_000]),
            "[method]channel.read-raw" => store(guest, last(2), &[0, 2048]),
            "[method]i2c.write-read" => {
                let start = self.give(&[25, 0], 1, guest)?;
                store(guest, last(6), &[0, start, 2]);
            }
            other => panic!("the script has no device with {other}"),
        }
        Ok(())
    }

    fn new_timer(&mut self, moment: u64) -> u64 {
        self.timers.push(moment);
        FIRST_TIMER + self.timers.len() as u64 - 1
    }

    fn timer(&self, handle: u32) -> u64 {
        self.timers[(u64::from(handle) - FIRST_TIMER) as usize]
    }

    fn wait_until(&mut self, moment: u64) -> Result<(), Stop> {
        self.now = self.now.max(moment);
        if self.now < self.script.ends {
            Ok(())
        } else {
            Err(Stop)
        }
    }

    /// When standard input can be read next, be it to its end.
    fn readable(&self) -> u64 {
        let next = self.script.input.get(self.input).map(|(moment, _)| *moment);
        next.or(self.script.input_ends).unwrap_or(u64::MAX)
    }

    fn read(&mut self, most: usize, result: usize, guest: &mut Caller<'_>) -> Result<(), Stop> {
        self.wait_until(self.readable())?;
        let Some((_, text)) = self.script.input.get_mut(self.input) else {
            // error(closed)
            guest.memory()[result] = 1;
            guest.memory()[result + 4] = 1;
            return Ok(());
        };
        let rest = text.split_off(most.min(text.len()));
        let now = std::mem::replace(text, rest);
        if text.is_empty() {
            self.input += 1;
        }
        let start = self.give(now.as_bytes(), 1, guest)?;
        guest.memory()[result] = 0;
        store(guest, result + 4, &[start, now.len() as u32]);
        Ok(())
    }

    fn poll(
        &mut self,
        start: usize,
        length: usize,
        result: usize,
        guest: &mut Caller<'_>,
    ) -> Result<(), Stop> {
        let bytes = &guest.memory()[start..start + 4 * length];
        let moments: Vec<u64> = bytes
            .chunks_exact(4)
            .map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap())))
            .map(|handle| match handle {
                READABLE => self.readable(),
                timer => self.timer(timer as u32),
            })
            .collect();
        self.wait_until(
            moments
                .iter()
                .copied()
                .min()
                .expect("something to wait for"),
        )?;
        let ready = moments
            .iter()
            .enumerate()
            .filter(|(_, moment)| **moment <= self.now);
        let ready: Vec<u8> = ready
            .flat_map(|(at, _)| (at as u32).to_le_bytes())
            .collect();
        let start = self.give(&ready, 4, guest)?;
        store(guest, result, &[start, ready.len() as u32 / 4]);
        Ok(())
    }

    fn arguments(&mut self, result: usize, guest: &mut Caller<'_>) -> Result<(), Stop> {
        let mut list = Vec::new();
        for word in [&["app"], self.script.arguments].concat() {
            let start = self.give(word.as_bytes(), 1, guest)?;
            list.extend_from_slice(&start.to_le_bytes());
            list.extend_from_slice(&(word.len() as u32).to_le_bytes());
        }
        let start = self.give(&list, 4, guest)?;
        store(guest, result, &[start, list.len() as u32 / 8]);
        Ok(())
    }

    /// Puts a list where the guest wants it.
    fn give(&self, bytes: &[u8], align: u64, guest: &mut Caller<'_>) -> Result<u32, Stop> {
        let realloc = self.realloc.expect("an exported cabi_realloc");
        let start = guest.call(realloc, &[0, 0, align, bytes.len() as u64]);
        let start = start.map_err(|_| Stop)?.expect("an address") as usize;
        assert_eq!(
            start % align as usize,
            0,
            "cabi_realloc disregards alignment"
        );
        guest.memory()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(start as u32)
    }
}

fn store(guest: &mut Caller<'_>, at: usize, words: &[u32]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    guest.memory()[at..at + bytes.len()].copy_from_slice(&bytes);
}
