//! Numbers, booleans, characters, and nothing.

use super::{Flat, Lift, Lifting, Lower, Lowering, Slots, Value};
use crate::program::CoreType;
use crate::trap::Trap;

macro_rules! integer {
    ($type:ty, $size:literal, $core:ident, $extend:expr) => {
        impl Value for $type {
            const SIZE: u32 = $size;
            const ALIGN: u32 = $size;
            const FLAT: usize = 1;
            const TYPES: Flat = Flat::one(CoreType::$core);
        }

        impl Lift for $type {
            // The canonical ABI takes the low bits of a narrow integer, whatever the others are.
            #[cfg_attr(target_os = "linux", inline)]
            fn lift(_: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
                slots.u64().map(|value| value as $type)
            }

            fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
                cx.number(at).map(<$type>::from_le_bytes)
            }
        }

        impl Lower for $type {
            fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
                let extend: fn($type) -> u64 = $extend;
                Ok(Some(extend(self)))
            }

            #[cfg_attr(target_os = "linux", inline)]
            fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
                cx.write(at, &self.to_le_bytes())
            }
        }
    };
}

// Narrow ones become an i32: unsigned ones by zeroes, signed ones by their sign. The high half of an i32's slot is zero.
integer!(u8, 1, I32, u64::from);
integer!(i8, 1, I32, |value| u64::from(i32::from(value) as u32));
integer!(u16, 2, I32, u64::from);
integer!(i16, 2, I32, |value| u64::from(i32::from(value) as u32));
integer!(u32, 4, I32, u64::from);
integer!(i32, 4, I32, |value| u64::from(value as u32));
integer!(u64, 8, I64, |value| value);
integer!(i64, 8, I64, |value| value as u64);

macro_rules! float {
    ($type:ty, $bits:ty, $size:literal, $core:ident) => {
        impl Value for $type {
            const SIZE: u32 = $size;
            const ALIGN: u32 = $size;
            const FLAT: usize = 1;
            const TYPES: Flat = Flat::one(CoreType::$core);
        }

        impl Lift for $type {
            fn lift(_: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
                slots.u64().map(|bits| <$type>::from_bits(bits as $bits))
            }

            fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
                cx.number(at).map(<$type>::from_le_bytes)
            }
        }

        impl Lower for $type {
            fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
                Ok(Some(u64::from(self.to_bits())))
            }

            #[cfg_attr(target_os = "linux", inline)]
            fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
                cx.write(at, &self.to_le_bytes())
            }
        }
    };
}

float!(f32, u32, 4, F32);
float!(f64, u64, 8, F64);

impl Value for bool {
    const SIZE: u32 = 1;
    const ALIGN: u32 = 1;
    const FLAT: usize = 1;
    const TYPES: Flat = Flat::one(CoreType::I32);
}

impl Lift for bool {
    fn lift(_: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        slots.u32().map(|value| value != 0)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        cx.number::<1>(at).map(|[byte]| byte != 0)
    }
}

impl Lower for bool {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Ok(Some(self.into()))
    }

    fn byte(&self) -> Option<u8> {
        Some((*self).into())
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        cx.write(at, &[self.into()])
    }
}

impl Value for char {
    const SIZE: u32 = 4;
    const ALIGN: u32 = 4;
    const FLAT: usize = 1;
    const TYPES: Flat = Flat::one(CoreType::I32);
}

fn character(value: u32) -> Result<char, Trap> {
    char::from_u32(value).ok_or(Trap::Abi("not a character"))
}

impl Lift for char {
    fn lift(_: &mut Lifting<'_>, slots: &mut Slots<'_>) -> Result<Self, Trap> {
        character(slots.u32()?)
    }

    fn load(cx: &mut Lifting<'_>, at: u32) -> Result<Self, Trap> {
        character(u32::load(cx, at)?)
    }
}

impl Lower for char {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Ok(Some(u32::from(self).into()))
    }

    fn store(self, cx: &mut Lowering<'_>, at: u32) -> Result<(), Trap> {
        u32::from(self).store(cx, at)
    }
}

impl Value for () {
    const SIZE: u32 = 0;
    const ALIGN: u32 = 1;
    const FLAT: usize = 0;
    const TYPES: Flat = Flat::EMPTY;
}

impl Lift for () {
    fn lift(_: &mut Lifting<'_>, _: &mut Slots<'_>) -> Result<Self, Trap> {
        Ok(())
    }

    fn load(_: &mut Lifting<'_>, _: u32) -> Result<Self, Trap> {
        Ok(())
    }
}

impl Lower for () {
    fn lower(self, _: &mut Lowering<'_>) -> Result<Option<u64>, Trap> {
        Ok(None)
    }

    fn store(self, _: &mut Lowering<'_>, _: u32) -> Result<(), Trap> {
        Ok(())
    }
}
