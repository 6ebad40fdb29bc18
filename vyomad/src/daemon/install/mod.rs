//! Installation of an app: all or nothing. Power may fail between any two writes, and then the old version or the
//! new one is there, whole.
//!
//! ```text
//!  upload -> uploads/SHA256                 hashed while it comes, size capped; what was cut is gone on with
//!         -> store/.upload-SHA256           machine code, if it comes too: the same way
//!         -> admission in its own process   the running version runs on; it also checks what the code was made from
//!         -> fsync, store/KEY               one rename; a cache entry, so it may come before its app
//!         -> fsync, apps/NAME/versions/ID   one rename of the folder
//!         -> stop the app, switch `current` one rename of a symlink
//!         -> start, on trial: `trial` lets the old version go, or brings it back
//! ```

mod checks;
mod switch;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use vyoma_capabilities::control::{
    self, ControlError, ErrorKind, InstallOptions, MAX_ARTEFACT, MAX_COMPONENT, MAX_MANIFEST,
    Response,
};
use vyoma_capabilities::manifest;
use vyoma_capabilities::signature;

use self::switch::Installed;
use super::admission::{self, Refusal};
use super::apps::Package;
use super::control::connection::{Closed, Connection};
use super::operate::{Installing, refuse};
use super::state::Shared;
use super::uploads::{self, Upload, What};
use super::{store, trial, versions};
use crate::roles::engine;

/// What a client says that it will send.
pub(crate) struct Announced {
    /// Text of the manifest.
    pub(crate) manifest: String,
    /// Bytes of the component.
    pub(crate) size: u64,
    /// Its SHA-256 in lower-case hex.
    pub(crate) sha256: String,
    /// Machine code for this device that follows it.
    pub(crate) ahead_of_time: Option<control::Upload>,
    /// What else is said.
    pub(crate) options: InstallOptions,
}

/// Serves one `Install`. The outer error ends the connection, the inner one is an answer.
pub(crate) async fn install(
    daemon: &Shared,
    connection: &mut Connection,
    announced: &Announced,
) -> Result<Result<Response, ControlError>, Closed> {
    let code = announced.ahead_of_time.as_ref().map_or(0, |code| code.size);
    let parts = [
        (
            "component",
            What::Component,
            announced.size,
            announced.options.component_kept,
            MAX_COMPONENT,
        ),
        (
            "machine code",
            What::Code,
            code,
            announced.options.code_kept,
            MAX_ARTEFACT,
        ),
    ];
    for (what, _, size, kept, most) in parts {
        // Nobody waits for the end of that: the connection goes too.
        if size > most {
            return Err(Closed::Refused(refuse(
                ErrorKind::Limit,
                format!("the {what} has {size} bytes; at most {most} are taken"),
            )));
        }
        if kept > size {
            return Err(Closed::Refused(refuse(
                ErrorKind::Protocol,
                format!("the {what} has {size} bytes; found {kept} of them announced as kept"),
            )));
        }
    }
    let mut order = Order::begin(daemon, announced).await;
    for (_, part, size, kept, _) in parts {
        let mut left = size - kept;
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
            if let Ok(begun) = &mut order
                && let Err(error) = begun.take(part, &bytes)
            {
                order = Err(error);
            }
        }
    }
    match order {
        Ok(order) => Ok(order.finish(daemon, announced).await),
        Err(error) => Ok(Err(error)),
    }
}

/// An installation that nothing speaks against so far.
struct Order {
    /// Keeps others from the same name.
    _busy: Installing,
    name: String,
    /// Name of the trusted key that it is signed with.
    signed_by: Option<String>,
    component: Upload,
    code: Option<Upload>,
}

/// A folder that goes away unless it is moved to its place.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A failure of this device, about something of an app.
fn device(what: &str) -> impl Fn(io::Error) -> ControlError {
    move |error| refuse(ErrorKind::Device, format!("{what}: {error}"))
}

impl Order {
    async fn begin(daemon: &Shared, announced: &Announced) -> Result<Self, ControlError> {
        let text = &announced.manifest;
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
        let signed_by = checks::origin(daemon, announced, &manifest)?;
        let name = manifest.app.name;
        let busy = Installing::begin(daemon, &name)?;
        checks::place(daemon, &name)?;
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
        for sha256 in [&announced.sha256]
            .into_iter()
            .chain(code.map(|code| &code.sha256))
        {
            if !uploads::is_sha256(sha256) {
                return Err(refuse(
                    ErrorKind::Invalid,
                    format!("SHA-256: found {sha256:?}; expected 64 lower-case hexadecimal digits"),
                ));
            }
        }
        uploads::tidy(daemon, false);
        checks::space(daemon, announced.size, code.map_or(0, |code| code.size))?;
        let options = &announced.options;
        let failed = device(&name);
        let component = Upload::open(
            daemon,
            What::Component,
            &announced.sha256,
            options.component_kept,
        )
        .await
        .map_err(&failed)?;
        let code = match code {
            Some(code) => Some(
                Upload::open(daemon, What::Code, &code.sha256, options.code_kept)
                    .await
                    .map_err(&failed)?,
            ),
            None => None,
        };
        drop(failed);
        Ok(Self {
            _busy: busy,
            name,
            signed_by,
            component,
            code,
        })
    }

