//! What each attempt of the sandbox probe (`src/roles/probe.rs`) must come to. One table for both tests of it: of a
//! process on this machine (`vyomad/tests/sandbox.rs`) and of apps on booted devices (`tests/tests/boot_sandbox.rs`).

use std::collections::BTreeMap;

/// Refused by seccomp. These numbers are the same on x86-64 and aarch64 (Linux, asm-generic/errno-base.h, errno.h).
pub(crate) const EPERM: i32 = 1;
/// Refused by Landlock, or by the owner and mode of a file.
pub(crate) const EACCES: i32 = 13;
/// What musl makes of every refusal of clone(2) in pthread_create.
const EAGAIN: i32 = 11;
/// `/proc` of a device is mounted with hidepid=invisible: processes of others are not even there.
const ENOENT: i32 = 2;
/// "This kernel has no such call": libc then uses the call that the filter can look into.
pub(crate) const ENOSYS: i32 = 38;

/// What an app without any grant can still do: use its own memory, and end itself.
pub(crate) const ALWAYS: &[&str] = &["mmap data", "tgkill self"];
/// What `filesystem` adds.
pub(crate) const FILESYSTEM: &[&str] = &[
    "thread",
    "create own data",
    "open own data",
    "list own data",
    "mkdir own data",
    "symlink own data",
];
/// What `network` adds.
pub(crate) const NETWORK: &[&str] = &[
    "thread",
    "open /etc/resolv.conf",
    "socket tcp",
    "socket udp6",
    "listen",
    "setsockopt SO_REUSEADDR",
    "bind own port",
    "bind any port",
];

/// What the issue and the design name. A probe that forgets one would prove nothing.
const MUST_BE_TRIED: &[&str] = &[
    "open /etc/passwd",
    "open other app's data",
    "execve",
    "clone a process",
    "thread",
    "socket tcp",
    "socket unix",
    "ptrace parent",
    "ptrace me",
    "mount",
    "kill parent",
    "kill 1",
    "setuid 0",
    "open /proc/1/environ",
    "open /proc/self/mem",
    "mmap executable",
    "mprotect executable",
    "unshare",
    "setns",
    "bpf",
    "io_uring_setup",
    "keyctl",
    "process_vm_readv",
    "open_by_handle_at",
    "chroot",
    "reboot",
    "init_module",
    "memfd_create",
    "personality",
    "no such call",
];

/// Everything fails but what is in the lists.
pub(crate) fn only(results: &BTreeMap<String, i32>, allowed: &[&[&str]]) -> Result<(), String> {
    let mut wrong = Vec::new();
    let allowed: Vec<&str> = allowed.iter().copied().flatten().copied().collect();
    for name in MUST_BE_TRIED.iter().chain(&allowed) {
        if !results.contains_key(*name) {
            wrong.push(format!("{name} was not tried"));
        }
    }
    for (name, errno) in results {
        // Any other error means that a call was really looked at.
        let expected: &[i32] = match name.as_str() {
            name if allowed.contains(&name) => &[0],
            "clone3" => &[ENOSYS],
            "thread" => &[EPERM, EAGAIN],
            "open /proc/1/environ" => &[EPERM, EACCES, ENOENT],
            _ => &[EPERM, EACCES],
        };
        if !expected.contains(errno) {
            wrong.push(format!("{name}: errno {errno}, expected {expected:?}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} of {}:\n{}",
        wrong.len(),
        results.len(),
        wrong.join("\n")
    ))
}
