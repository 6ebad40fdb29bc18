//! The programs of an image (`vyomad` as a static musl binary) and the machine code of its apps. The latter is made by
//! that same `vyomad`, run through qemu-user for another architecture than this machine's, so an image can't hold code
//! that its own engine would refuse.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::apps::App;
use crate::context::{Context, call, capture, say, sha256_file, which};
use crate::platforms::{Arch, Target};

/// Builds a program of the workspace as a static release binary for `arch` and returns its path.
pub(crate) fn program(context: &Context, package: &str, arch: Arch) -> anyhow::Result<PathBuf> {
    build(context, package, arch, &[])
}

/// `vyomad` with the sandbox probe, beside the one without it: cargo itself keeps only what was built last.
pub(crate) fn probe(context: &Context, arch: Arch) -> anyhow::Result<PathBuf> {
    let built = build(context, "vyomad", arch, &["--features", "probe"])?;
    let kept = context.out.join(format!("vyomad-probe-{}", arch.name()));
    std::fs::create_dir_all(&context.out)?;
    std::fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(kept)
}

fn build(context: &Context, package: &str, arch: Arch, more: &[&str]) -> anyhow::Result<PathBuf> {
    say(format_args!("building {package} for {}", arch.name()));
    let target = arch.rust_target();
    call(
        context
            .cargo()
            .args([
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--package",
                package,
                "--target",
                target,
            ])
            .args(more),
    )?;
    let file = context.target.join(target).join("release").join(package);
    ensure!(file.is_file(), "cargo built no {}", file.display());
    Ok(file)
}

/// One compiled artefact: file name in the store, and where its bytes are.
#[derive(Debug, Clone)]
pub(crate) struct Artefact {
    /// Key, which is the file's name in `/store`.
    pub(crate) key: String,
    /// The file.
    pub(crate) path: PathBuf,
}

/// The artefacts of `app`, compiled by `vyomad` for the oldest CPU that `target` runs on, or remembered from the last time.
pub(crate) fn compile(
    context: &Context,
    target: &Target,
    vyomad: &Path,
    app: &App,
) -> anyhow::Result<Vec<Artefact>> {
    let all = context.out.join("store").join(target.id());
    // A compiler is part of the key: another vyomad may generate other code, and what the last one made is of no use.
    let compiler = &sha256_file(vyomad)?[..16];
    forget_others(&all, compiler);
    let dir = all.join(compiler).join(&app.sha256);
    if !dir.is_dir() {
        let parent = all.join(compiler);
        std::fs::create_dir_all(&parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
        let fresh = tempfile::tempdir_in(&parent)?;
        say(format_args!("compiling {} for {}", app.name, target.id()));
        let mut command = runner(target.arch, vyomad)?;
        command.args([
            "compile",
            "--profile",
            target.platform,
            "--cpu",
            target.arch.cpu_level(),
        ]);
        command
            .arg(app.dir.join(&app.wasm))
            .arg("--store")
            .arg(fresh.path());
        capture(&mut command)
            .with_context(|| format!("{}: {} cannot be compiled", target.id(), app.name))?;
        std::fs::rename(fresh.keep(), &dir)?;
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
