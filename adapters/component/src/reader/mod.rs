//! Reads the binary format of components and core modules, in place.
//!
//! As much of it as finding out what a component connects to what takes: index spaces, aliases, names of interfaces and
//! resources, and a core module's imports, exports and needs. It deliberately validates nothing beyond its own reading,
//! copies no bytes, and knows nothing of what the functions mean. Called by [`crate::program`].
//!
//! No bytes make it panic, recurse deeper than a constant or allocate more than a constant factor of their length: each
//! count is checked against the bytes that are left, and what follows another follows a strictly earlier item.

pub(crate) mod bytes;
pub(crate) mod component;
pub(crate) mod items;
pub(crate) mod module;
pub(crate) mod types;
