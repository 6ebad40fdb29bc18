//! The programs of an image (`vyomad` as a static musl binary) and the machine code of its apps. For Wasmtime the latter is
//! made by that same `vyomad`, run through qemu-user for another architecture than this machine's, so an image can't hold
//! code that its own engine would refuse; for WAMR by `vyoma-aotc`, which is built of the same source as the engine.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use vyoma_capabilities::profile::{Engine, OptimizationLevel};
use vyoma_services::artefact;

use crate::apps::App;
use crate::context::{Context, call, capture, say, sha256_file, which};
use crate::platforms::{Arch, Flavour, Target};
use crate::setup;

/// Builds a program of the workspace as a static release binary for `arch` and returns where it is kept.
pub(crate) fn program(context: &Context, package: &str, arch: Arch) -> anyhow::Result<PathBuf> {
    build(context, package, package, arch, "release", &[], &[])
}

/// Where [`program`] keeps what it builds.
pub(crate) fn kept(context: &Context, package: &str, arch: Arch) -> PathBuf {
    place(context, package, arch, "release")
}

/// The `vyomad` of an image: with its engine and no other, and with the sandbox probe if `probe`.
pub(crate) fn device(context: &Context, target: &Target, probe: bool) -> anyhow::Result<PathBuf> {
    let engine = target.engine.name();
    let mut features = engine.to_owned();
    let profile = match target.flavour {
        Flavour::Full => "release",
        Flavour::Realtime => {
            features.push_str(",layout");
            "small"
        }
    };
    if probe {
        features.push_str(",probe");
    }
    let probe = if probe { "-probe" } else { "" };
    build(
        context,
        "vyomad",
        &format!("vyomad-{engine}{probe}"),
        target.arch,
        profile,
        &["--no-default-features", "--features", &features],
        DEVICE_FLAGS,
    )
}

/// Another program, built as the `vyomad` of the smallest images is.
pub(crate) fn small(
    context: &Context,
    package: &str,
    arch: Arch,
    features: &[&str],
) -> anyhow::Result<PathBuf> {
    build(
        context,
        package,
        package,
        arch,
        "small",
        features,
        DEVICE_FLAGS,
    )
}

/// At a fixed address: a static program that can lie anywhere relocates itself in every process, which costs each app
/// private memory. What that gives up is in docs/operating.md ("Memory").
const DEVICE_FLAGS: &[&str] = &["-C", "relocation-model=static"];

fn programs(context: &Context) -> PathBuf {
    context.out.join("programs")
}

fn place(context: &Context, name: &str, arch: Arch, profile: &str) -> PathBuf {
    programs(context).join(format!("{name}-{}-{profile}", arch.name()))
}

/// Builds `package` and keeps the program as `name`: cargo itself keeps only what was built last, with whatever features.
fn build(
    context: &Context,
    package: &str,
    name: &str,
    arch: Arch,
    profile: &str,
    more: &[&str],
    flags: &[&str],
) -> anyhow::Result<PathBuf> {
    let programs = programs(context);
    std::fs::create_dir_all(&programs)
        .with_context(|| format!("cannot make {}", programs.display()))?;
    // From cargo's start to the copy: another build would put another program in the same place.
    let lock = File::create(programs.join(format!("{}-{profile}.lock", arch.name())))?;
    lock.lock().context("cannot lock the folder of programs")?;
    say(format_args!("building {package} for {}", arch.name()));
    let target = arch.rust_target();
    call(
        context
            .cargo()
            .args([
                "rustc",
                "--quiet",
                "--locked",
                "--profile",
                profile,
                "--package",
                package,
                "--bin",
                package,
                "--target",
                target,
            ])
            .args(more)
            .arg("--")
            .args(flags),
    )?;
    let built = context.target.join(target).join(profile).join(package);
    let bytes =
        std::fs::read(&built).with_context(|| format!("cargo built no {}", built.display()))?;
    let kept = place(context, name, arch, profile);
    if std::fs::read(&kept).is_ok_and(|before| before == bytes) {
        return Ok(kept);
    }
    // Whole or not at all, and not over the old file: it may be running.
    let mut file = tempfile::NamedTempFile::new_in(&programs)?;
    file.write_all(&bytes)?;
    let executable = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(file.path(), executable)?;
    file.persist(&kept)
        .with_context(|| format!("cannot keep {}", kept.display()))?;
    Ok(kept)
}

