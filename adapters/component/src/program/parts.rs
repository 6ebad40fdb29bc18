//! The component's core modules with their roles, and what each core import leads to.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::run::wrappers_only;
use super::shim::{self, Shim};
use super::{Refusal, Signature, Target};
use crate::reader::bytes::Bytes;
use crate::reader::component::Component;
use crate::reader::items::{
    CoreExport, CoreFunc, CoreInstance, CoreSort, Func, Instance, Options, Sort,
};
use crate::reader::module::{Import, Module};
use crate::reader::types::{Origin, Type};
use crate::sorted::Set;

/// Most items that one item leads to in a row before its definition. Toolchains need five; only a component that was made
/// to keep its reader busy, or one that calls itself in a circle, needs more.
pub(super) const MAX_HOPS: u32 = 32;

/// What a module does in the component.
#[derive(Debug)]
pub(super) enum Role<'a> {
    /// Code that runs.
    Real,
    /// wit-component's shim: calls what its table holds.
    Shim(Shim<'a>),
    /// wit-component's fixups: fills the table of a shim.
    Fixups,
}

/// A core instance that is a module's.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub(super) module: Module<'a>,
    pub(super) role: Role<'a>,
}

/// What a core item is, after all aliases.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    /// An export of a module's instance.
    Of(CoreExport<'a>),
    /// A canonical function, by its index among the core functions.
    Canon(u32),
}

/// What a function import leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Callee {
    /// A canonical function, by its index among the core functions.
    Host(u32),
    /// A function that the module of this core instance defines.
    Defined {
        /// Core instance.
        instance: u32,
        /// Index in its module.
        function: u32,
    },
}

/// A component, read.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) component: Component<'a>,
    /// By index of the core instance; none for one that only names items.
    pub(super) units: Vec<Option<Unit<'a>>>,
}

