//! From an import of the core module to the host function behind it, and the call itself.
//!
//! A platform names the packages that it has ([`Platform::packages`]); an adapter links each import of a
//! program once, and then calls by the link. Versions of an interface that semver calls compatible are the same interface.
//! Nothing here knows an engine.

use alloc::string::{String, ToString as _};
use core::fmt;
use core::marker::PhantomData;

use crate::abi::{Flat, Lift, Lifting, Lower, Lowering, Slots};
use crate::guest::{Guest, Realloc};
use crate::handles::Handles;
use crate::program::{CoreType, Import, Signature, Target};
use crate::trap::Trap;

/// The most flat parameters of a lowered function before they are passed in memory (canonical ABI, MAX_FLAT_PARAMS). No
/// function of WASI 0.2 has more.
const MAX_FLAT_PARAMS: usize = 16;

/// A set of host functions over the services of one platform.
pub trait Platform: Sized + 'static {
    /// The packages that a guest can import from here, each with its interfaces.
    fn packages() -> &'static [&'static [&'static Interface<Self>]];

    /// Everything that a guest can import here.
    fn interfaces() -> impl Iterator<Item = &'static Interface<Self>> {
        Self::packages().iter().copied().flatten().copied()
    }

    /// Whether no guest can ever hold a resource of that type here, because nothing makes one. Its methods and its drop are
    /// then linked without being there, whatever their names: called, they trap as for any handle that a guest does not hold.
    fn is_absent(interface: &str, resource: &str) -> bool {
        let _ = (interface, resource);
        false
    }
}

/// An interface as the host provides it.
pub struct Interface<S: 'static> {
    /// `vyoma:uart/uart@0.1.0`; without a version it has WASI's, 0.2: `wasi:io/streams`
    pub name: &'static str,
    /// Its functions and methods.
    pub functions: &'static [Function<S>],
    /// The resource types that it defines.
    pub resources: &'static [ResourceType<S>],
}

/// A host function. Made by the macro [`function`](crate::function).
pub struct Function<S> {
    /// As WIT names it in a component: `[method]pollable.block`
    pub name: &'static str,
    /// Core signature of its lowering.
    pub signature: fn() -> Lowered,
    /// Lifts the arguments, calls, lowers the result.
    pub call: fn(&mut Call<'_, S>) -> Result<(), Trap>,
}

/// A resource type. Made by the macro [`resource`](crate::resource).
pub struct ResourceType<S> {
    /// As WIT names it: `pollable`
    pub name: &'static str,
    /// `resource.drop` of a handle.
    pub drop: fn(&mut Context<'_, S>, u32) -> Result<(), Trap>,
}

/// What a host function works on.
pub struct Context<'a, S> {
    /// The platform.
    pub services: &'a mut S,
    /// What the guest holds.
    pub handles: &'a mut Handles,
    /// The guest's memory, for arguments that are views of it ([`Bytes`](crate::abi::Bytes)).
    pub guest: &'a mut dyn Guest,
}

/// One call on its way: raw arguments in, raw result out.
pub struct Call<'a, S> {
    /// What the function works on.
    pub context: Context<'a, S>,
    /// Where results that are lists or strings are allocated.
    pub realloc: Option<Realloc>,
    /// Arguments, one a slot (i32 and f32 in the low half); the result, if any, replaces the first.
    pub slots: &'a mut [u64],
}

/// Makes a [`Function`] of a name and a `fn(&mut Context<S>, (A, B, ..)) -> Result<R, Trap>`.
#[macro_export]
macro_rules! function {
    ($name:literal, $function:expr) => {
        $crate::host::Function {
            name: $name,
            signature: || $crate::host::signature(&$function),
            call: |call| $crate::host::invoke(call, &$function),
        }
    };
}

/// Makes a [`ResourceType`] of a name and the Rust type behind it; dropping it in Rust closes what it holds.
#[macro_export]
macro_rules! resource {
    ($name:literal, $type:ty) => {
        $crate::host::ResourceType {
            name: $name,
            drop: |context, handle| context.handles.remove::<$type>(handle).map(drop),
        }
    };
}

