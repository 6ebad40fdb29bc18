//! Component types: passed over, but for what names a resource and what says that a function is `run`.

use alloc::vec::Vec;

use super::bytes::Bytes;
use super::items::{Alias, Extern, Sort, TypeBound, name};
use crate::program::Refusal;
use crate::sorted::Map;

/// Types within types: a component type in an instance type in a component type. WASI needs two.
const MAX_DEPTH: u32 = 8;

/// What is known of a type in a component's index space.
#[derive(Debug)]
pub(crate) enum Type<'a> {
    /// An instance type: an interface.
    Interface(Interface<'a>),
    /// The type of an export of an instance.
    Of {
        /// Index of the instance.
        instance: u32,
        /// Name of the export.
        name: &'a str,
    },
    /// The same as an earlier one.
    Same(u32),
    /// Any other type, at its first byte.
    Other(Bytes<'a>),
    /// A type that comes from outside.
    Outside,
}

/// The types that an instance type exports.
#[derive(Debug, Default)]
pub(crate) struct Interface<'a> {
    types: Map<&'a str, Origin<'a>>,
}

/// Where a type that an interface exports comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A resource of this interface, by the name that it was exported with first.
    Resource(&'a str),
    /// A type of the component around.
    Around(u32),
    /// A type that is no resource, or one that this reader can't follow.
    Other,
}

impl<'a> Interface<'a> {
    /// The type exported as `name`.
    pub(crate) fn origin(&self, name: &str) -> Option<Origin<'a>> {
        self.types.get(name).copied()
    }
}

/// Reads one entry of a type section.
pub(crate) fn entry<'a>(bytes: &mut Bytes<'a>) -> Result<Type<'a>, Refusal> {
    let start = *bytes;
    if bytes.peek() == Some(0x42) {
        bytes.byte("a type")?;
        return Ok(Type::Interface(interface(bytes, 0)?));
    }
    skip(bytes, 0)?;
    Ok(Type::Other(start))
}

/// Passes over a type.
fn skip(bytes: &mut Bytes<'_>, depth: u32) -> Result<(), Refusal> {
    let start = *bytes;
    match bytes.byte("a type")? {
        // Resource with the i32 that stands for it, and a destructor.
        0x3f => {
            bytes.exactly(0x7f, "a resource represented by an i32")?;
            optional(bytes, |bytes| {
                bytes.number("the index of a destructor").map(drop)
            })
        }
        // Function.
        0x40 => {
            labelled(bytes)?;
            match bytes.byte("a function's result")? {
                0 => value(bytes),
                1 => bytes.exactly(0, "no result"),
                _ => Err(start.malformed("a function type")),
            }
        }
        0x41 => component(bytes, depth),
        0x42 => interface(bytes, depth).map(drop),
        // Record.
        0x72 => labelled(bytes),
        // Variant.
        0x71 => each(bytes, |bytes| {
            bytes.name()?;
            optional(bytes, value)?;
            bytes.exactly(0, "the end of a variant's case")
        }),
        // List, option.
        0x70 | 0x6b => value(bytes),
        // Tuple.
        0x6f => each(bytes, value),
        // Flags, enum.
        0x6e | 0x6d => each(bytes, |bytes| bytes.name().map(drop)),
        // Result.
        0x6a => {
            optional(bytes, value)?;
            optional(bytes, value)
        }
        // Own, borrow.
        0x69 | 0x68 => bytes.number("the index of a type").map(drop),
        // Primitive types.
        0x73..=0x7f => Ok(()),
        _ => Err(start.malformed("a component type of WASI 0.2")),
    }
}

/// Passes over the declarations of a component type.
fn component(bytes: &mut Bytes<'_>, depth: u32) -> Result<(), Refusal> {
    let depth = deeper(bytes, depth)?;
    each(bytes, |bytes| {
        let start = *bytes;
        match bytes.byte("a declaration")? {
            0 => Err(core_type(&start)),
            1 => skip(bytes, depth),
            2 => Alias::read(bytes).map(drop),
            3 | 4 => {
                name(bytes)?;
                Extern::read(bytes).map(drop)
            }
            _ => Err(start.malformed("a declaration of a component type")),
        }
    })
}

