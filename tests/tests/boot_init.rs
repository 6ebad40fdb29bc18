//! The duties of PID 1, each seen on a booted device: what vyomad notes at boot was read back from the kernel, and what
//! it leaves on a disk is read from the disk's image afterwards.
//!
//! The device is server-headless without apps, in QEMU, started by `cargo xtask boot`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use vyoma_system_tests::from_make_test;
use vyoma_system_tests::turn::Turn;

/// A boot takes five seconds on an idle machine; a loaded one may be ten times slower.
const TIMEOUT: &str = "150";
/// Said when the network is done with; all notes of the boot come before.
const STARTED: &str = "vyomad: started:";
/// The power goes right after.
const OFF: &str = "vyomad: power off";

/// What `cargo xtask boot` reports.
struct Seen {
    report: Value,
}

impl Seen {
    fn lines(&self) -> Vec<&str> {
        let lines = self.report["lines"].as_array().expect("lines");
        lines
            .iter()
            .filter_map(|line| line["text"].as_str())
            .collect()
    }

    fn console(&self) -> String {
        self.lines().join("\n")
    }

    /// The text after `vyomad: KIND:` of the one note of this kind that contains `part`.
    fn note(&self, kind: &str, part: &str) -> &str {
        let start = format!("vyomad: {kind}: ");
        let mut found = self
            .lines()
            .into_iter()
            .filter_map(|line| line.strip_prefix(&*start));
        found
            .find(|detail| detail.contains(part))
            .unwrap_or_else(|| panic!("no note `{kind}` with {part:?} in:\n{}", self.console()))
    }

    fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }
}

/// Boots with these arguments of `cargo xtask boot`, and demands that what they wait for came.
fn boot(arguments: &[&str]) -> Seen {
    let _turn = Turn::shared();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("boot.json");
    let mut command = Command::new(from_make_test("VYOMA_XTASK_BIN"));
    command.arg("boot");
    command.args([
        "--platform",
        "server-headless",
        "--no-apps",
        "--quiet",
        "--timeout",
        TIMEOUT,
    ]);
    command.args(arguments).arg("--json").arg(&json);
    let done = command.output().expect("cargo runs");
    let text = fs::read_to_string(&json).unwrap_or_default();
    let seen = Seen {
        report: serde_json::from_str(&text).unwrap_or_default(),
    };
    assert!(
        done.status.success() && seen.report["ok"] == true,
        "{command:?}: {}\n{}\nends {}:\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr),
        seen.report["ended"],
        seen.report["lines"]
            .as_array()
            .map_or(String::new(), |_| seen.console())
    );
    seen
}

/// One boot that several tests look at: DHCP, a fresh disk, mounts gone through twice, one word that nobody knows.
fn usual_boot() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        boot(&[
            "--append",
            "vyoma.fault=remount vyoma.colour=red vyoma.hostname=pump-3",
            "--until",
            "vyomad: network: eth0 ",
            "--until",
            STARTED,
        ])
    })
}

/// An image file of a formatted data disk.
fn disk(folder: &Path, label: &str) -> PathBuf {
    let path = folder.join(format!("{label}.img"));
    File::create(&path)
        .and_then(|file| file.set_len(64 << 20))
        .expect("an image file");
    tool(
        "mke2fs",
        &["-q", "-t", "ext4", "-L", label, &path.to_string_lossy()],
    );
    path
}

