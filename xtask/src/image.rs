//! A platform's image. For those with Linux: a kernel and an initramfs with vyomad, the profile, the apps and their machine code, the folders
//! that vyomad mounts on, and nothing else. Called by `image`, `run`, `boot`, tests and figures.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::Which;
use crate::apps::{self, App};
use crate::archive::{self, Node, Tree};
use crate::artefacts;
use crate::context::{Context, sha256, write_atomically};
use crate::kernel::{self, Kernel};
use crate::keys::{self, WhichKeys};
use crate::mcu;
use crate::platforms::Target;
use crate::setup::{self, Need};

/// Where vyomad mounts file systems.
const MOUNT_POINTS: [&str; 5] = ["data", "dev", "proc", "run", "sys"];

/// Where an image for tests has the module of simulated devices.
const DEVICES: &str = "vyoma-sim.ko";

/// `cargo xtask image`
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    apps: WhichApps,
    /// Write what was built (paths, sizes, hashes, contents of the initramfs) to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Which apps an image holds.
#[derive(Args, Clone)]
pub(crate) struct WhichApps {
    /// Put only this app into the image (may be repeated): a source folder under apps/, or any folder with a vyoma.toml
    /// and its component. Default: every app in apps/ that asks for no pins, buses, ports or converters.
    #[arg(long = "app", value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Put no app into the image.
    #[arg(long, conflicts_with = "dirs")]
    pub(crate) no_apps: bool,
    /// Put this static program into the image as /init, and nothing else: for finding out whether a fault is vyomad's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dirs", "no_apps"])]
    pub(crate) init: Option<PathBuf>,
    /// Add a file (static program or data) under this path, for tests.
    #[arg(long, value_name = "PATH=FILE", value_parser = path_and_file)]
    pub(crate) add: Vec<(String, PathBuf)>,
    /// Use a vyomad with the sandbox probe (vyomad/src/roles/probe.rs), for tests: an app with VYOMA_PROBE=1 in its
    /// environment tries to get out.
    #[arg(long)]
    pub(crate) probe: bool,
    /// Put the apps in without machine code, for tests of what a device does then.
    #[arg(long)]
    pub(crate) no_aot: bool,
    #[command(flatten)]
    pub(crate) keys: WhichKeys,
    /// Add the kernel module of simulated devices (tests/kernel/vyoma-sim) as /vyoma-sim.ko, for tests.
    #[arg(long)]
    pub(crate) devices: bool,
}

fn path_and_file(text: &str) -> Result<(String, PathBuf), String> {
    text.split_once('=')
        .map(|(path, file)| (path.trim_start_matches('/').to_owned(), file.into()))
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("found {text:?}; expected PATH=FILE, such as /bridge=target/bridge"))
}

impl WhichApps {
    /// Only these.
    pub(crate) fn only(dirs: Vec<PathBuf>) -> Self {
        Self {
            no_apps: dirs.is_empty(),
            dirs,
            init: None,
            add: Vec::new(),
            probe: false,
            no_aot: false,
            keys: WhichKeys::default(),
            devices: false,
        }
    }

    /// A program instead of vyomad.
    pub(crate) fn program(file: PathBuf) -> Self {
        Self {
            dirs: Vec::new(),
            no_apps: false,
            init: Some(file),
            add: Vec::new(),
            probe: false,
            no_aot: false,
            keys: WhichKeys::default(),
            devices: false,
        }
    }
}

/// A built image.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its kernel.
    pub(crate) kernel: Kernel,
    /// Its initramfs.
    pub(crate) initramfs: PathBuf,
    /// Size of the initramfs before compression.
    pub(crate) unpacked: u64,
    /// Paths in the initramfs.
    pub(crate) contents: Vec<String>,
    /// Its apps.
    pub(crate) apps: Vec<App>,
    /// The program that is PID 1.
    pub(crate) init: PathBuf,
}

impl Image {
    /// For reports.
    pub(crate) fn report(&self) -> anyhow::Result<serde_json::Value> {
        let size = |path: &Path| -> anyhow::Result<u64> { Ok(std::fs::metadata(path)?.len()) };
        let apps: Vec<_> = self
            .apps
            .iter()
            .map(|app| json!({"name": app.name, "sha256": app.sha256}))
            .collect();
        Ok(json!({
            "kernel": self.kernel.image,
            "kernel_config": self.kernel.config,
            "kernel_bytes": size(&self.kernel.image)?,
            "initramfs": self.initramfs,
            "initramfs_bytes": size(&self.initramfs)?,
            "initramfs_unpacked_bytes": self.unpacked,
            "initramfs_contents": self.contents,
            "apps": apps,
            "init": self.init,
        }))
    }
}