    fn take(&mut self, part: What, bytes: &[u8]) -> Result<(), ControlError> {
        let upload = match (part, &mut self.code) {
            (What::Code, Some(code)) => code,
            _ => &mut self.component,
        };
        upload.take(bytes).map_err(device(&self.name))
    }

    /// Everything has arrived.
    async fn finish(
        mut self,
        daemon: &Shared,
        announced: &Announced,
    ) -> Result<Response, ControlError> {
        let name = &self.name;
        let sha256 = self.component.finish();
        let mismatch = |what: &str, found: &str, expected: &str, who: &str| {
            refuse(
                ErrorKind::HashMismatch,
                format!(
                    "SHA-256 of {what}{name}: found {found}; expected {expected}, as {who} says"
                ),
            )
        };
        if announced.sha256 != sha256 {
            return Err(mismatch("", &sha256, &announced.sha256, "the client"));
        }
        if let (Some(code), Some(announced)) = (&mut self.code, &announced.ahead_of_time) {
            let found = code.finish();
            if found != announced.sha256 {
                return Err(mismatch(
                    "the machine code of ",
                    &found,
                    &announced.sha256,
                    "the client",
                ));
            }
        }
        let dir = daemon
            .path("apps")
            .join(format!(".incoming-{}", daemon.next_serial()));
        let place = dir.display().to_string();
        let failed = device(&place);
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(&failed)?;
        let incoming = Incoming(dir.clone());
        fs::rename(self.component.path(), dir.join("app.wasm")).map_err(&failed)?;
        write_new(&dir.join("vyoma.toml"), announced.manifest.as_bytes()).map_err(&failed)?;
        if let Some(text) = &announced.options.signature {
            write_new(&dir.join(signature::FILE), text.as_bytes()).map_err(&failed)?;
        }
        let package = Package::read(&dir, &daemon.settings.profile, true)
            .map_err(|why| refuse(ErrorKind::Invalid, why))?;
        if let Some(pinned) = package
            .manifest
            .app
            .wasm_sha256
            .as_deref()
            .filter(|pinned| *pinned != sha256)
        {
            return Err(mismatch("", &sha256, pinned, "vyoma.toml"));
        }
        let code = self.code.as_ref();
        admit(daemon, name, &dir.join("app.wasm"), &sha256, code).await?;
        if let Some(code) = code {
            keep_code(daemon, code, name, &sha256).await?;
        }
        let id = versions::identity(&announced.manifest, &sha256);
        let home = daemon.path("apps").join(name);
        let (from, at, to) = (dir.clone(), home.clone(), id.clone());
        blocking(move || versions::put_in_place(&from, &at, &to))
            .await
            .map_err(&failed)?;
        drop(incoming);
        let installed = Installed {
            name,
            id,
            sha256,
            size: announced.size,
            version: package.manifest.app.version.clone(),
            signed_by: self.signed_by.as_deref(),
            window_ms: trial::window_ms(&package.manifest),
        };
        installed.switch(daemon, &home).await
    }
}

async fn admit(
    daemon: &Shared,
    name: &str,
    component: &Path,
    sha256: &str,
    code: Option<&Upload>,
) -> Result<(), ControlError> {
    let profile = &daemon.settings.profile;
    // With machine code, nothing else is needed; should it not fit after all, the next start makes the rest.
    let compile = engine::may_make(profile) && profile.runtime.cache_compiled && code.is_none();
    let code = code
        .map(|code| File::open(code.path()))
        .transpose()
        .map_err(device(&format!("machine code of {name}")))?;
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
    code: &Upload,
    name: &str,
    sha256: &str,
) -> Result<(), ControlError> {
    let what = format!("machine code of {name}");
    let failed = device(&what);
    let key = engine::keys(&daemon.settings.profile, sha256)
        .ahead_of_time
        .unwrap_or_default();
    let file = code.handle().map_err(&failed)?;
    blocking(move || file.sync_all()).await.map_err(&failed)?;
    store::keep(daemon, code.path(), &key).map_err(&failed)?;
    // It may be another than the one that was refused or missed.
    daemon.misfits.borrow_mut().remove(&key);
    daemon.missed.borrow_mut().remove(&key);
    Ok(())
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
