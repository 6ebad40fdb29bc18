//! Strings, lists, tuples, options and results.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Bytes, Flat, Lift, Lifting, Lower, Lowering, Slots, Value, inside};
use crate::program::CoreType;
use crate::trap::Trap;

/// The longest list that a host function takes: far more than any needs (handles for `poll`), and the host's own memory stays
/// its own. Bytes are views of the guest's memory, and strings are copied as long as they are, because one that is too long
/// for a path is that interface's error.
const MAX_ELEMENTS: u32 = 1 << 16;

/// The host has no memory for an argument that the guest has memory for.
const NO_MEMORY: Trap = Trap::Abi("no memory for an argument");

/// `at` rounded up to a multiple of `align`, a power of two.
pub const fn align_to(at: u32, align: u32) -> u32 {
    (at + align - 1) & !(align - 1)
}

/// The larger one, in constants.
pub const fn max(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}

/// The larger one, in constants.
pub const fn max_usize(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

macro_rules! pointer_and_length {
    ($type:ty $(, $param:ident: $bound:ident)?) => {
        impl $(<$param: $bound>)? Value for $type {
            const SIZE: u32 = 8;
            const ALIGN: u32 = 4;
            const FLAT: usize = 2;
            const TYPES: Flat = Flat::one(CoreType::I32).then(Flat::one(CoreType::I32));
        }
    };
}

pointer_and_length!(Bytes);
pointer_and_length!(String);
pointer_and_length!(Vec<T>, T: Value);

impl Bytes {
    fn checked(cx: &mut Lifting<'_>, at: u32, length: u32) -> Result<Self, Trap> {
        cx.check(at, length.into(), 1)?;
        Ok(Self::new(at, length))
    }
}

impl Lift for Bytes {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        let (at, length) = (slots.u32()?, slots.u32()?);
        Self::checked(cx, at, length)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        let (start, length) = (u32::load(cx, at)?, u32::load(cx, at + 4)?);
        Self::checked(cx, start, length)
    }
}

fn string(cx: &mut Lifting<'_>, at: u32, length: u32) -> Result<String, Trap> {
    let text = core::str::from_utf8(cx.bytes(at, length)?)
        .map_err(|_| Trap::Abi("string is not UTF-8"))?;
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| NO_MEMORY)?;
    copy.push_str(text);
    Ok(copy)
}

impl Lift for String {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        let (at, length) = (slots.u32()?, slots.u32()?);
        string(cx, at, length)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        let (start, length) = (u32::load(cx, at)?, u32::load(cx, at + 4)?);
        string(cx, start, length)
    }
}

impl Lower for String {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Err(Trap::Abi("two core values in the place of one"))
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        store_bytes(self.as_bytes(), cx, at)
    }
}

fn list<T: Lift>(cx: &mut Lifting<'_>, at: u32, length: u32) -> Result<Vec<T>, Trap> {
    cx.check(at, u64::from(length) * u64::from(T::SIZE), T::ALIGN)?;
    if length > MAX_ELEMENTS {
        return Err(Trap::Abi("list is longer than 65536 elements"));
    }
    let mut list = Vec::new();
    list.try_reserve_exact(length as usize)
        .map_err(|_| NO_MEMORY)?;
    for index in 0..length {
        list.push(T::load(cx, at + index * T::SIZE)?);
    }
    Ok(list)
}

impl<T: Lift> Lift for Vec<T> {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        let (at, length) = (slots.u32()?, slots.u32()?);
        list(cx, at, length)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        let (start, length) = (u32::load(cx, at)?, u32::load(cx, at + 4)?);
        list(cx, start, length)
    }
}

/// For `list<u8>` results see [`Buffer`], which is copied at once.
impl<T: Lower> Lower for Vec<T> {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Err(Trap::Abi("two core values in the place of one"))
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        let length = self.len() as u32;
        let start = cx.allocate(self.len() * T::SIZE as usize, T::ALIGN)?;
        for (index, element) in (0..length).zip(self) {
            element.store(cx, start + index * T::SIZE)?;
        }
        start.store(cx, at)?;
        length.store(cx, at + 4)
    }
}

/// A `list<u8>` result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buffer(pub Vec<u8>);

pointer_and_length!(Buffer);

impl Lower for Buffer {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Err(Trap::Abi("two core values in the place of one"))
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        store_bytes(&self.0, cx, at)
    }
}

fn store_bytes(bytes: &[u8], cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
    let start = cx.allocate(bytes.len(), 1)?;
    cx.write(start, bytes)?;
    // Pointer and length, at once.
    let place = u64::from(start) | (bytes.len() as u64) << 32;
    cx.write(at, &place.to_le_bytes())
}

/// A `list<u8>` result of a length that is known and small more often than not, such as a register's: up to 32 bytes it goes
/// without the heap.
#[derive(Debug)]
pub struct Few {
    here: [u8; Self::HERE],
    /// Instead, if there are more.
    elsewhere: Vec<u8>,
    length: usize,
}

pointer_and_length!(Few);

impl Few {
    const HERE: usize = 32;

    /// So many zeros.
    pub fn new(length: usize) -> Self {
        let elsewhere = if length > Self::HERE {
            vec![0; length]
        } else {
            Vec::new()
        };
        Self {
            here: [0; Self::HERE],
            elsewhere,
            length,
        }
    }

    /// All of them.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.here
            .get_mut(..self.length)
            .unwrap_or(&mut self.elsewhere)
    }
}

