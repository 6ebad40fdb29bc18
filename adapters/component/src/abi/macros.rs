//! The canonical ABI for records, enums, variants and flags: one line beside the Rust type.

/// A struct whose fields are the record's, in WIT's order: `record!(Datetime { seconds: u64, nanoseconds: u32 });`
#[macro_export]
macro_rules! record {
    ($name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        impl $crate::abi::Value for $name {
            const SIZE: u32 = <($($type,)+) as $crate::abi::Value>::SIZE;
            const ALIGN: u32 = <($($type,)+) as $crate::abi::Value>::ALIGN;
            const FLAT: usize = <($($type,)+) as $crate::abi::Value>::FLAT;
            const TYPES: $crate::abi::Flat = <($($type,)+) as $crate::abi::Value>::TYPES;
        }

        impl $crate::abi::Lift for $name {
            fn lift(
                cx: &mut $crate::abi::Lifting<'_>,
                slots: &mut $crate::abi::Slots<'_>,
            ) -> Result<Self, $crate::trap::Trap> {
                let ($($field,)+) = <($($type,)+) as $crate::abi::Lift>::lift(cx, slots)?;
                Ok(Self { $($field),+ })
            }

            fn load(cx: &mut $crate::abi::Lifting<'_>, at: u32) -> Result<Self, $crate::trap::Trap> {
                let ($($field,)+) = <($($type,)+) as $crate::abi::Lift>::load(cx, at)?;
                Ok(Self { $($field),+ })
            }
        }

        impl $crate::abi::Lower for $name {
            fn lower(
                self,
                cx: &mut $crate::abi::Lowering<'_>,
            ) -> Result<Option<u64>, $crate::trap::Trap> {
                $crate::abi::Lower::lower(($(self.$field,)+), cx)
            }

            fn store(
                self,
                cx: &mut $crate::abi::Lowering<'_>,
                at: u32,
            ) -> Result<(), $crate::trap::Trap> {
                $crate::abi::Lower::store(($(self.$field,)+), cx, at)
            }
        }
    };
}

