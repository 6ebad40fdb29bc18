//! The apps in flash: found at boot, installed, replaced, marked and removed so that power may fail at any moment.
//!
//! ```text
//!  | directory, bank 0 | bank 1 | app: manifest, component | ... free ... | app | ...
//! ```
//!
//! An app lies in as many sectors in a row as it needs, so that a 4 KB app does not take the room of a 100 KB one (with
//! fixed slots, four of 128 KB would fill half a megabyte whatever is in them). Where apps lie stands in the
//! directory only, and never beside their bytes: a component that contains what looks like a header means nothing. A
//! new version is written beside the old one; one record in the directory, written last, puts it in its place.
//!
//! What the flash holds is not believed: lengths and places are checked against the region and against each other, names
//! and manifests against their rules, components against their SHA-256. Made for flash with sectors of up to a few KiB
//! (STM32L4: 2 KiB); larger ones work, and are wasted on small apps.

use core::fmt;

use sha2::{Digest as _, Sha256};
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::manifest::compact;

use crate::flash::{Flash, Place};

mod journal;
mod record;
mod room;
mod upload;

use journal::Journal;
pub(crate) use record::CRC;
use record::{ALIGN, Name, RECORD, Record};
pub use room::Room;
pub use upload::{Staged, Upload};

/// Most apps that are in the store at once, running or not: twice what runs at once on mcu-minimal, and room to replace them.
pub const MAX_KNOWN: usize = 8;

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

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongHash => {
                "the component in flash does not have the SHA-256 that it was installed with; install it again"
            }
            Self::BadManifest => "the manifest in flash can't be read; install the app again",
            Self::KeptFailing => "it failed too often too quickly; see its log",
        })
    }
}

/// An app in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    name: Name,
    mark: Mark,
    component: Place,
    manifest: Place,
    sha256: [u8; 32],
    manifest_crc: u32,
}

impl Entry {
    /// Name of the app.
    pub fn name(&self) -> &str {
        self.name.text()
    }

    /// What stands beside it.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Its component, as it was built. It lies there unchanged until the app is replaced or removed.
    pub fn component(&self) -> Place {
        self.component
    }

    /// SHA-256 that it was installed with.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// All of its sectors.
    fn place(&self, sector: u32) -> Option<Place> {
        let end = self
            .component
            .offset
            .checked_add(self.component.length)?
            .checked_next_multiple_of(sector)?;
        Some(Place {
            offset: self.manifest.offset,
            length: end.checked_sub(self.manifest.offset)?,
        })
    }
}

/// Why the store could not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// The flash failed, or does not hold what was written.
    Flash,
    /// No row of free sectors is long enough.
    Full {
        /// Bytes that the app takes.
        needs: u32,
        /// Bytes of the longest row that is free.
        free: u32,
    },
    /// [`MAX_KNOWN`] apps are there already.
    TooMany,
    /// No app of that name.
    NoSuchApp,
    /// No app can be called that, or its manifest is longer than any.
    NoName,
    /// More bytes came than were announced.
    TooLong {
        /// As many.
        announced: u32,
    },
    /// Bytes are missing.
    TooShort {
        /// So many.
        missing: u32,
    },
    /// Another installation was begun since.
    Over,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash => {
                f.write_str("the flash failed: what was written can't be read back; try again, or replace the device")
            }
            Self::Full { needs, free } => write!(
                f,
                "no room in flash: needs {needs} bytes in a row, free are {free}; remove an app"
            ),
            Self::TooMany => write!(f, "{MAX_KNOWN} apps are installed, which is the most; remove one"),
            Self::NoSuchApp => f.write_str("no app of that name"),
            Self::NoName => f.write_str("name or manifest can't be an app's"),
            Self::TooLong { announced } => {
                write!(f, "more bytes came than the {announced} that were announced")
            }
            Self::TooShort { missing } => write!(f, "{missing} bytes are missing"),
            Self::Over => f.write_str("another installation was begun since"),
        }
    }
}

impl core::error::Error for StoreError {}

/// The apps in flash.
#[derive(Debug, Clone)]
pub struct Store<F> {
    flash: F,
    journal: Journal,
    apps: [Option<Entry>; MAX_KNOWN],
    /// Number of the latest upload; an older one is over.
    ticket: u32,
}

impl<F: Flash> Store<F> {
    /// Reads what is there. Whatever the flash holds, this writes nothing and never fails: a region that makes no sense is empty.
    pub fn open(flash: F) -> Self {
        const {
            assert!(
                (ALIGN as usize).is_multiple_of(F::WRITE_SIZE)
                    && RECORD.is_multiple_of(F::WRITE_SIZE),
                "words of flash are of 1 to 32 bytes, a power of two"
            );
            assert!(
                F::ERASE_SIZE.is_multiple_of(ALIGN as usize),
                "sectors are of whole words"
            );
        }
        let mut store = Self {
            journal: Journal::open(&flash),
            flash,
            apps: [const { None }; MAX_KNOWN],
            ticket: 0,
        };
        for index in 0..Journal::count::<F>() {
            let record = store.journal.record(&store.flash, index);
            if let Some(record) = record.filter(|record| store.is_sound(record)) {
                store.apply(record);
            }
        }
        store
    }

    /// The flash; for views of places.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// The flash, without the store.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// The apps, in the order in which they were first installed.
    pub fn apps(&self) -> impl Iterator<Item = &Entry> {
        self.apps.iter().flatten()
    }

