//! The file that an engine for core modules runs: a header that says what it was made of and for, the program's imports,
//! and the code itself. One format for WAMR and wasm3, machine code and core modules alike, so that a device needs no
//! parser of components to start an app. Wasmtime's artefact of a core module has the header, without payload, behind its own file.
//!
//! Written by the adapters' `compile` and by the ahead-of-time compiler on another machine; read by the adapters' `load`.
//! An artefact has no authority: whether it is the right one is decided by its key, whether it is whole by its SHA-256.
//! Deliberately not here: how the code is made and run, and who may write an artefact (machine code must come from a
//! trusted store; no check of a file can replace that).
//!
//! ```text
//!  0  magic, 8 bytes                     56  header length, u32: the header ends there
//!  8  format version, u32                60  payload offset, u32: a multiple of 64, at or after the header's end
//! 12  kind, u32: 0 core module,          64  payload length, u32: the payload ends the file
//!     1 machine code                     68  key, program: see `write`; strings are u32 length and UTF-8
//! 16  SHA-256 of 8 to 15 and of all      ..  zeros up to the payload
//!     that follows it
//! 48  zeros, 8 bytes
//! ```
//!
//! All numbers are little-endian.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use sha2::{Digest, Sha256};
use vyoma_component::guest::Realloc;
use vyoma_component::program::{CoreType, Import, Needs, Program, Signature, Target};
use vyoma_runtime::{ArtefactKey, EngineError};

/// The first bytes of every artefact.
pub const MAGIC: [u8; 8] = *b"\x7fVYOMAar";

/// Raised whenever the layout changes. Readers take their own version only: an artefact is made anew, never converted.
pub const VERSION: u32 = 1;

/// Where the payload starts is a multiple of this: a cache line, and enough for any engine that reads it in place.
const ALIGNMENT: usize = 64;

/// Where the digest stands. It covers all but itself and the magic.
const DIGEST: Range<usize> = 16..48;

/// Bytes before the key.
const FIXED: usize = 68;

/// Stands for "no realloc".
const NO_REALLOC: u32 = u32::MAX;

/// Stands for "no most pages" and "no heap base".
const NO_VALUE: u64 = u64::MAX;

/// What the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The program's core module, for an interpreter.
    CoreModule,
    /// Machine code in the engine's own format.
    MachineCode,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CoreModule => "core module",
            Self::MachineCode => "machine code",
        })
    }
}

/// An artefact, decoded in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact<'a> {
    /// What it was made of and for.
    pub key: ArtefactKey,
    /// What [`Artefact::payload`] is.
    pub kind: Kind,
    /// What the engine runs.
    pub payload: &'a [u8],
    /// Function imports, in the module's order.
    pub imports: Vec<Import<'a>>,
    /// The export that is `wasi:cli/run`'s `run`.
    pub run: &'a str,
    /// The exports that are `realloc` functions.
    pub reallocs: Vec<&'a str>,
    /// What it needs of its engine.
    pub needs: Needs,
}

/// Makes an artefact. `payload` is `program.module` itself or the machine code made of it.
pub fn encode(key: &ArtefactKey, kind: Kind, program: &Program<'_>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 4096);
    out.extend_from_slice(&MAGIC);
    put(&mut out, VERSION);
    put(
        &mut out,
        match kind {
            Kind::CoreModule => 0,
            Kind::MachineCode => 1,
        },
    );
    // The digest, zeros, and the three places: filled in below.
    out.resize(FIXED, 0);
    write(&mut out, key, program);
    let header = out.len();
    out.resize(header.next_multiple_of(ALIGNMENT), 0);
    let offset = out.len();
    out.extend_from_slice(payload);
    for (at, value) in [(56, header), (60, offset), (64, payload.len())] {
        out[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }
    let digest = digest(&out);
    out[DIGEST].copy_from_slice(&digest);
    out
}

fn digest(artefact: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&artefact[MAGIC.len()..DIGEST.start]);
    hash.update(&artefact[DIGEST.end..]);
    hash.finalize().into()
}

/// Everything between the fixed part and the payload.
fn write(out: &mut Vec<u8>, key: &ArtefactKey, program: &Program<'_>) {
    for part in [&key.component, &key.engine, &key.target, &key.flags] {
        put_text(out, part);
    }
    put_text(out, &program.run);
    put(out, program.reallocs.len() as u32);
    for realloc in &program.reallocs {
        put_text(out, realloc);
    }
    let needs = &program.needs;
    for value in [
        needs.memory_pages,
        needs.memory_max_pages.unwrap_or(NO_VALUE),
        needs.heap_base.map_or(NO_VALUE, u64::from),
        needs.table_entries,
        u64::from(needs.functions),
        u64::from(needs.code_bytes),
        u64::from(needs.globals),
    ] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    put(out, program.imports.len() as u32);
    for import in &program.imports {
        put_text(out, &import.module);
        put_text(out, &import.field);
        out.push(import.signature.params.len() as u8);
        out.extend(import.signature.params.iter().map(|&param| code(param)));
        out.push(import.signature.result.map_or(0, code));
        let (tag, interface, name) = match &import.target {
            Target::Function {
                interface,
                function,
            } => (0, interface, function),
            Target::Drop {
                interface,
                resource,
            } => (1, interface, resource),
        };
        out.push(tag);
        put_text(out, interface);
        put_text(out, name);
        put(out, import.realloc.map_or(NO_REALLOC, |realloc| realloc.0));
    }
}

