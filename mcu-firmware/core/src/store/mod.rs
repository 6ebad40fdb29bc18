//! The apps in flash.

use vyoma_capabilities::manifest::Manifest;

use crate::flash::{Flash, Place};

/// Most apps that are in the store at once, running or not.
pub const MAX_KNOWN: usize = 8;
/// Most bytes of a manifest in compact form.
pub const MAX_MANIFEST: usize = 1024;

/// What stands beside an app in the store: what has to survive a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is started at boot.
    None,
    /// An operator stopped it: it stays stopped.
    Stopped,
    /// It is not started until an operator starts it.
    Quarantined(Cause),
}

/// Why an app is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its component does not have the SHA-256 that it was installed with.
    WrongHash,
    /// Its manifest can't be read.
    BadManifest,
    /// It failed too often too quickly.
    KeptFailing,
}

/// An app in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    name: Name,
    /// What stands beside it.
    pub mark: Mark,
    /// Its component, as it was built.
    pub component: Place,
    /// Its manifest in compact form.
    pub manifest: Place,
    /// SHA-256 that it was installed with.
    pub sha256: [u8; 32],
}

impl Entry {
    /// Name of the app.
    pub fn name(&self) -> &str {
        unimplemented!()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    bytes: [u8; 32],
    length: u8,
}

/// Why the store could not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The flash failed.
    Flash,
    /// No run of free sectors is long enough.
    Full {
        /// Bytes that the app takes.
        needs: u32,
        /// Bytes of the longest run that is free.
        free: u32,
    },
    /// [`MAX_KNOWN`] apps are there already.
    TooMany,
    /// No app of that name.
    NoSuchApp,
}

/// An app that is on its way into the flash.
#[derive(Debug)]
pub struct Upload {}

/// The apps in flash.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
}

impl<F: Flash> Store<F> {
    /// Reads what is there. Whatever the flash holds, this writes nothing and never fails: a region that makes no sense is empty.
    pub fn open(flash: F) -> Self {
        Self { flash }
    }

    /// The flash; for views of places.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// The apps, in the order in which they were first installed.
    pub fn apps(&self) -> impl Iterator<Item = &Entry> {
        [].iter()
    }

    /// The app of that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let _ = name;
        unimplemented!()
    }

    /// The app's manifest, read from flash and checked.
    pub fn manifest(&self, entry: &Entry) -> Result<Manifest, Cause> {
        let _ = entry;
        unimplemented!()
    }

    /// SHA-256 of the app's component as it lies in flash now.
    pub fn hash(&self, entry: &Entry) -> [u8; 32] {
        let _ = entry;
        unimplemented!()
    }

    /// Sets the mark of an app; nothing is written when it is set already.
    pub fn mark(&mut self, name: &str, mark: Mark) -> Result<(), StoreError> {
        let _ = (name, mark);
        unimplemented!()
    }

    /// Forgets an app. Nothing may read it any more.
    pub fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let _ = name;
        unimplemented!()
    }

    /// Begins an installation: finds room for it. `manifest` is the compact form; it has been checked.
    pub fn begin(&self, name: &str, manifest: &[u8], component: u32) -> Result<Upload, StoreError> {
        let _ = (name, manifest, component);
        unimplemented!()
    }

    /// The next bytes of the component.
    pub fn write(&mut self, upload: &mut Upload, bytes: &[u8]) -> Result<(), StoreError> {
        let _ = (upload, bytes);
        unimplemented!()
    }

    /// Puts the app in place; from here on it is there, and an older version is not.
    pub fn commit(&mut self, upload: Upload) -> Result<(), StoreError> {
        let _ = upload;
        unimplemented!()
    }
}
