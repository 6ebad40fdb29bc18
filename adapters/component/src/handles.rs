//! The handle table of one guest: numbers that the guest holds for resources of the host.
//!
//! As the canonical ABI has it (and as Wasmtime does, so that guests see the same numbers everywhere): one table for all
//! resource types, handles count from 1, a dropped one is the next to be given out. A handle that the guest does not hold
//! or that is of another type is a trap. Called by the canonical ABI when it lifts handles, and by host functions.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::any::Any;
use core::marker::PhantomData;

use crate::trap::Trap;

/// A handle that the guest owns: given to it as a result, or given back by it as an argument.
#[derive(Debug)]
pub struct Own<T>(pub u32, PhantomData<fn() -> T>);

/// A handle lent for one call: `self` of a method. Checked when it was lifted.
#[derive(Debug)]
pub struct Borrow<T>(pub u32, PhantomData<fn() -> T>);

/// As [`Borrow`], but checked where it is used and not when it is lifted: for functions that a loop calls and that begin with
/// [`Lent::get`], so that nothing happens before the check.
#[derive(Debug)]
pub struct Lent<T>(u32, PhantomData<fn() -> T>);

impl<T> Own<T> {
    pub(crate) fn new(handle: u32) -> Self {
        Self(handle, PhantomData)
    }
}

impl<T> Borrow<T> {
    pub(crate) fn new(handle: u32) -> Self {
        Self(handle, PhantomData)
    }
}

impl<T> Clone for Borrow<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Borrow<T> {}

impl<T: 'static> Lent<T> {
    pub(crate) fn new(handle: u32) -> Self {
        Self(handle, PhantomData)
    }

    /// The resource behind it: a trap, if the guest does not hold it or it is of another type.
    #[cfg_attr(target_os = "linux", inline)]
    pub fn get(self, handles: &mut Handles) -> Result<&mut T, Trap> {
        handles.get(Borrow::new(self.0))
    }
}

impl<T> Clone for Lent<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lent<T> {}

enum Slot {
    Free {
        /// The next free one; 0 ends the list.
        next: u32,
    },
    Used {
        value: Box<dyn Any>,
        /// Handle of the resource that this one came of; 0: none.
        parent: u32,
        /// Live resources that came of this one.
        children: u32,
    },
}

/// All handles of one guest.
pub struct Handles {
    /// Slot n is handle n + 1.
    slots: Vec<Slot>,
    /// The first free handle; 0: none.
    free: u32,
    most: u32,
}

impl Handles {
    /// A table for at most `most` handles at a time.
    pub fn new(most: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: 0,
            most,
        }
    }

    /// Gives the guest a handle for `value`.
    pub fn push<T: 'static>(&mut self, value: T) -> Result<Own<T>, Trap> {
        self.insert(value, 0)
    }

    /// Gives the guest a handle for `value`, which came of `parent`: that one can't be dropped before it.
    pub fn push_child<T: 'static, P>(
        &mut self,
        value: T,
        parent: Borrow<P>,
    ) -> Result<Own<T>, Trap> {
        self.any(parent.0)?;
        let child = self.insert(value, parent.0)?;
        if let Some(Slot::Used { children, .. }) = self.slots.get_mut(index(parent.0)) {
            *children += 1;
        }
        Ok(child)
    }

    fn insert<T: 'static>(&mut self, value: T, parent: u32) -> Result<Own<T>, Trap> {
        let slot = Slot::Used {
            value: Box::new(value),
            parent,
            children: 0,
        };
        if self.free != 0 {
            let handle = self.free;
            let place = &mut self.slots[index(handle)];
            if let Slot::Free { next } = place {
                self.free = *next;
            }
            *place = slot;
            return Ok(Own::new(handle));
        }
        if self.slots.len() >= self.most as usize {
            return Err(Trap::Interface("too many handles".to_string()));
        }
        self.slots.push(slot);
        Ok(Own::new(self.slots.len() as u32))
    }

    fn any(&mut self, handle: u32) -> Result<&mut Box<dyn Any>, Trap> {
        match self.slots.get_mut(index(handle)) {
            Some(Slot::Used { value, .. }) => Ok(value),
            _ => Err(Trap::UnknownHandle(handle)),
        }
    }

    /// Checks that the guest holds `handle` and that it is a `T`.
    pub fn check<T: 'static>(&mut self, handle: u32) -> Result<Borrow<T>, Trap> {
        if self.any(handle)?.is::<T>() {
            Ok(Borrow::new(handle))
        } else {
            Err(Trap::WrongHandle(handle))
        }
    }

    /// The resource behind a handle.
    pub fn get<T: 'static>(&mut self, handle: Borrow<T>) -> Result<&mut T, Trap> {
        self.any(handle.0)?
            .downcast_mut()
            .ok_or(Trap::WrongHandle(handle.0))
    }

    /// The resources behind two handles at once; a trap when they are the same handle.
    pub fn get_two<A: 'static, B: 'static>(
        &mut self,
        first: Borrow<A>,
        second: Borrow<B>,
    ) -> Result<(&mut A, &mut B), Trap> {
        let places = [index(first.0), index(second.0)];
        let [one, two] = self
            .slots
            .get_disjoint_mut(places)
            .map_err(|_| Trap::UnknownHandle(second.0))?;
        match (one, two) {
            (Slot::Used { value: one, .. }, Slot::Used { value: two, .. }) => Ok((
                one.downcast_mut().ok_or(Trap::WrongHandle(first.0))?,
                two.downcast_mut().ok_or(Trap::WrongHandle(second.0))?,
            )),
            _ => Err(Trap::UnknownHandle(first.0)),
        }
    }

    /// Takes the resource back: `resource.drop`, or an `own` argument.
    pub fn remove<T: 'static>(&mut self, handle: u32) -> Result<T, Trap> {
        self.check::<T>(handle)?;
        let place = &mut self.slots[index(handle)];
        if let Slot::Used { children: 1.., .. } = place {
            return Err(Trap::HasChildren);
        }
        let freed = core::mem::replace(place, Slot::Free { next: self.free });
        self.free = handle;
        let Slot::Used { value, parent, .. } = freed else {
            return Err(Trap::UnknownHandle(handle));
        };
        if let Some(Slot::Used { children, .. }) = self.slots.get_mut(index(parent)) {
            *children -= 1;
        }
        value
            .downcast()
            .map(|value| *value)
            .map_err(|_| Trap::WrongHandle(handle))
    }
}

/// Place of a handle; handle 0 is never given out and has none.
fn index(handle: u32) -> usize {
    (handle as usize).wrapping_sub(1)
}