    /// The app of that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.apps().find(|entry| entry.name() == name)
    }

    /// The app's manifest, read from flash and checked.
    pub fn manifest(&self, entry: &Entry) -> Result<Manifest, Cause> {
        let Place { offset, length } = entry.manifest;
        let bytes = self.flash.view(offset, length).unwrap_or_default();
        if CRC.checksum(bytes) != entry.manifest_crc {
            return Err(Cause::BadManifest);
        }
        compact::decode(bytes)
            .ok()
            .filter(|manifest| manifest.app.name == entry.name())
            .ok_or(Cause::BadManifest)
    }

    /// SHA-256 of the app's component as it lies in flash now; to be compared with [`Entry::sha256`] before the component is
    /// used.
    pub fn hash(&self, entry: &Entry) -> [u8; 32] {
        let Place { offset, length } = entry.component;
        let bytes = self.flash.view(offset, length).unwrap_or_default();
        Sha256::digest(bytes).into()
    }

    /// What is free.
    pub fn room(&self) -> Room {
        let mut room = Room {
            total: self.region().length,
            free: 0,
            largest: 0,
        };
        for gap in self.gaps() {
            room.free += gap.length;
            room.largest = room.largest.max(gap.length);
        }
        room
    }

    /// Sets the mark of an app; nothing is written when it is set already.
    pub fn mark(&mut self, name: &str, mark: Mark) -> Result<(), StoreError> {
        let entry = self.find(name).ok_or(StoreError::NoSuchApp)?;
        if entry.mark == mark {
            return Ok(());
        }
        let changed = Entry {
            mark,
            ..entry.clone()
        };
        self.change(Record::Present(changed))
    }

    /// Forgets an app. Nothing may read it any more.
    pub fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let name = self.find(name).ok_or(StoreError::NoSuchApp)?.name;
        self.change(Record::Removed(name))
    }

    /// Makes a change true: in flash, then here.
    fn change(&mut self, record: Record) -> Result<(), StoreError> {
        if !self.journal.append(&mut self.flash, &record)? {
            let known = self.find(record.name().text()).is_some();
            let others = self.apps.iter().flatten().map(|entry| {
                if entry.name == *record.name() {
                    record.clone()
                } else {
                    Record::Present(entry.clone())
                }
            });
            let new = (!known).then(|| record.clone());
            let all = others.chain(new);
            let there = all.filter(|record| matches!(record, Record::Present(_)));
            self.journal.rewrite(&mut self.flash, there)?;
        }
        self.apply(record);
        Ok(())
    }

    /// After a write to the directory that failed: makes what is known here true in flash.
    fn settle(&mut self) -> Result<(), StoreError> {
        if !self.journal.is_doubtful() {
            return Ok(());
        }
        let all = self.apps.iter().flatten().cloned().map(Record::Present);
        self.journal.rewrite(&mut self.flash, all)
    }

    fn apply(&mut self, record: Record) {
        let place = |apps: &[Option<Entry>], name: Option<&Name>| {
            apps.iter()
                .position(|entry| entry.as_ref().map(|entry| &entry.name) == name)
        };
        match record {
            Record::Present(entry) => {
                let at = place(&self.apps, Some(&entry.name)).or_else(|| place(&self.apps, None));
                if let Some(at) = at {
                    self.apps[at] = Some(entry);
                }
            }
            Record::Removed(name) => {
                if let Some(at) = place(&self.apps, Some(&name)) {
                    self.apps[at..].rotate_left(1);
                    self.apps[MAX_KNOWN - 1] = None;
                }
            }
        }
    }

    /// Whether a record of the flash can be true beside those that were read before it.
    fn is_sound(&self, record: &Record) -> bool {
        let Record::Present(entry) = record else {
            return true;
        };
        let region = self.region();
        let Some(place) = entry.place(F::ERASE_SIZE as u32) else {
            return false;
        };
        place.offset >= region.offset
            && place.offset.is_multiple_of(F::ERASE_SIZE as u32)
            && place
                .offset
                .checked_add(place.length)
                .is_some_and(|end| end <= region.offset + region.length)
            && self
                .apps()
                .filter(|other| other.name != entry.name)
                .filter_map(|other| other.place(F::ERASE_SIZE as u32))
                .all(|other| !room::overlap(place, other))
    }

    /// Where apps lie: what is behind the directory, in whole sectors.
    fn region(&self) -> Place {
        let start = 2 * Journal::bank::<F>();
        let end = self.flash.capacity().min(MOST) as u32;
        Place {
            offset: start,
            length: (end - end % F::ERASE_SIZE as u32).saturating_sub(start),
        }
    }

    fn gaps(&self) -> impl Iterator<Item = Place> {
        let taken = self
            .apps
            .iter()
            .flatten()
            .filter_map(|entry| entry.place(F::ERASE_SIZE as u32));
        room::gaps(self.region(), taken)
    }
}

/// Most bytes of a region: every offset and every sum of two fits 32 bits.
const MOST: usize = 1 << 30;

/// Writes, and looks whether it is there.
fn verified<F: Flash>(flash: &mut F, offset: u32, bytes: &[u8]) -> Result<(), StoreError> {
    flash.write(offset, bytes).map_err(|_| StoreError::Flash)?;
    if flash.view(offset, bytes.len() as u32) == Some(bytes) {
        Ok(())
    } else {
        Err(StoreError::Flash)
    }
}
