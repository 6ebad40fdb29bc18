//! A component's sections as index spaces: which item is defined how, by which other items.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::bytes::Bytes;
use super::items::{
    Alias, CoreExport, CoreFunc, CoreInstance, CoreSort, Extern, Func, Instance, Options, Sort,
    name,
};
use super::types::{self, Type};
use crate::program::Refusal;
use crate::sorted::Map;

/// Magic, version 0xd, layer 1: a component.
const PREAMBLE: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
/// The same for a core module.
pub(crate) const CORE_PREAMBLE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];

/// A component.
#[derive(Debug, Default)]
pub(crate) struct Component<'a> {
    pub(crate) modules: Vec<Bytes<'a>>,
    pub(crate) core_instances: Vec<CoreInstance<'a>>,
    pub(crate) core_funcs: Vec<CoreFunc<'a>>,
    pub(crate) core_tables: Vec<CoreExport<'a>>,
    pub(crate) core_memories: Vec<CoreExport<'a>>,
    pub(crate) core_globals: Vec<CoreExport<'a>>,
    pub(crate) funcs: Vec<Func<'a>>,
    pub(crate) instances: Vec<Instance<'a>>,
    /// The components in it, unread.
    pub(crate) components: Vec<Bytes<'a>>,
    pub(crate) types: Vec<Type<'a>>,
    /// Its imports that are no instances.
    pub(crate) bare_imports: Vec<&'a str>,
    pub(crate) exports: Map<&'a str, (Sort, u32)>,
}

impl<'a> Component<'a> {
    /// Reads all sections of the component, but not the components and modules in it.
    pub(crate) fn read(mut bytes: Bytes<'a>) -> Result<Self, Refusal> {
        let preamble = bytes.take(PREAMBLE.len(), "the first 8 bytes of a component")?;
        if preamble.rest() == CORE_PREAMBLE {
            return Err(Refusal::Shape(String::from(
                "a core module, not a component; build with `--target wasm32-wasip2`",
            )));
        }
        if preamble.rest() != PREAMBLE {
            return Err(preamble.malformed("00 61 73 6d 0d 00 01 00, as a component begins"));
        }
        let mut component = Self::default();
        while !bytes.is_empty() {
            let start = bytes;
            let id = bytes.byte("a section")?;
            let mut section = bytes.sized("the bytes of a section")?;
            match id {
                // Custom sections mean nothing; core types are named by core types and imported modules only.
                0 | 3 => {}
                1 => component.modules.push(section),
                4 => component.components.push(section),
                _ => {
                    for _ in 0..section.count("the count of a section")? {
                        component.item(id, &mut section, &start)?;
                    }
                    section.end("the end of the section")?;
                }
            }
        }
        Ok(component)
    }

    fn item(&mut self, id: u8, bytes: &mut Bytes<'a>, section: &Bytes<'a>) -> Result<(), Refusal> {
        match id {
            2 => {
                let instance = self.core_instance(bytes)?;
                self.core_instances.push(instance);
            }
            5 => {
                let instance = self.instance(bytes)?;
                self.instances.push(instance);
            }
            6 => self.alias(bytes)?,
            7 => self.types.push(types::entry(bytes)?),
            8 => self.canon(bytes)?,
            9 => return Err(shape("has a start function of its own", "a command")),
            10 => self.import(bytes)?,
            11 => self.export(bytes)?,
            12 => return Err(shape("defines values", "a command")),
            _ => return Err(section.malformed("a section of a component")),
        }
        Ok(())
    }