/// Reads the declarations of an instance type.
fn interface<'a>(bytes: &mut Bytes<'a>, depth: u32) -> Result<Interface<'a>, Refusal> {
    let depth = deeper(bytes, depth)?;
    let mut interface = Interface::default();
    // The interface's own index space of types.
    let mut types: Vec<Origin<'a>> = Vec::new();
    each(bytes, |bytes| {
        let start = *bytes;
        match bytes.byte("a declaration")? {
            0 => return Err(core_type(&start)),
            1 => {
                skip(bytes, depth)?;
                types.push(Origin::Other);
            }
            2 => match Alias::read(bytes)? {
                Alias::Outer {
                    sort: Sort::Type,
                    count,
                    index,
                } => types.push(match count {
                    0 => at(&types, index, &start)?,
                    1 => Origin::Around(index),
                    _ => Origin::Other,
                }),
                Alias::Export {
                    sort: Sort::Type, ..
                } => types.push(Origin::Other),
                _ => {}
            },
            4 => {
                let name = name(bytes)?;
                if let Extern::Type(bound) = Extern::read(bytes)? {
                    let origin = match bound {
                        TypeBound::Resource => Origin::Resource(name),
                        TypeBound::Equal(index) => at(&types, index, &start)?,
                    };
                    types.push(origin);
                    interface.types.insert(name, origin);
                }
            }
            _ => return Err(start.malformed("a declaration of an instance type")),
        }
        Ok(())
    })?;
    Ok(interface)
}

fn at<'a>(types: &[Origin<'a>], index: u32, start: &Bytes<'_>) -> Result<Origin<'a>, Refusal> {
    types
        .get(index as usize)
        .copied()
        .ok_or_else(|| start.malformed("the index of an earlier type"))
}

fn deeper(bytes: &Bytes<'_>, depth: u32) -> Result<u32, Refusal> {
    if depth < MAX_DEPTH {
        return Ok(depth + 1);
    }
    Err(bytes.malformed("types that are nested at most 8 deep"))
}

fn core_type(start: &Bytes<'_>) -> Refusal {
    start.malformed("no core type in a type of a WASI 0.2 interface")
}

/// Passes over a value type: the index of a type or, negative in this encoding, a primitive one.
fn value(bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
    bytes.skip_number(5, "a value type")
}

fn labelled(bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
    each(bytes, |bytes| {
        bytes.name()?;
        value(bytes)
    })
}

fn each<'a>(
    bytes: &mut Bytes<'a>,
    mut item: impl FnMut(&mut Bytes<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    for _ in 0..bytes.count("a count")? {
        item(bytes)?;
    }
    Ok(())
}

fn optional<'a>(
    bytes: &mut Bytes<'a>,
    item: impl FnOnce(&mut Bytes<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let start = *bytes;
    match bytes.byte("0 or 1")? {
        0 => Ok(()),
        1 => item(bytes),
        _ => Err(start.malformed("0 or 1")),
    }
}

/// The index of the result's type, when these bytes are a function type without parameters whose result has an index.
pub(crate) fn result_of_no_parameters(mut bytes: Bytes<'_>) -> Option<u32> {
    const EXPECTED: &str = "a function type";
    bytes.exactly(0x40, EXPECTED).ok()?;
    bytes.exactly(0, EXPECTED).ok()?;
    bytes.exactly(0, EXPECTED).ok()?;
    u32::try_from(bytes.signed(EXPECTED).ok()?).ok()
}

/// Whether these bytes are the type `result`, with nothing in either case.
pub(crate) fn is_plain_result(bytes: Bytes<'_>) -> bool {
    bytes.rest().starts_with(&[0x6a, 0, 0])
}
