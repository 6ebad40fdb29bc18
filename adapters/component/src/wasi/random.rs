//! `wasi:random@0.2`: random, insecure, insecure-seed. The insecure interfaces give secure bytes too: one source is less code
//! than two, and the interface allows it.

use alloc::string::ToString;
use core::marker::PhantomData;

use crate::abi::{Lower, Lowering, Slots, Value};
use crate::function;
use crate::host::{self, Call, Context, Function, Interface};
use crate::services::Services;
use crate::trap::Trap;

/// The interfaces over services `S`.
pub struct Random<S>(PhantomData<S>);

/// Most bytes of one call, as under the Wasmtime adapter.
const MAX_BYTES: u64 = 64 << 20;

/// The words of `vyoma_runtime::trap::RANDOM_SIZE`.
const TOO_MANY: &str = "more than 67108864 random bytes at once";

impl<S: Services> Random<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] =
        &[Self::RANDOM, Self::INSECURE, Self::INSECURE_SEED];

    /// `wasi:random/random`
    pub const RANDOM: &'static Interface<S> = &Interface {
        name: "wasi:random/random",
        functions: &[
            bytes("get-random-bytes"),
            function!("get-random-u64", number::<S>),
        ],
        resources: &[],
    };

    /// `wasi:random/insecure`
    pub const INSECURE: &'static Interface<S> = &Interface {
        name: "wasi:random/insecure",
        functions: &[
            bytes("get-insecure-random-bytes"),
            function!("get-insecure-random-u64", number::<S>),
        ],
        resources: &[],
    };

    /// `wasi:random/insecure-seed`
    pub const INSECURE_SEED: &'static Interface<S> = &Interface {
        name: "wasi:random/insecure-seed",
        functions: &[function!("insecure-seed", seed::<S>)],
        resources: &[],
    };
}

/// `func(len: u64) -> list<u8>`. Not of [`function!`], because the bytes are made in the guest's memory: the host needs
/// no memory for them, whatever the guest asks for.
const fn bytes<S: Services>(name: &'static str) -> Function<S> {
    Function {
        name,
        signature: || host::signature(&shape::<S>),
        call: fill,
    }
}

/// What [`fill`] does, as a type.
fn shape<S: Services>(_: &mut Context<'_, S>, (_,): (u64,)) -> Result<crate::abi::Buffer, Trap> {
    Ok(crate::abi::Buffer::default())
}

fn fill<S: Services>(call: &mut Call<'_, S>) -> Result<(), Trap> {
    let mut slots = Slots::new(call.slots);
    let (length, result) = (slots.u64()?, slots.u32()?);
    if length > MAX_BYTES {
        return Err(Trap::Interface(TOO_MANY.to_string()));
    }
    let mut lowering = Lowering {
        guest: call.context.guest,
        realloc: call.realloc,
    };
    lowering.check(result, <(u32, u32)>::SIZE, <(u32, u32)>::ALIGN)?;
    let at = lowering.allocate(length as usize, 1)?;
    let bytes = lowering
        .guest
        .memory()
        .get_mut(at as usize..)
        .and_then(|rest| rest.get_mut(..length as usize))
        .ok_or(Trap::Abi("realloc returned a pointer outside memory"))?;
    call.context.services.random(bytes);
    (at, length as u32).store(&mut lowering, result)
}

fn number<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<u64, Trap> {
    let mut bytes = [0; 8];
    cx.services.random(&mut bytes);
    Ok(u64::from_le_bytes(bytes))
}

fn seed<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<(u64, u64), Trap> {
    Ok(cx.services.insecure_seed())
}
