//! Installation of an app: all or nothing. Power may fail between any two writes, and then the old version or the
//! new one is there, whole.
//!
//! ```text
//!  upload -> apps/.incoming-N/app.wasm      hashed while it comes, size capped
//!         -> store/.new-N                   machine code, if it comes too: the same way
//!         -> admission in its own process   the running version runs on; it also checks what the code was made from
//!         -> fsync, store/KEY               one rename; a cache entry, so it may come before its app
//!         -> fsync, apps/NAME/versions/ID   one rename of the folder
//!         -> stop the app, switch `current` one rename of a symlink
//!         -> start
//! ```

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vyoma_capabilities::control::{
    self, ControlError, ErrorKind, MAX_ARTEFACT, MAX_COMPONENT, MAX_MANIFEST, Response,
};
use vyoma_capabilities::lifecycle::{Event, Phase};
use vyoma_capabilities::manifest;

use super::admission::{self, Refusal, hex};
use super::apps::{self, Package};
use super::control::connection::{Closed, Connection};
use super::files::sync;
use super::operate::{self, Installing, ignore_missing, refuse};
use super::state::Shared;
use super::{store, supervisor};
use crate::roles::engine;

/// What has to stay free on the disk: logs, epitaphs and the clock go on being written on a full device.
const SPARE_BYTES: u64 = 2 * 1024 * 1024;
/// An artefact's size for each byte of its component, at most: measured 3 to 4 for Wasmtime.
const ARTEFACT_FACTOR: u64 = 5;

/// What a client says that it will send.
pub(crate) struct Announced {
    /// Bytes of the component.
    pub(crate) size: u64,
    /// Its SHA-256 in lower-case hex.
    pub(crate) sha256: String,
    /// Machine code for this device that follows it.
    pub(crate) ahead_of_time: Option<control::Upload>,
}

/// Serves one `Install`. The outer error ends the connection, the inner one is an answer.
pub(crate) async fn install(
    daemon: &Shared,
    connection: &mut Connection,
    manifest: &str,
    announced: &Announced,
) -> Result<Result<Response, ControlError>, Closed> {
    let size = announced.size;
    let code = announced.ahead_of_time.as_ref().map_or(0, |code| code.size);
    for (what, size, most) in [
        ("component", size, MAX_COMPONENT),
        ("machine code", code, MAX_ARTEFACT),
    ] {
        if size > most {
            // Nobody waits for the end of that: the connection goes too.
            return Err(Closed::Refused(refuse(
                ErrorKind::Limit,
                format!("the {what} has {size} bytes; at most {most} are taken"),
            )));
        }
    }
    let mut order = begin(daemon, manifest, announced);
    for (part, size) in [(Part::Component, size), (Part::Code, code)] {
        let mut left = size;
        while left > 0 {
            let bytes = connection.upload().await?;
            if bytes.is_empty() || bytes.len() as u64 > left {
                return Err(Closed::Refused(refuse(
                    ErrorKind::Protocol,
                    format!("found {} bytes; expected 1 to {left}", bytes.len()),
                )));
            }
            left -= bytes.len() as u64;
            // After a refusal the rest is read and forgotten: the client learns why when it has sent everything.
            if let Ok(upload) = &mut order
                && let Err(error) = upload.take(part, &bytes)
            {
                order = Err(error);
            }
        }
    }
    match order {
        Ok(upload) => Ok(upload.finish(daemon, announced).await),
        Err(error) => Ok(Err(error)),
    }
}

/// The two parts of an upload, in the order in which they come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Component,
    Code,
}

/// Machine code that is being uploaded.
struct Code {
    file: File,
    path: PathBuf,
    hash: Sha256,
}

impl Drop for Code {
    fn drop(&mut self) {
        // Gone from here already when it was put in its place.
        let _ = fs::remove_file(&self.path);
    }
}

/// An upload that nothing speaks against so far.
struct Upload {
    /// Keeps others from the same name.
    _busy: Installing,
    name: String,
    manifest: String,
    incoming: Incoming,
    file: File,
    hash: Sha256,
    size: u64,
    code: Option<Code>,
}

