//! wit-component's shim and fixups modules, found and seen through.
//!
//! A module is instantiated before its memory and `realloc` exist to lower its imports with. So wit-component connects
//! such imports to a *shim*, a module whose functions call what its table holds, and has a *fixups* module fill that table
//! with the lowered functions at the end. Both are recognised by what they do, not by their names, and only when they do
//! nothing else; any other module counts as one that runs.

use alloc::vec::Vec;

use super::parts::{Parts, Role};
use super::{Refusal, Signature};
use crate::reader::bytes::Bytes;
use crate::reader::items::{CoreExport, CoreSort};
use crate::reader::module::{Module, constant};
use crate::sorted::Map;

/// What a shim calls.
#[derive(Debug)]
pub(super) struct Shim<'a> {
    /// Entry of the table, by exported function.
    entries: Map<&'a str, u32>,
    /// The functions that the fixups put into the table.
    filled: Vec<CoreExport<'a>>,
}

impl<'a> Shim<'a> {
    /// What the exported function `name` calls.
    pub(super) fn leads_to(&self, name: &str) -> Option<CoreExport<'a>> {
        self.filled.get(*self.entries.get(name)? as usize).copied()
    }
}

/// Entry of the table and signature of each exported function.
type Calls<'a> = Map<&'a str, (u32, Signature)>;

/// Gives the shims and fixups among the units their roles.
pub(super) fn find(parts: &mut Parts<'_>) -> Result<(), Refusal> {
    let mut shims = Map::new();
    for (instance, unit) in parts.real() {
        if let Some(calls) = calls(&unit.module)? {
            shims.insert(instance, calls);
        }
    }
    // Which fixups fill the table of which shim. A shim whose table is used by anything else is none.
    let mut users: Map<u32, Vec<u32>> = Map::new();
    for (instance, unit) in parts.real() {
        for import in &unit.module.imports {
            if import.sort == CoreSort::Table
                && let Ok(argument) = parts.argument(instance, import)
                && let Ok((shim, _)) = parts.defined(CoreSort::Table, argument)
            {
                users.get_or_default(shim).push(instance);
            }
        }
    }
    for (shim, calls) in shims {
        let Some([fixups]) = users.get(&shim).map(Vec::as_slice) else {
            continue;
        };
        if let Some(found) = filled(parts, shim, *fixups, calls)? {
            for (instance, role) in [(shim, Role::Shim(found)), (*fixups, Role::Fixups)] {
                if let Some(unit) = &mut parts.units[instance as usize] {
                    unit.role = role;
                }
            }
        }
    }
    Ok(())
}

/// What each exported function calls, when the module is a shim.
fn calls<'a>(module: &Module<'a>) -> Result<Option<Calls<'a>>, Refusal> {
    let only_calls = module.imports.is_empty()
        && module.tables.len() == 1
        && module.memories == 0
        && module.globals == 0
        && module.start.is_none()
        && module.elements().is_none()
        && !module.has_data();
    if !only_calls {
        return Ok(None);
    }
    let bodies = module.bodies()?;
    let mut calls = Map::new();
    for (name, (sort, index)) in module.exports.iter() {
        if *sort == CoreSort::Table {
            continue;
        }
        let Some(body) = bodies.get(*index as usize) else {
            return Ok(None);
        };
        let Some(signature) = module.function(*index) else {
            return Ok(None);
        };
        let called = entry(*body, signature.params.len(), module.type_of(*index));
        match called {
            Ok(Some(entry)) if u64::from(entry) < module.tables[0] => {
                calls.insert(*name, (entry, signature));
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(calls))
}

/// The entry that a function calls with its own parameters, when it does just that.
fn entry(mut body: Bytes<'_>, params: usize, ty: Option<u32>) -> Result<Option<u32>, Refusal> {
    const EXPECTED: &str = "a function of a shim";
    const NO_LOCALS: u8 = 0;
    const LOCAL_GET: u8 = 0x20;
    const I32_CONST: u8 = 0x41;
    const CALL_INDIRECT: u8 = 0x11;
    const END: u8 = 0x0b;
    body.exactly(NO_LOCALS, EXPECTED)?;
    for param in 0..params {
        body.exactly(LOCAL_GET, EXPECTED)?;
        if body.number(EXPECTED)? as usize != param {
            return Ok(None);
        }
    }
    body.exactly(I32_CONST, EXPECTED)?;
    let entry = body.signed(EXPECTED)?;
    body.exactly(CALL_INDIRECT, EXPECTED)?;
    let called = body.number(EXPECTED)?;
    let table = body.number(EXPECTED)?;
    body.exactly(END, EXPECTED)?;
    body.end(EXPECTED)?;
    let fits = Some(called) == ty && table == 0;
    Ok(u32::try_from(entry).ok().filter(|_| fits))
}

/// The shim with the functions that `fixups` puts into its table, when it does just that.
fn filled<'a>(
    parts: &Parts<'a>,
    shim: u32,
    fixups: u32,
    calls: Calls<'a>,
) -> Result<Option<Shim<'a>>, Refusal> {
    let (Some(shim), Some(unit)) = (parts.unit(shim), parts.unit(fixups)) else {
        return Ok(None);
    };
    let module = &unit.module;
    let tables = module
        .imports
        .iter()
        .filter(|import| import.sort == CoreSort::Table)
        .count();
    let functions: Vec<_> = module
        .imports
        .iter()
        .filter(|import| import.sort == CoreSort::Func)
        .collect();
    let only_fills = tables == 1
        && functions.len() + tables == module.imports.len()
        && module.defined_functions() == 0
        && module.tables.is_empty()
        && module.memories == 0
        && module.globals == 0
        && module.start.is_none()
        && !module.has_data()
        && module.exports.is_empty();
    let Some(elements) = module.elements().filter(|_| only_fills) else {
        return Ok(None);
    };
    let Ok(Some(indices)) = segment(elements) else {
        return Ok(None);
    };
    // A segment longer than the table is a trap at instantiation: not for a reader to see through.
    if indices.len() as u64 > shim.module.tables[0] {
        return Ok(None);
    }
    let mut filled = Vec::new();
    let mut signatures: Vec<Option<Signature>> = Vec::new();
    for index in indices {
        let Some(import) = functions.get(index as usize) else {
            return Ok(None);
        };
        filled.push(parts.argument(fixups, import)?);
        signatures.push(module.function(index));
    }
    let mut entries = Map::new();
    for (name, (entry, signature)) in calls {
        // A call with another signature, or of an entry that nothing fills, traps.
        let found = signatures.get(entry as usize).and_then(Option::as_ref);
        if found != Some(&signature) {
            return Ok(None);
        }
        entries.insert(name, entry);
    }
    Ok(Some(Shim { entries, filled }))
}

/// The functions of the only segment, when it goes to the start of table 0.
fn segment(mut elements: Bytes<'_>) -> Result<Option<Vec<u32>>, Refusal> {
    const EXPECTED: &str = "an element segment of fixups";
    elements.exactly(1, EXPECTED)?;
    // 0: table 0, functions by index. 2: the same with the index of the table and the kind of elements.
    let long = match elements.number(EXPECTED)? {
        0 => false,
        2 => true,
        _ => return Ok(None),
    };
    if long {
        elements.exactly(0, EXPECTED)?;
    }
    if constant(&mut elements)? != Some(0) {
        return Ok(None);
    }
    if long {
        elements.exactly(0, EXPECTED)?;
    }
    let indices = elements.vector(EXPECTED, |bytes| bytes.number(EXPECTED))?;
    elements.end(EXPECTED)?;
    Ok(Some(indices))
}
