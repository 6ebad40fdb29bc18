//! Limits on memory, processor and processes: one cgroup v2 per app.
//!
//! ```text
//!  BASE/            device: /sys/fs/cgroup; hosted: a group of our own, where the machine allows one
//!    daemon/        the daemon itself, without limits
//!    ssh/           SSH connections
//!    admit/         one admission at a time or two
//!    apps/          memory.max = the platform's memory less what the system keeps
//!      NAME/        memory.max, memory.swap.max = 0, memory.oom.group, pids.max, cpu.max
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use vyoma_capabilities::profile::Profile;
use vyoma_capabilities::resolve::Grants;

use super::state::Mode;

/// What an app process takes besides its guest's linear memory: stacks, the engine's tables, the artefact's pages
/// that it touched, and full pipes and sockets, which are counted for it too. Measured: about 2 MiB; the rest is reserve.
const OVERHEAD_KB: u64 = 8 * 1024;
/// An app whose manifest sets no limit may take this part of the platform's memory as linear memory: four greedy apps
/// fill a device, one can't.
const DEFAULT_SHARE: u64 = 4;
/// What the kernel and the daemon keep of the platform's memory: an eighth, but never more than 64 MiB.
const RESERVE_SHARE: u64 = 8;
const RESERVE_MOST_KB: u64 = 64 * 1024;
/// What the kernel itself keeps for a process (stack, page tables, descriptors) and counts for its group. The platform's
/// memory is what its processes may hold (PSS), so this comes on top: on a platform of 4 MB it is not to be left out.
const KERNEL_PER_APP_KB: u64 = 256;
/// An admission reads a component and makes its index, whatever the platform: a few times the largest that fits one of the
/// small ones.
const ADMIT_LEAST_KB: u64 = 8 * 1024;
/// SSH connections together: eight at their usual size, whatever the platform.
const SSH_LEAST_KB: u64 = 16 * 1024;
/// Processes and threads of one app: an engine's few. A guest can start none.
const MOST_TASKS: u32 = 32;
/// Period of `cpu.max`, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Most bytes of linear memory of an app.
pub(crate) fn linear_memory_bytes(grants: &Grants, profile: &Profile) -> u64 {
    grants
        .memory_kb
        .map_or(profile.ram_kb / DEFAULT_SHARE, u64::from)
        * 1024
}

/// The groups.
#[derive(Debug)]
pub(crate) struct Cgroups {
    base: PathBuf,
    /// Groups to remove when the daemon ends; a device just goes off.
    ours: bool,
}

impl Cgroups {
    /// Makes the groups. The error says in one line what is missing.
    pub(crate) fn set_up(mode: Mode, profile: &Profile) -> Result<Self, String> {
        let (base, ours) = match mode {
            Mode::Pid1 => (PathBuf::from("/sys/fs/cgroup"), false),
            Mode::Hosted => (hosted_base()?, true),
        };
        let groups = Self { base, ours };
        groups.fill(mode, profile).map_err(|error| {
            groups.remove_all();
            format!("no limits on memory and processor: {error}")
        })?;
        Ok(groups)
    }

    fn fill(&self, mode: Mode, profile: &Profile) -> Result<(), String> {
        let have = read(&self.base.join("cgroup.controllers"))?;
        if let Some(missing) = CONTROLLERS
            .iter()
            .find(|wanted| !have.split_whitespace().any(|word| word == **wanted))
        {
            return Err(format!(
                "{} has no controller {missing:?}",
                self.base.display()
            ));
        }
        if mode == Mode::Pid1 {
            // A group that hands controllers on can hold no process of its own (except the root, but one rule is enough).
            let own = self.base.join("daemon");
            make(&own)?;
            write(&own.join("cgroup.procs"), "0")?;
        }
        let all = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
        write(&self.base.join("cgroup.subtree_control"), &all)?;
        let (apps, admit, ssh) = (
            self.base.join("apps"),
            self.base.join("admit"),
            self.base.join("ssh"),
        );
        make(&apps)?;
        make(&admit)?;
        make(&ssh)?;
        write(&apps.join("cgroup.subtree_control"), &all)?;
        // Not the total: what the kernel and the unpacked image hold already can't be given to apps, and a limit that
        // counted it would be reached after the whole device has run dry.
        let most = profile.ram_kb + u64::from(profile.max_apps) * KERNEL_PER_APP_KB;
        let ram = meminfo("MemAvailable:").map_or(most, |kb| kb.min(most));
        let reserve = (ram / RESERVE_SHARE).min(RESERVE_MOST_KB);
        write(
            &apps.join("memory.max"),
            &((ram - reserve) * 1024).to_string(),
        )?;
        // A compiler that eats memory ends itself, not the apps.
        let admission = (ram / 2).max(ADMIT_LEAST_KB);
        write(&admit.join("memory.max"), &(admission * 1024).to_string())?;
        // Operators who follow logs take nothing from the apps.
        let ssh_kb = (ram / 4).max(SSH_LEAST_KB);
        write(&ssh.join("memory.max"), &(ssh_kb * 1024).to_string())
    }

