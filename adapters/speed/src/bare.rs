//! The least that lets the speed guest run where there is no WASI: its arguments, a clock, and streams that take every
//! byte. No handles, no grants, no checks; that is the point. Called by both bare embeddings.

use std::io::Write as _;
use std::time::Instant;

use vyoma_component::program::{Import, Target};

/// Handle of stdout, and of stdin, which is not read: what is written to it is forgotten.
const STDOUT: u64 = 1;
/// Handle of stderr.
const STDERR: u64 = 2;

/// A guest inside a host call.
pub(crate) trait Guest {
    fn memory(&mut self) -> &mut [u8];
    fn realloc(&mut self, size: u32) -> Option<u32>;
}

/// What one run keeps.
pub(crate) struct Host {
    begun: Instant,
    args: Vec<String>,
    calls: Vec<Call>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Now,
    Arguments,
    EmptyList,
    Stream(u64),
    CheckWrite,
    Write,
    Flush,
    /// An option without a value.
    Nothing,
    /// Nothing to do, and nothing to give.
    Drop,
    Missing,
}

fn call_of(import: &Import<'_>) -> Call {
    let Target::Function {
        interface,
        function,
    } = &import.target
    else {
        return Call::Drop;
    };
    match &**function {
        "now" if interface.starts_with("wasi:clocks/monotonic-clock") => Call::Now,
        "get-arguments" => Call::Arguments,
        "get-environment" | "get-directories" => Call::EmptyList,
        // A pollable bears the number of its stream, which may always be written to, so it is always ready.
        "get-stdin" | "get-stdout" | "[method]output-stream.subscribe" => Call::Stream(STDOUT),
        "get-stderr" => Call::Stream(STDERR),
        "[method]output-stream.check-write" => Call::CheckWrite,
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            Call::Write
        }
        "[method]output-stream.blocking-flush" | "[method]output-stream.flush" => Call::Flush,
        "get-terminal-stdin" | "get-terminal-stdout" | "get-terminal-stderr" => Call::Nothing,
        "[method]pollable.block" => Call::Drop,
        _ => Call::Missing,
    }
}

impl Host {
    pub(crate) fn new(imports: &[Import<'_>], args: &[&str]) -> Self {
        Self {
            begun: Instant::now(),
            args: std::iter::once("speed")
                .chain(args.iter().copied())
                .map(str::to_owned)
                .collect(),
            calls: imports.iter().map(call_of).collect(),
        }
    }

    /// Parameters in, the result in the first slot. Nothing: the guest can't go on.
    pub(crate) fn call(
        &self,
        import: usize,
        guest: &mut dyn Guest,
        slots: &mut [u64],
    ) -> Option<()> {
        let slot = |n: usize| slots.get(n).map(|&value| value as u32);
        match self.calls.get(import)? {
            Call::Now => slots[0] = self.begun.elapsed().as_nanos() as u64,
            Call::Arguments => {
                let place = slot(0)?;
                let list = guest.realloc(self.args.len() as u32 * 8)?;
                for (index, arg) in self.args.iter().enumerate() {
                    let text = guest.realloc(arg.len() as u32)?;
                    put(guest, text, arg.as_bytes())?;
                    let entry = list + index as u32 * 8;
                    put(guest, entry, &text.to_le_bytes())?;
                    put(guest, entry + 4, &(arg.len() as u32).to_le_bytes())?;
                }
                put(guest, place, &list.to_le_bytes())?;
                put(guest, place + 4, &(self.args.len() as u32).to_le_bytes())?;
            }
            // A list of nothing, at an address that is aligned.
            Call::EmptyList => put(guest, slot(0)?, &[8, 0, 0, 0, 0, 0, 0, 0])?,
            Call::Stream(handle) => *slots.first_mut()? = *handle,
            Call::CheckWrite => {
                put(guest, slot(1)?, &[0])?;
                put(guest, slot(1)? + 8, &4096_u64.to_le_bytes())?;
            }
            Call::Write => {
                let (from, length) = (slot(1)? as usize, slot(2)? as usize);
                let bytes = guest.memory().get(from..from.checked_add(length)?)?;
                if u64::from(slot(0)?) == STDERR {
                    std::io::stderr().write_all(bytes).ok()?;
                }
                put(guest, slot(3)?, &[0])?;
            }
            Call::Flush => put(guest, slot(1)?, &[0])?,
            Call::Nothing => put(guest, slot(0)?, &[0])?,
            Call::Drop => {}
            Call::Missing => return None,
        }
        Some(())
    }
}

fn put(guest: &mut dyn Guest, at: u32, bytes: &[u8]) -> Option<()> {
    let at = at as usize;
    guest
        .memory()
        .get_mut(at..at.checked_add(bytes.len())?)?
        .copy_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory(Vec<u8>, u32);

    impl Guest for Memory {
        fn memory(&mut self) -> &mut [u8] {
            &mut self.0
        }
        fn realloc(&mut self, size: u32) -> Option<u32> {
            self.1 += size;
            Some(self.1 - size)
        }
    }

    #[test]
    fn arguments_arrive_after_the_name_of_the_program() {
        let host = Host {
            calls: vec![Call::Arguments],
            ..Host::new(&[], &["fib"])
        };
        let mut guest = Memory(vec![0; 256], 64);
        assert_eq!(host.call(0, &mut guest, &mut [16]), Some(()));
        assert_eq!(guest.0[16..24], [64, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(guest.0[80..85], *b"speed");
        assert_eq!(guest.0[72..80], [85, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(guest.0[85..88], *b"fib");
    }

    #[test]
    fn a_place_outside_memory_ends_the_guest() {
        let host = Host {
            calls: vec![Call::EmptyList],
            ..Host::new(&[], &[])
        };
        let mut guest = Memory(vec![0; 8], 0);
        assert_eq!(host.call(0, &mut guest, &mut [4]), None);
    }
}