/// A folder that goes away unless it is moved to its place.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn begin(daemon: &Shared, text: &str, announced: &Announced) -> Result<Upload, ControlError> {
    let size = announced.size;
    if text.len() > MAX_MANIFEST {
        return Err(refuse(
            ErrorKind::Limit,
            format!(
                "vyoma.toml: found {} bytes; expected at most {MAX_MANIFEST}",
                text.len()
            ),
        ));
    }
    let manifest = manifest::parse("vyoma.toml", text)
        .map_err(|error| refuse(ErrorKind::Invalid, error.to_string()))?;
    let name = manifest.app.name;
    let busy = Installing::begin(daemon, &name)?;
    check_place(daemon, &name)?;
    let code = announced.ahead_of_time.as_ref();
    if code.is_some() && engine::ahead_of_time(&daemon.settings.profile).is_none() {
        let platform = &daemon.settings.profile.name;
        return Err(refuse(
            ErrorKind::Invalid,
            format!(
                "found machine code for {name}; expected none: {platform} takes only components"
            ),
        ));
    }
    check_space(daemon, size, code.map_or(0, |code| code.size))?;
    let dir = daemon
        .path("apps")
        .join(format!(".incoming-{}", daemon.next_serial()));
    let device =
        |error: io::Error| refuse(ErrorKind::Device, format!("{}: {error}", dir.display()));
    DirBuilder::new().mode(0o700).create(&dir).map_err(device)?;
    let incoming = Incoming(dir.clone());
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join("app.wasm"))
        .map_err(device)?;
    let code = code
        .map(|_| store::create(daemon))
        .transpose()
        .map_err(device)?
        .map(|(file, path)| Code {
            file,
            path,
            hash: Sha256::new(),
        });
    Ok(Upload {
        _busy: busy,
        name,
        manifest: text.to_string(),
        incoming,
        file,
        hash: Sha256::new(),
        size,
        code,
    })
}

/// An app that takes no place yet needs one.
fn check_place(daemon: &Shared, name: &str) -> Result<(), ControlError> {
    let holds_one = |phase| {
        matches!(
            phase,
            Phase::Starting | Phase::Running | Phase::Stopping | Phase::Backoff
        )
    };
    if daemon.app(name).is_some_and(|app| holds_one(app.phase())) {
        return Ok(());
    }
    daemon
        .place_for_one_more()
        .map_err(|why| refuse(ErrorKind::Limit, format!("can't install {name}: {why}")))
}

fn check_space(daemon: &Shared, size: u64, code: u64) -> Result<(), ControlError> {
    let needed = size + size * ARTEFACT_FACTOR + code + SPARE_BYTES;
    let free = nix::sys::statvfs::statvfs(&daemon.settings.state)
        .map(|stat| stat.blocks_available() * stat.fragment_size())
        .map_err(|error| {
            refuse(
                ErrorKind::Device,
                format!("{}: {error}", daemon.settings.state.display()),
            )
        })?;
    if free >= needed {
        return Ok(());
    }
    let message = format!(
        "the device has {} KiB free; this installation needs {} KiB; remove an app first",
        free / 1024,
        needed / 1024
    );
    Err(refuse(ErrorKind::Device, message))
}

impl Upload {
    fn take(&mut self, part: Part, bytes: &[u8]) -> Result<(), ControlError> {
        let (hash, file) = match (part, &mut self.code) {
            (Part::Code, Some(code)) => (&mut code.hash, &mut code.file),
            _ => (&mut self.hash, &mut self.file),
        };
        hash.update(bytes);
        file.write_all(bytes).map_err(|error| {
            refuse(
                ErrorKind::Device,
                format!("{}: {error}", self.incoming.0.display()),
            )
        })
    }

