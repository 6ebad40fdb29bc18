//! What `ps`, `top` and `info` tell, read from the kernel when asked.

use std::fs;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::{AppStatus, CapabilityUse, DeviceInfo};

use crate::daemon::apps::App;
use crate::daemon::cgroup::meminfo;
use crate::daemon::state::{Daemon, Shared, unix_ms};
use crate::daemon::trial;
use crate::daemon::uses::Count;
use crate::roles::engine;

/// All apps.
pub(crate) async fn apps(daemon: &Shared) -> Vec<AppStatus> {
    let mut all = Vec::new();
    for app in daemon.all_apps() {
        let package = app.package();
        let run = app.run();
        let beat = run
            .as_ref()
            .map(|run| run.heartbeats.read())
            .unwrap_or_default();
        let dropped = run
            .as_ref()
            .and_then(|run| Some(run.stdin.as_ref()?.dropped()))
            .unwrap_or(0);
        all.push(AppStatus {
            name: app.name.to_string(),
            version: package.manifest.app.version.clone(),
            sha256: package.sha256.clone().unwrap_or_default(),
            phase: app.phase(),
            last_ending: app.last_ending(),
            restarts: app.machine.borrow().restarts(),
            pid: run.as_ref().map(|run| run.pid),
            uptime_ms: run
                .as_ref()
                .map(|run| run.started.elapsed().as_millis() as u64),
            pss_kb: run.as_ref().and_then(|run| pss_kb(&run.pid.to_string())),
            cpu_ms: run.as_ref().and_then(|run| cpu_ms(run.pid)),
            host_calls: beat.calls,
            dropped_lines: app.log.evicted() + app.dropped_before.get() + dropped,
            unavailable: package
                .resolution
                .warnings
                .iter()
                .map(|warning| warning.capability.to_string())
                .collect(),
            execution: app.execution.get(),
            versions: trial::status(&app),
        });
        // Reading the memory of 200 processes takes a while; others may go in between.
        tokio::task::yield_now().await;
    }
    all
}

/// What an app may use and what it used: what its manifest declares, and what it called for without.
pub(crate) fn capabilities(app: &App) -> Vec<CapabilityUse> {
    let package = app.package();
    let run = app.run().map(|run| run.heartbeats.uses());
    let counts = app.uses.so_far().plus(&run.unwrap_or_default());
    let all = Capability::ALL.into_iter().map(|capability| {
        let Count { calls, refused } = counts.of(capability);
        let grants = &package.resolution.grants;
        CapabilityUse {
            capability,
            declared: package.manifest.capabilities.asks_for(capability),
            granted: grants.has(capability),
            terms: grants.terms(capability),
            used: calls.saturating_sub(refused),
            denied: refused,
        }
    });
    all.filter(|one| one.declared || one.used > 0 || one.denied > 0)
        .collect()
}

/// The device.
pub(crate) fn device(daemon: &Daemon) -> DeviceInfo {
    let settings = &daemon.settings;
    let running = daemon
        .all_apps()
        .iter()
        .filter(|app| app.run().is_some())
        .count();
    let (hostname, kernel) = nix::sys::utsname::uname().map_or_else(
        |_| Default::default(),
        |names| {
            (
                names.nodename().to_string_lossy().into_owned(),
                names.release().to_string_lossy().into_owned(),
            )
        },
    );
    DeviceInfo {
        platform: settings.profile.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        engine: engine::describe(&settings.profile),
        arch: std::env::consts::ARCH.into(),
        hostname,
        kernel,
        mode: settings.mode.name().into(),
        uptime_ms: daemon.now_ms(),
        time_ms: unix_ms(),
        apps: daemon.apps.borrow().len() as u32,
        running: running as u32,
        max_apps: settings.profile.max_apps,
        daemon_pss_kb: pss_kb("self"),
        memory_total_kb: meminfo("MemTotal:").unwrap_or(0),
        memory_available_kb: meminfo("MemAvailable:").unwrap_or(0),
        data: settings.data.into(),
        last_epitaph: settings.last_epitaph.clone(),
        addresses: addresses(),
        ahead_of_time: engine::ahead_of_time(&settings.profile),
    }
}

/// Proportional set size, from `smaps_rollup`.
fn pss_kb(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| {
        line.strip_prefix("Pss:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

/// Processor time, from `stat`: fields 14 and 15 of proc(5), counted after the name, which may hold anything.
fn cpu_ms(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    Some(ticks * 1000 / per_second.unsigned_abs())
}

/// `eth0 10.0.2.15/24`, loopback left out.
fn addresses() -> Vec<String> {
    let interfaces = getifaddrs().into_iter().flatten();
    let text = interfaces.filter_map(|interface| {
        let address = ip(&interface.address?)?;
        if address.is_loopback() {
            return None;
        }
        let prefix = match ip(&interface.netmask?)? {
            IpAddr::V4(mask) => mask.to_bits().count_ones(),
            IpAddr::V6(mask) => mask.to_bits().count_ones(),
        };
        Some(format!("{} {address}/{prefix}", interface.interface_name))
    });
    text.collect()
}

fn ip(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| IpAddr::V6(address.ip()))
    })
}
