//! A core module's imports, exports and needs. Code is passed over; only [`Module::body`] finds a function's.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::bytes::Bytes;
use super::component::CORE_PREAMBLE;
use super::items::CoreSort;
use crate::program::{CoreType, Needs, Refusal, Signature};
use crate::sorted::Map;

const CUSTOM: u8 = 0;
/// The sections by their ids, in the order that the specification demands; 12 is the count of data segments.
const ORDER: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];
const SECTION: &str = "a section of a core module of WebAssembly 2.0, in its order and once";

/// What an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Import<'a> {
    pub(crate) module: &'a str,
    pub(crate) field: &'a str,
    pub(crate) sort: CoreSort,
}

/// A core module.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    pub(crate) bytes: Bytes<'a>,
    pub(crate) imports: Vec<Import<'a>>,
    pub(crate) exports: Map<&'a str, (CoreSort, u32)>,
    /// The function that runs at instantiation.
    pub(crate) start: Option<u32>,
    /// Entries at start of the tables that it defines.
    pub(crate) tables: Vec<u64>,
    /// Memories and globals that it defines.
    pub(crate) memories: usize,
    pub(crate) globals: usize,
    /// Each function type, at its first byte.
    types: Vec<Bytes<'a>>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    imported_functions: usize,
    /// The sections of these, from their counts on.
    elements: Option<Bytes<'a>>,
    code: Option<Bytes<'a>>,
    data: Option<Bytes<'a>>,
    needs: Needs,
}

impl<'a> Module<'a> {
    /// Reads a whole module.
    pub(crate) fn read(bytes: Bytes<'a>) -> Result<Self, Refusal> {
        let mut rest = bytes;
        let preamble = rest.take(CORE_PREAMBLE.len(), "the first 8 bytes of a core module")?;
        if preamble.rest() != CORE_PREAMBLE {
            return Err(preamble.malformed("00 61 73 6d 01 00 00 00, as a core module begins"));
        }
        let mut module = Self {
            bytes,
            imports: Vec::new(),
            exports: Map::new(),
            start: None,
            tables: Vec::new(),
            memories: 0,
            globals: 0,
            types: Vec::new(),
            functions: Vec::new(),
            imported_functions: 0,
            elements: None,
            code: None,
            data: None,
            needs: Needs::default(),
        };
        let mut globals = None;
        let mut last = 0;
        while !rest.is_empty() {
            let start = rest;
            let id = rest.byte("a section")?;
            if id != CUSTOM {
                let rank = ORDER.iter().position(|known| *known == id);
                match rank {
                    Some(rank) if rank >= last => last = rank + 1,
                    _ => return Err(start.malformed(SECTION)),
                }
            }
            let mut section = rest.sized("the bytes of a section")?;
            let expected = "a count";
            match id {
                CUSTOM | 12 => {}
                1 => module.types = section.vector(expected, function_type)?,
                2 => {
                    for _ in 0..section.count(expected)? {
                        module.import(&mut section)?;
                    }
                }
                3 => {
                    for _ in 0..section.count(expected)? {
                        module.functions.push(section.number("a type's index")?);
                    }
                }
                4 => {
                    for _ in 0..section.count(expected)? {
                        module.table(&mut section)?;
                    }
                }
                5 => {
                    for _ in 0..section.count(expected)? {
                        let (pages, most) = memory(&mut section)?;
                        module.memories += 1;
                        module.needs.memory_pages = pages;
                        module.needs.memory_max_pages = most;
                    }
                }
                6 => {
                    globals = Some(section);
                    module.globals = section.count(expected)?;
                }
                7 => {
                    for _ in 0..section.count(expected)? {
                        module.export(&mut section)?;
                    }
                }
                8 => module.start = Some(section.number("a function's index")?),
                9 => module.elements = Some(section),
                10 => {
                    module.needs.code_bytes = section.rest().len() as u32;
                    module.code = Some(section);
                }
                11 => module.data = Some(section),
                _ => return Err(start.malformed(SECTION)),
            }
        }
        module.needs(globals)?;
        Ok(module)
    }

    fn import(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        let module = bytes.name()?;
        let field = bytes.name()?;
        let start = *bytes;
        let sort = match bytes.byte("what is imported")? {
            0 => {
                self.functions.push(bytes.number("a type's index")?);
                self.imported_functions += 1;
                CoreSort::Func
            }
            1 => {
                value_type(bytes)?;
                limits(bytes, "a table of at most 2^32 entries")?;
                CoreSort::Table
            }
            2 => {
                memory(bytes)?;
                CoreSort::Memory
            }
            3 => {
                value_type(bytes)?;
                bytes.byte("mutable or not")?;
                CoreSort::Global
            }
            _ => {
                return Err(
                    start.malformed("the import of a function, a table, a memory or a global")
                );
            }
        };
        self.imports.push(Import {
            module,
            field,
            sort,
        });
        Ok(())
    }

    fn table(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        value_type(bytes)?;
        let (entries, _) = limits(bytes, "a table of at most 2^32 entries")?;
        self.tables.push(entries);
        Ok(())
    }

    fn export(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        let start = *bytes;
        let name = bytes.name()?;
        let sort = match bytes.byte("what is exported")? {
            0 => CoreSort::Func,
            1 => CoreSort::Table,
            2 => CoreSort::Memory,
            3 => CoreSort::Global,
            _ => return Err(start.malformed("an exported function, table, memory or global")),
        };
        let index = bytes.number("an index")?;
        if self.exports.insert(name, (sort, index)).is_some() {
            return Err(start.malformed("an export whose name is there once"));
        }
        Ok(())
    }

