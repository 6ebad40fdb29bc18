//! The images' kernels: Debian's kernel source, configured by the fragments in `br2-external`, built once and kept in the
//! cache under a name that says what it was made from. A changed option reuses the objects that it doesn't touch.
//! Called whenever an image is needed. Deliberately holds no option itself: those are the fragments' business.

mod parts;

pub(crate) use parts::{device_tree, simulated_devices};

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::context::{Context, call, capture, say, sha256, sha256_file, write_atomically};
use crate::platforms::{Arch, Flavour};
use crate::setup::{self, LINUX_SOURCE};

/// Raised when this file changes how a kernel is made, so that the cache doesn't answer with one made the old way.
const RECIPE: u32 = 2;

/// How often a build that nobody watches in a terminal says that it is alive.
const PROGRESS: Duration = Duration::from_secs(30);

/// A kernel that can be booted.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What QEMU's `-kernel` takes.
    pub(crate) image: PathBuf,
    /// The whole configuration.
    pub(crate) config: PathBuf,
}

/// How the kernel's makefiles name things.
struct Make {
    arch: &'static str,
    cross: Option<&'static str>,
    target: &'static str,
    path: &'static str,
    compiler: &'static str,
}

impl Make {
    fn of(arch: Arch) -> Self {
        match arch {
            Arch::X86_64 => Self {
                arch: "x86_64",
                cross: None,
                target: "bzImage",
                path: "arch/x86/boot/bzImage",
                compiler: "gcc",
            },
            Arch::Aarch64 => Self {
                arch: "arm64",
                cross: Some("aarch64-linux-gnu-"),
                // Compressed, as x86's is: QEMU and U-Boot unpack it.
                target: "Image.gz",
                path: "arch/arm64/boot/Image.gz",
                compiler: "aarch64-linux-gnu-gcc",
            },
        }
    }

    /// `make`, with what makes two builds of one source the same bytes.
    fn command(&self, source: &Path, objects: &Path) -> Command {
        let mut make = Command::new("make");
        make.current_dir(source)
            .arg(format!("ARCH={}", self.arch))
            .arg(format!("O={}", objects.display()))
            .env("KBUILD_BUILD_TIMESTAMP", "1970-01-01")
            .env("KBUILD_BUILD_USER", "vyoma")
            .env("KBUILD_BUILD_HOST", "vyoma")
            .env("KBUILD_BUILD_VERSION", "1")
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .env_remove("MFLAGS");
        if let Some(cross) = self.cross {
            make.arg(format!("CROSS_COMPILE={cross}"));
        }
        make
    }
}

/// All kernels that images have.
pub(crate) const ALL: [(Arch, Flavour); 3] = [
    (Arch::X86_64, Flavour::Full),
    (Arch::Aarch64, Flavour::Full),
    (Arch::Aarch64, Flavour::Realtime),
];

/// `aarch64`, `aarch64-realtime`: names files, and is what progress speaks of.
fn name(arch: Arch, flavour: Flavour) -> String {
    match flavour {
        Flavour::Full => arch.name().to_owned(),
        Flavour::Realtime => format!("{}-realtime", arch.name()),
    }
}

/// The kernel for `arch`, from the cache or built now.
pub(crate) fn ensure(context: &Context, arch: Arch, flavour: Flavour) -> anyhow::Result<Kernel> {
    let make = Make::of(arch);
    let kernel_name = &name(arch, flavour);
    let source = Source::find(context)?;
    let fragments = fragments(context, arch, flavour);
    let inputs = inputs(&make, &source, &fragments)?;
    let dir = context
        .cache
        .join("kernels")
        .join(format!("{kernel_name}-{}", &sha256(&inputs)[..16]));
    let kernel = Kernel {
        image: dir.join(make.target),
        config: dir.join("config"),
    };
    let stamp = dir.join("made-from");
    if stamp.is_file() {
        return Ok(kernel);
    }

    let objects = objects(context, kernel_name)?;
    let _lock = lock(&objects.with_extension("lock"))?;
    if stamp.is_file() {
        return Ok(kernel);
    }
    let tree = source.unpack(context)?;
    say(format_args!(
        "kernel {kernel_name}: building (some minutes, once; objects stay in {})",
        objects.display()
    ));
    let started = Instant::now();
    configure(&make, &tree, &objects, &fragments)?;
    compile(&make, &tree, &objects, kernel_name)?;
    write_atomically(&kernel.image, &std::fs::read(objects.join(make.path))?)?;
    write_atomically(&kernel.config, &std::fs::read(objects.join(".config"))?)?;
    // Last, so that a build that was cut short is never taken for a kernel.
    write_atomically(&stamp, inputs.as_bytes())?;
    say(format_args!(
        "kernel {kernel_name}: done in {} s",
        started.elapsed().as_secs()
    ));
    Ok(kernel)
}

