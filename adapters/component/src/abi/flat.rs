//! The core types that a type is flattened to, worked out while compiling: there are a hundred signatures in a
//! microcontroller's firmware, and making them takes more code than comparing with them.

use crate::program::CoreType;

/// Core types in a row (canonical ABI, flatten_type).
#[derive(Debug, Clone, Copy)]
pub struct Flat {
    types: [CoreType; Self::MOST],
    count: usize,
}

impl Flat {
    /// More than any type here has.
    const MOST: usize = 32;

    /// None.
    pub const EMPTY: Self = Self {
        types: [CoreType::I32; Self::MOST],
        count: 0,
    };

    /// One.
    pub const fn one(of: CoreType) -> Self {
        let mut flat = Self::EMPTY;
        flat.types[0] = of;
        flat.count = 1;
        flat
    }

    /// These, then those.
    #[must_use]
    pub const fn then(mut self, next: Self) -> Self {
        let mut index = 0;
        while index < next.count {
            self.types[self.count] = next.types[index];
            self.count += 1;
            index += 1;
        }
        self
    }

    /// What holds either: cases of a variant, joined (canonical ABI, flatten_variant).
    #[must_use]
    pub const fn or(mut self, other: Self) -> Self {
        let mut index = 0;
        while index < other.count {
            let new = other.types[index];
            self.types[index] = if index < self.count {
                join(self.types[index], new)
            } else {
                self.count += 1;
                new
            };
            index += 1;
        }
        self
    }

    /// As a list.
    pub const fn types(&self) -> &[CoreType] {
        self.types.split_at(self.count).0
    }
}

const fn join(one: CoreType, other: CoreType) -> CoreType {
    use CoreType::{F32, F64, I32, I64};
    match (one, other) {
        (I32, I32 | F32) | (F32, I32) => I32,
        (F32, F32) => F32,
        (F64, F64) => F64,
        (I64 | F64, _) | (_, I64 | F64) => I64,
    }
}
