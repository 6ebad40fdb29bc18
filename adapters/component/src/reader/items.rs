//! The small parts of a component's sections: sorts, names, aliases, descriptions, and how items are defined.

use super::bytes::Bytes;
use crate::program::Refusal;
use crate::sorted::Map;

/// Kinds of core items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoreSort {
    Func,
    Table,
    Memory,
    Global,
    /// Types, modules, instances and tags.
    Other,
}

/// Kinds of component items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Core(CoreSort),
    Module,
    Func,
    Value,
    Type,
    Component,
    Instance,
}

impl CoreSort {
    pub(crate) fn read(bytes: &mut Bytes<'_>) -> Result<Self, Refusal> {
        let start = *bytes;
        Ok(match bytes.byte("a core sort")? {
            0x00 => Self::Func,
            0x01 => Self::Table,
            0x02 => Self::Memory,
            0x03 => Self::Global,
            0x04 | 0x10 | 0x11 | 0x12 => Self::Other,
            _ => return Err(start.malformed("a core sort")),
        })
    }
}

impl Sort {
    pub(crate) fn read(bytes: &mut Bytes<'_>) -> Result<Self, Refusal> {
        let start = *bytes;
        Ok(match bytes.byte("a sort")? {
            0x00 if bytes.peek() == Some(0x11) => {
                bytes.byte("a core sort")?;
                Self::Module
            }
            0x00 => Self::Core(CoreSort::read(bytes)?),
            0x01 => Self::Func,
            0x02 => Self::Value,
            0x03 => Self::Type,
            0x04 => Self::Component,
            0x05 => Self::Instance,
            _ => return Err(start.malformed("a sort")),
        })
    }
}

/// A name of an import or export.
pub(crate) fn name<'a>(bytes: &mut Bytes<'a>) -> Result<&'a str, Refusal> {
    let start = *bytes;
    match bytes.byte("a name")? {
        // Two encodings of the same thing.
        0x00 | 0x01 => bytes.name(),
        _ => Err(start.malformed("a name without further attributes")),
    }
}

/// What an `alias` refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Alias<'a> {
    Export {
        sort: Sort,
        instance: u32,
        name: &'a str,
    },
    CoreExport {
        sort: CoreSort,
        instance: u32,
        name: &'a str,
    },
    Outer {
        sort: Sort,
        count: u32,
        index: u32,
    },
}

impl<'a> Alias<'a> {
    pub(crate) fn read(bytes: &mut Bytes<'a>) -> Result<Self, Refusal> {
        let start = *bytes;
        let sort = Sort::read(bytes)?;
        Ok(match (bytes.byte("the target of an alias")?, sort) {
            (0, _) => Self::Export {
                sort,
                instance: bytes.number("the index of an instance")?,
                name: bytes.name()?,
            },
            (1, Sort::Core(sort)) => Self::CoreExport {
                sort,
                instance: bytes.number("the index of a core instance")?,
                name: bytes.name()?,
            },
            (2, _) => Self::Outer {
                sort,
                count: bytes.number("a number of enclosing components")?,
                index: bytes.number("an index in an enclosing component")?,
            },
            _ => return Err(start.malformed("an alias")),
        })
    }
}

/// Bound of an imported or exported type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TypeBound {
    Equal(u32),
    Resource,
}

/// Description of an import or export.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extern {
    Module,
    Func,
    Value,
    Type(TypeBound),
    Component,
    /// With the index of its type.
    Instance(u32),
}

impl Extern {
    pub(crate) fn read(bytes: &mut Bytes<'_>) -> Result<Self, Refusal> {
        const INDEX: &str = "the index of a type";
        let start = *bytes;
        Ok(match bytes.byte("what is imported or exported")? {
            0x00 => {
                bytes.exactly(0x11, "a core module")?;
                bytes.number(INDEX)?;
                Self::Module
            }
            0x01 => {
                bytes.number(INDEX)?;
                Self::Func
            }
            0x02 => {
                bytes.byte("the bound of a value")?;
                bytes.skip_number(5, "a value type")?;
                Self::Value
            }
            0x03 => match bytes.byte("the bound of a type")? {
                0 => Self::Type(TypeBound::Equal(bytes.number(INDEX)?)),
                1 => Self::Type(TypeBound::Resource),
                _ => return Err(start.malformed("the bound of a type")),
            },
            0x04 => {
                bytes.number(INDEX)?;
                Self::Component
            }
            0x05 => Self::Instance(bytes.number(INDEX)?),
            _ => return Err(start.malformed("what is imported or exported")),
        })
    }
}

/// A core instance.
#[derive(Debug)]
pub(crate) enum CoreInstance<'a> {
    /// A module with instances for its imports' module names.
    Module {
        module: u32,
        args: Map<&'a str, u32>,
    },
    /// Items under names.
    Exports(Map<&'a str, (CoreSort, u32)>),
}

/// A core item that is the export of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreExport<'a> {
    pub(crate) instance: u32,
    pub(crate) name: &'a str,
}

/// Options of `canon lift` and `canon lower`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) memory: Option<u32>,
    pub(crate) realloc: Option<u32>,
    pub(crate) post_return: Option<u32>,
    /// The name of an option that no engine here has.
    pub(crate) refused: Option<&'static str>,
}

/// A core function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CoreFunc<'a> {
    Export(CoreExport<'a>),
    /// `canon lower` of a component function.
    Lower {
        func: u32,
        options: Options,
    },
    /// `canon resource.drop` of a type.
    Drop(u32),
}

/// A component function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Func<'a> {
    Import(&'a str),
    Export {
        instance: u32,
        name: &'a str,
    },
    Lift {
        core: u32,
        options: Options,
        ty: u32,
    },
    /// An export, which has an index of its own.
    Same(u32),
}

/// A component instance.
#[derive(Debug)]
pub(crate) enum Instance<'a> {
    Import {
        name: &'a str,
        ty: u32,
    },
    Component {
        component: u32,
        args: Map<&'a str, (Sort, u32)>,
    },
    Exports(Map<&'a str, (Sort, u32)>),
    /// An instance that another one exports.
    Nested,
    Same(u32),
}