/// Builds one source file as a static program for `arch`. It may need nothing but std, so rustc alone is enough.
pub(crate) fn standalone(
    context: &Context,
    source: &str,
    arch: Arch,
    program: &Path,
) -> anyhow::Result<()> {
    if let Some(folder) = program.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut rustc = Command::new("rustc");
    rustc.current_dir(&context.root);
    rustc.args(["--edition", "2024", "-O", "--target", arch.rust_target()]);
    rustc.args(["-C", "panic=abort", "-C", "strip=symbols"]);
    if arch.name() != std::env::consts::ARCH {
        rustc.args(["-C", "linker=rust-lld"]);
    }
    call(rustc.arg(source).arg("-o").arg(program))
}

/// Builds the program of `package` in one go with a `vyomad` of these `features`: the engine in it is then the very one that `vyomad`
/// has, and is not compiled a second time. Returns its path.
pub(crate) fn beside_vyomad(
    context: &Context,
    package: &str,
    arch: Arch,
    features: &[&str],
) -> anyhow::Result<PathBuf> {
    say(format_args!("building {package}"));
    let target = arch.rust_target();
    call(
        context
            .cargo()
            .args(["build", "--quiet", "--locked", "--release"])
            .args(["--package", "vyomad", "--package", package])
            .args(features)
            .args(["--target", target]),
    )?;
    Ok(context.target.join(target).join("release").join(package))
}

/// Builds the ahead-of-time compiler of WAMR's platforms, which runs on this machine, and returns its path.
pub(crate) fn aotc(context: &Context) -> anyhow::Result<PathBuf> {
    say("building vyoma-aotc");
    call(context.cargo().args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--package",
        "vyoma-aotc",
    ]))
    .with_context(|| {
        format!(
            "vyoma-aotc cannot be built; it needs LLVM: `make setup` installs {}",
            setup::llvm()
        )
    })?;
    let file = context.target.join("release/vyoma-aotc");
    ensure!(file.is_file(), "cargo built no {}", file.display());
    Ok(file)
}

/// Puts WAMR's compiler where the vyomactl of [`program`] looks for it: beside it.
pub(crate) fn aotc_beside_vyomactl(context: &Context) -> anyhow::Result<()> {
    let (file, beside) = (aotc(context)?, programs(context).join("vyoma-aotc"));
    if std::fs::read_link(&beside).is_ok_and(|there| there == file) {
        return Ok(());
    }
    let _ = std::fs::remove_file(&beside);
    std::os::unix::fs::symlink(file, &beside)
        .with_context(|| format!("cannot link {}", beside.display()))
}

/// One compiled artefact: file name in the store, and where its bytes are.
#[derive(Debug, Clone)]
pub(crate) struct Artefact {
    /// Key, which is the file's name in `/store`.
    pub(crate) key: String,
    /// The file.
    pub(crate) path: PathBuf,
}

/// What makes the machine code of an image: its own `vyomad`, or WAMR's compiler.
pub(crate) fn compiler(
    context: &Context,
    target: &Target,
    vyomad: &Path,
) -> anyhow::Result<PathBuf> {
    match target.engine {
        Engine::Wamr => aotc(context),
        Engine::Wasmtime | Engine::Wasm3 => Ok(vyomad.to_owned()),
    }
}

