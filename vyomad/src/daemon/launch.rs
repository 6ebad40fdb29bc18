//! Makes one run of an app: hash, artefact, data folder, limits, pipes, process. A capability is a descriptor, and
//! this is where they are handed out.

use std::cell::Cell;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode as Permissions;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use vyoma_capabilities::control::{Execution, Stream};

use super::admission::Code;
use super::apps::{App, Package};
use super::process::{self, Heartbeats, Process, Role};
use super::run::Run;
use super::state::{Daemon, Mode, Shared};
use super::stdin::Stdin;
use super::throttle::Throttle;
use super::{admission, cgroup, output};
use crate::spec::{AppSpec, DeviceSpec, fd};

/// A run that has begun.
pub(crate) struct Launched {
    pub(crate) run: Rc<Run>,
    pub(crate) process: Process,
    /// The tasks that read its output.
    pub(crate) readers: Vec<JoinHandle<()>>,
    /// The task that writes its input.
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) artefact_key: String,
    pub(crate) execution: Execution,
}

/// Starts `app`. The error is one line for its epitaph.
pub(crate) async fn launch(daemon: &Shared, app: &Rc<App>) -> Result<Launched, String> {
    let package = app.package();
    let sha256 = if let Some(known) = &package.sha256 {
        known.clone()
    } else {
        let sha256 = admission::hash(daemon, &package.component).await?;
        app.set_sha256(&sha256);
        sha256
    };
    // Pinned in the manifest: other bytes are no version of this app.
    if let Some(expected) = package
        .manifest
        .app
        .wasm_sha256
        .as_ref()
        .filter(|expected| **expected != sha256)
    {
        let file = package.component.display();
        return Err(format!(
            "{file}: SHA-256: found {sha256}; expected {expected}, as {} says",
            package.manifest_path.display()
        ));
    }
    let code = admission::artefact(daemon, &app.name, &package.component, &sha256)
        .await
        .map_err(|refusal| refusal.to_string())?;
    let uid = uid(daemon, &app.name).await?;
    let launched = spawn(daemon, app, &package, uid, code);
    if launched.is_err() {
        daemon.devices.release(&app.name);
    }
    launched
}

/// The user that this app is, where we can become others.
async fn uid(daemon: &Shared, app: &Rc<str>) -> Result<Option<u32>, String> {
    if !daemon.settings.root {
        return Ok(None);
    }
    let known = daemon.uids.try_lock().ok().and_then(|uids| uids.known(app));
    if known.is_some() {
        return Ok(known);
    }
    let (uids, name) = (Arc::clone(&daemon.uids), app.to_string());
    let given = tokio::task::spawn_blocking(move || {
        let mut uids = uids.lock().map_err(|error| error.to_string())?;
        uids.of(&name).map_err(|error| error.to_string())
    });
    given.await.map_err(|error| error.to_string())?.map(Some)
}