/// Everything that a kernel is made from.
fn inputs(make: &Make, source: &Source, fragments: &[PathBuf]) -> anyhow::Result<String> {
    let mut inputs = format!(
        "recipe {RECIPE}\nsource {} {}\n",
        source.version, source.sha256
    );
    writeln!(
        inputs,
        "compiler {}",
        capture(Command::new(make.compiler).arg("-dumpfullversion"))?.trim()
    )?;
    for path in fragments {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(inputs, "fragment {name} {}", sha256(text))?;
    }
    Ok(inputs)
}

/// Where the objects of a kernel are kept.
fn objects(context: &Context, kernel_name: &str) -> anyhow::Result<PathBuf> {
    let objects = context
        .cache
        .join("build")
        .join(format!("kernel-{kernel_name}"));
    std::fs::create_dir_all(&objects)
        .with_context(|| format!("cannot make {}", objects.display()))?;
    Ok(objects)
}

fn fragments(context: &Context, arch: Arch, flavour: Flavour) -> Vec<PathBuf> {
    let dir = context.root.join("br2-external/board/vyoma/kernel");
    let mut names = vec!["common", arch.name()];
    match flavour {
        Flavour::Full => names.push("full"),
        Flavour::Realtime => names.push("realtime"),
    }
    if (arch, flavour) == (Arch::Aarch64, Flavour::Realtime) {
        names.push("raspberry-pi");
    }
    names
        .into_iter()
        .map(|name| dir.join(format!("{name}.config")))
        .collect()
}

/// Two checkouts share the cache: the second waits for the first, then finds its result.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    if file.try_lock().is_err() {
        say(format_args!(
            "another build works in {}; waiting for it",
            path.with_extension("").display()
        ));
        file.lock()?;
    }
    Ok(file)
}

/// allnoconfig plus the fragments, and proof that the kernel took every one of their options.
fn configure(
    make: &Make,
    tree: &Path,
    objects: &Path,
    fragments: &[PathBuf],
) -> anyhow::Result<()> {
    let config = objects.join(".config");
    call(
        make.command(tree, objects)
            .args(["-s", "allnoconfig"])
            .stdout(Stdio::null()),
    )?;
    let mut merge = Command::new(tree.join("scripts/kconfig/merge_config.sh"));
    merge
        .current_dir(tree)
        .args(["-m", "-O"])
        .arg(objects)
        .arg(&config)
        .args(fragments);
    call(merge.stdout(Stdio::null()))?;
    call(
        make.command(tree, objects)
            .args(["-s", "olddefconfig"])
            .stdout(Stdio::null()),
    )?;
    let taken = std::fs::read_to_string(&config)?;
    let mut faults = Vec::new();
    for path in fragments {
        let asked = std::fs::read_to_string(path)?;
        for (line, option) in refused(&asked, &taken) {
            faults.push(format!(
                "{}:{line}: the kernel did not take {option}",
                path.display()
            ));
        }
    }
    ensure!(
        faults.is_empty(),
        "{}\nexpected their dependencies in the same fragments",
        faults.join("\n")
    );
    Ok(())
}

/// Options of `asked` that `taken` has with another value, with their line numbers.
fn refused<'a>(asked: &'a str, taken: &str) -> Vec<(usize, &'a str)> {
    let is_set = |option: &str| taken.lines().any(|line| line == option);
    let has_key = |key: &str| {
        taken
            .lines()
            .any(|line| line.split_once('=').is_some_and(|(name, _)| name == key))
    };
    asked
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| line.starts_with("CONFIG_"))
        .filter(|(_, line)| match line.split_once('=') {
            Some((key, "n")) => has_key(key),
            _ => !is_set(line),
        })
        .collect()
}

fn compile(make: &Make, tree: &Path, objects: &Path, name: &str) -> anyhow::Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let log_path = objects.with_extension("log");
    let mut log =
        File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let (reader, writer) = std::io::pipe()?;
    let mut command = make.command(tree, objects);
    command.arg(format!("-j{jobs}")).arg(make.target);
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().context("cannot run make")?;
    // The command holds the pipe's other ends; while it lives, reading would never end.
    drop(command);
    let mut lines = 0_u32;
    let mut said = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let pause = if terminal {
        Duration::from_secs(1)
    } else {
        PROGRESS
    };
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        log.write_all(&line)?;
        log.write_all(b"\n")?;
        lines += 1;
        if said.elapsed() >= pause {
            said = Instant::now();
            let last = String::from_utf8_lossy(&line);
            if terminal {
                eprint!("\r\x1b[Kkernel {name}: {lines} steps, {}", last.trim());
            } else {
                say(format_args!("kernel {name}: {lines} steps"));
            }
        }
    }
    if terminal {
        eprint!("\r\x1b[K");
    }
    let status = child.wait()?;
    if !status.success() {
        let text = std::fs::read_to_string(&log_path).unwrap_or_default();
        let errors: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("rror"))
            .take(20)
            .collect();
        bail!(
            "kernel {name}: make failed ({status}); see {}\n{}",
            log_path.display(),
            errors.join("\n")
        );
    }
    Ok(())
}

