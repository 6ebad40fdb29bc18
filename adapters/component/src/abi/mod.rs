//! The canonical ABI: how values of WIT types look as core values and in linear memory, in both directions.
//!
//! *Lifting* reads what a guest passes: every pointer, length, discriminant, character and handle is checked, and what is
//! wrong is a trap of the guest. *Lowering* writes results, into memory that the guest's `realloc` gives, which is checked
//! too. Types are Rust types that implement [`Lift`] or [`Lower`]; the macros in [`macros`] make them for records, variants,
//! enums and flags. Only what a host function needs is here: guests' exports other than `run` are not called.
//! Small functions are inlined on Linux only, where calls of devices go through them all the time; a microcontroller's flash has no
//! room for that. Reference: the component model's CanonicalABI.md.

mod aggregate;
mod flat;
pub mod macros;
mod scalar;

pub use aggregate::{Buffer, Few};
pub use flat::Flat;

use crate::guest::{Guest, Realloc};
use crate::handles::{Borrow, Handles, Lent, Own};
use crate::program::CoreType;
use crate::trap::Trap;

/// The shape of a WIT type.
pub trait Value: Sized {
    /// Bytes in memory.
    const SIZE: u32;
    /// Alignment in memory: 1, 2, 4 or 8.
    const ALIGN: u32;
    /// Count of core values.
    const FLAT: usize;
    /// The core values' types.
    const TYPES: Flat;
}

/// A type that the guest passes.
pub trait Lift: Value {
    /// From core values.
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap>;
    /// From memory; `at` is aligned and the bytes are inside memory.
    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap>;
}

/// A type that the guest gets.
pub trait Lower: Value {
    /// As the one core value that the type has; none for a type without.
    fn lower(self, cx: &mut Lowering<'_>) -> Result<Option<u64>, Trap>;
    /// Into memory; `at` is aligned and the bytes are inside memory.
    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap>;
    /// All of it, when that is one byte of memory: written without asking for memory again.
    fn byte(&self) -> Option<u8> {
        None
    }
    /// Into memory, at a place that the guest names: it is checked.
    fn place(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        cx.check(at, Self::SIZE, Self::ALIGN)?;
        self.store(cx, at)
    }
}

/// What lifting works on.
pub struct Lifting<'a> {
    /// For its memory.
    pub guest: &'a mut dyn Guest,
    /// What the guest holds.
    pub handles: &'a mut Handles,
}

/// What lowering works on.
pub struct Lowering<'a> {
    /// For its memory and allocator.
    pub guest: &'a mut dyn Guest,
    /// The allocator for this call.
    pub realloc: Option<Realloc>,
}

/// Core arguments, one a slot.
pub struct Slots<'a> {
    values: &'a [u64],
    next: usize,
}

impl<'a> Slots<'a> {
    /// From the first.
    pub fn new(values: &'a [u64]) -> Self {
        Self { values, next: 0 }
    }

    /// The next one.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn u64(&mut self) -> Result<u64, Trap> {
        let value = self
            .values
            .get(self.next)
            .ok_or(Trap::Abi("too few core values"))?;
        self.next += 1;
        Ok(*value)
    }

    /// The next one; engines leave the high half of a 32-bit value undefined.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn u32(&mut self) -> Result<u32, Trap> {
        self.u64().map(|value| value as u32)
    }

    /// Where the next one is, for variants.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Goes on at `position`: after a variant, whatever the case took.
    pub fn seek(&mut self, position: usize) {
        self.next = position;
    }
}

/// Checks that `size` bytes at `at` are in a memory of `length` bytes, and that `at` is aligned.
#[cfg_attr(target_os = "linux", inline)]
fn inside(length: usize, at: u32, size: u64, align: u32) -> Result<(), Trap> {
    if !at.is_multiple_of(align) {
        return Err(Trap::Abi("pointer is not aligned"));
    }
    if u64::from(at) + size > length as u64 {
        return Err(Trap::Abi("pointer is outside memory"));
    }
    Ok(())
}

