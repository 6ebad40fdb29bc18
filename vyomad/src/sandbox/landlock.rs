//! The Landlock part of the sandbox: which files can still be opened, which TCP ports bound, and that signals and
//! abstract sockets end at the process. Called by [`super::Sandbox`] only.
//!
//! No rule means no access: an app without `filesystem` and without `network` can open nothing at all.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
    Scope,
};

use super::{Report, Role, SandboxError, Terms, failed};

/// What is asked of the kernel: files (1), moves between folders (2), truncation (3), TCP ports (4), device ioctls (5),
/// signals and abstract sockets (6): Linux 6.12, the kernel of the images.
const WANTED: ABI = ABI::V6;

/// What a resolver reads: musl the first two, glibc (hosted) all. A rule is bound to the file that was there at the
/// start of the app, so whoever writes `/etc/resolv.conf` overwrites it in place instead of renaming a new one over it.
const RESOLVER_FILES: [&str; 5] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
];

/// A ruleset that is complete but not in force yet.
pub(super) struct Rules(RulesetCreated);

impl Rules {
    pub(super) fn new(terms: &Terms<'_>) -> Result<Self, SandboxError> {
        // HardRequirement makes each missing feature an error here; BestEffort leaves it out and says so in apply().
        let level = if terms.required {
            CompatLevel::HardRequirement
        } else {
            CompatLevel::BestEffort
        };
        let ports = ports(&terms.role);
        let mut ruleset = Ruleset::default()
            .set_compatibility(level)
            .handle_access(AccessFs::from_all(WANTED))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(WANTED)))
            .map_err(failed("Landlock"))?;
        if !ports.handled.is_empty() {
            ruleset = ruleset
                .handle_access(ports.handled)
                .map_err(failed("Landlock"))?;
        }
        let mut created = ruleset.create().map_err(failed("Landlock"))?;
        for &port in ports.bindable {
            created = created
                .add_rule(NetPort::new(port, AccessNet::BindTcp))
                .map_err(failed("Landlock port"))?;
        }
        if let Some(port) = ports.own {
            created = created
                .add_rule(NetPort::new(port, AccessNet::BindTcp))
                .map_err(failed("Landlock port"))?;
        }
        if let Role::App { grants, data, .. } = terms.role {
            if let Some(data) = data {
                created = created
                    .add_rule(PathBeneath::<BorrowedFd<'_>>::new(data, data_access()))
                    .map_err(failed("Landlock data folder"))?;
            }
            if grants.network.is_some() {
                // One that does not exist needs no rule.
                for file in RESOLVER_FILES
                    .iter()
                    .filter_map(|path| PathFd::new(path).ok())
                {
                    created = created
                        .add_rule(PathBeneath::new(file, AccessFs::ReadFile))
                        .map_err(failed("Landlock resolver file"))?;
                }
            }
        }
        Ok(Self(created))
    }

    pub(super) fn apply(self, report: &mut Report) -> Result<(), SandboxError> {
        let status = self
            .0
            .restrict_self()
            .map_err(failed("landlock_restrict_self"))?;
        if status.ruleset != RulesetStatus::FullyEnforced {
            report.notes.push(match status.landlock {
                LandlockStatus::Available { effective_abi, .. } => {
                    format!(
                        "Landlock of this kernel is version {}, expected {}",
                        effective_abi as i32, WANTED as i32
                    )
                }
                LandlockStatus::NotEnabled => {
                    "Landlock is not in this kernel's list of active LSMs".into()
                }
                LandlockStatus::NotImplemented => "this kernel has no Landlock".into(),
            });
        }
        Ok(())
    }
}

/// TCP rules.
struct Ports {
    handled: BitFlags<AccessNet>,
    bindable: &'static [u16],
    own: Option<u16>,
}

fn ports(role: &Role<'_>) -> Ports {
    match role.grants().and_then(|grants| grants.network) {
        // seccomp refuses to make a socket anyway; two locks are better than one.
        None => Ports {
            handled: AccessNet::from_all(WANTED),
            bindable: &[],
            own: None,
        },
        // 0 is "any free port", as a client's socket may ask for.
        Some(network) if network.port.is_some() => Ports {
            handled: AccessNet::BindTcp.into(),
            bindable: &[0],
            own: network.port,
        },
        // Any port from 1024 up: the kernel holds a process without privileges to that.
        Some(_) => Ports {
            handled: BitFlags::EMPTY,
            bindable: &[],
            own: None,
        },
    }
}

/// Files and folders of all kinds, but no devices, sockets or pipes, and nothing to execute.
fn data_access() -> BitFlags<AccessFs> {
    AccessFs::from_all(WANTED)
        & !(AccessFs::Execute
            | AccessFs::MakeChar
            | AccessFs::MakeBlock
            | AccessFs::MakeSock
            | AccessFs::MakeFifo
            | AccessFs::IoctlDev)
}