/// `cargo xtask image`
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(board) = options.which.board(context)? {
        return mcu::image::command(context, board, &options.apps, options.json.as_deref());
    }
    let target = options.which.target(context)?;
    setup::ensure(context, Need::Boot)?;
    let which = WhichApps {
        keys: options.apps.keys.or_the_developers(context)?,
        ..options.apps.clone()
    };
    let image = build(context, &target, &which)?;
    apps::announce(&image.apps);
    let report = image.report()?;
    println!(
        "kernel     {} ({} bytes)",
        image.kernel.image.display(),
        report["kernel_bytes"]
    );
    println!(
        "initramfs  {} ({} bytes, {} unpacked)",
        image.initramfs.display(),
        report["initramfs_bytes"],
        image.unpacked
    );
    if let Some(path) = &options.json {
        write_atomically(
            &std::path::absolute(path)?,
            serde_json::to_string_pretty(&report)?.as_bytes(),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds everything that the image of `target` consists of.
pub(crate) fn build(
    context: &Context,
    target: &Target,
    which: &WhichApps,
) -> anyhow::Result<Image> {
    // Two archives: the first is in every image of the platform and packed once.
    let (mut tree, mut rest) = (Tree::default(), Tree::default());
    // The kernel opens /dev/console for init before anything is mounted; a panic hook needs /dev/null no later.
    tree.add(
        "dev/console",
        Node::Char {
            major: 5,
            minor: 1,
            mode: 0o600,
        },
    );
    tree.add(
        "dev/null",
        Node::Char {
            major: 1,
            minor: 3,
            mode: 0o666,
        },
    );
    let (apps, init) = match &which.init {
        Some(program) => {
            tree.add("init", file(program, true)?);
            (Vec::new(), program.clone())
        }
        None => fill(context, target, which, &mut tree, &mut rest)?,
    };
    for (path, from) in &which.add {
        rest.add(path, file(from, true)?);
    }
    let kernel = kernel::ensure(context, target.arch, target.flavour)?;
    if which.devices {
        let module = kernel::simulated_devices(context, target.arch, target.flavour)?;
        rest.add(DEVICES, file(&module, false)?);
    }
    let kept = context.out.join("packed");
    let (mut packed, mut unpacked) = tree.pack(&kept)?;
    let mut contents = archive::list(&packed)?;
    debug_assert_eq!(contents, tree.paths());
    if !rest.is_empty() {
        let (more, size) = rest.pack(&kept)?;
        contents.extend(archive::list(&more)?);
        contents.sort();
        contents.dedup();
        packed.extend(more);
        unpacked += size;
    }
    // Images of different apps lie side by side: tests boot several at once.
    let mut name = String::new();
    for app in &apps {
        let _ = writeln!(name, "{} {}", app.name, app.dir.display());
    }
    let _ = writeln!(
        name,
        "{:?} {:?} {} {} {} {:?}",
        which.init, which.add, which.probe, which.no_aot, which.devices, which.keys
    );
    let dir = context
        .out
        .join("images")
        .join(format!("{}-{}", target.id(), &sha256(name)[..8]));
    let initramfs = dir.join("initramfs.cpio.zst");
    write_atomically(&initramfs, &packed)?;
    Ok(Image {
        kernel,
        initramfs,
        unpacked,
        contents,
        apps,
        init,
    })
}

/// Everything that vyomad needs goes into `tree`, its apps into `rest`.
fn fill(
    context: &Context,
    target: &Target,
    which: &WhichApps,
    tree: &mut Tree,
    rest: &mut Tree,
) -> anyhow::Result<(Vec<App>, PathBuf)> {
    let apps = if which.no_apps {
        Vec::new()
    } else if which.dirs.is_empty() {
        // What is wired to a device, only its owner knows.
        let (shipped, _) = apps::build_all(context)?;
        let runs_anywhere = |app: &App| !app.needs_board;
        shipped.into_iter().filter(runs_anywhere).collect()
    } else {
        which
            .dirs
            .iter()
            .map(|dir| apps::ready(context, dir))
            .collect::<anyhow::Result<_>>()?
    };
    apps::check_names(&apps)?;
    // The machine code is made by the vyomad that ships: it is the same.
    let probe = if which.probe {
        Some(artefacts::device(context, target, true)?)
    } else {
        None
    };
    let vyomad = artefacts::device(context, target, false)?;
    for dir in MOUNT_POINTS.iter().chain(&["apps", "store"]) {
        tree.dir(dir);
    }
    let init = probe.as_ref().unwrap_or(&vyomad);
    tree.add("init", file(init, true)?);
    let profile = target.profile.clone().into_bytes();
    tree.add(
        "etc/vyoma/profile.toml",
        Node::File {
            bytes: profile,
            executable: false,
        },
    );
    if !which.keys.is_empty() {
        rest.add(
            keys::IN_IMAGE,
            Node::File {
                bytes: which.keys.text()?.into_bytes(),
                executable: false,
            },
        );
    }
    let compiler = if apps.is_empty() || which.no_aot {
        None
    } else {
        Some(artefacts::compiler(context, target, &vyomad)?)
    };
    for app in &apps {
        for path in ["vyoma.toml", &app.wasm] {
            rest.add(
                &format!("apps/{}/{path}", app.name),
                file(&app.dir.join(path), false)?,
            );
        }
        let Some(compiler) = &compiler else {
            continue;
        };
        for artefact in artefacts::compile(context, target, compiler, app)? {
            rest.add(
                &format!("store/{}", artefact.key),
                file(&artefact.path, false)?,
            );
        }
    }
    Ok((apps, init.clone()))
}

fn file(path: &Path, executable: bool) -> anyhow::Result<Node> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Node::File { bytes, executable })
}
