//! Tries to reach files outside its own folder and prints one line for each try: `what: ok` or `what: KindOfError`.
//!
//! Arguments are further paths to read and to write (tests plant symlinks in the folder and name them here).

use std::ffi::{CString, c_char, c_int};
use std::fmt::Display;
use std::fs;
use std::io;

/// What no app may read: the device's own files, other apps' data, ways up and around.
const FORBIDDEN: [&str; 13] = [
    "/etc/passwd",
    "/etc/vyoma/profile.toml",
    "/init",
    "/proc/self/environ",
    "/proc/1/root/etc/passwd",
    "/dev/mem",
    "/data/vyoma/uids.json",
    "/data/vyoma/data/notes/notes.txt",
    "../notes/notes.txt",
    "/../notes/notes.txt",
    "/../../../../etc/passwd",
    "/inside/../../notes/notes.txt",
    "/./..//../etc/passwd",
];

/// Targets of symlinks that it tries to make and to follow.
const TARGETS: [&str; 4] = ["/etc/passwd", "../notes/notes.txt", "..", "/proc/self/fd/3"];

fn main() {
    report("make /inside", fs::create_dir_all("/inside"));
    report("write /inside/own", fs::write("/inside/own", "mine"));
    report("read /inside/own", fs::read("/inside/own"));
    for path in FORBIDDEN {
        report(format_args!("read {path}"), fs::read(path));
    }
    for path in ["..", "/..", "/etc", "/proc", "/dev", "/inside/../.."] {
        report(format_args!("list {path}"), fs::read_dir(path));
    }
    report("write ../escaped", fs::write("../escaped", "x"));
    report("write /../escaped", fs::write("/../escaped", "x"));
    report(
        "rename to ../escaped",
        fs::rename("/inside/own", "../escaped"),
    );
    report(
        "hard link to ../escaped",
        fs::hard_link("/inside/own", "../escaped"),
    );
    for (number, target) in TARGETS.into_iter().enumerate() {
        let link = format!("/link{number}");
        // What a run before left.
        let _ = fs::remove_file(&link);
        let made = symlink(target, &link);
        let follow = made.is_ok();
        report(format_args!("symlink to {target}"), made);
        if follow {
            report(format_args!("read through it to {target}"), fs::read(&link));
            report(
                format_args!("write through it to {target}"),
                fs::write(&link, "x"),
            );
        }
    }
    for path in std::env::args().skip(1) {
        report(format_args!("read {path}"), fs::read(&path));
        report(format_args!("write {path}"), fs::write(&path, "x"));
    }
    println!("done");
}

fn report<T>(what: impl Display, result: io::Result<T>) {
    match result {
        Ok(_) => println!("{what}: ok"),
        Err(error) => println!("{what}: {:?}", error.kind()),
    }
}

unsafe extern "C" {
    #[link_name = "symlink"]
    fn libc_symlink(target: *const c_char, link: *const c_char) -> c_int;
}

/// `std` has no stable symlink for WASI.
fn symlink(target: &str, link: &str) -> io::Result<()> {
    let (target, link) = (CString::new(target)?, CString::new(link)?);
    // SAFETY: both are NUL-terminated and live until the call returns.
    match unsafe { libc_symlink(target.as_ptr(), link.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