fn put(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

fn code(core_type: CoreType) -> u8 {
    match core_type {
        CoreType::I32 => 1,
        CoreType::I64 => 2,
        CoreType::F32 => 3,
        CoreType::F64 => 4,
    }
}

/// Reads an artefact: whole and unchanged, or refused.
pub fn decode(bytes: &[u8]) -> Result<Artefact<'_>, EngineError> {
    if bytes.len() < FIXED || bytes[..8] != MAGIC {
        return Err(refused(format!(
            "not an artefact: {} bytes that start with {:02x?}, expected {MAGIC:02x?}",
            bytes.len(),
            &bytes[..bytes.len().min(8)]
        )));
    }
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if word(8) != VERSION {
        return Err(refused(format!(
            "artefact format {}, expected {VERSION}",
            word(8)
        )));
    }
    let kind = match word(12) {
        0 => Kind::CoreModule,
        1 => Kind::MachineCode,
        other => return Err(refused(format!("unknown kind of artefact {other}"))),
    };
    if digest(bytes) != bytes[DIGEST] {
        return Err(refused(
            "damaged: its SHA-256 is not the one in its header".to_owned(),
        ));
    }
    let [header, offset, length] = [word(56), word(60), word(64)].map(|value| value as usize);
    let places = header >= FIXED
        && offset >= header
        && offset.is_multiple_of(ALIGNMENT)
        && offset.checked_add(length) == Some(bytes.len());
    if !places {
        return Err(refused(format!(
            "its places do not fit: header to {header}, payload {length} at {offset}, file {}",
            bytes.len()
        )));
    }
    let mut reader = Reader {
        rest: &bytes[FIXED..header],
    };
    let artefact = reader
        .read(kind, &bytes[offset..])
        .filter(|_| reader.rest.is_empty());
    artefact.ok_or_else(|| refused("its header does not read".to_owned()))
}

fn refused(why: String) -> EngineError {
    EngineError::Artefact(why)
}

/// What is left of the header. None where it does not hold what is asked for.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn read(&mut self, kind: Kind, payload: &'a [u8]) -> Option<Artefact<'a>> {
        let key = ArtefactKey {
            component: self.text()?.to_owned(),
            engine: self.text()?.to_owned(),
            target: self.text()?.to_owned(),
            flags: self.text()?.to_owned(),
        };
        let run = self.text()?;
        // Counts are not believed: what they promise has to be there, so memory is bounded by the file's size.
        let mut reallocs = Vec::new();
        for _ in 0..self.word()? {
            reallocs.push(self.text()?);
        }
        let needs = self.needs()?;
        let mut imports = Vec::new();
        for _ in 0..self.word()? {
            imports.push(self.import(reallocs.len())?);
        }
        Some(Artefact {
            key,
            kind,
            payload,
            imports,
            run,
            reallocs,
            needs,
        })
    }

    fn needs(&mut self) -> Option<Needs> {
        let optional = |value: u64| (value != NO_VALUE).then_some(value);
        Some(Needs {
            memory_pages: self.long()?,
            memory_max_pages: optional(self.long()?),
            heap_base: optional(self.long()?).map(u32::try_from).transpose().ok()?,
            table_entries: self.long()?,
            functions: self.long()?.try_into().ok()?,
            code_bytes: self.long()?.try_into().ok()?,
            globals: self.long()?.try_into().ok()?,
        })
    }

    fn import(&mut self, reallocs: usize) -> Option<Import<'a>> {
        let module = Cow::Borrowed(self.text()?);
        let field = Cow::Borrowed(self.text()?);
        let count = self.byte()?;
        let mut params = Vec::new();
        for _ in 0..count {
            params.push(self.core_type()??);
        }
        let result = self.core_type()?;
        let tag = self.byte()?;
        let interface = Cow::Borrowed(self.text()?);
        let name = Cow::Borrowed(self.text()?);
        let target = match tag {
            0 => Target::Function {
                interface,
                function: name,
            },
            1 => Target::Drop {
                interface,
                resource: name,
            },
            _ => return None,
        };
        let realloc = match self.word()? {
            NO_REALLOC => None,
            index if (index as usize) < reallocs => Some(Realloc(index)),
            _ => return None,
        };
        Some(Import {
            module,
            field,
            signature: Signature { params, result },
            target,
            realloc,
        })
    }

    /// `Some(None)` is "no type".
    #[expect(
        clippy::option_option,
        reason = "the outer one is the reader's failure"
    )]
    fn core_type(&mut self) -> Option<Option<CoreType>> {
        Some(match self.byte()? {
            0 => None,
            1 => Some(CoreType::I32),
            2 => Some(CoreType::I64),
            3 => Some(CoreType::F32),
            4 => Some(CoreType::F64),
            _ => return None,
        })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.word()? as usize;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

impl Artefact<'_> {
    /// Whether it is the one with `key`; the error says what differs.
    pub fn check(&self, key: &ArtefactKey) -> Result<(), EngineError> {
        if self.key.component != key.component {
            return Err(refused(format!(
                "made of component {}, expected {}",
                self.key.component, key.component
            )));
        }
        self.fits(&key.engine, &[&key.target], &[&key.flags])
    }

    /// Whether an engine that takes code for any of `targets`, made with any of `flags`, can run it, whatever component it
    /// is of; the error says what differs.
    pub fn fits(&self, engine: &str, targets: &[&str], flags: &[&str]) -> Result<(), EngineError> {
        let differs = |what: &str, found: &str, expected: &[&str]| {
            Err(refused(format!(
                "made for {what} `{found}`, expected `{}`",
                expected.join("` or `")
            )))
        };
        if self.key.engine != engine {
            return differs("engine", &self.key.engine, &[engine]);
        }
        if !targets.contains(&self.key.target.as_str()) {
            return differs("target", &self.key.target, targets);
        }
        if !flags.contains(&self.key.flags.as_str()) {
            return differs("flags", &self.key.flags, flags);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