impl Lifting<'_> {
    /// Checks a range of memory.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn check(&mut self, at: u32, size: u64, align: u32) -> Result<(), Trap> {
        inside(self.guest.memory().len(), at, size, align)
    }

    /// Bytes of memory.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn bytes(&mut self, at: u32, size: u32) -> Result<&[u8], Trap> {
        let start = at as usize;
        self.guest
            .memory()
            .get(start..)
            .and_then(|rest| rest.get(..size as usize))
            .ok_or(Trap::Abi("pointer is outside memory"))
    }

    /// A number of `N` bytes, little-endian.
    #[cfg_attr(target_os = "linux", inline)]
    pub(crate) fn number<const N: usize>(&mut self, at: u32) -> Result<[u8; N], Trap> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.bytes(at, N as u32)?);
        Ok(bytes)
    }
}

impl Lowering<'_> {
    /// Checks a place that the guest named for a result.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn check(&mut self, at: u32, size: u32, align: u32) -> Result<(), Trap> {
        inside(self.guest.memory().len(), at, u64::from(size), align)
    }

    /// Writes bytes.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Trap> {
        let start = at as usize;
        self.guest
            .memory()
            .get_mut(start..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
            .ok_or(Trap::Abi("pointer is outside memory"))?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// Memory of the guest for `size` bytes; its answer is checked.
    pub fn allocate(&mut self, size: usize, align: u32) -> Result<u32, Trap> {
        let realloc = self.realloc.ok_or(Trap::Abi("no realloc for a result"))?;
        let size = u32::try_from(size).map_err(|_| Trap::Abi("result is larger than memory"))?;
        let at = self.guest.realloc(realloc, 0, 0, align, size)?;
        if !at.is_multiple_of(align) {
            return Err(Trap::Abi("realloc returned a pointer that is not aligned"));
        }
        if u64::from(at) + u64::from(size) > self.guest.memory().len() as u64 {
            return Err(Trap::Abi("realloc returned a pointer outside memory"));
        }
        Ok(at)
    }
}

/// A `list<u8>` that the guest passed, as a view of its memory: nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    at: u32,
    length: u32,
}

impl Bytes {
    pub(crate) fn new(at: u32, length: u32) -> Self {
        Self { at, length }
    }

    /// Count of bytes.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes themselves.
    pub fn get<'a>(&self, guest: &'a mut dyn Guest) -> Result<&'a [u8], Trap> {
        self.of(guest.memory())
    }

    /// The bytes themselves, of several views at a time.
    pub fn of<'a>(&self, memory: &'a [u8]) -> Result<&'a [u8], Trap> {
        memory
            .get(self.at as usize..)
            .and_then(|rest| rest.get(..self.length as usize))
            .ok_or(Trap::Abi("pointer is outside memory"))
    }
}

impl<T> Value for Own<T> {
    const SIZE: u32 = 4;
    const ALIGN: u32 = 4;
    const FLAT: usize = 1;
    const TYPES: Flat = Flat::one(CoreType::I32);
}

impl<T> Lower for Own<T> {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Ok(Some(u64::from(self.0)))
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        cx.write(at, &self.0.to_le_bytes())
    }
}

/// Checked; the function takes it with [`Handles::remove`], where a handle that was passed twice is found out.
impl<T: 'static> Lift for Own<T> {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        let handle: Borrow<T> = Lift::lift(cx, slots)?;
        Ok(Self::new(handle.0))
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        let handle: Borrow<T> = Lift::load(cx, at)?;
        Ok(Self::new(handle.0))
    }
}

impl<T> Value for Borrow<T> {
    const SIZE: u32 = 4;
    const ALIGN: u32 = 4;
    const FLAT: usize = 1;
    const TYPES: Flat = Flat::one(CoreType::I32);
}

impl<T: 'static> Lift for Borrow<T> {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        cx.handles.check(slots.u32()?)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        let handle = u32::from_le_bytes(cx.number(at)?);
        cx.handles.check(handle)
    }
}

impl<T> Value for Lent<T> {
    const SIZE: u32 = 4;
    const ALIGN: u32 = 4;
    const FLAT: usize = 1;
    const TYPES: Flat = Flat::one(CoreType::I32);
}

impl<T: 'static> Lift for Lent<T> {
    #[cfg_attr(target_os = "linux", inline)]
    fn lift(_: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        slots.u32().map(Self::new)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        Ok(Self::new(u32::from_le_bytes(cx.number(at)?)))
    }
}
