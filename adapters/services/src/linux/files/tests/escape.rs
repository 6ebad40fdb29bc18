//! Nothing leads out of the folder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vyoma_component::wasi::filesystem::{ErrorCode, NewTimestamp};

use super::*;

/// Every operation that takes a path, on `path`; what each said.
fn everything(directory: &Descriptor, path: &str) -> Vec<(&'static str, Result<()>)> {
    let unit = |outcome: Result<Descriptor>| outcome.map(drop);
    let times = (NewTimestamp::Now, NewTimestamp::Now);
    vec![
        ("open", unit(directory.open_at(FOLLOW, path, NOTHING, READ))),
        (
            "create",
            unit(directory.open_at(FOLLOW, path, CREATE, WRITE)),
        ),
        (
            "truncate",
            unit(directory.open_at(FOLLOW, path, OpenFlags::TRUNCATE, WRITE)),
        ),
        ("stat", directory.stat_at(FOLLOW, path).map(drop)),
        ("hash", directory.metadata_hash_at(FOLLOW, path).map(drop)),
        (
            "times",
            directory.set_times_at(FOLLOW, path, times.0, times.1),
        ),
    ]
}

/// Every operation on the name that a path ends with, which doesn't follow it.
fn by_name(directory: &Descriptor, path: &str) -> Vec<(&'static str, Result<()>)> {
    let times = (NewTimestamp::Now, NewTimestamp::Now);
    vec![
        (
            "times",
            directory.set_times_at(NOFOLLOW, path, times.0, times.1),
        ),
        ("mkdir", directory.create_directory_at(path)),
        ("rmdir", directory.remove_directory_at(path)),
        ("unlink", directory.unlink_file_at(path)),
        ("readlink", directory.readlink_at(path).map(drop)),
        ("symlink", directory.symlink_at("x", path)),
        ("rename", directory.rename_at(path, directory, "here")),
        ("rename to", directory.rename_at("file", directory, path)),
        ("link", directory.link_at(NOFOLLOW, path, directory, "here")),
        (
            "link to",
            directory.link_at(NOFOLLOW, "file", directory, path),
        ),
    ]
}

#[track_caller]
fn assert_refused(said: Vec<(&'static str, Result<()>)>, path: &str) {
    for (operation, outcome) in said {
        assert_eq!(outcome, Err(ErrorCode::NotPermitted), "{operation} {path}");
    }
}

#[test]
fn dots_and_absolute_paths_are_not_permitted_whatever_the_operation() {
    let folder = Folder::new();
    folder.file("file", b"");
    let below = folder.directory("below");
    for path in [
        "../outside",
        "./../outside",
        "below/../../outside",
        "../root/file",
        "/outside",
        "/",
        "//etc/passwd",
    ] {
        assert_refused(everything(&folder.root, path), path);
        assert_refused(by_name(&folder.root, path), path);
    }
    assert_refused(everything(&folder.root, ".."), "..");
    // A descriptor of a directory below is the root of its own paths.
    below.symlink_at("x", "file").unwrap();
    assert_refused(everything(&below, "../file"), "../file");
    assert_refused(by_name(&below, "../file"), "../file");
}

#[test]
fn links_that_lead_out_are_not_permitted() {
    let folder = Folder::new();
    folder.file("file", b"");
    folder.symlink("../outside", "link");
    folder.symlink("/", "slash");
    folder.symlink("..", "up");
    folder.symlink("up/outside", "twice");
    for path in [
        "link",
        "slash",
        "slash/etc/passwd",
        "up",
        "up/outside",
        "twice",
    ] {
        assert_refused(everything(&folder.root, path), path);
    }
    for path in ["up/new", "slash/new"] {
        assert_refused(by_name(&folder.root, path), path);
    }
    assert_eq!(
        error(folder.root.readlink_at("slash")),
        ErrorCode::NotPermitted
    );
    assert_eq!(folder.root.readlink_at("up"), Ok("..".to_string()));
}

#[test]
fn no_link_to_an_absolute_path_is_made() {
    let folder = Folder::new();
    for target in ["/etc", "/", "//"] {
        let made = folder.root.symlink_at(target, "link");
        assert_eq!(error(made), ErrorCode::NotPermitted);
    }
    // One that leads out relatively is only text until somebody follows it.
    folder.root.symlink_at("../outside", "link").unwrap();
    assert_eq!(error(folder.open("link", READ)), ErrorCode::NotPermitted);
}

#[test]
fn the_kernels_own_links_to_descriptors_are_not_followed() {
    // As a folder, the process's own descriptors: magic links, which name no path.
    let folder = File::open("/proc/self/fd").unwrap();
    let (root, _) = Files::new(&config(true, Some(folder)))
        .unwrap()
        .preopens()
        .remove(0);
    let opened = root.open_at(FOLLOW, "0", NOTHING, READ);
    assert_eq!(error(opened), ErrorCode::Loop);
}

#[test]
fn a_directory_that_is_moved_out_is_its_own_world_still() {
    let folder = Folder::new();
    let directory = folder.directory("directory");
    let moved = folder.place.path().join("moved");
    fs::rename(folder.path("directory"), moved).unwrap();
    assert_refused(everything(&directory, "../outside"), "../outside");
    assert_refused(by_name(&directory, "../outside"), "../outside");
}

#[test]
fn links_swapped_and_directories_moved_meanwhile_never_lead_out() {
    // Long enough for tens of thousands of look-ups between two swaps each.
    const RACE: Duration = Duration::from_millis(500);
    let folder = Folder::new();
    folder.directory("deep");
    folder.directory("deep/inner");
    folder.file("deep/outside", b"inside");
    folder.file("outside", b"inside");
    folder.symlink("deep", "inside-link");
    folder.symlink("..", "outside-link");
    let (place, over) = (folder.place.path().to_path_buf(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = place.join("root");
            while !over.load(Ordering::Relaxed) {
                // `swap` leads to `deep`, then out, and so on.
                for link in ["inside-link", "outside-link"] {
                    let _ = fs::hard_link(root.join(link), root.join("next"));
                    let _ = fs::rename(root.join("next"), root.join("swap"));
                }
                // What `inner/..` is changes under the look-up.
                let _ = fs::rename(root.join("deep/inner"), place.join("inner"));
                let _ = fs::rename(place.join("inner"), root.join("deep/inner"));
            }
        });
        let start = Instant::now();
        let mut read = 0;
        while start.elapsed() < RACE {
            for path in ["swap/outside", "deep/inner/../outside"] {
                if let Ok(file) = folder.open(path, READ) {
                    assert_eq!(file.read_at(100, 0), Ok(b"inside".to_vec()));
                    read += 1;
                }
                if let Ok(file) = folder.root.open_at(FOLLOW, path, CREATE, READ_WRITE) {
                    assert_eq!(file.read_at(100, 0), Ok(b"inside".to_vec()));
                }
                let _ = folder.root.unlink_file_at("swap/created");
                let _ = folder.root.symlink_at("x", "swap/created");
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(read > 0, "nothing was ever read");
    });
    assert!(fs::symlink_metadata(place.join("created")).is_err());
}