    async fn finish(
        self,
        daemon: &Shared,
        announced: &Announced,
    ) -> Result<Response, ControlError> {
        let Self {
            _busy,
            name,
            manifest,
            incoming,
            file,
            hash,
            size,
            code,
        } = self;
        drop(file);
        let sha256 = hex(&hash.finalize());
        let mismatch = |expected: &str, who: &str| {
            refuse(
                ErrorKind::HashMismatch,
                format!("SHA-256 of {name}: found {sha256}; expected {expected}, as {who} says"),
            )
        };
        if announced.sha256 != sha256 {
            return Err(mismatch(&announced.sha256, "the client"));
        }
        if let (Some(code), Some(announced)) = (&code, &announced.ahead_of_time) {
            let found = hex(&code.hash.clone().finalize());
            if found != announced.sha256 {
                return Err(refuse(
                    ErrorKind::HashMismatch,
                    format!(
                        "SHA-256 of the machine code of {name}: found {found}; expected {}, as the client says",
                        announced.sha256
                    ),
                ));
            }
        }
        let dir = &incoming.0;
        let device =
            |error: io::Error| refuse(ErrorKind::Device, format!("{}: {error}", dir.display()));
        write_new(&dir.join("vyoma.toml"), manifest.as_bytes()).map_err(device)?;
        let package = Package::read(dir, &daemon.settings.profile, true)
            .map_err(|why| refuse(ErrorKind::Invalid, why))?;
        if let Some(pinned) = package
            .manifest
            .app
            .wasm_sha256
            .as_deref()
            .filter(|pinned| *pinned != sha256)
        {
            return Err(mismatch(pinned, "vyoma.toml"));
        }
        admit(daemon, &name, &dir.join("app.wasm"), &sha256, code.as_ref()).await?;
        if let Some(code) = code {
            keep_code(daemon, code, &name, &sha256).await?;
        }

        let id = identity(&manifest, &sha256);
        let home = daemon.path("apps").join(&name);
        let versions = home.join("versions");
        let version = versions.join(&id);
        let moved = version.clone();
        let from = dir.clone();
        blocking(move || put_in_place(&from, &versions, &moved))
            .await
            .map_err(device)?;
        drop(incoming);

        // From here on the old version is not needed any more.
        let known = daemon.app(&name);
        if let Some(app) = &known {
            operate::stop_and_wait(daemon, app).await;
        }
        let replaced = known.is_some();
        let (at, to) = (home.clone(), id.clone());
        let switched = blocking(move || switch(&at, &to)).await;
        let failed = switched
            .err()
            .map(|error| refuse(ErrorKind::Device, format!("{}: {error}", home.display())));
        if let Some(error) = failed {
            // The old version is still the current one: it goes on.
            if let Some(app) = &known {
                supervisor::send(daemon, app, Event::Start);
            }
            return Err(error);
        }
        let mut package = Package::read(&home.join("current"), &daemon.settings.profile, true)
            .map_err(|why| refuse(ErrorKind::Device, why))?;
        package.sha256 = Some(sha256.clone());
        let mut warnings = operate::unavailable(daemon, &package);
        let app = match known {
            Some(app) => {
                app.replace_package(package);
                app
            }
            None => apps::register(daemon, package)
                .map_err(|why| refuse(ErrorKind::Limit, why))?
                .ok_or_else(|| {
                    refuse(
                        ErrorKind::State,
                        format!("{name} came up from elsewhere meanwhile"),
                    )
                })?,
        };
        store::collect(daemon);
        let verb = if replaced { "replaced" } else { "installed" };
        daemon.event(
            Some(&name),
            "app-installed",
            &format!("{verb}: {size} bytes, SHA-256 {sha256}"),
        );
        operate::warn_unavailable(daemon, &app);
        // Asked before; but another installation may have been quicker.
        match daemon.place_for_one_more() {
            Ok(()) => supervisor::send(daemon, &app, Event::Start),
            Err(why) => warnings.push(format!("{name} is installed but not started: {why}")),
        }
        Ok(Response::Installed {
            app: name,
            sha256,
            replaced,
            warnings,
        })
    }
}

async fn admit(
    daemon: &Shared,
    name: &str,
    component: &Path,
    sha256: &str,
    code: Option<&Code>,
) -> Result<(), ControlError> {
    let profile = &daemon.settings.profile;
    // With machine code, nothing else is needed; should it not fit after all, the next start makes the rest.
    let compile = engine::may_make(profile) && profile.runtime.cache_compiled && code.is_none();
    let code = code
        .map(|code| File::open(&code.path))
        .transpose()
        .map_err(|error| {
            refuse(
                ErrorKind::Device,
                format!("machine code of {name}: {error}"),
            )
        })?;
    let _turn = daemon.admitting.acquire().await;
    let admitted =
        admission::admit_with_code(daemon, name, component, Some(sha256), compile, code).await;
    admitted.map(drop).map_err(|refusal| {
        let kind = match &refusal {
            Refusal::HashMismatch { .. } => ErrorKind::HashMismatch,
            Refusal::Refused(_) => ErrorKind::Invalid,
            Refusal::Failed(_) => ErrorKind::Device,
        };
        refuse(kind, format!("{name}: {refusal}"))
    })
}

/// Puts admitted machine code in the store, under the key that this device looks for.
async fn keep_code(
    daemon: &Shared,
    code: Code,
    name: &str,
    sha256: &str,
) -> Result<(), ControlError> {
    let device = |error: io::Error| {
        refuse(
            ErrorKind::Device,
            format!("machine code of {name}: {error}"),
        )
    };
    let key = engine::keys(&daemon.settings.profile, sha256)
        .ahead_of_time
        .unwrap_or_default();
    let file = code.file.try_clone().map_err(device)?;
    blocking(move || file.sync_all()).await.map_err(device)?;
    store::keep(daemon, &code.path, &key).map_err(device)?;
    // It may be another than the one that was refused or missed.
    daemon.misfits.borrow_mut().remove(&key);
    daemon.missed.borrow_mut().remove(&key);
    Ok(())
}

