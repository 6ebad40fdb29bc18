//! The apps in flash: the store of `vyoma_mcu_core` over the board's region.

use vyoma_mcu_core::flash::Place;
use vyoma_mcu_core::store::Store;

use crate::board::Region;
use crate::memory;

/// The store.
pub(crate) type Apps = Store<Region>;

/// Opens the store; called once.
pub(crate) fn open() -> Apps {
    // SAFETY: called once, at boot (apps::start).
    Store::open(unsafe { Region::new() })
}

/// The bytes of a place of the store's. They stay as they are until the app is replaced or removed, for which the session
/// waits until nobody runs it.
pub(crate) fn bytes(place: Place) -> &'static [u8] {
    let Place { offset, length } = place;
    memory::flash_bytes()
        .get(offset as usize..)
        .and_then(|bytes| bytes.get(..length as usize))
        .unwrap_or_default()
}