/// The artefacts of `app`, compiled for the oldest CPU that `target` runs on, or remembered from the last time.
pub(crate) fn compile(
    context: &Context,
    target: &Target,
    compiler: &Path,
    app: &App,
) -> anyhow::Result<Vec<Artefact>> {
    let all = context.out.join("store").join(target.id());
    let program = compiler;
    // A compiler is part of the key: another one may generate other code, and what the last one made is of no use.
    let compiler = &sha256_file(program)?[..16];
    forget_others(&all, compiler);
    let dir = all.join(compiler).join(&app.sha256);
    if !dir.is_dir() {
        let parent = all.join(compiler);
        std::fs::create_dir_all(&parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
        let fresh = tempfile::tempdir_in(&parent)?;
        say(format_args!("compiling {} for {}", app.name, target.id()));
        let component = app.dir.join(&app.wasm);
        let made = match target.engine {
            Engine::Wamr => {
                let level = target.optimization_level;
                ahead_of_time(program, target.arch, level, &component, fresh.path())
            }
            Engine::Wasmtime | Engine::Wasm3 => {
                by_vyomad(target, program, &component, fresh.path())
            }
        };
        made.with_context(|| format!("{}: {} cannot be compiled", target.id(), app.name))?;
        match std::fs::rename(fresh.path(), &dir) {
            Ok(()) => drop(fresh.keep()),
            // Somebody else was as quick, with the same.
            Err(_) if dir.is_dir() => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", dir.display()));
            }
        }
    }
    let mut artefacts: Vec<Artefact> = std::fs::read_dir(&dir)?
        .flatten()
        .map(|entry| Artefact {
            key: entry.file_name().to_string_lossy().into_owned(),
            path: entry.path(),
        })
        .collect();
    artefacts.sort_by(|a, b| a.key.cmp(&b.key));
    ensure!(
        !artefacts.is_empty(),
        "`vyomad compile` wrote no artefact for {} into its store",
        app.name
    );
    Ok(artefacts)
}

fn by_vyomad(target: &Target, vyomad: &Path, component: &Path, store: &Path) -> anyhow::Result<()> {
    let mut command = runner(target.arch, vyomad)?;
    command.args([
        "compile",
        "--profile",
        target.platform,
        "--cpu",
        target.arch.cpu_level(),
    ]);
    command.arg(component).arg("--store").arg(store);
    capture(&mut command).map(drop)
}

/// Lets `aotc` make machine code of `component` into `store`, under its key.
pub(crate) fn ahead_of_time(
    aotc: &Path,
    arch: Arch,
    level: OptimizationLevel,
    component: &Path,
    store: &Path,
) -> anyhow::Result<()> {
    let made = store.join("made");
    let mut command = Command::new(aotc);
    command.args([
        "--target",
        arch.name(),
        "--cpu",
        arch.cpu_level(),
        "--level",
        level.name(),
        "--out",
    ]);
    capture(command.arg(&made).arg(component))?;
    // Its key is in its header, and names it in the store.
    let bytes = std::fs::read(&made)?;
    let key = artefact::decode(&bytes)?.key.file_name();
    std::fs::rename(&made, store.join(key))?;
    Ok(())
}

/// A command that runs a binary of `arch` on this machine.
fn runner(arch: Arch, binary: &Path) -> anyhow::Result<Command> {
    if arch.name() == std::env::consts::ARCH {
        return Ok(Command::new(binary));
    }
    // Debian 12 calls the static one qemu-aarch64-static; 13 has only one.
    let emulator = which(format!("qemu-{}-static", arch.name()))
        .or_else(|| which(format!("qemu-{}", arch.name())))
        .with_context(|| {
            format!(
                "qemu-user for {} is not installed; run `make setup`",
                arch.name()
            )
        })?;
    let mut command = Command::new(emulator);
    command.arg(binary);
    Ok(command)
}

fn forget_others(all: &Path, compiler: &str) {
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        if entry.file_name() != *compiler {
            // Only a cache: what can't be removed now is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
