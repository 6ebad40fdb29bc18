//! A guest and a platform in memory, for tests of the host functions.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of several test programs")]

use std::collections::VecDeque;

use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::handles::Handles;
use vyoma_component::host::{self, Interface, Linked, Platform, Unlinked};
use vyoma_component::program::{CoreType, Import, Signature, Target};
use vyoma_component::services::{Datetime, Instant, IoError, Pollable, Services, StreamError};
use vyoma_component::trap::Trap;
use vyoma_component::wasi::{cli::Cli, clocks::Clocks, io::Io, random::Random};

/// What the guest's allocator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// Gives memory behind what it gave before.
    Honest,
    /// Gives this, whatever was asked for.
    Answers(u32),
    /// Grows memory by so many bytes, then is honest.
    Grows(usize),
    /// Makes memory this long, which no engine can, then answers 0.
    Shrinks(usize),
    Traps,
}

/// A guest that is inside a host call.
pub struct Memory {
    pub bytes: Vec<u8>,
    pub allocator: Allocator,
    /// Where the honest allocator goes on.
    pub next: u32,
    /// (old pointer, old size, alignment, new size) of each call.
    pub calls: Vec<(u32, u32, u32, u32)>,
}

impl Memory {
    pub fn new(length: usize) -> Self {
        Self {
            bytes: vec![0; length],
            allocator: Allocator::Honest,
            next: 256,
            calls: Vec::new(),
        }
    }