    fn needs(&mut self, globals: Option<Bytes<'a>>) -> Result<(), Refusal> {
        let imported = self
            .imports
            .iter()
            .filter(|import| import.sort == CoreSort::Global)
            .count();
        self.needs.globals = (imported + self.globals) as u32;
        self.needs.functions = self.functions.len() as u32;
        self.needs.table_entries = self.tables.iter().fold(0, |sum, n| sum.saturating_add(*n));
        if let Some((CoreSort::Global, index)) = self.exports.get("__heap_base")
            && let Some(index) = (*index as usize).checked_sub(imported)
            && let Some(mut globals) = globals
        {
            globals.count("a count")?;
            for _ in 0..index.min(self.globals) {
                global(&mut globals)?;
            }
            if index < self.globals {
                self.needs.heap_base = global(&mut globals)?;
            }
        }
        Ok(())
    }

    /// What an engine needs to run it.
    pub(crate) fn needed(&self) -> Needs {
        self.needs
    }

    /// Number of functions that it defines.
    pub(crate) fn defined_functions(&self) -> usize {
        self.functions.len() - self.imported_functions
    }

    /// Number of functions, imported ones included.
    #[cfg(feature = "merge")]
    pub(crate) fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// Number of function types.
    #[cfg(feature = "merge")]
    pub(crate) fn type_count(&self) -> usize {
        self.types.len()
    }

    /// The type of a function, as an index.
    pub(crate) fn type_of(&self, function: u32) -> Option<u32> {
        self.functions.get(function as usize).copied()
    }

    /// The signature of a type; none when it has types or a number of results that no canonical function has.
    pub(crate) fn signature(&self, ty: u32) -> Option<Signature> {
        let mut bytes = *self.types.get(ty as usize)?;
        let params = core_types(&mut bytes)?;
        let results = core_types(&mut bytes)?;
        (results.len() <= 1).then(|| Signature {
            params,
            result: results.first().copied(),
        })
    }

    /// The signature of a function.
    pub(crate) fn function(&self, function: u32) -> Option<Signature> {
        self.signature(self.type_of(function)?)
    }

    pub(crate) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// The element section, from its count on.
    pub(crate) fn elements(&self) -> Option<Bytes<'a>> {
        self.elements
    }

    /// The bodies of the functions that it defines, in order.
    pub(crate) fn bodies(&self) -> Result<Vec<Bytes<'a>>, Refusal> {
        self.code.map_or_else(
            || Ok(Vec::new()),
            |mut code| code.vector("a count", |code| code.sized("the body of a function")),
        )
    }

    /// How an error names it.
    pub(crate) fn place(&self) -> String {
        format!("the core module at offset {:#x}", self.bytes.offset())
    }
}

/// Passes over a function type.
fn function_type<'a>(bytes: &mut Bytes<'a>) -> Result<Bytes<'a>, Refusal> {
    bytes.exactly(0x60, "a function type")?;
    let start = *bytes;
    for _ in 0..2 {
        for _ in 0..bytes.count("a count of types")? {
            value_type(bytes)?;
        }
    }
    Ok(start)
}

fn value_type(bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
    let start = *bytes;
    match bytes.byte("a value type")? {
        0x6a..=0x7f => Ok(()),
        0x63 | 0x64 => bytes.skip_number(5, "a heap type"),
        _ => Err(start.malformed("a value type")),
    }
}

fn core_types(bytes: &mut Bytes<'_>) -> Option<Vec<CoreType>> {
    let count = bytes.count("a count of types").ok()?;
    let mut types = Vec::new();
    for _ in 0..count {
        types.push(match bytes.byte("a type").ok()? {
            0x7f => CoreType::I32,
            0x7e => CoreType::I64,
            0x7d => CoreType::F32,
            0x7c => CoreType::F64,
            _ => return None,
        });
    }
    Some(types)
}

/// Least and most, of 32 bits.
fn limits(bytes: &mut Bytes<'_>, expected: &'static str) -> Result<(u64, Option<u64>), Refusal> {
    let start = *bytes;
    let flags = bytes.byte(expected)?;
    if flags > 1 {
        return Err(start.malformed(expected));
    }
    let least = u64::from(bytes.number(expected)?);
    let most = match flags {
        0 => None,
        _ => Some(u64::from(bytes.number(expected)?)),
    };
    Ok((least, most))
}

fn memory(bytes: &mut Bytes<'_>) -> Result<(u64, Option<u64>), Refusal> {
    limits(
        bytes,
        "a memory with 32-bit addresses that is not shared, in pages of 64 KiB",
    )
}

/// Passes over a global; its value when it is a constant i32.
fn global(bytes: &mut Bytes<'_>) -> Result<Option<u32>, Refusal> {
    value_type(bytes)?;
    let mutable = bytes.byte("mutable or not")? != 0;
    let value = constant(bytes)?;
    Ok(value.filter(|_| !mutable))
}

/// Passes over a constant expression; its value when it is `i32.const`.
pub(crate) fn constant(bytes: &mut Bytes<'_>) -> Result<Option<u32>, Refusal> {
    const EXPECTED: &str = "a constant expression";
    let mut value = None;
    let mut operators = 0_u32;
    loop {
        let start = *bytes;
        match bytes.byte(EXPECTED)? {
            0x0b => break,
            0x41 => value = Some(bytes.signed(EXPECTED)? as u32),
            0x42 => bytes.skip_number(10, EXPECTED)?,
            0x43 => bytes.take(4, EXPECTED).map(drop)?,
            0x44 => bytes.take(8, EXPECTED).map(drop)?,
            0x23 | 0xd0 | 0xd2 => bytes.skip_number(5, EXPECTED)?,
            _ => return Err(start.malformed(EXPECTED)),
        }
        operators += 1;
    }
    Ok(value.filter(|_| operators == 1))
}
