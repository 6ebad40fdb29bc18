//! From a guest's path to a descriptor, without ever leaving the directory that it starts from. Called by the operations of
//! [`super`] only.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use vyoma_component::wasi::filesystem::ErrorCode;

use super::error;

/// How often a look-up is tried that the kernel gave up because something, anywhere on the machine, was renamed
/// meanwhile. One try takes microseconds, so this many means that somebody renames without pause; then the guest gets `io`.
const TRIES: u32 = 10_000;

/// Opens `path` beneath `start`: neither `..`, nor an absolute path, nor a symbolic link leads out, whatever is renamed
/// meanwhile, and the kernel is who checks.
pub(super) fn open(
    start: impl AsFd,
    path: impl AsRef<OsStr>,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let start = start.as_fd();
    // As for `open`: the process's umask takes from it.
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::from_raw_mode(0o666)
    } else {
        Mode::empty()
    };
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES {
        match openat2(start, path.as_ref(), flags, mode, resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The code of a look-up's error. `EXDEV` is how `openat2` says that the path led out.
pub(super) fn code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::XDEV => ErrorCode::NotPermitted,
        errno => error::code(&errno.into()),
    }
}

/// The directory that holds a path's last component, and that component: for operations on names, which don't follow it.
pub(super) struct Place<'a> {
    directory: Directory<'a>,
    /// A name, or `.`; never `..`, and without any `/`.
    pub(super) name: &'a OsStr,
}

enum Directory<'a> {
    Start(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl<'a> Place<'a> {
    /// Of `path`, from `start`. A path that ends in `/` or `/.` names what is in it: `.`
    pub(super) fn find(start: &'a impl AsFd, path: &'a str) -> Result<Self, ErrorCode> {
        let (parent, name) = split(path).ok_or(ErrorCode::NoEntry)?;
        let directory = if parent.as_os_str().is_empty() {
            Directory::Start(start.as_fd())
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            Directory::Opened(open(start, parent, flags).map_err(code)?)
        };
        Ok(Self { directory, name })
    }
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.directory {
            Directory::Start(start) => *start,
            Directory::Opened(opened) => opened.as_fd(),
        }
    }
}

/// Parent and last component; the whole path and `.` where the last component is no name; nothing for an empty path.
fn split(path: &str) -> Option<(&Path, &OsStr)> {
    let whole = Path::new(path);
    if path.is_empty() {
        return None;
    }
    // What `Path` takes for insignificant, but the kernel doesn't.
    if !path.ends_with('/') && !path.ends_with("/.") {
        let mut components = whole.components();
        if let Some(last @ (Component::Normal(_) | Component::CurDir)) = components.next_back() {
            return Some((components.as_path(), last.as_os_str()));
        }
    }
    Some((whole, Component::CurDir.as_os_str()))
}

/// `path` without the slashes at its end, for operations that take `name/` like `name`. The root stays.
pub(super) fn without_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if !path.is_empty() => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::{split, without_slashes};

    #[test]
    fn a_path_splits_into_a_directory_and_a_name_that_is_never_dot_dot() {
        for (path, parent, name) in [
            ("a", "", "a"),
            ("a/b", "a", "b"),
            ("a//b", "a", "b"),
            ("./a", ".", "a"),
            ("../a", "..", "a"),
            ("/a", "/", "a"),
            (".", "", "."),
            ("a/", "a/", "."),
            ("a/.", "a/.", "."),
            ("..", "..", "."),
            ("a/..", "a/..", "."),
            ("/", "/", "."),
        ] {
            let (found_parent, found_name) = split(path).unwrap();
            assert_eq!(
                (found_parent.to_str(), found_name.to_str()),
                (Some(parent), Some(name)),
                "{path}"
            );
        }
        assert!(split("").is_none());
    }

    #[test]
    fn slashes_at_the_end_go_but_the_root_stays() {
        for (path, without) in [
            ("a", "a"),
            ("a/", "a"),
            ("a/b//", "a/b"),
            ("/", "/"),
            ("//", "/"),
            ("", ""),
            ("a/.", "a/."),
        ] {
            assert_eq!(without_slashes(path), without);
        }
    }
}
