//! The six platforms as QEMU machines. What a platform *is* stands in `profiles/*.toml` and is read from there; this
//! adds only how a machine like it is started. Called by every command that takes `--platform`.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::ValueEnum;
use vyoma_capabilities::profile::{self, Engine, OptimizationLevel, PLATFORMS, Profile};

use crate::context::Context;
use crate::mcu::Board;

/// The guide: servers are "ARM64 / x86-64"; the other platforms are one architecture each.
const TWO_ARCHITECTURES: &str = "server-headless";

/// The platform without Linux.
pub(crate) const MICROCONTROLLER: &str = "mcu-minimal";

/// Architectures that this version makes images for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Arch {
    /// 64-bit x86 of level v2 (SSE4.2 and POPCNT) and up.
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM (ARMv8-A) and up.
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// As in profiles and file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Rust target of what runs on the device.
    pub(crate) fn rust_target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// The CPU level that artefacts in the image are compiled for: the oldest that the image runs on.
    pub(crate) fn cpu_level(self) -> &'static str {
        match self {
            Self::X86_64 => "v2",
            Self::Aarch64 => "v8",
        }
    }
}

/// Which kernel an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flavour {
    /// With screens, input and file systems shared with a host.
    Full,
    /// Without, and PREEMPT_RT: for platforms whose memory is counted in megabytes. robotics-rt needs the latter; iot-edge has
    /// the same kernel, since a second one for it would differ in nothing else.
    Realtime,
}

impl Flavour {
    fn of(profile: &Profile) -> Self {
        match profile.engine {
            Engine::Wasmtime => Self::Full,
            Engine::Wamr | Engine::Wasm3 => Self::Realtime,
        }
    }
}

/// How many times a small platform's `ram_mb` its machine has. The profile says what Vyoma may take (4 and 8 MB); a Linux kernel
/// with its initramfs needs some 20 MB beside that, and the machine code of robotics-rt is made for speed: on 32 MB its eight shipped
/// apps ran out of memory.
const MACHINE_FACTOR: u64 = 8;

/// What runs in QEMU for one (platform, architecture).
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Name of the platform.
    pub(crate) platform: &'static str,
    /// Architecture of the image.
    pub(crate) arch: Arch,
    /// The profile's text, as it goes into the image.
    pub(crate) profile: String,
    /// How hard the compiler tries.
    pub(crate) optimization_level: OptimizationLevel,
    /// The one engine that the image carries.
    pub(crate) engine: Engine,
    /// Its kernel.
    pub(crate) flavour: Flavour,
    /// Memory of the machine: the profile's, and never less than Linux needs.
    pub(crate) ram_mb: u64,
    /// It has a network.
    pub(crate) network: bool,
}

impl Target {
    /// Names files and folders.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.platform, self.arch.name())
    }
}

/// No image can be made for what was asked; the command ends with status 2.
#[derive(Debug)]
pub(crate) struct NoSuchTarget(String);

impl std::fmt::Display for NoSuchTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoSuchTarget {}

fn read(context: &Context, platform: &str) -> anyhow::Result<(String, Profile)> {
    let path = context
        .root
        .join("profiles")
        .join(format!("{platform}.toml"));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let profile = profile::parse(&path.to_string_lossy(), &text)?;
    Ok((text, profile))
}

fn own_arch(profile: &Profile) -> Option<Arch> {
    match profile.arch {
        profile::Arch::X86_64 => Some(Arch::X86_64),
        profile::Arch::Aarch64 => Some(Arch::Aarch64),
        profile::Arch::CortexM4 => None,
    }
}

/// The target that was asked for, or [`NoSuchTarget`] with the list of platforms.
pub(crate) fn select(
    context: &Context,
    platform: Option<&str>,
    arch: Option<Arch>,
) -> anyhow::Result<Target> {
    let Some(&platform) = PLATFORMS.iter().find(|name| Some(**name) == platform) else {
        let found = platform.map_or("no PLATFORM".to_owned(), |name| {
            format!("unknown PLATFORM {name:?}")
        });
        return Err(NoSuchTarget(format!("{found}; expected one of:\n{}", list(context)?)).into());
    };
    let (text, profile) = read(context, platform)?;
    let (Engine::Wasmtime | Engine::Wamr, Some(own)) = (profile.engine, own_arch(&profile)) else {
        return Err(NoSuchTarget(format!(
            "{platform} has no Linux; expected another platform for this command:\n{}",
            list(context)?
        ))
        .into());
    };
    let arch = arch.unwrap_or(own);
    if arch != own && platform != TWO_ARCHITECTURES {
        return Err(NoSuchTarget(format!(
            "{platform} is {}; only server-headless also runs on another architecture",
            own.name()
        ))
        .into());
    }
    Ok(Target {
        platform,
        arch,
        profile: text,
        optimization_level: profile.runtime.optimization_level,
        engine: profile.engine,
        flavour: Flavour::of(&profile),
        ram_mb: match profile.engine {
            Engine::Wamr => profile.ram_kb / 1024 * MACHINE_FACTOR,
            Engine::Wasmtime | Engine::Wasm3 => profile.ram_kb / 1024,
        },
        network: profile.network,
    })
}