/// Core signature of a lowered function, as a constant.
#[derive(Debug, Clone, Copy)]
pub struct Lowered {
    params: &'static Flat,
    result: Option<CoreType>,
}

impl Lowered {
    /// As programs have it.
    pub fn signature(&self) -> Signature {
        Signature {
            params: self.params.types().into(),
            result: self.result,
        }
    }

    fn is(&self, signature: &Signature) -> bool {
        self.params.types() == signature.params && self.result == signature.result
    }
}

/// Core signature of the lowering of `function`.
pub fn signature<S, A: Lift, R: Lower>(
    _: &impl Fn(&mut Context<'_, S>, A) -> Result<R, Trap>,
) -> Lowered {
    Lowered {
        params: &Shape::<A, R>::PARAMS,
        result: Shape::<A, R>::RESULT,
    }
}

/// Arguments and result.
struct Shape<A, R>(PhantomData<(A, R)>);

impl<A: Lift, R: Lower> Shape<A, R> {
    const PARAMS: Flat = {
        assert!(
            A::FLAT <= MAX_FLAT_PARAMS,
            "passed in memory: not supported"
        );
        if R::FLAT > 1 {
            A::TYPES.then(Flat::one(CoreType::I32))
        } else {
            A::TYPES
        }
    };
    const RESULT: Option<CoreType> = if R::FLAT == 1 {
        Some(R::TYPES.types()[0])
    } else {
        None
    };
}

/// Lifts the arguments, calls `function`, lowers its result.
pub fn invoke<S, A: Lift, R: Lower>(
    call: &mut Call<'_, S>,
    function: &impl Fn(&mut Context<'_, S>, A) -> Result<R, Trap>,
) -> Result<(), Trap> {
    let context = &mut call.context;
    let mut slots = Slots::new(call.slots);
    let mut lifting = Lifting {
        guest: context.guest,
        handles: context.handles,
    };
    let arguments = A::lift(&mut lifting, &mut slots)?;
    let indirect = R::FLAT > 1;
    let pointer = if indirect { slots.u32()? } else { 0 };
    let result = function(context, arguments)?;
    let mut lowering = Lowering {
        guest: context.guest,
        realloc: call.realloc,
    };
    if indirect {
        return result.place(&mut lowering, pointer);
    }
    if let Some(value) = result.lower(&mut lowering)? {
        *call
            .slots
            .first_mut()
            .ok_or(Trap::Abi("no slot for a result"))? = value;
    }
    Ok(())
}

/// An import that can be called.
pub struct Linked<S: 'static> {
    kind: Kind<S>,
    realloc: Option<Realloc>,
    /// Slots that a call needs: parameters, or one for the result.
    pub slots: usize,
}

enum Kind<S: 'static> {
    Function(&'static Function<S>),
    Drop(&'static ResourceType<S>),
    /// See [`Platform::is_absent`].
    Absent,
}

/// Why an import can't be linked. One line for people, made when it is shown: the firmware links too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlinked {
    interface: String,
    name: String,
    /// When only this is wrong: what was found, and what was expected.
    signatures: Option<(Signature, Signature)>,
}

impl fmt::Display for Unlinked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            name,
            signatures,
        } = self;
        write!(f, "imports `{name}` of `{interface}`")?;
        match signatures {
            None => f.write_str(", which no host here provides"),
            Some((found, expected)) => {
                write!(f, " with the core signature {found}; expected {expected}")
            }
        }
    }
}

impl core::error::Error for Unlinked {}

