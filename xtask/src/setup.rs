//! Makes a bare Debian 12 or 13 machine able to build, boot and test: packages through apt, targets through rustup.
//! Looks before it calls either, so a second run takes no time. Deliberately touches no package that is there already and
//! writes one file outside the cache: an apt source for Debian's own backports, where Debian 12 needs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::context::{Context, call, capture, say, which};
use crate::platforms::Arch;

/// What the packages are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Compile vyomad, vyomactl and apps.
    Build,
    /// Build the microcontroller's firmware, and run it.
    Firmware,
    /// Also put them into images and boot those.
    Boot,
    /// Also show a window.
    Window,
    /// All but the window, which drags in a desktop's libraries.
    Everything,
}

/// The kernel source that the images' configuration was made for.
pub(crate) const LINUX_SOURCE: &str = "linux-source-6.12";

/// Earlier QEMUs crash x86 guests with 6.12 kernels now and then (3 of 12 boots with 7.2); 10 never did (0 of 30).
const QEMU_MIN_MAJOR: u32 = 10;

/// Packages that every release of Debian has under the same name.
const BUILD: &[&str] = &["gcc", "libc6-dev"];
/// For devices that are reached by SSH: `run` makes a key with it, and `vyomactl` runs it.
const SSH: &[&str] = &["openssh-client"];
/// For kernels (make to libelf-dev), the C parts of ARM64 builds and data disks.
const BOOT: &[&str] = &[
    "make",
    "gcc-aarch64-linux-gnu",
    // The headers that WAMR's C wants; the compiler only recommends them.
    "libc6-dev-arm64-cross",
    "flex",
    "bison",
    "bc",
    "libssl-dev",
    "libelf-dev",
    "xz-utils",
    "e2fsprogs",
    LINUX_SOURCE,
];
/// For vyoma-aotc, which makes machine code for WAMR's platforms: LLVM's headers and its C++.
const COMPILER: &[&str] = &["g++"];
/// For wasm3 as a microcontroller's firmware has it: only the compiler, no C library.
const FIRMWARE: &[&str] = &["gcc-arm-none-eabi"];
const FIRMWARE_QEMU: &str = "qemu-system-arm";
const QEMU: &[&str] = &["qemu-system-x86", FIRMWARE_QEMU];

/// Installs what is missing.
pub(crate) fn ensure(context: &Context, need: Need) -> anyhow::Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "this machine is {}; expected x86_64: images are built on x86-64 hosts only",
        std::env::consts::ARCH
    );
    packages(need)?;
    if need == Need::Everything {
        fetch_registry(context)?;
    }
    rust_targets(context)
}

fn packages(need: Need) -> anyhow::Result<()> {
    let mut wanted: Vec<&str> = BUILD.to_vec();
    let mut qemu: Vec<&str> = Vec::new();
    if need == Need::Firmware {
        wanted.extend(FIRMWARE);
        qemu.push(FIRMWARE_QEMU);
    } else if need != Need::Build {
        wanted.extend(BOOT);
        wanted.extend(COMPILER);
        wanted.extend(SSH);
        wanted.push(llvm());
        if need == Need::Everything {
            wanted.extend(FIRMWARE);
        }
        qemu.extend(QEMU);
        if which("qemu-aarch64-static").is_none() && which("qemu-aarch64").is_none() {
            wanted.push(if release().is_ok_and(|release| release == 12) {
                "qemu-user-static"
            } else {
                "qemu-user"
            });
        }
    }
    if need == Need::Window {
        qemu.push("qemu-system-gui");
    }
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|package| installed(package).is_none())
        .collect();
    let qemu: Vec<&str> = qemu
        .into_iter()
        .filter(|package| {
            installed(package)
                .as_deref()
                .and_then(major)
                .is_none_or(|major| major < QEMU_MIN_MAJOR)
        })
        .collect();
    if missing.is_empty() && qemu.is_empty() {
        return Ok(());
    }
    let all = [missing.as_slice(), qemu.as_slice()].concat().join(" ");
    let release = release()
        .with_context(|| format!("cannot install {all}; install them by hand and try again"))?;
    say(format_args!("installing with apt: {all}"));
    if release == 12 {
        add_backports()?;
    }
    // A broken third-party source fails the update as a whole, though Debian's own lists are fresh.
    if let Err(error) = call(&mut apt(&["-q", "update"])?) {
        say(format_args!(
            "{error:#}; going on with the lists that are there"
        ));
    }
    let mut command = apt(&["-q", "-y", "install", "--no-install-recommends"])?;
    if release == 12 {
        // All in one and all from there: QEMU from backports brings its libelf1, which libelf-dev from the main suite refuses.
        command.args(["-t", "bookworm-backports"]);
    }
    call(command.args(&missing).args(&qemu))
}