/// The board that was asked for; `None`: a platform with Linux, or what [`select`] has words for.
pub(crate) fn board(
    context: &Context,
    platform: Option<&str>,
    arch: Option<Arch>,
    board: Option<Board>,
) -> anyhow::Result<Option<Board>> {
    if platform != Some(MICROCONTROLLER) {
        return match board {
            Some(board) => Err(NoSuchTarget(format!(
                "--board {}: only {MICROCONTROLLER} has boards; the platforms are:\n{}",
                board.name(),
                list(context)?
            ))
            .into()),
            None => Ok(None),
        };
    }
    if let Some(arch) = arch {
        return Err(NoSuchTarget(format!(
            "--arch {}: {MICROCONTROLLER} has no other architecture; expected --board, one of {}",
            arch.name(),
            Board::ALL.map(Board::name).join(", ")
        ))
        .into());
    }
    Ok(Some(board.unwrap_or(Board::DEFAULT)))
}

/// The microcontroller's profile.
pub(crate) fn microcontroller(context: &Context) -> anyhow::Result<Profile> {
    Ok(read(context, MICROCONTROLLER)?.1)
}

/// The six, with what they are, one a line.
fn list(context: &Context) -> anyhow::Result<String> {
    let mut text = String::new();
    for platform in PLATFORMS {
        let (_, profile) = read(context, platform)?;
        let arch = match own_arch(&profile) {
            Some(_) if platform == TWO_ARCHITECTURES => "aarch64, x86_64",
            Some(arch) => arch.name(),
            None => "arm-cortex-m4",
        };
        let boards = if own_arch(&profile).is_some() {
            String::new()
        } else {
            format!("   boards: {}", Board::ALL.map(Board::name).join(", "))
        };
        writeln!(text, "  {platform:<16} {arch}{boards}")?;
    }
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(platform: Option<&str>, arch: Option<Arch>) -> anyhow::Result<Target> {
        select(&Context::find().unwrap(), platform, arch)
    }

    #[test]
    fn an_unknown_platform_lists_the_six() {
        for platform in [None, Some("toaster")] {
            let error = asked(platform, None).unwrap_err();
            assert!(error.is::<NoSuchTarget>());
            for name in PLATFORMS {
                assert!(error.to_string().contains(name), "{error}");
            }
        }
    }

    #[test]
    fn the_microcontroller_has_a_board_and_nothing_with_linux_has() {
        let context = Context::find().unwrap();
        let asked = |platform, arch, wanted| board(&context, Some(platform), arch, wanted);
        let other = Some(Board::BL475eIot01a);
        assert_eq!(
            asked(MICROCONTROLLER, None, None).unwrap(),
            Some(Board::Mps2An385)
        );
        assert_eq!(asked(MICROCONTROLLER, None, other).unwrap(), other);
        assert_eq!(asked("mobile", None, None).unwrap(), None);
        for wrong in [
            asked("mobile", None, other),
            asked(MICROCONTROLLER, Some(Arch::Aarch64), None),
        ] {
            assert!(wrong.unwrap_err().is::<NoSuchTarget>());
        }
        let error = select(&context, Some(MICROCONTROLLER), None).unwrap_err();
        assert!(error.is::<NoSuchTarget>());
        assert!(error.to_string().contains("has no Linux"), "{error}");
    }

    #[test]
    fn the_kernel_follows_from_the_platform() {
        for (platform, flavour) in [
            ("mobile", Flavour::Full),
            ("iot-edge", Flavour::Realtime),
            ("robotics-rt", Flavour::Realtime),
        ] {
            assert_eq!(asked(Some(platform), None).unwrap().flavour, flavour);
        }
    }

    #[test]
    fn only_servers_come_in_two_architectures() {
        assert_eq!(
            asked(Some("server-headless"), None).unwrap().arch,
            Arch::Aarch64
        );
        assert_eq!(
            asked(Some("server-headless"), Some(Arch::X86_64))
                .unwrap()
                .id(),
            "server-headless-x86_64"
        );
        assert!(
            asked(Some("mobile"), Some(Arch::X86_64))
                .unwrap_err()
                .is::<NoSuchTarget>()
        );
    }

    #[test]
    fn memory_comes_from_the_profile() {
        assert_eq!(asked(Some("desktop-full"), None).unwrap().ram_mb, 512);
        assert_eq!(asked(Some("mobile"), None).unwrap().ram_mb, 256);
        // The profiles say 4 and 8 MB, which Linux itself does not fit.
        assert_eq!(asked(Some("iot-edge"), None).unwrap().ram_mb, 32);
        assert_eq!(asked(Some("robotics-rt"), None).unwrap().ram_mb, 64);
    }
}