/// Debian's package with the kernel's source.
struct Source {
    version: String,
    sha256: String,
    tarball: PathBuf,
}

/// `pins.toml`
#[derive(serde::Deserialize)]
struct Pins {
    #[serde(rename = "linux-source")]
    linux_source: Vec<Pin>,
}

#[derive(serde::Deserialize)]
struct Pin {
    package: String,
    version: String,
    sha256: String,
}

impl Source {
    fn find(context: &Context) -> anyhow::Result<Self> {
        let tarball = Path::new("/usr/src").join(format!("{LINUX_SOURCE}.tar.xz"));
        let version = setup::installed(LINUX_SOURCE)
            .filter(|_| tarball.is_file())
            .with_context(|| {
                format!("package {LINUX_SOURCE} is not installed; run `make setup`")
            })?;
        let sha256 = remembered_hash(context, &tarball)?;
        let path = context.root.join("xtask/pins.toml");
        let pins: Pins = toml::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| format!("{} is not a list of pins", path.display()))?;
        judge(&pins, &version, &sha256)?;
        Ok(Self {
            version,
            sha256,
            tarball,
        })
    }

    /// The source tree, unpacked in the cache.
    fn unpack(&self, context: &Context) -> anyhow::Result<PathBuf> {
        let dir = context.cache.join("src");
        let tree = dir.join(LINUX_SOURCE);
        let stamp = tree.join(".vyoma-sha256");
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let _lock = lock(&tree.with_extension("lock"))?;
        if std::fs::read_to_string(&stamp).is_ok_and(|text| text.trim() == self.sha256) {
            return Ok(tree);
        }
        say(format_args!("unpacking {}", self.tarball.display()));
        let fresh = tempfile::tempdir_in(&dir)?;
        call(
            Command::new("tar")
                .arg("-xf")
                .arg(&self.tarball)
                .arg("-C")
                .arg(fresh.path()),
        )?;
        if tree.exists() {
            std::fs::remove_dir_all(&tree)?;
        }
        std::fs::rename(fresh.path().join(LINUX_SOURCE), &tree)
            .with_context(|| format!("{} holds no {LINUX_SOURCE}/", self.tarball.display()))?;
        write_atomically(&stamp, self.sha256.as_bytes())?;
        Ok(tree)
    }
}

/// A pinned version must have the pinned hash; one that isn't pinned is Debian's word (apt checked its signature).
fn judge(pins: &Pins, version: &str, sha256: &str) -> anyhow::Result<()> {
    match pins
        .linux_source
        .iter()
        .find(|pin| pin.package == LINUX_SOURCE && pin.version == version)
    {
        Some(pin) => ensure!(
            pin.sha256 == sha256,
            "{LINUX_SOURCE} {version} has SHA-256 {sha256}; expected {} (xtask/pins.toml); reinstall the package",
            pin.sha256
        ),
        None => say(format_args!(
            "{LINUX_SOURCE} {version} is not in xtask/pins.toml; going by Debian's signature. To pin it, add:\n\
             [[linux-source]]\npackage = \"{LINUX_SOURCE}\"\nversion = \"{version}\"\nsha256 = \"{sha256}\""
        )),
    }
    Ok(())
}

/// The tarball's hash; kept in the cache beside its size and time of change, since 140 MB take seconds to read.
fn remembered_hash(context: &Context, tarball: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(tarball)?;
    let state = format!(
        "{} {} {}",
        metadata.len(),
        metadata.mtime(),
        metadata.ctime()
    );
    let memo = context.cache.join(format!("{LINUX_SOURCE}.sha256"));
    if let Ok(text) = std::fs::read_to_string(&memo)
        && let Some((hash, known)) = text.split_once(' ')
        && known == state
    {
        return Ok(hash.to_owned());
    }
    let hash = sha256_file(tarball)?;
    write_atomically(&memo, format!("{hash} {state}").as_bytes())?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_version_with_another_hash_is_refused() {
        let pin = Pin {
            package: LINUX_SOURCE.into(),
            version: "1".into(),
            sha256: "aa".into(),
        };
        let pins = Pins {
            linux_source: vec![pin],
        };
        assert!(judge(&pins, "1", "aa").is_ok());
        let error = judge(&pins, "1", "bb").unwrap_err().to_string();
        assert!(error.contains("has SHA-256 bb; expected aa"), "{error}");
        assert!(
            judge(&pins, "2", "bb").is_ok(),
            "an unknown version is Debian's word"
        );
    }

    #[test]
    fn options_that_the_kernel_dropped_are_found() {
        let asked = "# remark\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=n\nCONFIG_D=n\n";
        let taken = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\n";
        assert_eq!(
            refused(asked, taken),
            [(3, "CONFIG_B=m"), (4, "CONFIG_C=n")]
        );
    }
}
