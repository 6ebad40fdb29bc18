//! What happens at instantiation: the start functions, and the segments that come after one.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use wasm_encoder::Function;
use wasmparser::Operator;

use super::super::Refusal;
use super::super::parts::{Callee, Parts};
use super::Sections;
use super::layout::Layout;
use super::reencode::{Unit, malformed};
use crate::reader::items::CoreSort;

/// The start function of the merged module, as far as it is known.
pub(super) struct Begin {
    body: Function,
    calls: Vec<u32>,
    /// It does nothing but the calls.
    only_calls: bool,
}

impl Default for Begin {
    fn default() -> Self {
        Self {
            body: Function::new([]),
            calls: Vec::new(),
            only_calls: true,
        }
    }
}

impl Begin {
    /// Whether a start function was called: then the segments of the modules after it must wait for it.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(super) fn call(&mut self, function: u32) {
        self.body.instructions().call(function);
        self.calls.push(function);
    }

    /// Does what an active element segment does. `offset` is its encoded operator.
    pub(super) fn fill_table(&mut self, offset: &[u8], count: u32, segment: u32, table: u32) {
        self.only_calls = false;
        self.body.raw(offset.iter().copied());
        self.body
            .instructions()
            .i32_const(0)
            .i32_const(count.cast_signed())
            .table_init(table, segment)
            .elem_drop(segment);
    }

    /// Does what an active data segment does.
    pub(super) fn fill_memory(&mut self, offset: &[u8], length: u32, segment: u32, memory: u32) {
        self.only_calls = false;
        self.body.raw(offset.iter().copied());
        self.body
            .instructions()
            .i32_const(0)
            .i32_const(length.cast_signed())
            .memory_init(memory, segment)
            .data_drop(segment);
    }

    /// The index of the start function; a single one needs no other around it.
    pub(super) fn finish(mut self, layout: &Layout<'_>, sections: &mut Sections) -> Option<u32> {
        match self.calls.as_slice() {
            [] => None,
            [start] if self.only_calls => Some(*start),
            _ => {
                self.body.instructions().end();
                sections.types.ty().function([], []);
                sections.functions.function(layout.types);
                sections.code.function(&self.body);
                Some(layout.functions)
            }
        }
    }
}

/// Whether a start function could call a shim. Calls through tables count as calls of every function in one.
pub(super) fn may_call_shim(parts: &Parts<'_>) -> Result<bool, Refusal> {
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    let mut tables_open = false;
    for (instance, unit) in parts.real() {
        if let Some(start) = unit.module.start {
            open.push((instance, start));
        }
    }
    if open.is_empty() {
        return Ok(false);
    }
    let mut units = alloc::collections::BTreeMap::new();
    for (instance, unit) in parts.real() {
        units.insert(instance, (Unit::read(&unit.module)?, &unit.module));
    }
    while let Some((instance, function)) = open.pop() {
        let (instance, function) = match parts.imported(CoreSort::Func, instance, function) {
            None => (instance, function),
            Some(import) => match parts.callee(parts.argument(instance, &import)?)? {
                (_, true) => return Ok(true),
                (Callee::Host(_), false) => continue,
                (Callee::Defined { instance, function }, false) => (instance, function),
            },
        };
        if !seen.insert((instance, function)) {
            continue;
        }
        let Some((unit, module)) = units.get(&instance) else {
            continue;
        };
        let imported = module.function_count() - module.defined_functions();
        let Some(body) = (function as usize)
            .checked_sub(imported)
            .and_then(|own| unit.bodies.get(own))
        else {
            continue;
        };
        let operators = body
            .get_operators_reader()
            .map_err(|error| malformed(&error))?;
        for operator in operators {
            match operator.map_err(|error| malformed(&error))? {
                Operator::Call { function_index } | Operator::RefFunc { function_index } => {
                    open.push((instance, function_index));
                }
                Operator::CallIndirect { .. } if !tables_open => {
                    tables_open = true;
                    for (instance, (unit, _)) in &units {
                        let functions = unit.in_tables()?;
                        open.extend(functions.into_iter().map(|function| (*instance, function)));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(false)
}
