//! The device's host key and the files of authorised keys. They are bytes here: what is in them is for `vyomad ssh`, which
//! runs without privileges.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use vyoma_capabilities::hex;

use crate::daemon::files;
use crate::spec::KeyFile;

/// Bytes of an ed25519 seed (RFC 8032).
pub(super) const SEED: usize = 32;
/// Most bytes of one file of authorised keys: some hundred keys.
const FILE: usize = 32 * 1024;
/// Most of all of them, so that they fit into what a role is told.
const ALL: usize = 64 * 1024;

/// The folder in the state directory; only root's, so no app sees it, whatever it was granted.
pub(super) fn folder(state: &Path) -> io::Result<PathBuf> {
    let folder = state.join("ssh");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    Ok(folder)
}

/// The seed of the host key, made now if there is none. True when it was. Waits for the disk: an operator who has seen the
/// key is to see it again after a power failure.
pub(super) fn host_key(folder: &Path) -> io::Result<([u8; SEED], bool)> {
    let path = folder.join("host_key");
    match read_seed(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        known => return Ok((known?, false)),
    }
    let mut seed = [0; SEED];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    files::replace_durably(&path, format!("{}\n", hex::encode(&seed)).as_bytes())?;
    Ok((seed, true))
}

fn read_seed(path: &Path) -> io::Result<[u8; SEED]> {
    let text = files::read_text(path, 4 * SEED)?;
    hex::decode(text.trim()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "found no {} hexadecimal digits; remove the file for a new host key",
                2 * SEED
            ),
        )
    })
}

/// Keeps the public part beside it, for people.
pub(super) fn keep_public(folder: &Path, line: &str) -> io::Result<()> {
    let path = folder.join("host_key.pub");
    let text = format!("{line}\n");
    if fs::read(&path).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    files::replace(&path, text.as_bytes())
}

/// The files of authorised keys that there are, and what was wrong with others.
pub(super) fn authorized(paths: &[PathBuf]) -> (Vec<KeyFile>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut left = ALL;
    for path in paths {
        match files::read_text(path, FILE.min(left)) {
            Ok(text) => {
                left -= text.len();
                found.push(KeyFile {
                    name: path.display().to_string(),
                    text,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    (found, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_host_key_is_made_once_and_is_for_nobody_else_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path()).unwrap();
        let (seed, new) = host_key(&folder).unwrap();
        assert!(new && seed != [0; SEED]);
        assert_eq!(host_key(&folder).unwrap(), (seed, false));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("host_key")), 0o600);
    }

    #[test]
    fn a_damaged_host_key_is_reported_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "00", &"g".repeat(64), &"0".repeat(66), "é"] {
            fs::write(dir.path().join("host_key"), text).unwrap();
            let error = host_key(dir.path()).unwrap_err();
            assert!(
                error.to_string().contains("64 hexadecimal digits"),
                "{error}"
            );
            let kept = fs::read_to_string(dir.path().join("host_key")).unwrap();
            assert_eq!(kept, text);
        }
    }

    #[test]
    fn key_files_are_bounded_each_and_together() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: usize| {
            let path = dir.path().join(name);
            fs::write(&path, "x".repeat(bytes)).unwrap();
            path
        };
        let paths = [
            file("a", FILE),
            file("b", FILE + 1),
            file("c", FILE),
            file("d", 1),
            dir.path().join("none"),
        ];
        let (found, problems) = authorized(&paths);
        assert_eq!(found.len(), 2);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