impl<'a> Parts<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let component = Component::read(Bytes::new(bytes))?;
        if let Some(name) = component.bare_imports.first() {
            return Err(Refusal::Shape(format!(
                "imports `{name}` at the root, which is no instance; expected interfaces such as `wasi:cli/stdout@0.2.6`"
            )));
        }
        wrappers_only(&component)?;
        let mut units = Vec::new();
        let mut seen = Set::new();
        for instance in &component.core_instances {
            let CoreInstance::Module { module, .. } = instance else {
                units.push(None);
                continue;
            };
            let module = Module::read(component.modules[*module as usize])?;
            // One that is there twice would be two programs; it would also let few bytes mean many.
            if !seen.insert(module.bytes.offset()) {
                return Err(Refusal::Shape(format!(
                    "instantiates {} more than once; expected each core module once",
                    module.place()
                )));
            }
            units.push(Some(Unit {
                module,
                role: Role::Real,
            }));
        }
        let mut parts = Self { component, units };
        shim::find(&mut parts)?;
        Ok(parts)
    }

    /// The units with code that runs, in the order of instantiation.
    pub(super) fn real(&self) -> impl Iterator<Item = (u32, &Unit<'a>)> {
        self.units.iter().enumerate().filter_map(|(index, unit)| {
            let unit = unit.as_ref()?;
            matches!(unit.role, Role::Real).then_some((index as u32, unit))
        })
    }

    /// Makes every shim and its fixups modules like any other.
    #[cfg(feature = "merge")]
    pub(super) fn keep_shims(&mut self) {
        for unit in self.units.iter_mut().flatten() {
            unit.role = Role::Real;
        }
    }

    pub(super) fn unit(&self, instance: u32) -> Option<&Unit<'a>> {
        self.units.get(instance as usize)?.as_ref()
    }

    /// The export that an import of the module of `instance` is connected to.
    pub(super) fn argument(
        &self,
        instance: u32,
        import: &Import<'a>,
    ) -> Result<CoreExport<'a>, Refusal> {
        match &self.component.core_instances[instance as usize] {
            CoreInstance::Module { args, .. } => args.get(import.module).copied(),
            CoreInstance::Exports(_) => None,
        }
        .map(|instance| CoreExport {
            instance,
            name: import.field,
        })
        .ok_or_else(|| unconnected(import.module, import.field))
    }

    /// Follows aliases to the definition.
    fn item(&self, sort: CoreSort, mut export: CoreExport<'a>) -> Result<Item<'a>, Refusal> {
        for _ in 0..MAX_HOPS {
            let exports = match &self.component.core_instances[export.instance as usize] {
                CoreInstance::Module { .. } => return Ok(Item::Of(export)),
                CoreInstance::Exports(exports) => exports,
            };
            let index = match exports.get(export.name) {
                Some((found, index)) if *found == sort => *index as usize,
                _ => return Err(unconnected("", export.name)),
            };
            export = match sort {
                CoreSort::Func => match self.component.core_funcs[index] {
                    CoreFunc::Export(export) => export,
                    CoreFunc::Lower { .. } | CoreFunc::Drop(_) => {
                        return Ok(Item::Canon(index as u32));
                    }
                },
                CoreSort::Table => self.component.core_tables[index],
                CoreSort::Memory => self.component.core_memories[index],
                CoreSort::Global => self.component.core_globals[index],
                CoreSort::Other => return Err(unconnected("", export.name)),
            };
        }
        Err(too_far(export.name))
    }

    /// The module's instance whose own export a table, memory or global is, with its index there. Imports that are
    /// exported again are followed.
    pub(super) fn defined(
        &self,
        sort: CoreSort,
        mut export: CoreExport<'a>,
    ) -> Result<(u32, u32), Refusal> {
        for _ in 0..MAX_HOPS {
            let Item::Of(found) = self.item(sort, export)? else {
                return Err(unconnected("", export.name));
            };
            let index = self.exported(sort, found)?;
            match self.imported(sort, found.instance, index) {
                Some(import) => export = self.argument(found.instance, &import)?,
                None => return Ok((found.instance, index)),
            }
        }
        Err(too_far(export.name))
    }

    /// The index of an export in its module.
    pub(super) fn exported(&self, sort: CoreSort, export: CoreExport<'a>) -> Result<u32, Refusal> {
        match self
            .unit(export.instance)
            .and_then(|unit| unit.module.exports.get(export.name))
        {
            Some((found, index)) if *found == sort => Ok(*index),
            _ => Err(unconnected("", export.name)),
        }
    }

    /// The import that item `index` of the module of `instance` is; none when the module defines it.
    pub(super) fn imported(&self, sort: CoreSort, instance: u32, index: u32) -> Option<Import<'a>> {
        self.unit(instance)?
            .module
            .imports
            .iter()
            .filter(|import| import.sort == sort)
            .nth(index as usize)
            .copied()
    }

    /// Follows a function through aliases, shims and imports that are exported again. True: a shim was on the way.
    pub(super) fn callee(&self, mut export: CoreExport<'a>) -> Result<(Callee, bool), Refusal> {
        let mut shimmed = false;
        for _ in 0..MAX_HOPS {
            let found = match self.item(CoreSort::Func, export)? {
                Item::Canon(index) => return Ok((Callee::Host(index), shimmed)),
                Item::Of(found) => found,
            };
            if let Some(Unit {
                role: Role::Shim(shim),
                ..
            }) = self.unit(found.instance)
            {
                shimmed = true;
                export = shim
                    .leads_to(found.name)
                    .ok_or_else(|| unconnected("", found.name))?;
                continue;
            }
            let function = self.exported(CoreSort::Func, found)?;
            match self.imported(CoreSort::Func, found.instance, function) {
                Some(import) => export = self.argument(found.instance, &import)?,
                None => {
                    return Ok((
                        Callee::Defined {
                            instance: found.instance,
                            function,
                        },
                        shimmed,
                    ));
                }
            }
        }
        Err(too_far(export.name))
    }

    /// The core function at `index` of the component, as an export; none for a canonical function.
    pub(super) fn core_export(&self, index: u32) -> Option<CoreExport<'a>> {
        match self.component.core_funcs.get(index as usize)? {
            CoreFunc::Export(export) => Some(*export),
            CoreFunc::Lower { .. } | CoreFunc::Drop(_) => None,
        }
    }

    /// The export of a module's instance that an export is an alias of.
    pub(super) fn direct(&self, export: CoreExport<'a>) -> Result<CoreExport<'a>, Refusal> {
        match self.item(CoreSort::Func, export)? {
            Item::Of(export) => Ok(export),
            Item::Canon(_) => Err(Refusal::Shape(format!(
                "uses the host function `{}` where its own is expected",
                export.name
            ))),
        }
    }

    /// What the canonical function at `index` means.
    pub(super) fn host(&self, index: u32) -> Result<(Target<'a>, Options), Refusal> {
        match self.component.core_funcs[index as usize] {
            CoreFunc::Lower { func, options } => {
                let (interface, function) = self.lowered(func)?;
                if let Some(option) = options.refused {
                    return Err(Refusal::Shape(format!(
                        "lowers `{interface}` `{function}` with `{option}`; expected UTF-8 and no `async`"
                    )));
                }
                let target = Target::Function {
                    interface: interface.into(),
                    function: function.into(),
                };
                Ok((target, options))
            }
            CoreFunc::Drop(ty) => {
                let (interface, resource) = self.resource(ty)?;
                let target = Target::Drop {
                    interface: interface.into(),
                    resource: resource.into(),
                };
                Ok((target, Options::default()))
            }
            CoreFunc::Export(export) => Err(unconnected("", export.name)),
        }
    }

    /// Interface and name of an imported function.
    fn lowered(&self, mut func: u32) -> Result<(&'a str, &'a str), Refusal> {
        for _ in 0..MAX_HOPS {
            let (instance, name) = match self.component.funcs[func as usize] {
                Func::Same(earlier) => {
                    func = earlier;
                    continue;
                }
                Func::Import(name) => return Err(unconnected("", name)),
                Func::Export { instance, name } => (instance, name),
                Func::Lift { .. } => {
                    return Err(Refusal::Shape(String::from(
                        "lowers a function that it lifts itself; expected imported functions",
                    )));
                }
            };
            func = match self.instance(instance)? {
                Instance::Import {
                    name: interface, ..
                } => return Ok((interface, name)),
                Instance::Exports(exports) => match exports.get(name) {
                    Some((Sort::Func, index)) => *index,
                    _ => return Err(unconnected("", name)),
                },
                _ => return Err(nested(name)),
            };
        }
        Err(too_far("canon lower"))
    }

    /// Interface and name of an imported resource.
    fn resource(&self, mut ty: u32) -> Result<(&'a str, &'a str), Refusal> {
        const OWN: &str =
            "drops a resource that it defines itself; expected resources of imported interfaces";
        for _ in 0..MAX_HOPS {
            let (instance, name) = match &self.component.types[ty as usize] {
                Type::Same(earlier) => {
                    ty = *earlier;
                    continue;
                }
                Type::Of { instance, name } => (*instance, *name),
                Type::Interface(_) | Type::Other(_) | Type::Outside => {
                    return Err(Refusal::Shape(OWN.to_string()));
                }
            };
            match self.instance(instance)? {
                Instance::Import {
                    name: interface,
                    ty: of,
                } => match self.interface(*of).and_then(|of| of.origin(name)) {
                    Some(Origin::Resource(resource)) => return Ok((interface, resource)),
                    Some(Origin::Around(index))
                        if (index as usize) < self.component.types.len() =>
                    {
                        ty = index;
                    }
                    _ => {
                        return Err(Refusal::Shape(format!(
                            "drops `{name}` of `{interface}`, which is no resource of it"
                        )));
                    }
                },
                Instance::Exports(exports) => match exports.get(name) {
                    Some((Sort::Type, index)) => ty = *index,
                    _ => return Err(unconnected("", name)),
                },
                _ => return Err(nested(name)),
            }
        }
        Err(too_far("canon resource.drop"))
    }

    fn interface(&self, mut ty: u32) -> Option<&crate::reader::types::Interface<'a>> {
        for _ in 0..MAX_HOPS {
            match self.component.types.get(ty as usize)? {
                Type::Interface(interface) => return Some(interface),
                Type::Same(earlier) => ty = *earlier,
                _ => return None,
            }
        }
        None
    }

    pub(super) fn instance(&self, index: u32) -> Result<&Instance<'a>, Refusal> {
        instance_of(&self.component, index)
    }

    /// Refuses a memory option that is no memory of a module here.
    pub(super) fn memory(&self, options: Options) -> Result<(), Refusal> {
        options.memory.map_or(Ok(()), |memory| {
            let export = self.component.core_memories[memory as usize];
            self.defined(CoreSort::Memory, export).map(drop)
        })
    }
}

fn instance_of<'c, 'a>(
    component: &'c Component<'a>,
    mut index: u32,
) -> Result<&'c Instance<'a>, Refusal> {
    for _ in 0..MAX_HOPS {
        match &component.instances[index as usize] {
            Instance::Same(earlier) => index = *earlier,
            instance => return Ok(instance),
        }
    }
    Err(too_far("instance"))
}

pub(super) fn unconnected(module: &str, field: &str) -> Refusal {
    let space = if module.is_empty() { "" } else { " " };
    Refusal::Shape(format!(
        "core item `{module}{space}{field}` is connected to nothing of its kind"
    ))
}

pub(super) fn nested(name: &str) -> Refusal {
    Refusal::Shape(format!(
        "takes `{name}` from a nested component or instance, which engines without a component model can't run; expected functions of imported interfaces"
    ))
}

pub(super) fn too_far(name: &str) -> Refusal {
    Refusal::Shape(format!(
        "`{name}` leads to its definition in more than {MAX_HOPS} steps or in a circle"
    ))
}

/// `realloc` of the canonical ABI.
pub(super) fn is_realloc(signature: &Signature) -> bool {
    use super::CoreType::I32;
    signature.params == [I32, I32, I32, I32] && signature.result == Some(I32)
}