/// An OCI registry, for the tests of `vyomactl push` and `install oci://`.
const REGISTRY: &str = "docker-registry";

/// Where [`fetch_registry`] keeps it.
pub(crate) fn registry(context: &Context) -> PathBuf {
    context.cache.join(REGISTRY).join("usr/bin").join(REGISTRY)
}

/// Takes the registry out of Debian's package without installing it: that would start a service on the machine.
fn fetch_registry(context: &Context) -> anyhow::Result<()> {
    if registry(context).is_file() {
        return Ok(());
    }
    say(format_args!("fetching Debian's {REGISTRY}"));
    std::fs::create_dir_all(&context.cache)?;
    let dir = tempfile::tempdir_in(&context.cache)?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-o", "Acquire::Retries=3", "download", REGISTRY]);
        call(apt.current_dir(dir.path()))
    };
    if download().is_err() {
        // Lists that are missing or too old.
        call(&mut apt(&["-q", "update"])?)?;
        download()?;
    }
    let package = std::fs::read_dir(dir.path())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    let out = dir.path().join("out");
    call(Command::new("dpkg-deb").arg("-x").arg(package).arg(&out))?;
    let to = context.cache.join(REGISTRY);
    if let Err(error) = std::fs::rename(&out, &to) {
        // Another run may have been quicker.
        ensure!(registry(context).is_file(), "{}: {error}", to.display());
    }
    Ok(())
}

/// The package with an LLVM that WAMR's compiler builds with, on this release of Debian.
pub(crate) fn llvm() -> &'static str {
    if release().is_ok_and(|release| release == 13) {
        "llvm-19-dev"
    } else {
        "llvm-14-dev"
    }
}

/// Version of an installed package.
pub(crate) fn installed(package: &str) -> Option<String> {
    let text = capture(Command::new("dpkg-query").args([
        "-W",
        "-f",
        "${db:Status-Status} ${Version}\n",
        package,
    ]))
    .ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
}

/// `10` of `1:10.0.2+ds-2+deb13u1~bpo12+1`.
fn major(version: &str) -> Option<u32> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// Debian's release number.
fn release() -> anyhow::Result<u32> {
    let text = std::fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    let (id, version) = (
        field("ID").unwrap_or("unknown"),
        field("VERSION_ID").unwrap_or("unknown"),
    );
    match (id, version) {
        ("debian", "12") => Ok(12),
        ("debian", "13") => Ok(13),
        _ => bail!("this is {id} {version}; expected Debian 12 or 13"),
    }
}

/// `apt-get` as root, through sudo where this isn't root.
fn apt(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = as_root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    // Another apt (unattended upgrades on a fresh machine) may hold the lock for minutes; mirrors drop connections.
    command
        .args(["-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"])
        .args(arguments);
    Ok(command)
}

