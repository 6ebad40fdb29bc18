//! Prints, line by line, what the functions of `wasi:filesystem` answer in a folder of its own that is empty at the start:
//! values, bytes, and the exact code of every error. The transcript that every engine must print is `expected.txt`.
//!
//! The bindings are the raw ones of WASI: the standard library would make one error of several.

mod contents;
mod escapes;
mod folders;
mod streams;

use std::fmt::Debug;

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, ErrorCode, OpenFlags, PathFlags,
};

/// No symlink at the end of a path is followed.
const STAY: PathFlags = PathFlags::empty();
/// One is.
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
const BOTH: DescriptorFlags = READ.union(WRITE);

fn main() {
    let folders = get_directories();
    let names: Vec<&str> = folders.iter().map(|(_, name)| name.as_str()).collect();
    println!("folders: {names:?}");
    let Some((root, _)) = folders.first() else {
        return;
    };
    contents::run(root);
    folders::run(root);
    escapes::run(root);
    streams::run(root);
    println!("done");
}

/// Prints `what: value` or `what: error`.
fn show<T: Debug>(what: &str, answer: Result<T, ErrorCode>) {
    match answer {
        Ok(value) => println!("{what}: {value:?}"),
        Err(code) => println!("{what}: error {}", code.name()),
    }
}

/// Prints whether it went well; what it gives is of no interest or differs from run to run.
fn does<T>(what: &str, answer: Result<T, ErrorCode>) -> Option<T> {
    match answer {
        Ok(value) => {
            println!("{what}: ok");
            Some(value)
        }
        Err(code) => {
            println!("{what}: error {}", code.name());
            None
        }
    }
}

/// Prints what of a stat is the same everywhere.
fn stat(what: &str, answer: Result<DescriptorStat, ErrorCode>) {
    match answer {
        Ok(stat) => {
            // How large a folder is, the file system decides.
            let folder = stat.type_ == wasip2::filesystem::types::DescriptorType::Directory;
            let size = if folder { 0 } else { stat.size };
            let times = [stat.data_access_timestamp, stat.data_modification_timestamp];
            let links = if folder { 0 } else { stat.link_count };
            println!(
                "{what}: {:?}, {links} links, {size} bytes, times known: {:?}",
                stat.type_,
                times.map(|time| time.is_some_and(|time| time.seconds > 1_700_000_000))
            );
        }
        Err(code) => println!("{what}: error {}", code.name()),
    }
}

/// Makes a file with these bytes.
fn create(root: &Descriptor, path: &str, bytes: &[u8]) {
    let file = root.open_at(STAY, path, OpenFlags::CREATE | OpenFlags::TRUNCATE, BOTH);
    if let Some(file) = does(&format!("create {path}"), file) {
        show(&format!("write {path}"), file.write(bytes, 0));
    }
}

/// Prints the bytes of a file.
fn cat(root: &Descriptor, path: &str) {
    let file = root.open_at(STAY, path, OpenFlags::empty(), READ);
    show(
        &format!("read {path}"),
        file.and_then(|file| file.read(1000, 0))
            .map(|(bytes, end)| (String::from_utf8_lossy(&bytes).into_owned(), end)),
    );
}