/// First 16 hexadecimal digits of SHA-256 over the manifest and the component's hash: one folder per version.
fn identity(manifest: &str, component_sha256: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((manifest.len() as u64).to_le_bytes());
    hash.update(manifest.as_bytes());
    hash.update(component_sha256.as_bytes());
    let mut id = hex(&hash.finalize());
    id.truncate(16);
    id
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(bytes)
}

/// Waiting for a disk happens on a thread of its own, never in the main loop.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// Makes everything durable, then gives the folder its name.
fn put_in_place(from: &Path, versions: &Path, to: &Path) -> io::Result<()> {
    for file in ["vyoma.toml", "app.wasm"] {
        sync(&from.join(file))?;
    }
    sync(from)?;
    fs::create_dir_all(versions)?;
    if to.exists() {
        // The same version once more, or one that a power failure left. What just arrived is known to be whole, and
        // the other may be the current one: they change places in one step, and what was there goes with `from`.
        exchange(from, to)?;
    } else {
        fs::rename(from, to)?;
    }
    sync(versions)
}

/// Makes two folders change places, atomically.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
    let (one, other) = (c(one)?, c(other)?);
    // By number, because nix and libc have the function for glibc only in some versions.
    // SAFETY: both paths are valid C strings for the call; the other arguments are plain values.
    let done = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes `versions/ID` the current version; the one before it is kept, others go.
fn switch(home: &Path, id: &str) -> io::Result<()> {
    let (current, new) = (home.join("current"), home.join(".current-new"));
    let before = fs::read_link(&current)
        .ok()
        .and_then(|link| link.file_name().map(ToOwned::to_owned));
    ignore_missing(fs::remove_file(&new))?;
    symlink(Path::new("versions").join(id), &new)?;
    fs::rename(&new, &current)?;
    for mark in ["removed", "stopped"] {
        ignore_missing(fs::remove_file(home.join(mark)))?;
    }
    sync(home)?;
    for entry in fs::read_dir(home.join("versions"))?.flatten() {
        let name = entry.file_name();
        if name != id && before.as_ref() != Some(&name) {
            // What can't be removed is only space; the next installation tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Removes what an interrupted installation left behind; before anything runs.
pub(crate) fn clean(state: &Path) {
    for entry in fs::read_dir(state.join("apps"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(".incoming-")
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(home: &Path, id: &str) {
        let from = home.join(".incoming");
        fs::create_dir_all(&from).unwrap();
        write_new(&from.join("vyoma.toml"), id.as_bytes()).unwrap();
        write_new(&from.join("app.wasm"), b"bytes").unwrap();
        put_in_place(
            &from,
            &home.join("versions"),
            &home.join("versions").join(id),
        )
        .unwrap();
    }

    #[test]
    fn a_switch_leaves_the_new_version_and_the_one_before() {
        let home = tempfile::tempdir().unwrap();
        for id in ["one", "two", "three"] {
            version(home.path(), id);
            switch(home.path(), id).unwrap();
            assert_eq!(
                fs::read_to_string(home.path().join("current/vyoma.toml")).unwrap(),
                id
            );
        }
        let mut kept: Vec<_> = fs::read_dir(home.path().join("versions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        kept.sort();
        assert_eq!(kept, ["three", "two"]);
    }

    #[test]
    fn the_same_version_once_more_replaces_damaged_files_without_a_moment_of_none() {
        let home = tempfile::tempdir().unwrap();
        version(home.path(), "one");
        switch(home.path(), "one").unwrap();
        fs::write(home.path().join("current/app.wasm"), "damaged").unwrap();
        version(home.path(), "one");
        assert_eq!(
            fs::read(home.path().join("current/app.wasm")).unwrap(),
            b"bytes"
        );
    }

    #[test]
    fn until_the_switch_the_old_version_is_the_current_one() {
        let home = tempfile::tempdir().unwrap();
        version(home.path(), "one");
        switch(home.path(), "one").unwrap();
        version(home.path(), "two");
        assert_eq!(
            fs::read_to_string(home.path().join("current/vyoma.toml")).unwrap(),
            "one"
        );
    }

    #[test]
    fn the_identity_changes_with_the_manifest_and_with_the_component() {
        let first = identity("a", "00");
        assert_eq!(first.len(), 16);
        assert_ne!(first, identity("b", "00"));
        assert_ne!(first, identity("a", "01"));
    }
}
