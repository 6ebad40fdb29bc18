//! An app on its way into flash: written as it comes, hashed as it is written, and not there until it is committed.

use sha2::{Digest as _, Sha256};
use vyoma_capabilities::manifest::compact::MAX_COMPACT;

use super::record::{ALIGN, CRC, Name, Record, component_offset};
use super::room::fitting;
use super::{Entry, MAX_KNOWN, Mark, Store, StoreError, verified};
use crate::flash::{Flash, Place};

/// Longest word that flash is written in.
const WORD: usize = ALIGN as usize;

/// An app that is on its way into the flash. Dropped, it was never there.
#[derive(Debug)]
pub struct Upload {
    entry: Entry,
    ticket: u32,
    /// Bytes of the component that have come.
    come: u32,
    /// Everything of its place before this offset has been erased.
    erased: u32,
    /// What has come and does not fill a word yet.
    rest: [u8; WORD],
    rest_length: usize,
    hash: Sha256,
}

/// An app whose bytes are all in flash, and that is not in the directory yet.
#[derive(Debug)]
pub struct Staged {
    entry: Entry,
    ticket: u32,
}

impl Upload {
    /// Name of the app.
    pub fn name(&self) -> &str {
        self.entry.name()
    }

    /// Bytes of the component that are still to come.
    pub fn missing(&self) -> u32 {
        self.entry.component.length - self.come
    }

    fn keep(&mut self, bytes: &[u8]) {
        let end = self.rest_length + bytes.len();
        self.rest[self.rest_length..end].copy_from_slice(bytes);
        self.rest_length = end;
        self.come += bytes.len() as u32;
    }
}

impl Staged {
    /// What will be in the store. Its SHA-256 is that of the bytes as they were written.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl<F: Flash> Store<F> {
    /// Begins an installation: finds room beside everything that is there, the version that it is to replace included, and
    /// writes the manifest (the compact form; its bytes are not looked at). One at a time: an upload that was begun before
    /// is over.
    pub fn begin(
        &mut self,
        name: &str,
        manifest: &[u8],
        component: u32,
    ) -> Result<Upload, StoreError> {
        let name = Name::new(name).ok_or(StoreError::NoName)?;
        if manifest.len() > MAX_COMPACT {
            return Err(StoreError::NoName);
        }
        if self.find(name.text()).is_none() && self.apps().count() == MAX_KNOWN {
            return Err(StoreError::TooMany);
        }
        // A record that the flash refused may be there all the same, and mean the very place that is free now.
        self.settle()?;
        let (place, manifest_place, component_place) = self.place(manifest.len(), component)?;
        self.ticket = self.ticket.wrapping_add(1);
        let mut upload = Upload {
            entry: Entry {
                name,
                mark: Mark::None,
                component: component_place,
                manifest: manifest_place,
                sha256: [0; 32],
                manifest_crc: CRC.checksum(manifest),
            },
            ticket: self.ticket,
            come: 0,
            erased: place.offset,
            rest: [0xff; WORD],
            rest_length: 0,
            hash: Sha256::new(),
        };
        let (words, rest) = manifest.split_at(manifest.len() - manifest.len() % F::WRITE_SIZE);
        self.put(&mut upload.erased, manifest_place.offset, words)?;
        let mut last = [0xff; WORD];
        last[..rest.len()].copy_from_slice(rest);
        let last = &last[..rest.len().next_multiple_of(F::WRITE_SIZE)];
        self.put(
            &mut upload.erased,
            manifest_place.offset + words.len() as u32,
            last,
        )?;
        Ok(upload)
    }

    /// The next bytes of the component. It takes as long as erasing and writing take.
    pub fn write(&mut self, upload: &mut Upload, mut bytes: &[u8]) -> Result<(), StoreError> {
        self.check(upload.ticket)?;
        if bytes.len() > upload.missing() as usize {
            return Err(StoreError::TooLong {
                announced: upload.entry.component.length,
            });
        }
        upload.hash.update(bytes);
        if upload.rest_length > 0 {
            let (filling, later) =
                bytes.split_at(bytes.len().min(F::WRITE_SIZE - upload.rest_length));
            upload.keep(filling);
            bytes = later;
            if upload.rest_length < F::WRITE_SIZE {
                return Ok(());
            }
            self.flush(upload)?;
        }
        let (words, rest) = bytes.split_at(bytes.len() - bytes.len() % F::WRITE_SIZE);
        let at = upload.entry.component.offset + upload.come;
        self.put(&mut upload.erased, at, words)?;
        upload.come += words.len() as u32;
        upload.keep(rest);
        Ok(())
    }

    /// All of it has come.
    pub fn finish(&mut self, mut upload: Upload) -> Result<Staged, StoreError> {
        self.check(upload.ticket)?;
        if upload.missing() > 0 {
            return Err(StoreError::TooShort {
                missing: upload.missing(),
            });
        }
        if upload.rest_length > 0 {
            self.flush(&mut upload)?;
        }
        upload.entry.sha256 = upload.hash.finalize().into();
        Ok(Staged {
            entry: upload.entry,
            ticket: upload.ticket,
        })
    }

    /// Puts the app in place: from here on it is there, and an older version is not. Nothing may read the older version any more.
    pub fn commit(&mut self, staged: Staged) -> Result<(), StoreError> {
        self.check(staged.ticket)?;
        self.ticket = self.ticket.wrapping_add(1);
        self.change(Record::Present(staged.entry))
    }

    /// Room for a manifest and a component: all of it, and each of the two.
    fn place(&self, manifest: usize, component: u32) -> Result<(Place, Place, Place), StoreError> {
        let manifest_length = manifest as u32;
        let most = StoreError::Full {
            needs: component,
            free: self.room().largest,
        };
        let needs = component_offset(Place {
            offset: 0,
            length: manifest_length,
        })
        .and_then(|start| start.checked_add(component))
        .and_then(|bytes| bytes.checked_next_multiple_of(F::ERASE_SIZE as u32))
        .ok_or(most)?;
        let gap = fitting(self.gaps(), needs).ok_or(StoreError::Full {
            needs,
            free: self.room().largest,
        })?;
        let manifest = Place {
            offset: gap.offset,
            length: manifest_length,
        };
        let component = Place {
            offset: component_offset(manifest).ok_or(StoreError::Flash)?,
            length: component,
        };
        let whole = Place {
            offset: gap.offset,
            length: needs,
        };
        Ok((whole, manifest, component))
    }

    fn check(&self, ticket: u32) -> Result<(), StoreError> {
        if ticket == self.ticket {
            Ok(())
        } else {
            Err(StoreError::Over)
        }
    }

    /// Writes the word that was begun, with ones where nothing has come.
    fn flush(&mut self, upload: &mut Upload) -> Result<(), StoreError> {
        let at = upload.entry.component.offset + upload.come - upload.rest_length as u32;
        upload.rest[upload.rest_length..].fill(0xff);
        upload.rest_length = 0;
        let word = upload.rest;
        self.put(&mut upload.erased, at, &word[..F::WRITE_SIZE])
    }

    /// Writes whole words, into sectors that are erased when they are reached: each of them once.
    fn put(&mut self, erased: &mut u32, at: u32, words: &[u8]) -> Result<(), StoreError> {
        let sector = F::ERASE_SIZE as u32;
        while *erased < at + words.len() as u32 {
            self.flash
                .erase(*erased, *erased + sector)
                .map_err(|_| StoreError::Flash)?;
            *erased += sector;
        }
        if words.is_empty() {
            return Ok(());
        }
        verified(&mut self.flash, at, words)
    }
}