/// Runs a program of e2fsprogs and gives its output.
fn tool(program: &str, arguments: &[&str]) -> String {
    let path = format!(
        "{}:/sbin:/usr/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let done = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}; install e2fsprogs"));
    assert!(done.status.success(), "{program} {arguments:?}: {done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A file on the data disk, read from its image.
fn file_on(image: &Path, path: &str) -> String {
    tool(
        "debugfs",
        &["-R", &format!("cat {path}"), &image.to_string_lossy()],
    )
}

/// Overwrites bytes of an image.
fn damage(image: &Path, offset: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(image).expect("the image");
    file.seek(SeekFrom::Start(offset)).expect("seek");
    file.write_all(bytes).expect("write");
}

/// Boots with this disk, and demands that a tmpfs stands in, that the report says `found`, and that no byte changed.
fn is_left_untouched(image: &Path, found: &str) {
    let before = fs::read(image).expect("the image");
    let seen = boot(&[
        "--data",
        &image.to_string_lossy(),
        "--append",
        "vyoma.ip=off vyoma.fault=term:1",
        "--until",
        OFF,
    ]);
    seen.note("data-disk", found);
    assert!(
        seen.note("data-disk", "/dev/vda holds ")
            .contains("left untouched; ")
    );
    seen.note("warning", "/data is in MEMORY and will be lost");
    let mut after = Vec::with_capacity(before.len());
    File::open(image)
        .and_then(|mut file| file.read_to_end(&mut after))
        .expect("the image");
    assert!(before == after, "the disk was written to");
}

#[test]
fn file_systems_are_mounted_as_tightly_as_they_can_be() {
    let mounts = usual_boot().note("mounts", "/proc ");
    for expected in [
        "/proc proc nosuid,nodev,noexec",
        "/sys sysfs nosuid,nodev,noexec",
        "/dev devtmpfs nosuid,noexec",
        "/dev/pts devpts nosuid,noexec",
        "/dev/shm tmpfs nosuid,nodev,noexec",
        "/run tmpfs nosuid,nodev,noexec",
        "/tmp tmpfs nosuid,nodev,noexec",
        "/sys/fs/cgroup cgroup2 nosuid,nodev,noexec",
        "/sys/kernel/config configfs nosuid,nodev,noexec",
    ] {
        assert!(
            mounts.split("; ").any(|mount| mount == expected),
            "{expected}: {mounts}"
        );
    }
}

#[test]
fn mounting_twice_changes_nothing() {
    usual_boot().note("mounts", "second pass changed nothing");
}

#[test]
fn device_nodes_are_there() {
    let devices = usual_boot().note("devices", "");
    let there: Vec<&str> = devices.split(' ').collect();
    for name in [
        "console", "null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin",
        "stdout", "stderr",
    ] {
        assert!(there.contains(&name), "{name}: {devices}");
    }
}

#[test]
fn the_command_line_is_obeyed_and_an_unknown_word_is_a_warning() {
    assert_eq!(usual_boot().note("hostname", ""), "pump-3");
    let warning = usual_boot().note("warning", "vyoma.colour=red");
    assert!(warning.contains("expected hostname, ip, data"), "{warning}");
}

#[test]
fn kernel_settings_of_a_device_that_runs_strangers_code_are_set() {
    let settings = usual_boot().note("settings", "");
    for expected in [
        "kernel.panic=5",
        "kernel.dmesg_restrict=1",
        "kernel.kptr_restrict=2",
        "fs.protected_symlinks=1",
        "vm.watermark_boost_factor=0",
    ] {
        assert!(
            settings.split(' ').any(|setting| setting == expected),
            "{expected}: {settings}"
        );
    }
}

#[test]
fn loopback_is_up_and_ethernet_gets_an_address_by_dhcp() {
    usual_boot().note("network", "lo 127.0.0.1/8");
    let eth0 = usual_boot().note("network", "eth0 10.0.2.15/24 by dhcp");
    assert!(
        eth0.contains("router 10.0.2.2, name servers 10.0.2.3"),
        "{eth0}"
    );
}

#[test]
fn a_static_address_is_used_as_given() {
    let words = "vyoma.ip=10.0.2.77/25,gw=10.0.2.2,dns=10.0.2.3 vyoma.data=tmpfs";
    let seen = boot(&[
        "--data",
        "none",
        "--append",
        words,
        "--until",
        "eth0 10.0.2.77/25 by static, router 10.0.2.2",
    ]);
    assert!(!seen.has("by dhcp"), "{}", seen.console());
    seen.note("data", "by wish of vyoma.data=tmpfs");
}

#[test]
fn the_data_disk_is_found_by_its_label_and_mounted_safely() {
    let data = usual_boot().note("data", "/dev/vda on /data");
    for option in [
        "ext4",
        "nosuid",
        "nodev",
        "noexec",
        "errors=remount-ro",
        "data=ordered",
    ] {
        assert!(data.contains(option), "{option}: {data}");
    }
}

#[test]
fn an_ordered_shutdown_leaves_a_clean_disk_a_count_a_time_and_a_seed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = disk(folder.path(), "vyoma-data");
    let path = image.to_string_lossy();
    let off = |words: &str, extra: &[&str]| {
        let words = format!("vyoma.ip=off vyoma.fault=term:1 {words}");
        boot(
            &[
                &[
                    "--data",
                    &path,
                    "--append",
                    &words,
                    "--until",
                    OFF,
                    "--keep-running",
                ],
                extra,
            ]
            .concat(),
        )
    };
    let first = off("", &[]);
    assert_eq!(first.report["ended"], "powered-off");
    assert_eq!(first.report["qemu_status"], 0);
    assert!(first.has("vyomad: /data unmounted"), "{}", first.console());
    assert_eq!(first.note("boot", ""), "boot 1");
    first.note("entropy", "no seed from an earlier run");
    // e2fsck answers 0 only when it would change nothing.
    tool("e2fsck", &["-f", "-n", &path]);
    let state = tool("dumpe2fs", &["-h", &path]);
    assert!(
        state.contains("Filesystem state:         clean") && !state.contains("needs_recovery"),
        "{state}"
    );

    // The next boot finds what the first left, though the device's battery is empty.
    let second = off("", &["--qemu", "-rtc", "--qemu", "base=1990-01-01"]);
    assert_eq!(second.note("boot", ""), "boot 2");
    second.note("entropy", "seed of the last run credited; next seed saved");
    let saved: u64 = file_on(&image, "/vyoma/clock")
        .trim()
        .parse()
        .expect("a time");
    let clock = second.note(
        "clock",
        "before the time saved at the last run: set forward to ",
    );
    let set: u64 = clock
        .rsplit(' ')
        .next()
        .and_then(|secs| secs.parse().ok())
        .expect("a time");
    assert!(
        set > 1_795_305_600 && saved >= set,
        "{clock}; saved {saved}"
    );
}

