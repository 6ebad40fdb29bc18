//! What this machine needs to operate devices and to build apps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::findings::Finding;
use crate::client::plain;
use crate::target::Target;
use crate::targets;

/// How findings name it.
const ABOUT: &str = "this machine";

/// What is wrong here.
pub(super) fn findings(target: Option<&Target>) -> Vec<Finding> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut all = Vec::new();
    if matches!(target, Some(Target::Ssh(_))) {
        all.extend(ssh(&path, home.as_deref()));
    }
    if let Some(Target::Serial { port, .. }) = target {
        all.extend(serial(port));
    }
    all.extend(targets());
    all.extend(rust(&path));
    all
}

/// Whether a program is in the path.
fn has(path: &std::ffi::OsStr, program: &str) -> bool {
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

fn ssh(path: &std::ffi::OsStr, home: Option<&Path>) -> Vec<Finding> {
    let mut all = Vec::new();
    if !has(path, "ssh") {
        all.push(Finding::wrong(
            "ssh",
            ABOUT,
            "there is no ssh in the path, which ssh:// goes through",
            "install OpenSSH's client (Debian: openssh-client)",
        ));
    }
    let agent = std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty());
    let folder = home.map(|home| home.join(".ssh"));
    let keys = folder
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("id_") && !name.ends_with(".pub")
        })
        .count();
    if keys == 0 && !agent {
        all.push(Finding::wrong(
            "ssh-key",
            ABOUT,
            "there is no SSH key (~/.ssh/id_*) and no agent, and devices take keys only",
            "make one with `ssh-keygen -t ed25519`, and put its .pub on the device",
        ));
    }
    all
}

fn serial(port: &Path) -> Option<Finding> {
    use std::os::unix::fs::FileTypeExt as _;
    let finding = |what: String, remedy: &str| Some(Finding::wrong("serial", ABOUT, what, remedy));
    match fs::metadata(port) {
        Err(error) => finding(
            format!("{}: {}", port.display(), plain(&error)),
            "plug the board in, and look in /dev for ttyACM* or ttyUSB*",
        ),
        Ok(meta) if !meta.file_type().is_char_device() => finding(
            format!("{} is no device", port.display()),
            "name the serial port, such as serial:///dev/ttyACM0",
        ),
        Ok(_) => match fs::OpenOptions::new().read(true).write(true).open(port) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => finding(
                format!("{}: {}", port.display(), plain(&error)),
                "join the group that owns it (Debian: `sudo adduser $USER dialout`), and log in anew",
            ),
            _ => None,
        },
    }
}

/// What commands would not take in the file of targets.
fn targets() -> Option<Finding> {
    let failure = targets::check().err()?;
    Some(Finding::wrong(
        "targets",
        ABOUT,
        failure.message(),
        "mend it or remove it; `vyomactl target add` writes it anew",
    ))
}

/// What `watch` and `install` of one's own apps need; operators can do without.
fn rust(path: &std::ffi::OsStr) -> Option<Finding> {
    const REMEDY: &str =
        "to build apps here, install Rust (rustup.rs), then `rustup target add wasm32-wasip2`";
    if !has(path, "cargo") {
        return Some(Finding::note(
            "rust",
            ABOUT,
            "there is no cargo in the path",
            REMEDY,
        ));
    }
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "wasm32-wasip2"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let there = libraries.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&folder).is_dir()
    });
    (!there).then(|| {
        Finding::note(
            "rust-target",
            ABOUT,
            "Rust's target wasm32-wasip2 is not installed",
            REMEDY,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_ssh_and_key_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().as_os_str();
        let ids =
            |home: &Path| -> Vec<&str> { ssh(path, Some(home)).iter().map(|one| one.id).collect() };
        assert!(ids(folder.path()).contains(&"ssh"));
        std::fs::write(folder.path().join("ssh"), "").expect("a program");
        std::fs::create_dir(folder.path().join(".ssh")).expect("a folder");
        std::fs::write(folder.path().join(".ssh/id_ed25519"), "").expect("a key");
        assert_eq!(ids(folder.path()), [""; 0]);
    }

    #[test]
    fn a_serial_port_that_is_not_there_or_is_none_is_found() {
        assert!(serial(Path::new("/dev/no-such-port")).is_some());
        assert!(serial(Path::new("/etc/passwd")).is_some());
        assert_eq!(serial(Path::new("/dev/null")), None);
    }

    #[test]
    fn without_cargo_it_is_noted_that_no_app_can_be_built() {
        let folder = tempfile::tempdir().expect("a folder");
        let finding = rust(folder.path().as_os_str()).expect("a finding");
        assert!(finding.id == "rust" && finding.remedy.contains("rustup target add"));
    }
}
