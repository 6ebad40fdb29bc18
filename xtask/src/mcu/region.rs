//! The flash region that holds the apps, made on this machine by the firmware's own store (`vyoma-mcu-core`) over memory
//! that behaves like flash: one definition of the format, and what the device does with it is tested where it is.
//! Deliberately changes no byte of a component.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use vyoma_capabilities::manifest::{self, compact};
use vyoma_capabilities::profile::Profile;
use vyoma_mcu_core::flash::Flash;
use vyoma_mcu_core::store::{Store, StoreError};
use vyoma_runtime::component;

use super::firmware::Firmware;
use crate::apps::App;

/// What erased flash reads as.
pub(crate) const ERASED: u8 = 0xff;

/// An app as it goes into the region.
#[derive(Debug)]
pub(crate) struct Packed {
    /// `[app] name`
    pub(crate) name: String,
    /// Lower-case hex SHA-256 of the component.
    pub(crate) sha256: String,
    /// Bytes of the component.
    pub(crate) component: u32,
    /// Bytes of the manifest's compact form.
    pub(crate) manifest: u32,
    /// Bytes of RAM that it needs, as `vyomactl inspect` estimates them.
    pub(crate) needs: u64,
}

/// The region with apps in it.
#[derive(Debug)]
pub(crate) struct Region {
    /// All of it, as it lies in flash.
    pub(crate) bytes: Vec<u8>,
    /// What is in it.
    pub(crate) apps: Vec<Packed>,
}

/// Puts `apps` into an empty region of the board; refuses, with the numbers, what can't run there together.
pub(crate) fn pack(firmware: &Firmware, profile: &Profile, apps: &[App]) -> anyhow::Result<Region> {
    let platform = &profile.name;
    ensure!(
        apps.len() <= profile.max_apps as usize,
        "{} apps; expected at most {}, which is what {platform} runs at once (max_apps)",
        apps.len(),
        profile.max_apps
    );
    let size = firmware.region("apps")?.len();
    let (sector, word) = (
        firmware.symbol("__apps_sector")?,
        firmware.symbol("__apps_word")?,
    );
    let (bytes, packed) = match (sector, word) {
        (2048, 8) => fill(Ram::<2048, 8>::erased(size), profile, apps)?,
        (4096, 4) => fill(Ram::<4096, 4>::erased(size), profile, apps)?,
        _ => bail!(
            "{}: sectors of {sector} bytes that are written in words of {word}; expected 2048 and 8, or 4096 and 4 (add them here)",
            firmware.elf.display()
        ),
    };
    let pool = firmware.region("pool")?.len() as u64;
    check_memory(platform, &packed, pool)?;
    Ok(Region {
        bytes,
        apps: packed,
    })
}

/// Whether the apps fit into the memory for apps together.
fn check_memory(platform: &str, apps: &[Packed], pool: u64) -> anyhow::Result<()> {
    let needs: u64 = apps.iter().map(|app| app.needs).sum();
    if needs <= pool {
        return Ok(());
    }
    let each: Vec<String> = apps
        .iter()
        .map(|app| format!("{} {}", app.name, app.needs.div_ceil(1024)))
        .collect();
    bail!(
        "the apps need about {} KB of RAM ({}); {platform} has {} KB for them; leave one out",
        needs.div_ceil(1024),
        each.join(", "),
        pool / 1024
    )
}

fn fill<F: Flash + Bytes>(
    flash: F,
    profile: &Profile,
    apps: &[App],
) -> anyhow::Result<(Vec<u8>, Vec<Packed>)> {
    let mut store = Store::open(flash);
    let packed = apps
        .iter()
        .map(|app| add(&mut store, profile, app))
        .collect::<anyhow::Result<_>>()?;
    Ok((store.into_flash().bytes().to_vec(), packed))
}

fn add<F: Flash>(store: &mut Store<F>, profile: &Profile, app: &App) -> anyhow::Result<Packed> {
    let path = app.dir.join("vyoma.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = manifest::parse(&path.to_string_lossy(), &text)?;
    let manifest = compact::encode(&manifest)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let path = app.dir.join(&app.wasm);
    let component = read(&path)?;
    let needs = needs(profile, &path, &component)?;
    let name = &app.name;
    let mut put = || {
        let size = component.len() as u32;
        let mut upload = store.begin(name, &manifest, size)?;
        store.write(&mut upload, &component)?;
        let staged = store.finish(upload)?;
        store.commit(staged)
    };
    put().map_err(|error: StoreError| anyhow::anyhow!("{name}: {error}"))?;
    Ok(Packed {
        name: name.clone(),
        sha256: app.sha256.clone(),
        component: component.len() as u32,
        manifest: manifest.len() as u32,
        needs,
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Bytes of RAM for a component, or why it can't run there at all.
pub(crate) fn needs(profile: &Profile, path: &Path, component: &[u8]) -> anyhow::Result<u64> {
    let program = component::program(component)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    ensure!(
        matches!(program.module, std::borrow::Cow::Borrowed(_)),
        "{}: it has several core modules, which a microcontroller can't join; expected a component of a plain wasm32-wasip2 toolchain",
        path.display()
    );
    let stack = u64::from(profile.runtime.stack_size_kb.unwrap_or_default()) * 1024;
    Ok(program.needs.microcontroller_bytes(stack))
}

/// All bytes of a flash.
trait Bytes {
    fn bytes(&self) -> &[u8];
}

/// Memory that behaves like flash with such sectors and words: what is written is only ever cleared, whole words at a time.
struct Ram<const SECTOR: usize, const WORD: usize>(Vec<u8>);

impl<const SECTOR: usize, const WORD: usize> Ram<SECTOR, WORD> {
    fn erased(size: usize) -> Self {
        Self(vec![ERASED; size])
    }

    /// The bytes from `from` to `to`, when these are multiples of `unit`.
    fn range(&mut self, from: u32, to: u32, unit: usize) -> Result<&mut [u8], Refused> {
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(unit) || !to.is_multiple_of(unit) {
            return Err(Refused(NorFlashErrorKind::NotAligned));
        }
        self.0
            .get_mut(from..to)
            .ok_or(Refused(NorFlashErrorKind::OutOfBounds))
    }
}

/// What flash does not do.
#[derive(Debug)]
struct Refused(NorFlashErrorKind);

impl NorFlashError for Refused {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl<const SECTOR: usize, const WORD: usize> ErrorType for Ram<SECTOR, WORD> {
    type Error = Refused;
}

impl<const SECTOR: usize, const WORD: usize> ReadNorFlash for Ram<SECTOR, WORD> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Refused> {
        let end = offset.saturating_add(bytes.len() as u32);
        bytes.copy_from_slice(self.range(offset, end, 1)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl<const SECTOR: usize, const WORD: usize> NorFlash for Ram<SECTOR, WORD> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Refused> {
        self.range(from, to, SECTOR)?.fill(ERASED);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Refused> {
        let end = offset.saturating_add(bytes.len() as u32);
        for (old, new) in self.range(offset, end, WORD)?.iter_mut().zip(bytes) {
            *old &= new;
        }
        Ok(())
    }
}

impl<const SECTOR: usize, const WORD: usize> Flash for Ram<SECTOR, WORD> {
    fn view(&self, offset: u32, length: u32) -> Option<&[u8]> {
        let end = offset.checked_add(length)?;
        self.0.get(offset as usize..end as usize)
    }
}

impl<const SECTOR: usize, const WORD: usize> Bytes for Ram<SECTOR, WORD> {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}
