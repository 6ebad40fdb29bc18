//! From a component file to an artefact that may run: hash here, everything else in a process of its own (`vyomad
//! admit`), a few at a time and within a time limit. The daemon never looks into a component.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use vyoma_capabilities::control::{Execution, MAX_COMPONENT};
use vyoma_capabilities::hex;

use super::install::blocking;
use super::process::{self, Role};
use super::reaper::Status;
use super::state::{Daemon, Mode};
use super::{store, uids};
use crate::roles::engine;
use crate::spec::{AdmitReport, AdmitSpec, fd};

/// Time for one admission. The largest component that anyone sends (64 MiB) takes a minute on a slow board.
const TIME: Duration = Duration::from_mins(2);
/// Longest report that is read.
const REPORT_BYTES: u64 = 64 * 1024;
/// What is hashed without letting anything else run: less than a millisecond.
const HASH_STEP: usize = 64 * 1024;

/// Why a component was not admitted.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its bytes are others than expected.
    HashMismatch { expected: String, found: String },
    /// It can't run here; one line.
    Refused(String),
    /// The device could not do it; one line.
    Failed(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HashMismatch { expected, found } => write!(
                f,
                "SHA-256 of the component: found {found}; expected {expected}"
            ),
            Self::Refused(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

/// SHA-256 of a file, read in steps so that the loop goes on meanwhile.
pub(crate) async fn hash(daemon: &Daemon, path: &Path) -> Result<String, String> {
    let _turn = daemon.hashing.acquire().await;
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(named)?;
    let size = file.metadata().map_err(named)?.len();
    if size > MAX_COMPONENT {
        return Err(format!(
            "{}: {size} bytes; a component has at most {MAX_COMPONENT}",
            path.display()
        ));
    }
    let mut hash = Sha256::new();
    hash_on(&mut file, &mut hash, MAX_COMPONENT)
        .await
        .map_err(named)?;
    Ok(hex::encode(&hash.finalize().into()))
}

/// Goes on with a hash over what a file has from here on, at most so many bytes, in steps so that the loop goes on meanwhile.
pub(crate) async fn hash_on(file: &mut File, hash: &mut Sha256, most: u64) -> io::Result<()> {
    let mut file = file.take(most);
    let mut buffer = vec![0; HASH_STEP];
    loop {
        let step = file.read(&mut buffer)?;
        if step == 0 {
            return Ok(());
        }
        hash.update(&buffer[..step]);
        tokio::task::yield_now().await;
    }
}

/// What an app process runs.
#[derive(Debug)]
pub(crate) struct Code {
    /// The artefact, for reading only.
    pub(crate) artefact: File,
    pub(crate) key: String,
    pub(crate) execution: Execution,
}

/// The artefact of a component whose hash is known: machine code that was made ahead of time, else what this device
/// made or makes now as far as the profile allows.
pub(crate) async fn artefact(
    daemon: &Daemon,
    name: &str,
    component: &Path,
    sha256: &str,
) -> Result<Code, Refusal> {
    let profile = &daemon.settings.profile;
    // Says which engine is missing, when one is: without it no key means anything.
    engine::runtime(profile).map_err(Refusal::Refused)?;
    let keys = engine::keys(profile, sha256);
    if let Some(key) = keys.ahead_of_time {
        let refused = daemon.misfits.borrow().contains(&key);
        if let Some(artefact) = store::open(daemon, &key).filter(|_| !refused) {
            return Ok(Code {
                artefact,
                key,
                execution: Execution::AheadOfTime,
            });
        }
        // Said once, and not again of one that was refused.
        if !refused && daemon.missed.borrow_mut().insert(key) {
            daemon.event(
                Some(name),
                "warning",
                "no machine code for this device came with it, so it is interpreted, which is slower; install it with \
                 `vyomactl install` where vyoma-aotc is (cargo xtask aotc), or build the image with it",
            );
        }
    }
    let key = keys.own;
    let execution = engine::own_execution(profile.engine);
    let own = |artefact, key| Code {
        artefact,
        key,
        execution,
    };
    if let Some(artefact) = store::open(daemon, &key) {
        return Ok(own(artefact, key));
    }
    if !engine::may_make(profile) {
        return Err(Refusal::Refused(format!(
            "no artefact {key} came with the image, and {} makes no code on the device (runtime.jit)",
            profile.name
        )));
    }
    let _turn = daemon.admitting.acquire().await;
    // Another app with the same component may have been first.
    if let Some(artefact) = store::open(daemon, &key) {
        return Ok(own(artefact, key));
    }
    let artefact = admit(daemon, name, component, Some(sha256), true).await?;
    Ok(own(artefact, key))
}

/// Checks a component, and makes its artefact if `compile`. The caller has a place in `admitting`.
pub(crate) async fn admit(
    daemon: &Daemon,
    name: &str,
    component: &Path,
    expected_sha256: Option<&str>,
    compile: bool,
) -> Result<File, Refusal> {
    admit_with_code(daemon, name, component, expected_sha256, compile, None).await
}

/// The same for a component that came with machine code: `code` is opened for reading, and was made of this component for
/// this device, or all of it is refused.
pub(crate) async fn admit_with_code(
    daemon: &Daemon,
    name: &str,
    component: &Path,
    expected_sha256: Option<&str>,
    compile: bool,
    code: Option<File>,
) -> Result<File, Refusal> {
    let failed = |error: io::Error| Refusal::Failed(format!("admission of {name}: {error}"));
    let bytes = File::open(component)
        .map_err(|error| Refusal::Failed(format!("{}: {error}", component.display())))?;
    let (artefact, path) = store::create(daemon).map_err(failed)?;
    let guard = RemoveOnDrop(&path);
    let spec = AdmitSpec {
        name: name.to_string(),
        profile: daemon.settings.profile.clone(),
        expected_sha256: expected_sha256.map(str::to_string),
        uid: daemon.settings.root.then_some(uids::ADMIT),
        sandbox_required: daemon.settings.mode == Mode::Pid1,
        compile,
        machine_code: code.is_some(),
    };
    let written = artefact.try_clone().map_err(failed)?;
    let report = run(
        daemon,
        name,
        &spec,
        bytes.into(),
        written.into(),
        code.map(Into::into),
    )
    .await?;
    match report {
        AdmitReport::Admitted {
            sha256,
            artefact_key,
            ..
        } => {
            if expected_sha256.is_some_and(|expected| expected != sha256) {
                return Err(Refusal::Failed(format!(
                    "admission of {name} is about other bytes: {sha256}"
                )));
            }
            if compile && daemon.settings.profile.runtime.cache_compiled {
                // The key is ours, not the process's word.
                let key = engine::keys(&daemon.settings.profile, &sha256).own;
                if key != artefact_key {
                    return Err(Refusal::Failed(format!(
                        "admission of {name}: found artefact key {artefact_key}; expected {key}"
                    )));
                }
                // Bytes before the name: after a power failure, half an artefact must not be found under a key.
                let bytes = artefact.try_clone().map_err(failed)?;
                blocking(move || bytes.sync_all()).await.map_err(failed)?;
                store::keep(daemon, &path, &key).map_err(failed)?;
            }
            // Anew and for reading only: an app must not be able to write to what it runs.
            let read_only =
                File::open(format!("/proc/self/fd/{}", artefact.as_raw_fd())).map_err(failed)?;
            drop(guard);
            Ok(read_only)
        }
        AdmitReport::HashMismatch { expected, found } => {
            Err(Refusal::HashMismatch { expected, found })
        }
        AdmitReport::Refused(why) => Err(Refusal::Refused(why)),
    }
}

async fn run(
    daemon: &Daemon,
    name: &str,
    spec: &AdmitSpec,
    component: OwnedFd,
    artefact: OwnedFd,
    code: Option<OwnedFd>,
) -> Result<AdmitReport, Refusal> {
    let failed = |error: io::Error| Refusal::Failed(format!("admission of {name}: {error}"));
    let (ours, theirs) = process::control(spec).map_err(failed)?;
    let (mut words, stderr) = process::pipe().map_err(failed)?;
    let cgroup = match &daemon.cgroups {
        Some(groups) => Some(groups.admit().map_err(Refusal::Failed)?),
        None => None,
    };
    let mut descriptors = vec![
        (theirs, fd::CONTROL),
        (component, fd::CODE),
        (artefact, fd::SHARED),
    ];
    descriptors.extend(code.map(|code| (code, fd::DATA)));
    let role = Role {
        kind: "admit",
        more: 0,
        name,
        stdio: [Stdio::null(), Stdio::null(), stderr.into()],
        descriptors,
        cgroup,
    };
    let mut process = process::start(&daemon.binary, &daemon.reaper, role).map_err(failed)?;
    let mut socket = tokio::net::UnixStream::from_std(ours).map_err(failed)?;
    let mut json = Vec::new();
    let both = async {
        (&mut socket)
            .take(REPORT_BYTES)
            .read_to_end(&mut json)
            .await?;
        Ok::<Status, io::Error>(process.wait().await)
    };
    let Ok(status) = tokio::time::timeout(TIME, both).await else {
        return Err(Refusal::Refused(format!(
            "admission took longer than {} s",
            TIME.as_secs()
        )));
    };
    let status = status.map_err(failed)?;
    serde_json::from_slice(&json).map_err(|_| {
        let end = match status {
            Status::Code(code) => format!("exit code {code}"),
            Status::Signal(signal) => format!("signal {signal}"),
        };
        Refusal::Refused(format!(
            "the engine failed on it ({end}){}",
            last_words(&mut words)
        ))
    })
}

/// What the process said last on stderr, on one line.
fn last_words(pipe: &mut OwnedFd) -> String {
    let mut bytes = vec![0; 4096];
    // The writer is gone; should it have left the pipe to someone else, that one is not waited for.
    let _ = fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    let count = nix::unistd::read(&*pipe, &mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        words
    } else {
        format!(": {}", &words[..words.floor_char_boundary(500)])
    }
}

struct RemoveOnDrop<'a>(&'a Path);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        // Already in its place under its key: then nothing has this name any more.
        let _ = std::fs::remove_file(self.0);
    }
}