    /// Makes the group of an app with its limits; returns its `cgroup.procs`, for the app to step into.
    pub(crate) fn app(
        &self,
        name: &str,
        grants: &Grants,
        profile: &Profile,
    ) -> Result<File, String> {
        let group = self.base.join("apps").join(name);
        make(&group)?;
        let memory = linear_memory_bytes(grants, profile) + OVERHEAD_KB * 1024;
        write(&group.join("memory.max"), &memory.to_string())?;
        // Only there when the kernel has swap at all.
        let _ = write(&group.join("memory.swap.max"), "0");
        write(&group.join("memory.oom.group"), "1")?;
        write(&group.join("pids.max"), &MOST_TASKS.to_string())?;
        let cpu = group.join("cpu.max");
        if let Some(percent) = grants.cpu_percent {
            let quota = u64::from(percent) * CPU_PERIOD_US / 100;
            write(&cpu, &format!("{quota} {CPU_PERIOD_US}"))?;
        } else {
            // No limit is the default; it is only there when the kernel has bandwidth control at all.
            let _ = write(&cpu, &format!("max {CPU_PERIOD_US}"));
        }
        open(&group.join("cgroup.procs"))
    }

    /// `cgroup.procs` of the group for admissions.
    pub(crate) fn admit(&self) -> Result<File, String> {
        open(&self.base.join("admit/cgroup.procs"))
    }

    /// `cgroup.procs` of the group for SSH connections.
    pub(crate) fn ssh(&self) -> Result<File, String> {
        open(&self.base.join("ssh/cgroup.procs"))
    }

    /// How often the kernel has killed in the group of `name` for memory.
    pub(crate) fn oom_kills(&self, name: &str) -> u64 {
        let events = fs::read_to_string(self.base.join("apps").join(name).join("memory.events"))
            .unwrap_or_default();
        let count = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
        events.lines().find_map(count).unwrap_or(0)
    }

    /// Removes the group of an app that is gone.
    pub(crate) fn remove(&self, name: &str) {
        // Not empty yet, or never made: it costs nothing and is used again by the next run.
        let _ = fs::remove_dir(self.base.join("apps").join(name));
    }

    /// Removes everything that was made on a developer's machine. The apps are gone by then.
    pub(crate) fn remove_all(&self) {
        if !self.ours {
            return;
        }
        for entry in fs::read_dir(self.base.join("apps"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = fs::remove_dir(entry.path());
        }
        for group in ["apps", "admit", "ssh", ""] {
            let _ = fs::remove_dir(self.base.join(group));
        }
    }
}

/// A group of our own below the one that we are in, if controllers are handed down to there.
fn hosted_base() -> Result<PathBuf, String> {
    let none = |why: String| format!("no limits on memory and processor: {why}");
    let mounts = read(Path::new("/proc/self/mounts")).map_err(none)?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (path, kind) = (words.nth(1)?, words.next()?);
        (kind == "cgroup2").then(|| path.to_string())
    });
    let mount = mount.ok_or_else(|| none("no cgroup v2 hierarchy is mounted".into()))?;
    let own = read(Path::new("/proc/self/cgroup")).map_err(none)?;
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let group = Path::new(&mount).join(own.trim_start_matches('/'));
    let base = group.join(format!("vyoma-{}", std::process::id()));
    make(&base).map_err(none)?;
    Ok(base)
}

/// A line of /proc/meminfo, in KiB.
pub(crate) fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

fn make(dir: &Path) -> Result<(), String> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(format!("{}: {error}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, value: &str) -> Result<(), String> {
    fs::write(file, value).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn open(file: &Path) -> Result<File, String> {
    OpenOptions::new()
        .write(true)
        .open(file)
        .map_err(|error| format!("{}: {error}", file.display()))
}
