//! What tests have of a kernel beside itself: the module of simulated devices (`tests/kernel/vyoma-sim`), and the device
//! tree of a board. In no image that ships. Kept in the cache as kernels are, under a name that says what it was made from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;

use super::{Make, Source, configure, fragments, inputs, lock, name, objects};
use crate::context::{Context, call, say, sha256, write_atomically};
use crate::platforms::{Arch, Flavour};

/// The module's folder and name.
const MODULE: &str = "tests/kernel/vyoma-sim";
const MODULE_NAME: &str = "vyoma-sim";

/// The module of simulated devices for a kernel of ours.
pub(crate) fn simulated_devices(
    context: &Context,
    arch: Arch,
    flavour: Flavour,
) -> anyhow::Result<PathBuf> {
    let folder = context.root.join(MODULE);
    let mut of = String::new();
    let files = ["Kbuild".to_owned(), format!("{MODULE_NAME}.c")].map(|file| folder.join(file));
    for file in &files {
        let text =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        writeln!(of, "module {}", sha256(text))?;
    }
    make_part(context, (arch, flavour), &of, &|make, tree, objects| {
        // Kbuild writes beside the source, so it gets a copy; another kernel's objects are never taken for this one's.
        let work = objects.join(MODULE_NAME);
        for file in &files {
            let name = file.file_name().context("a file has a name")?;
            write_atomically(&work.join(name), &std::fs::read(file)?)?;
        }
        let mut kbuild = make.command(tree, objects);
        kbuild.args(["-s", "modules_prepare"]).stdout(Stdio::null());
        call(&mut kbuild)?;
        let mut kbuild = make.command(tree, objects);
        // No kernel of ours has versions of symbols, and the list of their names is made with all modules only.
        kbuild
            .args(["-s", "KBUILD_MODPOST_WARN=1", "modules"])
            .arg(format!("M={}", work.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        call(&mut kbuild)?;
        Ok(work.join(format!("{MODULE_NAME}.ko")))
    })
}

/// The device tree of a board, by its name among the kernel's own (`broadcom/bcm2837-rpi-zero-2-w`).
pub(crate) fn device_tree(
    context: &Context,
    arch: Arch,
    flavour: Flavour,
    board: &str,
) -> anyhow::Result<PathBuf> {
    let of = format!("device tree {board}\n");
    make_part(context, (arch, flavour), &of, &|make, tree, objects| {
        let mut kbuild = make.command(tree, objects);
        kbuild
            .arg("-s")
            .arg(format!("{board}.dtb"))
            .stdout(Stdio::null());
        call(&mut kbuild)?;
        Ok(objects.join(format!("arch/{}/boot/dts/{board}.dtb", make.arch)))
    })
}

/// Makes something in the tree of a kernel's objects, which has that kernel's configuration then.
fn make_part(
    context: &Context,
    (arch, flavour): (Arch, Flavour),
    of: &str,
    made: &dyn Fn(&Make, &Path, &Path) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<PathBuf> {
    let make = Make::of(arch);
    let kernel_name = name(arch, flavour);
    let source = Source::find(context)?;
    let fragments = fragments(context, arch, flavour);
    let key = sha256(inputs(&make, &source, &fragments)? + of);
    let folder = context.cache.join("kernels");
    let part = folder.join(format!("{kernel_name}-part-{}", &key[..16]));
    if part.is_file() {
        return Ok(part);
    }
    let objects = objects(context, &kernel_name)?;
    let _lock = lock(&objects.with_extension("lock"))?;
    let tree = source.unpack(context)?;
    say(format_args!(
        "kernel {kernel_name}: making {}",
        of.lines().next().unwrap_or_default()
    ));
    configure(&make, &tree, &objects, &fragments)?;
    let file = made(&make, &tree, &objects)?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    write_atomically(&part, &bytes)?;
    Ok(part)
}