    fn core_instance(&self, bytes: &mut Bytes<'a>) -> Result<CoreInstance<'a>, Refusal> {
        let start = *bytes;
        match bytes.byte("a core instance")? {
            0 => {
                let module = index(bytes, self.modules.len(), "the index of an earlier module")?;
                let mut args = Map::new();
                for _ in 0..bytes.count("a count of arguments")? {
                    let name = unique(bytes, &args)?;
                    bytes.exactly(0x12, "a core instance")?;
                    let instance = index(
                        bytes,
                        self.core_instances.len(),
                        "the index of an earlier core instance",
                    )?;
                    args.insert(name, instance);
                }
                Ok(CoreInstance::Module { module, args })
            }
            1 => {
                let mut exports = Map::new();
                for _ in 0..bytes.count("a count of exports")? {
                    let name = unique(bytes, &exports)?;
                    let sort = CoreSort::read(bytes)?;
                    let index = self.core_index(bytes, sort)?;
                    exports.insert(name, (sort, index));
                }
                Ok(CoreInstance::Exports(exports))
            }
            _ => Err(start.malformed("a core instance")),
        }
    }

    fn instance(&self, bytes: &mut Bytes<'a>) -> Result<Instance<'a>, Refusal> {
        let start = *bytes;
        let kind = bytes.byte("an instance")?;
        let component = match kind {
            0 => index(
                bytes,
                self.components.len(),
                "the index of an earlier component",
            )?,
            1 => 0,
            _ => return Err(start.malformed("an instance")),
        };
        let mut items = Map::new();
        for _ in 0..bytes.count("a count")? {
            let at = *bytes;
            let name = if kind == 0 {
                bytes.name()?
            } else {
                name(bytes)?
            };
            if items.contains_key(name) {
                return Err(at.malformed("a name that is there once"));
            }
            let sort = Sort::read(bytes)?;
            let index = self.index(bytes, sort)?;
            items.insert(name, (sort, index));
        }
        Ok(if kind == 0 {
            Instance::Component {
                component,
                args: items,
            }
        } else {
            Instance::Exports(items)
        })
    }

    fn alias(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        let start = *bytes;
        match Alias::read(bytes)? {
            Alias::CoreExport {
                sort,
                instance,
                name,
            } => {
                if instance as usize >= self.core_instances.len() {
                    return Err(start.malformed("the index of an earlier core instance"));
                }
                let export = CoreExport { instance, name };
                match sort {
                    CoreSort::Func => self.core_funcs.push(CoreFunc::Export(export)),
                    CoreSort::Table => self.core_tables.push(export),
                    CoreSort::Memory => self.core_memories.push(export),
                    CoreSort::Global => self.core_globals.push(export),
                    CoreSort::Other => return Err(start.malformed("no tag")),
                }
            }
            Alias::Export {
                sort,
                instance,
                name,
            } => {
                if instance as usize >= self.instances.len() {
                    return Err(start.malformed("the index of an earlier instance"));
                }
                match sort {
                    Sort::Func => self.funcs.push(Func::Export { instance, name }),
                    Sort::Type => self.types.push(Type::Of { instance, name }),
                    Sort::Instance => self.instances.push(Instance::Nested),
                    Sort::Core(_) | Sort::Module | Sort::Value | Sort::Component => {
                        return Err(shape(
                            "takes modules, components or values out of an instance",
                            "functions and types",
                        ));
                    }
                }
            }
            Alias::Outer {
                sort: Sort::Type,
                count,
                index,
            } => {
                if count == 0 && index as usize >= self.types.len() {
                    return Err(start.malformed("the index of an earlier type"));
                }
                self.types.push(if count == 0 {
                    Type::Same(index)
                } else {
                    Type::Outside
                });
            }
            // Core types have no index space here.
            Alias::Outer {
                sort: Sort::Core(_),
                ..
            } => {}
            Alias::Outer { .. } => {
                return Err(shape(
                    "takes a module or component of an enclosing component",
                    "types only",
                ));
            }
        }
        Ok(())
    }

    fn canon(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        let start = *bytes;
        match bytes.byte("a canonical function")? {
            0x00 => {
                bytes.exactly(0, "`canon lift`")?;
                let core = self.core_index(bytes, CoreSort::Func)?;
                let options = self.options(bytes)?;
                let ty = self.index(bytes, Sort::Type)?;
                self.funcs.push(Func::Lift { core, options, ty });
            }
            0x01 => {
                bytes.exactly(0, "`canon lower`")?;
                let func = self.index(bytes, Sort::Func)?;
                let options = self.options(bytes)?;
                self.core_funcs.push(CoreFunc::Lower { func, options });
            }
            0x03 => {
                let ty = self.index(bytes, Sort::Type)?;
                self.core_funcs.push(CoreFunc::Drop(ty));
            }
            0x02 | 0x04 => {
                return Err(shape(
                    "exports a resource (`resource.new` or `resource.rep`)",
                    "a command that defines no resource",
                ));
            }
            0x05..=0x2f | 0x40..=0x42 => {
                return Err(shape(
                    "uses component-model async or threads",
                    "functions without `async`",
                ));
            }
            _ => return Err(start.malformed("a canonical function")),
        }
        Ok(())
    }

    fn options(&self, bytes: &mut Bytes<'a>) -> Result<Options, Refusal> {
        let mut options = Options::default();
        for _ in 0..bytes.count("a count of options")? {
            let start = *bytes;
            match bytes.byte("an option")? {
                0x00 => {}
                0x01 => options.refused = Some("string-encoding=utf16"),
                0x02 => options.refused = Some("string-encoding=latin1+utf16"),
                0x03 => options.memory = Some(self.core_index(bytes, CoreSort::Memory)?),
                0x04 => options.realloc = Some(self.core_index(bytes, CoreSort::Func)?),
                0x05 => options.post_return = Some(self.core_index(bytes, CoreSort::Func)?),
                0x06 => options.refused = Some("async"),
                0x07 => {
                    self.core_index(bytes, CoreSort::Func)?;
                    options.refused = Some("callback");
                }
                0x08 => {
                    bytes.number("the index of a core type")?;
                    options.refused = Some("core-type");
                }
                0x09 => options.refused = Some("gc"),
                _ => return Err(start.malformed("an option of `canon lift` or `canon lower`")),
            }
        }
        Ok(options)
    }

    fn import(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        let start = *bytes;
        let name = name(bytes)?;
        match Extern::read(bytes)? {
            Extern::Instance(ty) => {
                if ty as usize >= self.types.len() {
                    return Err(start.malformed("an import with an earlier type"));
                }
                self.instances.push(Instance::Import { name, ty });
                return Ok(());
            }
            Extern::Func => self.funcs.push(Func::Import(name)),
            Extern::Type(_) => self.types.push(Type::Outside),
            Extern::Module | Extern::Component | Extern::Value => {
                return Err(Refusal::Shape(format!(
                    "imports `{name}`, a module, component or value; expected instances such as `wasi:cli/stdout@0.2.6`"
                )));
            }
        }
        self.bare_imports.push(name);
        Ok(())
    }

    fn export(&mut self, bytes: &mut Bytes<'a>) -> Result<(), Refusal> {
        let start = *bytes;
        let name = name(bytes)?;
        let sort = Sort::read(bytes)?;
        let index = self.index(bytes, sort)?;
        match bytes.byte("0 or 1")? {
            0 => {}
            1 => {
                Extern::read(bytes)?;
            }
            _ => return Err(start.malformed("an export")),
        }
        if self.exports.insert(name, (sort, index)).is_some() {
            return Err(start.malformed("an export whose name is there once"));
        }
        // An export is an item of its own.
        match sort {
            Sort::Func => self.funcs.push(Func::Same(index)),
            Sort::Instance => self.instances.push(Instance::Same(index)),
            Sort::Type => self.types.push(Type::Same(index)),
            Sort::Module => {
                let module = self.modules[index as usize];
                self.modules.push(module);
            }
            Sort::Component => {
                let component = self.components[index as usize];
                self.components.push(component);
            }
            Sort::Core(_) | Sort::Value => return Err(start.malformed("an export of a component")),
        }
        Ok(())
    }

    fn core_index(&self, bytes: &mut Bytes<'a>, sort: CoreSort) -> Result<u32, Refusal> {
        let (length, expected) = match sort {
            CoreSort::Func => (
                self.core_funcs.len(),
                "the index of an earlier core function",
            ),
            CoreSort::Table => (self.core_tables.len(), "the index of an earlier table"),
            CoreSort::Memory => (self.core_memories.len(), "the index of an earlier memory"),
            CoreSort::Global => (self.core_globals.len(), "the index of an earlier global"),
            CoreSort::Other => (0, "a function, table, memory or global"),
        };
        index(bytes, length, expected)
    }

    fn index(&self, bytes: &mut Bytes<'a>, sort: Sort) -> Result<u32, Refusal> {
        let (length, expected) = match sort {
            Sort::Core(sort) => return self.core_index(bytes, sort),
            Sort::Module => (self.modules.len(), "the index of an earlier module"),
            Sort::Func => (self.funcs.len(), "the index of an earlier function"),
            Sort::Value => (0, "no value"),
            Sort::Type => (self.types.len(), "the index of an earlier type"),
            Sort::Component => (self.components.len(), "the index of an earlier component"),
            Sort::Instance => (self.instances.len(), "the index of an earlier instance"),
        };
        index(bytes, length, expected)
    }
}

/// An index below `length`, so that whatever follows it comes to an end.
fn index(bytes: &mut Bytes<'_>, length: usize, expected: &'static str) -> Result<u32, Refusal> {
    let start = *bytes;
    let index = bytes.number(expected)?;
    if (index as usize) < length {
        Ok(index)
    } else {
        Err(start.malformed(expected))
    }
}

fn unique<'a, T>(bytes: &mut Bytes<'a>, before: &Map<&'a str, T>) -> Result<&'a str, Refusal> {
    let start = *bytes;
    let name = bytes.name()?;
    if before.contains_key(name) {
        return Err(start.malformed("a name that is there once"));
    }
    Ok(name)
}

fn shape(what: &str, expected: &str) -> Refusal {
    Refusal::Shape(format!(
        "{what}, which engines without a component model can't run; expected {expected}"
    ))
}