impl Lower for Few {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Err(Trap::Abi("two core values in the place of one"))
    }

    fn store(mut self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        store_bytes(self.bytes(), cx, at)
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Value),+> Value for ($($name,)+) {
            const SIZE: u32 = {
                let mut size = 0;
                $(size = align_to(size, $name::ALIGN) + $name::SIZE;)+
                align_to(size, Self::ALIGN)
            };
            const ALIGN: u32 = {
                let mut align = 1;
                $(align = max(align, $name::ALIGN);)+
                align
            };
            const FLAT: usize = 0 $(+ $name::FLAT)+;
            const TYPES: Flat = Flat::EMPTY $(.then($name::TYPES))+;
        }

        impl<$($name: Lift),+> Lift for ($($name,)+) {
            fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
                Ok(($($name::lift(cx, slots)?,)+))
            }

            #[allow(unused_assignments, reason = "the offset after the last field")]
            fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
                let mut offset = 0;
                Ok(($({
                    let place = align_to(offset, $name::ALIGN);
                    offset = place + $name::SIZE;
                    $name::load(cx, at + place)?
                },)+))
            }
        }

        impl<$($name: Lower),+> Lower for ($($name,)+) {
            fn lower(self, cx: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
                let mut only = None;
                $(if let Some(value) = self.$index.lower(cx)? { only = Some(value); })+
                Ok(only)
            }

            #[allow(unused_assignments, reason = "the offset after the last field")]
            fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
                let mut offset = 0;
                $(
                    let place = align_to(offset, $name::ALIGN);
                    offset = place + $name::SIZE;
                    self.$index.store(cx, at + place)?;
                )+
                Ok(())
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Where the payload of a variant with a one-byte discriminant starts.
pub const fn payload_offset(align: u32) -> u32 {
    align_to(1, align)
}

impl<T: Value> Value for Option<T> {
    const SIZE: u32 = align_to(payload_offset(T::ALIGN) + T::SIZE, T::ALIGN);
    const ALIGN: u32 = T::ALIGN;
    const FLAT: usize = 1 + T::FLAT;
    const TYPES: Flat = Flat::one(CoreType::I32).then(T::TYPES);
}

impl<T: Lift> Lift for Option<T> {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        let tag = slots.u32()?;
        let end = slots.position() + T::FLAT;
        let value = match tag {
            0 => None,
            1 => Some(T::lift(cx, slots)?),
            _ => return Err(Trap::Abi("no such case of an option")),
        };
        slots.seek(end);
        Ok(value)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        match u8::load(cx, at)? {
            0 => Ok(None),
            1 => T::load(cx, at + payload_offset(T::ALIGN)).map(Some),
            _ => Err(Trap::Abi("no such case of an option")),
        }
    }
}

impl<T: Lower> Lower for Option<T> {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        // Only an option of nothing has one core value.
        Ok(Some(self.is_some().into()))
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        match self {
            None => 0_u8.store(cx, at),
            Some(value) => {
                1_u8.store(cx, at)?;
                value.store(cx, at + payload_offset(T::ALIGN))
            }
        }
    }
}

impl<T: Value, E: Value> Value for Result<T, E> {
    const SIZE: u32 = align_to(
        payload_offset(Self::ALIGN) + max(T::SIZE, E::SIZE),
        Self::ALIGN,
    );
    const ALIGN: u32 = max(T::ALIGN, E::ALIGN);
    const FLAT: usize = 1 + max_usize(T::FLAT, E::FLAT);
    const TYPES: Flat = Flat::one(CoreType::I32).then(T::TYPES.or(E::TYPES));
}

impl<T: Lift, E: Lift> Lift for Result<T, E> {
    fn lift(cx: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        let tag = slots.u32()?;
        let end = slots.position() + Self::FLAT - 1;
        let value = match tag {
            0 => Ok(T::lift(cx, slots)?),
            1 => Err(E::lift(cx, slots)?),
            _ => return Err(Trap::Abi("no such case of a result")),
        };
        slots.seek(end);
        Ok(value)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        let payload = at + payload_offset(Self::ALIGN);
        match u8::load(cx, at)? {
            0 => T::load(cx, payload).map(Ok),
            1 => E::load(cx, payload).map(Err),
            _ => Err(Trap::Abi("no such case of a result")),
        }
    }
}

impl<T: Lower, E: Lower> Lower for Result<T, E> {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        // Only a result without payloads has one core value.
        Ok(Some(self.is_err().into()))
    }

    #[cfg_attr(target_os = "linux", inline)]
    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        let payload = at + payload_offset(Self::ALIGN);
        match self {
            Ok(value) => {
                0_u8.store(cx, at)?;
                value.store(cx, payload)
            }
            Err(error) => store_error(error, cx, at, payload),
        }
    }

    // Most results of host functions: their memory is asked for once.
    #[cfg_attr(target_os = "linux", inline)]
    fn place(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        let memory = cx.guest.memory();
        inside(memory.len(), at, Self::SIZE.into(), Self::ALIGN)?;
        let offset = payload_offset(Self::ALIGN);
        let place = memory.get_mut(at as usize..).unwrap_or_default();
        if let Some(tag) = place.first_mut() {
            *tag = self.is_err().into();
        }
        if let Ok(Some(byte)) = self.as_ref().map(Lower::byte)
            && let Some(place) = place.get_mut(offset as usize)
        {
            *place = byte;
            return Ok(());
        }
        let payload = at + offset;
        match self {
            Ok(value) => value.store(cx, payload),
            Err(error) => error.store(cx, payload),
        }
    }
}

/// Apart, so that what goes well is small enough to be inlined.
#[cfg_attr(target_os = "linux", cold, inline(never))]
fn store_error<E: Lower>(
    error: E,
    cx: &mut Lowering<'_>,
    at: u32,
    payload: u32,
) -> Result<(), Trap> {
    1_u8.store(cx, at)?;
    error.store(cx, payload)
}
