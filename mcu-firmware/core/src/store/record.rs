//! What stands in the directory: one record says all about one app, and carries its own check sum.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use vyoma_capabilities::manifest::compact::MAX_COMPACT;
use vyoma_capabilities::manifest::is_app_name;

use super::{Cause, Entry, Mark};
use crate::flash::Place;

/// Bytes of a record: a multiple of every word that flash is written in (1 to 32 bytes).
pub(super) const RECORD: usize = 96;
/// Where manifest and component start in their place: a multiple of every such word, too.
pub(super) const ALIGN: u32 = 32;
/// Bytes in front of the check sum.
const COVERED: usize = RECORD - 4;
/// Longest name of an app.
const NAME: usize = 32;

/// Without a table: what is summed is short.
pub(crate) const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

const PRESENT: u8 = 1;
const REMOVED: u8 = 2;

/// The mark and what stands for it.
const MARKS: [(u8, Mark); 5] = [
    (0, Mark::None),
    (1, Mark::Stopped),
    (2, Mark::Quarantined(Cause::WrongHash)),
    (3, Mark::Quarantined(Cause::BadManifest)),
    (4, Mark::Quarantined(Cause::KeptFailing)),
];

/// An app's name, where there is no heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; NAME],
    length: u8,
}

impl Name {
    /// `None` for what no app can be called.
    pub(super) fn new(name: &str) -> Option<Self> {
        if !is_app_name(name) {
            return None;
        }
        let mut bytes = [0; NAME];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Some(Self {
            bytes,
            length: name.len() as u8,
        })
    }

    pub(super) fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// One line of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// The app is there, like this.
    Present(Entry),
    /// The app is not there any more.
    Removed(Name),
}

impl Record {
    pub(super) fn name(&self) -> &Name {
        match self {
            Self::Present(entry) => &entry.name,
            Self::Removed(name) => name,
        }
    }

    /// As it lies in flash; all numbers little-endian.
    ///
    /// ```text
    ///  0 kind   1 mark   2 length of name   3 zero
    ///  4 name (32)      36 offset   40 bytes of manifest   44 bytes of component
    /// 48 SHA-256 (32)   80 CRC-32 of manifest   84 zeros (8)   92 CRC-32 of all before
    /// ```
    pub(super) fn encode(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        let name = self.name();
        bytes[0] = REMOVED;
        bytes[2] = name.length;
        bytes[4..36].copy_from_slice(&name.bytes);
        if let Self::Present(entry) = self {
            bytes[0] = PRESENT;
            bytes[1] = MARKS
                .iter()
                .find(|(_, mark)| *mark == entry.mark)
                .map_or(0, |(code, _)| *code);
            put(&mut bytes, 36, entry.manifest.offset);
            put(&mut bytes, 40, entry.manifest.length);
            put(&mut bytes, 44, entry.component.length);
            bytes[48..80].copy_from_slice(&entry.sha256);
            put(&mut bytes, 80, entry.manifest_crc);
        }
        let sum = CRC.checksum(&bytes[..COVERED]);
        put(&mut bytes, COVERED, sum);
        bytes
    }

    /// Reads what may be anything. Whether the places are inside the region is still to be seen.
    pub(super) fn decode(bytes: &[u8; RECORD]) -> Option<Self> {
        if CRC.checksum(&bytes[..COVERED]) != get(bytes, COVERED) {
            return None;
        }
        let name = bytes[4..36].get(..usize::from(bytes[2]))?;
        let name = Name::new(core::str::from_utf8(name).ok()?)?;
        match bytes[0] {
            PRESENT => {
                let (_, mark) = MARKS.iter().find(|(code, _)| *code == bytes[1])?;
                let manifest = Place {
                    offset: get(bytes, 36),
                    length: get(bytes, 40),
                };
                if manifest.length as usize > MAX_COMPACT {
                    return None;
                }
                let mut sha256 = [0; 32];
                sha256.copy_from_slice(&bytes[48..80]);
                Some(Self::Present(Entry {
                    name,
                    mark: *mark,
                    component: Place {
                        offset: component_offset(manifest)?,
                        length: get(bytes, 44),
                    },
                    manifest,
                    sha256,
                    manifest_crc: get(bytes, 80),
                }))
            }
            REMOVED => Some(Self::Removed(name)),
            _ => None,
        }
    }
}

/// The component lies behind the manifest.
pub(super) fn component_offset(manifest: Place) -> Option<u32> {
    manifest
        .offset
        .checked_add(manifest.length)?
        .checked_next_multiple_of(ALIGN)
}

fn put(bytes: &mut [u8; RECORD], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8; RECORD], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
