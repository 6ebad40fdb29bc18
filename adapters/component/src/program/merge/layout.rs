//! Which index each item of each module gets in the merged one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::parts::{Callee, Parts, unconnected};
use super::super::plain::{check_count, several_memories, signature};
use super::super::{Refusal, Signature, Target};
use crate::reader::items::CoreSort;

/// A host function that the merged module imports.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) target: Target<'a>,
    /// Core function that is its realloc.
    pub(super) realloc: Option<u32>,
    pub(super) signature: Signature,
    /// Index of its type in the merged module.
    pub(super) ty: u32,
}

/// The indices of one module's items in the merged one.
#[derive(Debug, Default)]
pub(super) struct Indices {
    pub(super) types: u32,
    /// Types that the module has; its first one is `types` in the merged module.
    pub(super) type_count: u32,
    /// By its own index, imported ones first.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Vec<u32>,
    pub(super) memories: Vec<u32>,
    pub(super) globals: Vec<u32>,
}

/// The merged module's index spaces.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    pub(super) hosts: Vec<Host<'a>>,
    /// By core function of the component: its index among `hosts`.
    host_of: BTreeMap<u32, u32>,
    /// First own function, table, memory and global of each core instance.
    first: BTreeMap<u32, [u32; 4]>,
    /// Number of imports of these kinds, by core instance.
    imported: BTreeMap<u32, [u32; 4]>,
    /// Of each module, in the order of instantiation.
    pub(super) units: Vec<Indices>,
    pub(super) types: u32,
    pub(super) functions: u32,
    pub(super) memories: u32,
}

const SORTS: [CoreSort; 4] = [
    CoreSort::Func,
    CoreSort::Table,
    CoreSort::Memory,
    CoreSort::Global,
];

impl<'a> Layout<'a> {
    pub(super) fn of(parts: &Parts<'a>) -> Result<Self, Refusal> {
        let mut layout = Self::default();
        let mut types = Vec::new();
        for (_, unit) in parts.real() {
            types.push(layout.types);
            layout.types += unit.module.type_count() as u32;
        }
        for ((instance, unit), types) in parts.real().zip(&types) {
            layout.hosts(parts, instance, &unit.module, *types)?;
        }

        // Own items: all of one module, then all of the next.
        let mut next = [layout.hosts.len() as u32, 0, 0, 0];
        for (instance, unit) in parts.real() {
            let module = &unit.module;
            let imported = SORTS.map(|sort| {
                let of_sort = module.imports.iter().filter(|import| import.sort == sort);
                of_sort.count() as u32
            });
            let own = [
                module.defined_functions(),
                module.tables.len(),
                module.memories,
                module.globals,
            ];
            layout.first.insert(instance, next);
            layout.imported.insert(instance, imported);
            for (next, own) in next.iter_mut().zip(own) {
                *next += own as u32;
            }
        }
        [layout.functions, _, layout.memories, _] = next;
        if layout.memories > 1 {
            return Err(several_memories());
        }

        for ((instance, unit), types) in parts.real().zip(types) {
            let module = &unit.module;
            let mut indices = Indices {
                types,
                type_count: module.type_count() as u32,
                ..Indices::default()
            };
            for import in &module.imports {
                let argument = parts.argument(instance, import)?;
                if import.sort == CoreSort::Func {
                    let (callee, _) = parts.callee(argument)?;
                    indices.functions.push(layout.callee(callee)?);
                    continue;
                }
                let (of, index) = parts.defined(import.sort, argument)?;
                let index = layout
                    .own(import.sort, of, index)
                    .ok_or_else(|| unconnected(import.module, import.field))?;
                match import.sort {
                    CoreSort::Table => indices.tables.push(index),
                    CoreSort::Memory => indices.memories.push(index),
                    _ => indices.globals.push(index),
                }
            }
            let [functions, tables, memories, globals] = layout.first[&instance];
            let own = |first: u32, count: usize| first..first + count as u32;
            indices
                .functions
                .extend(own(functions, module.defined_functions()));
            indices.tables.extend(own(tables, module.tables.len()));
            indices.memories.extend(own(memories, module.memories));
            indices.globals.extend(own(globals, module.globals));
            layout.units.push(indices);
        }
        Ok(layout)
    }

    /// Gives the host functions that a module imports their indices.
    fn hosts(
        &mut self,
        parts: &Parts<'a>,
        instance: u32,
        module: &crate::reader::module::Module<'a>,
        types: u32,
    ) -> Result<(), Refusal> {
        let functions = module
            .imports
            .iter()
            .filter(|import| import.sort == CoreSort::Func);
        for (index, import) in (0_u32..).zip(functions) {
            let (Callee::Host(function), _) = parts.callee(parts.argument(instance, import)?)?
            else {
                continue;
            };
            if self.host_of.contains_key(&function) {
                continue;
            }
            let (target, options) = parts.host(function)?;
            parts.memory(options)?;
            let signature = signature(import.field, module.function(index))?;
            let known = self.hosts.iter().position(|host| {
                host.target == target
                    && host.realloc == options.realloc
                    && host.signature == signature
            });
            let at = if let Some(at) = known {
                at
            } else {
                check_count(self.hosts.len() + 1)?;
                self.hosts.push(Host {
                    target,
                    realloc: options.realloc,
                    signature,
                    ty: types + module.type_of(index).unwrap_or_default(),
                });
                self.hosts.len() - 1
            };
            self.host_of.insert(function, at as u32);
        }
        Ok(())
    }

    /// The index of a function.
    pub(super) fn callee(&self, callee: Callee) -> Result<u32, Refusal> {
        match callee {
            Callee::Host(function) => self.host_of.get(&function).copied(),
            Callee::Defined { instance, function } => self.own(CoreSort::Func, instance, function),
        }
        .ok_or_else(|| unconnected("", "function"))
    }

    /// The index of the item that the module of `instance` defines as `index`.
    fn own(&self, sort: CoreSort, instance: u32, index: u32) -> Option<u32> {
        let at = SORTS.iter().position(|known| *known == sort)?;
        let imported = self.imported.get(&instance)?[at];
        index
            .checked_sub(imported)?
            .checked_add(self.first.get(&instance)?[at])
    }
}