#[test]
fn a_device_without_a_battery_or_a_disk_starts_no_earlier_than_its_software() {
    let seen = boot(&[
        "--data",
        "none",
        "--append",
        "vyoma.ip=off",
        "--until",
        STARTED,
        "--qemu",
        "-rtc",
        "--qemu",
        "base=1990-01-01",
    ]);
    let clock = seen.note("clock", "before the time of the build: set forward to ");
    let set: u64 = clock
        .rsplit(' ')
        .next()
        .and_then(|secs| secs.parse().ok())
        .expect("a time");
    assert!(set >= 1_795_305_600, "{clock}");
    seen.note("warning", "no block device was found");
}

#[test]
fn a_stalled_main_loop_is_reset_by_the_hardware_watchdog() {
    let seen = boot(&[
        "--append",
        "vyoma.ip=off vyoma.watchdog=4 vyoma.fault=stall:1",
        // The second boot proves the reset.
        "--until",
        "vyomad: boot: boot 2",
    ]);
    seen.note("watchdog", "i6300ESB timer, resets after 4 s");
    let events = seen.report["events"].to_string();
    assert!(events.contains("WATCHDOG"), "{events}");
}

#[test]
fn a_live_main_loop_feeds_the_watchdog() {
    let seen = boot(&[
        "--append",
        "vyoma.ip=off vyoma.watchdog=3 vyoma.fault=term:12",
        "--until",
        OFF,
    ]);
    let events = seen.report["events"].to_string();
    assert!(!events.contains("WATCHDOG"), "{events}");
    assert!(!seen.has("boot: boot 2"), "{}", seen.console());
}