fn as_root(program: &str) -> anyhow::Result<Command> {
    if capture(Command::new("id").arg("-u"))?.trim() == "0" {
        return Ok(Command::new(program));
    }
    ensure!(
        which("sudo").is_some(),
        "not root and no sudo; run `make setup` once as root, then try again"
    );
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/vyoma-backports.sources";

/// Adds Debian's backports from the mirror and with the key that this system already trusts.
fn add_backports() -> anyhow::Result<()> {
    let policy = capture(Command::new("apt-cache").arg("policy"))?;
    if policy.contains("bookworm-backports") || Path::new(BACKPORTS_FILE).exists() {
        return Ok(());
    }
    let mut texts = Vec::new();
    let lists = std::fs::read_dir("/etc/apt/sources.list.d")
        .map(|dir| dir.flatten().map(|entry| entry.path()));
    for path in lists
        .into_iter()
        .flatten()
        .chain([Path::new("/etc/apt/sources.list").to_owned()])
    {
        if path
            .extension()
            .is_some_and(|extension| extension == "sources" || extension == "list")
        {
            texts.extend(std::fs::read_to_string(&path));
        }
    }
    let source = texts
        .iter()
        .find_map(|text| backports_source(text))
        .context("no apt source for bookworm in /etc/apt; expected Debian's own, to find its backports beside it")?;
    say(format_args!(
        "adding Debian's backports to apt ({BACKPORTS_FILE})"
    ));
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), source)?;
    call(
        as_root("install")?
            .args(["-m", "644"])
            .arg(file.path())
            .arg(BACKPORTS_FILE),
    )
}

/// The backports stanza beside the main one of `text`, which is in either of apt's two formats.
fn backports_source(text: &str) -> Option<String> {
    deb822_backports(text).or_else(|| one_line_backports(text))
}

fn deb822_backports(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |key: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::trim)
        };
        let main = field("Suites:")?
            .split_whitespace()
            .any(|suite| suite == "bookworm");
        let signed = field("Signed-By:")
            .map(|key| format!("Signed-By: {key}\n"))
            .unwrap_or_default();
        let uris = field("URIs:")?;
        (main && field("Enabled:") != Some("no")).then(|| {
            format!(
                "Types: deb\nURIs: {uris}\nSuites: bookworm-backports\nComponents: main\n{signed}"
            )
        })
    })
}

fn one_line_backports(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((options, rest)) => (Some(options), rest),
            None => (None, rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let signed = options
            .and_then(|options| {
                options
                    .split_whitespace()
                    .find_map(|option| option.strip_prefix("signed-by="))
            })
            .map(|key| format!("Signed-By: {key}\n"))
            .unwrap_or_default();
        (suite == "bookworm").then(|| {
            format!(
                "Types: deb\nURIs: {uri}\nSuites: bookworm-backports\nComponents: main\n{signed}"
            )
        })
    })
}

/// What rust-toolchain.toml lists, looked for where the compiler looks.
fn rust_targets(context: &Context) -> anyhow::Result<()> {
    let sysroot = capture(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(&context.root),
    )?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let mut targets = vec![
        "wasm32-wasip2",
        "thumbv7m-none-eabi",
        "thumbv7em-none-eabihf",
    ];
    targets.extend(Arch::ALL.map(Arch::rust_target));
    targets.retain(|target| !libraries.join(target).join("lib").is_dir());
    if targets.is_empty() {
        return Ok(());
    }
    say(format_args!(
        "adding Rust targets with rustup: {}",
        targets.join(" ")
    ));
    call(
        Command::new("rustup")
            .args(["target", "add"])
            .args(&targets)
            .current_dir(&context.root),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backports_come_from_the_mirror_of_the_main_suite() {
        let deb822 = "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n\
            Types: deb\n# a remark\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
            Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n";
        let expected = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n\
            Signed-By: /usr/share/keyrings/k.gpg\n";
        assert_eq!(backports_source(deb822).as_deref(), Some(expected));
        let one_line = "# deb http://old.example bookworm main\n\
            deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm main contrib\n";
        assert_eq!(backports_source(one_line).as_deref(), Some(expected));
    }

    #[test]
    fn foreign_and_disabled_sources_are_not_taken_for_debians_mirror() {
        assert_eq!(
            backports_source("deb https://vendor.example/apt stable main\n"),
            None
        );
        assert_eq!(
            backports_source(
                "Types: deb\nURIs: http://m.example\nSuites: bookworm\nEnabled: no\nComponents: main\n"
            ),
            None
        );
    }

    #[test]
    fn the_upstream_version_decides_whether_a_qemu_is_new_enough() {
        assert_eq!(major("1:10.0.2+ds-2+deb13u1~bpo12+1"), Some(10));
        assert_eq!(major("1:7.2+dfsg-7+deb12u18+b3"), Some(7));
    }
}