/// Finds what `import` means on platform `S`.
pub fn link<S: Platform>(import: &Import<'_>) -> Result<Linked<S>, Unlinked> {
    let (versioned, name) = import.target.names();
    let unlinked = |signatures| Unlinked {
        interface: versioned.to_string(),
        name: name.to_string(),
        signatures,
    };
    let interface = interface::<S>(versioned).ok_or_else(|| unlinked(None))?;
    if is_absent::<S>(interface.name, &import.target) {
        return Ok(Linked {
            kind: Kind::Absent,
            realloc: None,
            slots: import.signature.params.len().max(1),
        });
    }
    let (kind, expected) = match &import.target {
        Target::Function { .. } => {
            let function = interface
                .functions
                .iter()
                .find(|function| function.name == name)
                .ok_or_else(|| unlinked(None))?;
            (Kind::Function(function), (function.signature)())
        }
        Target::Drop { .. } => {
            let resource = interface
                .resources
                .iter()
                .find(|resource| resource.name == name)
                .ok_or_else(|| unlinked(None))?;
            (Kind::Drop(resource), DROP)
        }
    };
    if !expected.is(&import.signature) {
        let expected = expected.signature();
        return Err(unlinked(Some((import.signature.clone(), expected))));
    }
    Ok(Linked {
        kind,
        realloc: import.realloc,
        slots: import.signature.params.len().max(1),
    })
}

/// `resource.drop` of any type.
const DROP: Lowered = Lowered {
    params: &const { Flat::one(CoreType::I32) },
    result: None,
};

/// Whether it is a method or the drop of a resource that there can't be.
fn is_absent<S: Platform>(interface: &str, target: &Target<'_>) -> bool {
    let resource = match target {
        Target::Function { function, .. } => function
            .strip_prefix("[method]")
            .and_then(|name| name.split_once('.'))
            .map(|(resource, _)| resource),
        Target::Drop { resource, .. } => Some(&**resource),
    };
    resource.is_some_and(|resource| S::is_absent(interface, resource))
}

/// What platform `S` has in the place of an interface that a guest names with its version.
pub fn interface<S: Platform>(versioned: &str) -> Option<&'static Interface<S>> {
    let (name, wanted) = versioned.split_once('@')?;
    S::interfaces().find(|interface| {
        let (provided, version) = interface
            .name
            .split_once('@')
            .unwrap_or((interface.name, WASI));
        provided == name && is_compatible(version, wanted)
    })
}

/// The version of WASI that interfaces have which name none.
const WASI: &str = "0.2.0";

/// Whether a guest that was made for version `wanted` runs with `provided`, by semver: below 1.0 the same minor version,
/// whatever the patch. A pre-release (`0.2.0-draft`, `0.2.0-rc-2024-01-16`) is compatible with itself only.
fn is_compatible(provided: &str, wanted: &str) -> bool {
    provided == wanted
        || match (minor(provided), minor(wanted)) {
            (Some(provided), Some(wanted)) => provided == wanted,
            _ => false,
        }
}

/// `0.2` of `0.2.12`; none for a pre-release or what is no version.
fn minor(version: &str) -> Option<&str> {
    let (minor, patch) = version.rsplit_once('.')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (minor.strip_prefix("0.").is_some_and(number) && number(patch)).then_some(minor)
}

/// Calls a linked import. A guest that is inside its `realloc` on behalf of a host call must not call another host
/// function: adapters answer that with [`Trap::CannotLeave`] before they come here.
pub fn call<S: Platform>(
    linked: &Linked<S>,
    services: &mut S,
    handles: &mut Handles,
    guest: &mut dyn Guest,
    slots: &mut [u64],
) -> Result<(), Trap> {
    match linked.kind {
        Kind::Function(function) => (function.call)(&mut Call {
            context: Context {
                services,
                handles,
                guest,
            },
            realloc: linked.realloc,
            slots,
        }),
        Kind::Drop(resource) => {
            let handle = slots.first().ok_or(Trap::Abi("no argument"))?;
            let mut context = Context {
                services,
                handles,
                guest,
            };
            (resource.drop)(&mut context, *handle as u32)
        }
        // A method's first argument is the handle, too.
        Kind::Absent => Err(Trap::UnknownHandle(
            slots.first().map_or(0, |slot| *slot as u32),
        )),
    }
}
