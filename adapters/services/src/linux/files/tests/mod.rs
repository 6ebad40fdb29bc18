//! The operations on real folders. What is expected is what wasmtime-wasi 48 gives.

mod data;
mod directories;
mod escape;
mod links;
mod open;
mod streams;
mod times;

use std::fs::{self, File};
use std::path::PathBuf;

use tempfile::TempDir;
use vyoma_capabilities::resolve::Grants;
use vyoma_component::wasi::filesystem::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use vyoma_runtime::RunConfig;

use super::{Descriptor, Files, Result};

const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
const NOFOLLOW: PathFlags = PathFlags(0);
const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
const READ_WRITE: DescriptorFlags = READ.with(WRITE);
const NOTHING: OpenFlags = OpenFlags(0);
const CREATE: OpenFlags = OpenFlags::CREATE;

/// A data folder, and beside it a file that no guest may ever see.
struct Folder {
    place: TempDir,
    root: Descriptor,
}

const SECRET: &str = "secret";

impl Folder {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("root")).unwrap();
        fs::write(place.path().join("outside"), SECRET).unwrap();
        let config = config(true, Some(File::open(place.path().join("root")).unwrap()));
        let (root, name) = Files::new(&config).unwrap().preopens().remove(0);
        assert_eq!(name, "/");
        Self { place, root }
    }

    /// Where the host sees it.
    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("root").join(name)
    }

    fn open(&self, path: &str, flags: DescriptorFlags) -> Result<Descriptor> {
        self.root.open_at(FOLLOW, path, NOTHING, flags)
    }

    /// A new file with these bytes, open for reading and writing.
    fn file(&self, path: &str, bytes: &[u8]) -> Descriptor {
        fs::write(self.path(path), bytes).unwrap();
        self.open(path, READ_WRITE).unwrap()
    }

    fn directory(&self, path: &str) -> Descriptor {
        self.root.create_directory_at(path).unwrap();
        self.open(path, READ).unwrap()
    }

    fn symlink(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(
                fs::read_to_string(self.place.path().join("outside")).unwrap(),
                SECRET
            );
        }
    }
}

fn config(filesystem: bool, data: Option<File>) -> RunConfig {
    RunConfig {
        grants: Grants {
            filesystem,
            ..Grants::default()
        },
        data,
        ..RunConfig::stdio_only("app", &[])
    }
}

/// The error of an operation that must not succeed.
#[track_caller]
fn error<T>(outcome: Result<T>) -> ErrorCode {
    outcome.err().expect("must not succeed")
}

#[test]
fn without_the_grant_there_is_no_folder_though_one_is_handed_in() {
    let place = tempfile::tempdir().unwrap();
    let config = config(false, Some(File::open(place.path()).unwrap()));
    assert!(Files::new(&config).unwrap().preopens().is_empty());
}

#[test]
fn the_grant_without_a_folder_is_an_error_that_says_so() {
    let refused = Files::new(&config(true, None)).err().unwrap().to_string();
    assert!(refused.contains("data folder"), "{refused}");
}

#[test]
fn every_question_for_directories_gives_the_same_folder_anew() {
    let place = tempfile::tempdir().unwrap();
    let config = config(true, Some(File::open(place.path()).unwrap()));
    let files = Files::new(&config).unwrap();
    let (one, other) = (files.preopens().remove(0).0, files.preopens().remove(0).0);
    assert!(one.is_same_object(&other).unwrap());
    assert_eq!(one.flags, READ.with(DescriptorFlags::MUTATE_DIRECTORY));
}
