//! A component reduced to what an engine for core modules can run: one core module, and for each function that it imports
//! what the component connects to it.
//!
//! Two shapes are read. *Plain*: one real core module beside wit-component's shim and fixups modules, as `wasm32-wasip2`
//! toolchains make it; the module is borrowed from the component's bytes, unchanged. *Linked*: several real core modules that
//! share one memory, as the preview-1 adapter makes it; with the feature `merge` they become one module. Everything else
//! is refused with its reason. Nothing is validated here (that is `vyoma_runtime::component`'s job, with wasmparser), but
//! no bytes make this panic or read outside of them.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::guest::Realloc;
use crate::reader::items::CoreExport;

#[cfg(feature = "merge")]
mod merge;
mod parts;
mod plain;
mod run;
mod shim;

/// Bytes of a page of linear memory.
pub const PAGE: u64 = 65536;

/// What an engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program<'a> {
    /// A core module. It imports functions only, and exports its one memory, [`Program::run`] and [`Program::reallocs`].
    pub module: Cow<'a, [u8]>,
    /// Its function imports, in its order.
    pub imports: Vec<Import<'a>>,
    /// The export that is `wasi:cli/run`'s `run`: no parameter, one i32 (0: ok, 1: error).
    pub run: Cow<'a, str>,
    /// The exports that are `realloc` functions: (i32, i32, i32, i32) -> i32. `Realloc(n)` is the n-th.
    pub reallocs: Vec<Cow<'a, str>>,
    /// What it needs.
    pub needs: Needs,
}

impl<'a> Program<'a> {
    /// Reduces `component`, which need not be valid.
    pub fn of(component: &'a [u8]) -> Result<Self, Refusal> {
        let parts = parts::Parts::read(component)?;
        let run = parts.run()?;
        match plain::program(&parts, run)? {
            Ok(program) => Ok(program),
            Err(why) => linked(parts, run, &why),
        }
    }
}

#[cfg(feature = "merge")]
fn linked<'a>(
    parts: parts::Parts<'a>,
    run: CoreExport<'a>,
    _why: &str,
) -> Result<Program<'a>, Refusal> {
    merge::program(parts, run)
}

#[cfg(not(feature = "merge"))]
fn linked<'a>(
    _parts: parts::Parts<'a>,
    _run: CoreExport<'a>,
    why: &str,
) -> Result<Program<'a>, Refusal> {
    Err(Refusal::Shape(alloc::format!(
        "{why}, so its core modules must be merged, which this program can't; expected one core module beside wit-component's shim, as plain `wasm32-wasip2` makes it"
    )))
}

/// What a program needs of its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Pages of linear memory at start.
    pub memory_pages: u64,
    /// Most pages, when the module says so.
    pub memory_max_pages: Option<u64>,
    /// First free byte after data and stack, when the module exports the constant `__heap_base`.
    pub heap_base: Option<u32>,
    /// Entries of all tables at start.
    pub table_entries: u64,
    /// Functions, imported ones included.
    pub functions: u32,
    /// Bytes of the code section.
    pub code_bytes: u32,
    /// Globals, imported ones included.
    pub globals: u32,
}

impl Needs {
    /// What the engine of a microcontroller needs at run time beside the app's own: environment, runtime, module, value stack
    /// and a page of constants of wasm3 0.9 built for 32 bits (4.5 KiB), a page of code that is not full, what host functions
    /// may allocate, and what protecting an arena rounds up (2.5 KiB). An estimate, as is all of this: of ten apps of this
    /// repository that the firmware measured, none needed more, and the estimate was at most an eighth above.
    const FIXED: u64 = 7 * 1024;
    /// Bytes that wasm3 0.9 and the links keep of a function on 32 bits, with what it imports and its types.
    const FUNCTION: u64 = 134;

    /// Bytes of RAM that wasm3 on a 32-bit microcontroller needs for this program, about: linear memory as small as the
    /// program lets it be, wasm3's code (3.5 bytes for each of WebAssembly, measured), what it keeps of functions, and
    /// `stack` bytes of native stack. The firmware measures; this is for saying beforehand.
    pub fn microcontroller_bytes(&self, stack: u64) -> u64 {
        let whole = self.memory_pages.saturating_mul(PAGE);
        let linear = self.heap_base.map_or(whole, |base| {
            u64::from(base).next_multiple_of(16).min(whole)
        });
        linear
            .saturating_add(u64::from(self.code_bytes) * 7 / 2)
            .saturating_add(u64::from(self.functions) * Self::FUNCTION)
            .saturating_add(Self::FIXED + stack)
    }
}

/// A core value type; others are in no admitted import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the WebAssembly specification")]
pub enum CoreType {
    I32,
    I64,
    F32,
    F64,
}

impl CoreType {
    /// Whether its values have 64 bits, and not 32.
    pub fn is_wide(self) -> bool {
        matches!(self, Self::I64 | Self::F64)
    }
}

/// A core function type with at most one result, as the canonical ABI makes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Signature {
    /// Types of the parameters: at most 17 (16 and a pointer for results).
    pub params: Vec<CoreType>,
    /// Type of the result.
    pub result: Option<CoreType>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, param) in self.params.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{param}")?;
        }
        f.write_str(")")?;
        self.result
            .map_or(Ok(()), |result| write!(f, " -> {result}"))
    }
}

impl fmt::Display for CoreType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// One function import of the core module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import<'a> {
    /// Module name of the core import, as it stands in the module.
    pub module: Cow<'a, str>,
    /// Field name of the core import.
    pub field: Cow<'a, str>,
    /// Its core signature.
    pub signature: Signature,
    /// What the component connects to it.
    pub target: Target<'a>,
    /// `realloc` option of the `canon lower`.
    pub realloc: Option<Realloc>,
}

/// What a core import means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// A function of an imported interface, lowered.
    Function {
        /// Interface with its version: `wasi:io/streams@0.2.6`
        interface: Cow<'a, str>,
        /// `[method]output-stream.write`
        function: Cow<'a, str>,
    },
    /// `canon resource.drop` of a resource type of an imported interface.
    Drop {
        /// Interface with its version.
        interface: Cow<'a, str>,
        /// `output-stream`
        resource: Cow<'a, str>,
    },
}

impl Target<'_> {
    /// The interface with its version, and what is imported of it: a function, or the type whose handles are dropped.
    pub fn names(&self) -> (&str, &str) {
        let (Self::Function {
            interface,
            function: name,
        }
        | Self::Drop {
            interface,
            resource: name,
        }) = self;
        (interface, name)
    }
}

/// Why a component can't be reduced. One line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are not what the format demands.
    Malformed {
        /// Byte in the component.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// A component, but not of a shape that runs on engines without a component model.
    Shape(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { offset, expected } => {
                write!(f, "malformed at offset {offset:#x}: expected {expected}")
            }
            // Names in it are the component's, which may hold anything; it stays one line.
            Self::Shape(why) => why
                .chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .try_for_each(|c| f.write_char(c)),
        }
    }
}

impl core::error::Error for Refusal {}