    pub fn word(&self, at: u32) -> u32 {
        let at = at as usize;
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    pub fn long(&self, at: u32) -> u64 {
        let at = at as usize;
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    pub fn put(&mut self, at: u32, bytes: &[u8]) {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub fn put_words(&mut self, at: u32, words: &[u32]) {
        for (index, word) in (0..).zip(words) {
            self.put(at + 4 * index, &word.to_le_bytes());
        }
    }

    /// The list or string whose pointer and length are at `at`.
    pub fn list(&self, at: u32) -> &[u8] {
        &self.bytes[self.word(at) as usize..][..self.word(at + 4) as usize]
    }
}

impl Guest for Memory {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn realloc(
        &mut self,
        realloc: Realloc,
        old_pointer: u32,
        old_size: u32,
        alignment: u32,
        new_size: u32,
    ) -> Result<u32, Trap> {
        assert_eq!(realloc, Realloc(0));
        self.calls
            .push((old_pointer, old_size, alignment, new_size));
        match self.allocator {
            Allocator::Traps => return Err(Trap::Guest),
            Allocator::Answers(pointer) => return Ok(pointer),
            Allocator::Shrinks(length) => {
                self.bytes.truncate(length);
                return Ok(0);
            }
            Allocator::Grows(more) => {
                let length = self.bytes.len();
                self.bytes.resize(length + more, 0);
                self.next = self.next.max(length as u32);
            }
            Allocator::Honest => {}
        }
        let at = self.next.next_multiple_of(alignment);
        self.next = at + new_size;
        Ok(at)
    }
}

/// What the next read, write, flush or check of a stream does.
#[derive(Debug, Clone)]
pub enum Step {
    /// `read` gives these, as many as asked for.
    Bytes(&'static [u8]),
    /// `check-write` permits so many.
    Permit(u64),
    Closed,
    Failed(&'static str),
    Broken(&'static str),
}

impl Step {
    fn error(self) -> StreamError {
        match self {
            Self::Closed => StreamError::Closed,
            Self::Failed(message) => StreamError::Failed(IoError {
                message: message.to_owned(),
                filesystem_code: None,
            }),
            Self::Broken(rule) => StreamError::Trap(rule),
            other => panic!("{other:?} in the place of an error"),
        }
    }
}

/// A stream whose answers are written down beforehand.
#[derive(Default)]
pub struct Input(pub VecDeque<Step>);

/// Likewise.
#[derive(Default)]
pub struct Output {
    pub checks: VecDeque<Step>,
    pub flushes: VecDeque<Step>,
    pub writes: VecDeque<Step>,
    pub unbuffered: bool,
}

/// A platform whose clock moves when someone waits.
#[derive(Default)]
pub struct Bench {
    pub now: Instant,
    pub stdin: VecDeque<Step>,
    pub stdout: Output,
    /// What the host functions asked for, in order.
    pub trace: Vec<String>,
}

impl Platform for Bench {
    fn packages() -> &'static [&'static [&'static Interface<Self>]] {
        &[
            Cli::<Self>::ALL,
            Clocks::<Self>::ALL,
            Io::<Self>::ALL,
            Random::<Self>::ALL,
        ]
    }
}

impl Services for Bench {
    type Input = Input;
    type Output = Output;
    /// Ready from the start or never.
    type Wait = bool;

    fn arguments(&mut self) -> Vec<String> {
        vec!["app".to_owned(), "--größe".to_owned(), String::new()]
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        vec![("KEY".to_owned(), "value".to_owned())]
    }

    fn monotonic_now(&mut self) -> Instant {
        self.now
    }

    fn monotonic_resolution(&mut self) -> u64 {
        1
    }

    fn wall_now(&mut self) -> Datetime {
        Datetime {
            seconds: 0x0123_4567_89ab_cdef,
            nanoseconds: 999_999_999,
        }
    }

    fn wall_resolution(&mut self) -> Datetime {
        Datetime::default()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        bytes.fill(0xa5);
    }

    fn insecure_seed(&mut self) -> (u64, u64) {
        (1, 2)
    }

    fn stdin(&mut self) -> Input {
        Input(std::mem::take(&mut self.stdin))
    }

    fn stdout(&mut self) -> Output {
        std::mem::take(&mut self.stdout)
    }

    fn stderr(&mut self) -> Output {
        Output::default()
    }

    fn read(&mut self, input: &mut Input, most: u64) -> Result<Vec<u8>, StreamError> {
        self.trace.push(format!("read {most}"));
        match input.0.pop_front() {
            None => Ok(Vec::new()),
            Some(Step::Bytes(bytes)) => Ok(bytes[..bytes.len().min(most as usize)].to_vec()),
            Some(error) => Err(error.error()),
        }
    }

    fn input_ready(&mut self, _: &Input) -> Pollable<bool> {
        Pollable::Event(true)
    }

    fn check_write(&mut self, output: &mut Output) -> Result<u64, StreamError> {
        self.trace.push("check".to_owned());
        match output.checks.pop_front() {
            None => Ok(0),
            Some(Step::Permit(permit)) => Ok(permit),
            Some(error) => Err(error.error()),
        }
    }

    fn write(&mut self, output: &mut Output, bytes: &[u8]) -> Result<(), StreamError> {
        self.trace.push(format!("write {}", bytes.escape_ascii()));
        output
            .writes
            .pop_front()
            .map_or(Ok(()), |step| Err(step.error()))
    }

    fn flush(&mut self, output: &mut Output) -> Result<(), StreamError> {
        self.trace.push("flush".to_owned());
        output
            .flushes
            .pop_front()
            .map_or(Ok(()), |step| Err(step.error()))
    }

    fn is_unbuffered(&mut self, output: &Output) -> bool {
        output.unbuffered
    }

    fn output_ready(&mut self, _: &Output) -> Pollable<bool> {
        Pollable::Event(true)
    }

    fn poll(&mut self, pollables: &[Pollable<bool>]) -> Vec<u32> {
        self.trace.push("wait".to_owned());
        let ready = |bench: &mut Self| -> Vec<u32> {
            (0..)
                .zip(pollables)
                .filter(|(_, pollable)| bench.is_ready(pollable))
                .map(|(index, _)| index)
                .collect()
        };
        let first = ready(self);
        if !first.is_empty() {
            return first;
        }
        self.now = pollables
            .iter()
            .filter_map(|pollable| match pollable {
                Pollable::At(when) => Some(*when),
                _ => None,
            })
            .min()
            .expect("something to wait for");
        ready(self)
    }

    fn is_ready(&mut self, pollable: &Pollable<bool>) -> bool {
        match pollable {
            Pollable::Ready => true,
            Pollable::At(when) => *when <= self.now,
            Pollable::Event(ready) => *ready,
        }
    }
}

/// A guest on [`Bench`] (or another platform), and its calls.
pub struct Run<S: 'static = Bench> {
    pub services: S,
    pub handles: Handles,
    pub memory: Memory,
}

impl Run {
    pub fn new() -> Self {
        Self::on(Bench::default())
    }

    /// A handle for stdin, whose reads give this.
    pub fn stdin(&mut self, steps: impl IntoIterator<Item = Step>) -> u32 {
        self.services.stdin = steps.into_iter().collect();
        self.value("wasi:cli/stdin", "get-stdin", &[]).unwrap() as u32
    }

    /// A handle for stdout, whose `check-write` gives this.
    pub fn stdout(&mut self, checks: impl IntoIterator<Item = Step>) -> u32 {
        self.services.stdout.checks = checks.into_iter().collect();
        self.value("wasi:cli/stdout", "get-stdout", &[]).unwrap() as u32
    }
}

impl<S: Platform> Run<S> {
    pub fn on(services: S) -> Self {
        Self {
            services,
            handles: Handles::new(64),
            memory: Memory::new(65536),
        }
    }

    /// Links and calls; gives the first slot.
    pub fn value(
        &mut self,
        interface: &str,
        function: &str,
        arguments: &[u64],
    ) -> Result<u64, Trap> {
        let target = Target::Function {
            interface: format!("{interface}@0.2.0").into(),
            function: function.to_owned().into(),
        };
        self.target(target, arguments)
    }

    /// Likewise, without a result or with one in memory.
    pub fn call(&mut self, interface: &str, function: &str, arguments: &[u64]) -> Result<(), Trap> {
        self.value(interface, function, arguments).map(drop)
    }

    pub fn drop(&mut self, interface: &str, resource: &str, handle: u32) -> Result<(), Trap> {
        let target = Target::Drop {
            interface: format!("{interface}@0.2.0").into(),
            resource: resource.to_owned().into(),
        };
        self.target(target, &[handle.into()]).map(drop)
    }

    fn target(&mut self, target: Target<'_>, arguments: &[u64]) -> Result<u64, Trap> {
        let linked = link_any::<S>(target);
        let mut slots = vec![0xdead_beef_dead_beef; linked.slots];
        assert!(arguments.len() <= slots.len(), "too many arguments");
        slots[..arguments.len()].copy_from_slice(arguments);
        host::call(
            &linked,
            &mut self.services,
            &mut self.handles,
            &mut self.memory,
            &mut slots,
        )?;
        Ok(slots[0])
    }
}

pub fn import(target: Target<'_>, signature: Signature) -> Import<'_> {
    Import {
        module: "m".into(),
        field: "f".into(),
        signature,
        target,
        realloc: Some(Realloc(0)),
    }
}

/// With the signature that the function has.
fn link_any<S: Platform>(target: Target<'_>) -> Linked<S> {
    let signature = match &target {
        Target::Drop { .. } => Signature {
            params: vec![CoreType::I32],
            result: None,
        },
        Target::Function {
            interface,
            function,
        } => signature_of::<S>(interface.split('@').next().unwrap(), function),
    };
    host::link(&import(target, signature)).unwrap_or_else(|why: Unlinked| panic!("{why}"))
}

pub fn signature_of<S: Platform>(interface: &str, function: &str) -> Signature {
    let function = S::interfaces()
        .filter(|candidate| candidate.name == interface)
        .flat_map(|interface| interface.functions)
        .find(|candidate| candidate.name == function)
        .unwrap_or_else(|| panic!("no {function} of {interface}"));
    (function.signature)().signature()
}