/// Defines a Rust enum without payloads whose cases are the WIT enum's, in WIT's order (at most 256): around the
/// definition, so that the order stands once. It has to be `Copy`.
#[macro_export]
macro_rules! enumeration {
    ($(#[$attribute:meta])* $visibility:vis enum $name:ident {
        $($(#[$case_attribute:meta])* $case:ident),+ $(,)?
    }) => {
        $(#[$attribute])*
        $visibility enum $name {
            $($(#[$case_attribute])* $case),+
        }

        impl $name {
            const CASES: &[Self] = &[$(Self::$case),+];
        }

        impl $crate::abi::Value for $name {
            const SIZE: u32 = 1;
            const ALIGN: u32 = 1;
            const FLAT: usize = 1;
            const TYPES: $crate::abi::Flat = $crate::abi::Flat::one($crate::program::CoreType::I32);
        }

        impl $crate::abi::Lift for $name {
            #[cfg_attr(target_os = "linux", inline)]
            fn lift(
                _: &mut $crate::abi::Lifting<'_>,
                slots: &mut $crate::abi::Slots<'_>,
            ) -> Result<Self, $crate::trap::Trap> {
                Self::CASES
                    .get(slots.u32()? as usize)
                    .copied()
                    .ok_or($crate::trap::Trap::Abi("no such case of an enum"))
            }

            fn load(cx: &mut $crate::abi::Lifting<'_>, at: u32) -> Result<Self, $crate::trap::Trap> {
                let tag = <u8 as $crate::abi::Lift>::load(cx, at)?;
                Self::CASES
                    .get(usize::from(tag))
                    .copied()
                    .ok_or($crate::trap::Trap::Abi("no such case of an enum"))
            }
        }

        impl $crate::abi::Lower for $name {
            fn lower(
                self,
                _: &mut $crate::abi::Lowering<'_>,
            ) -> Result<Option<u64>, $crate::trap::Trap> {
                Ok(Some(self as u64))
            }

            fn byte(&self) -> Option<u8> {
                Some(*self as u8)
            }

            #[cfg_attr(target_os = "linux", inline)]
            fn store(
                self,
                cx: &mut $crate::abi::Lowering<'_>,
                at: u32,
            ) -> Result<(), $crate::trap::Trap> {
                $crate::abi::Lower::store(self as u8, cx, at)
            }
        }
    };
}

/// A newtype over `u8` whose bits are the flags in WIT's order: `flags!(PathFlags, 1);` names how many there are (at most 8).
/// Bits beyond are dropped, as the canonical ABI has it.
#[macro_export]
macro_rules! flags {
    ($name:ident, $count:literal) => {
        impl $name {
            const MASK: u8 = ((1_u16 << $count) - 1) as u8;

            /// Whether all bits of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl $crate::abi::Value for $name {
            const SIZE: u32 = 1;
            const ALIGN: u32 = 1;
            const FLAT: usize = 1;
            const TYPES: $crate::abi::Flat = $crate::abi::Flat::one($crate::program::CoreType::I32);
        }

        impl $crate::abi::Lift for $name {
            fn lift(
                _: &mut $crate::abi::Lifting<'_>,
                slots: &mut $crate::abi::Slots<'_>,
            ) -> Result<Self, $crate::trap::Trap> {
                Ok(Self(slots.u32()? as u8 & Self::MASK))
            }

            fn load(
                cx: &mut $crate::abi::Lifting<'_>,
                at: u32,
            ) -> Result<Self, $crate::trap::Trap> {
                Ok(Self(<u8 as $crate::abi::Lift>::load(cx, at)? & Self::MASK))
            }
        }

        impl $crate::abi::Lower for $name {
            fn lower(
                self,
                _: &mut $crate::abi::Lowering<'_>,
            ) -> Result<Option<u64>, $crate::trap::Trap> {
                Ok(Some(self.0.into()))
            }

            fn store(
                self,
                cx: &mut $crate::abi::Lowering<'_>,
                at: u32,
            ) -> Result<(), $crate::trap::Trap> {
                $crate::abi::Lower::store(self.0, cx, at)
            }
        }
    };
}

/// A Rust enum whose cases each have one payload (or `()` in WIT's place of none), in WIT's order:
/// `variant!(NewTimestamp { 0 NoChange, 1 Now, 2 Timestamp(Datetime) });`. One that only guests pass, or only get, says so:
/// `variant!(lift Operation { .. })`, `variant!(lower Outcome { .. })`; its payloads then need only that.
#[macro_export]
macro_rules! variant {
    (lift $name:ident $cases:tt) => {
        $crate::variant!(@value $name $cases);
        $crate::variant!(@lift $name $cases);
    };
    (lower $name:ident $cases:tt) => {
        $crate::variant!(@value $name $cases);
        $crate::variant!(@lower $name $cases);
    };
    ($name:ident $cases:tt) => {
        $crate::variant!(@value $name $cases);
        $crate::variant!(@lift $name $cases);
        $crate::variant!(@lower $name $cases);
    };
    (@value $name:ident { $($tag:literal $case:ident $(($type:ty))?),+ $(,)? }) => {
        impl $crate::abi::Value for $name {
            const SIZE: u32 = {
                let mut size = 0;
                $($(size = $crate::abi::macros::max(size, <$type as $crate::abi::Value>::SIZE);)?)+
                $crate::abi::macros::align_to(
                    $crate::abi::macros::payload_offset(Self::ALIGN) + size,
                    Self::ALIGN,
                )
            };
            const ALIGN: u32 = {
                let mut align = 1;
                $($(align = $crate::abi::macros::max(align, <$type as $crate::abi::Value>::ALIGN);)?)+
                align
            };
            const FLAT: usize = {
                let mut flat = 0;
                $($(flat = $crate::abi::macros::max_usize(flat, <$type as $crate::abi::Value>::FLAT);)?)+
                1 + flat
            };
            const TYPES: $crate::abi::Flat = {
                let cases = $crate::abi::Flat::EMPTY
                    $($(.or(<$type as $crate::abi::Value>::TYPES))?)+;
                $crate::abi::Flat::one($crate::program::CoreType::I32).then(cases)
            };
        }
    };
    (@lift $name:ident { $($tag:literal $case:ident $(($type:ty))?),+ $(,)? }) => {
        impl $crate::abi::Lift for $name {
            fn lift(
                cx: &mut $crate::abi::Lifting<'_>,
                slots: &mut $crate::abi::Slots<'_>,
            ) -> Result<Self, $crate::trap::Trap> {
                let tag = slots.u32()?;
                let end = slots.position() + <Self as $crate::abi::Value>::FLAT - 1;
                let value = match tag {
                    $($tag => Self::$case $((<$type as $crate::abi::Lift>::lift(cx, slots)?))?,)+
                    _ => return Err($crate::trap::Trap::Abi("no such case of a variant")),
                };
                slots.seek(end);
                Ok(value)
            }

            fn load(cx: &mut $crate::abi::Lifting<'_>, at: u32) -> Result<Self, $crate::trap::Trap> {
                let payload = at + $crate::abi::macros::payload_offset(<Self as $crate::abi::Value>::ALIGN);
                let _ = payload;
                Ok(match <u8 as $crate::abi::Lift>::load(cx, at)? {
                    $($tag => Self::$case $((<$type as $crate::abi::Lift>::load(cx, payload)?))?,)+
                    _ => return Err($crate::trap::Trap::Abi("no such case of a variant")),
                })
            }
        }
    };
    (@lower $name:ident { $($tag:literal $case:ident $(($type:ty))?),+ $(,)? }) => {
        impl $crate::abi::Lower for $name {
            fn lower(
                self,
                _: &mut $crate::abi::Lowering<'_>,
            ) -> Result<Option<u64>, $crate::trap::Trap> {
                // Only a variant without payloads has one core value, and that is an enum.
                Err($crate::trap::Trap::Abi("several core values in the place of one"))
            }

            fn store(
                self,
                cx: &mut $crate::abi::Lowering<'_>,
                at: u32,
            ) -> Result<(), $crate::trap::Trap> {
                let payload = at + $crate::abi::macros::payload_offset(<Self as $crate::abi::Value>::ALIGN);
                let _ = payload;
                $($crate::variant!(@store self cx at payload $tag $case $(($type))?);)+
                Ok(())
            }
        }
    };
    (@store $self:ident $cx:ident $at:ident $payload:ident $tag:literal $case:ident ($type:ty)) => {
        if let Self::$case(value) = $self {
            $crate::abi::Lower::store($tag as u8, $cx, $at)?;
            return $crate::abi::Lower::store(value, $cx, $payload);
        }
    };
    (@store $self:ident $cx:ident $at:ident $payload:ident $tag:literal $case:ident) => {
        if let Self::$case = $self {
            return $crate::abi::Lower::store($tag as u8, $cx, $at);
        }
    };
}

// What the macros' code needs by path, also in a crate that does not name `alloc`.
#[doc(hidden)]
#[doc(hidden)]
pub use super::aggregate::{align_to, max, max_usize, payload_offset};