#[test]
fn a_panic_leaves_an_epitaph_that_the_next_boot_reports() {
    let seen = boot(&[
        "--append",
        "vyoma.ip=off vyoma.fault=panic:1",
        "--until",
        "vyomad: epitaph: ",
    ]);
    assert!(
        seen.has("vyomad panicked: {\"message\":\"fault injection: vyoma.fault=panic:1\""),
        "{}",
        seen.console()
    );
    assert!(
        seen.has("vyomad: reboot (vyoma.panic=reboot)"),
        "{}",
        seen.console()
    );
    let epitaph = seen.note("epitaph", "");
    assert!(
        epitaph.contains("fault injection") && epitaph.contains("fault.rs:"),
        "{epitaph}"
    );
}

#[test]
fn a_panic_powers_the_device_off_when_that_is_its_policy() {
    let seen = boot(&[
        "--append",
        "vyoma.ip=off vyoma.panic=poweroff vyoma.fault=panic:1",
    ]);
    assert_eq!(seen.report["ended"], "powered-off", "{}", seen.console());
    assert!(
        seen.has("vyomad: power off (vyoma.panic=poweroff)"),
        "{}",
        seen.console()
    );
}

#[test]
fn ctrl_alt_del_reboots_in_order() {
    let seen = boot(&[
        "--append",
        "vyoma.ip=off vyoma.fault=int:1",
        "--until",
        "vyomad: boot: boot 2",
    ]);
    assert!(
        seen.has("vyomad: /data unmounted") && seen.has("vyomad: reboot"),
        "{}",
        seen.console()
    );
}

#[test]
fn a_thousand_orphans_are_reaped() {
    let seen = boot(&[
        "--append",
        "vyoma.ip=off vyoma.fault=orphans:1000,term:1",
        "--until",
        "orphans were reaped",
    ]);
    let line = seen.note("shutdown", "orphans were reaped");
    let count: u32 = line
        .split(' ')
        .find_map(|word| word.parse().ok())
        .expect("a number");
    assert!(count >= 1000, "{line}");
}

#[test]
fn a_blank_disk_is_left_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("blank.img");
    File::create(&image)
        .and_then(|file| file.set_len(16 << 20))
        .expect("an image file");
    is_left_untouched(&image, "holds nothing (blank)");
}

#[test]
fn a_foreign_disk_is_left_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    is_left_untouched(
        &disk(folder.path(), "photos"),
        "labelled `photos`, not `vyoma-data`",
    );
}

#[test]
fn a_disk_whose_superblock_is_damaged_is_left_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = disk(folder.path(), "vyoma-data");
    damage(&image, 1024 + 0x100, b"X");
    is_left_untouched(
        &image,
        "a damaged ext4 file system labelled `vyoma-data`: its superblock has the checksum",
    );
}

#[test]
fn a_disk_whose_journal_is_damaged_and_full_is_left_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = disk(folder.path(), "vyoma-data");
    let path = image.to_string_lossy();
    tool("debugfs", &["-w", "-R", "feature needs_recovery", &path]);
    let journal: u64 = tool("debugfs", &["-R", "bmap <8> 0", &path])
        .trim()
        .parse()
        .expect("a block number");
    damage(&image, journal * 1024, &[0xA5; 2048]);
    is_left_untouched(&image, "but it can't be mounted for writing");
}

#[test]
fn a_disk_that_lost_its_beginning_is_left_untouched_and_told_from_a_blank_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = disk(folder.path(), "vyoma-data");
    damage(&image, 0, &[0; 8192]);
    is_left_untouched(
        &image,
        "no superblock, but a copy of one labelled `vyoma-data`",
    );
}