/// The last step: no waiting from here on.
fn spawn(
    daemon: &Shared,
    app: &Rc<App>,
    package: &Package,
    uid: Option<u32>,
    code: Code,
) -> Result<Launched, String> {
    let failed = |error: io::Error| format!("can't start a process: {error}");
    let grants = &package.resolution.grants;
    let profile = &daemon.settings.profile;
    let devices = daemon.devices.give(&app.name, grants);
    for note in &devices.notes {
        let detail = format!("{note}; the app runs without it");
        daemon.event(Some(&app.name), "warning", &detail);
    }
    let spec = AppSpec {
        name: app.name.to_string(),
        args: package.manifest.app.args.clone(),
        env: package
            .manifest
            .app
            .env
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        grants: grants.clone(),
        uid,
        sandbox_required: daemon.settings.mode == Mode::Pid1,
        memory_bytes: Some(cgroup::linear_memory_bytes(grants, profile)),
        engine: profile.engine,
        artefact_key: code.key.clone(),
        devices: DeviceSpec {
            peripherals: profile.peripherals,
            list: devices.list,
            simulated: devices.simulated,
        },
        realtime: grants.realtime.filter(|_| daemon.settings.realtime_kernel),
    };
    let (control, theirs) = process::control(&spec).map_err(failed)?;
    let (heartbeats, page) = Heartbeats::new().map_err(failed)?;
    let mut descriptors = vec![
        (theirs, fd::CONTROL),
        (code.artefact.into(), fd::CODE),
        (page, fd::SHARED),
    ];
    if grants.filesystem {
        descriptors.push((data_folder(daemon, &app.name, uid)?, fd::DATA));
    }
    let opened = devices.descriptors.into_iter().flatten();
    let more: Vec<_> = opened.zip(fd::DEVICES..).collect();
    let count = more.len();
    descriptors.extend(more);
    let (cgroup, oom_kills_before) = match &daemon.cgroups {
        Some(groups) => (
            Some(groups.app(&app.name, grants, profile)?),
            groups.oom_kills(&app.name),
        ),
        None => (None, 0),
    };
    let (stdio, pipes) = if grants.stdio {
        let (stdin, to_app) = process::pipe().map_err(failed)?;
        let (out, stdout) = process::pipe().map_err(failed)?;
        let (err, stderr) = process::pipe().map_err(failed)?;
        let pipes = Pipes {
            stdin: pipe::Sender::from_owned_fd(non_blocking(to_app)?).map_err(failed)?,
            stdout: pipe::Receiver::from_owned_fd(non_blocking(out)?).map_err(failed)?,
            stderr: pipe::Receiver::from_owned_fd(non_blocking(err)?).map_err(failed)?,
        };
        ([stdin.into(), stdout.into(), stderr.into()], Some(pipes))
    } else {
        ([Stdio::null(), Stdio::null(), Stdio::null()], None)
    };
    let role = Role {
        kind: "app",
        name: &app.name,
        more: count,
        stdio,
        descriptors,
        cgroup,
    };
    let process = process::start(&daemon.binary, &daemon.reaper, role).map_err(failed)?;
    let run = Rc::new(Run {
        pid: process.pid(),
        started: Instant::now(),
        stdin: pipes.is_some().then(Rc::default),
        heartbeats,
        last_beat: Cell::default(),
        printed: Cell::default(),
        throttle: Throttle::new(Instant::now()).into(),
        control,
        oom_kills_before,
    });
    let (readers, writer) =
        pipes.map_or_else(Default::default, |pipes| pipes.connect(daemon, app, &run));
    Ok(Launched {
        run,
        process,
        readers,
        writer,
        artefact_key: code.key,
        execution: code.execution,
    })
}

/// Our ends of an app's standard streams.
struct Pipes {
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Pipes {
    fn connect(
        self,
        daemon: &Shared,
        app: &Rc<App>,
        run: &Rc<Run>,
    ) -> (Vec<JoinHandle<()>>, Option<JoinHandle<()>>) {
        let read = |pipe, stream| {
            tokio::task::spawn_local(output::read(
                Rc::clone(daemon),
                Rc::clone(app),
                Rc::clone(run),
                pipe,
                stream,
            ))
        };
        let readers = vec![
            read(self.stdout, Stream::Out),
            read(self.stderr, Stream::Err),
        ];
        let pipe = self.stdin;
        let writer = run.stdin.clone().map(|stdin: Rc<Stdin>| {
            tokio::task::spawn_local(async move { stdin.pump(pipe).await })
        });
        (readers, writer)
    }
}

fn non_blocking(descriptor: OwnedFd) -> Result<OwnedFd, String> {
    use nix::fcntl::{FcntlArg, fcntl};
    // Our end only: the two ends of a pipe are two open files.
    fcntl(&descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|error| format!("pipe: {error}"))?;
    Ok(descriptor)
}

/// Opens the app's own folder, made now if it is not there: nobody else's, and nobody else's to read.
fn data_folder(daemon: &Daemon, app: &str, uid: Option<u32>) -> Result<OwnedFd, String> {
    let path = daemon.path("data").join(app);
    let named = |error: io::Error| format!("{}: {error}", path.display());
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(named(error)),
        _ => {}
    }
    if let Some(uid) = uid {
        std::os::unix::fs::lchown(&path, Some(uid), Some(uid)).map_err(named)?;
    }
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .map_err(named)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(&path, flags, Permissions::empty()).map_err(|error| named(error.into()))
}
