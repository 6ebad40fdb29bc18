//! Timestamps.

use std::os::unix::fs::PermissionsExt;

use vyoma_component::services::Datetime;
use vyoma_component::wasi::filesystem::{DescriptorStat, ErrorCode, NewTimestamp};

use super::*;

const EARLY: Datetime = Datetime {
    seconds: 1000,
    nanoseconds: 5,
};
const LATE: Datetime = Datetime {
    seconds: 5_000_000_000,
    nanoseconds: 999_999_999,
};

fn at(time: Datetime) -> NewTimestamp {
    NewTimestamp::Timestamp(time)
}

#[track_caller]
fn assert_times(stat: Result<DescriptorStat>, access: Datetime, modification: Datetime) {
    let stat = stat.unwrap();
    assert_eq!(stat.data_access_timestamp, Some(access));
    assert_eq!(stat.data_modification_timestamp, Some(modification));
}

#[test]
fn times_are_set_each_by_itself() {
    let folder = Folder::new();
    let file = folder.file("file", b"");
    file.set_times(at(EARLY), at(LATE)).unwrap();
    assert_times(file.stat(), EARLY, LATE);
    file.set_times(NewTimestamp::NoChange, at(EARLY)).unwrap();
    assert_times(file.stat(), EARLY, EARLY);
    file.set_times(at(LATE), NewTimestamp::NoChange).unwrap();
    assert_times(file.stat(), LATE, EARLY);
    file.set_times(NewTimestamp::Now, NewTimestamp::NoChange)
        .unwrap();
    let now = file.stat().unwrap().data_access_timestamp.unwrap();
    assert!(now != LATE && now > EARLY);
}

#[test]
fn times_are_set_by_path_of_the_link_or_of_its_target() {
    let folder = Folder::new();
    let file = folder.file("file", b"");
    folder.symlink("file", "link");
    let set = |flags, path, time| folder.root.set_times_at(flags, path, at(time), at(time));
    set(FOLLOW, "link", EARLY).unwrap();
    assert_times(file.stat(), EARLY, EARLY);
    set(NOFOLLOW, "link", LATE).unwrap();
    assert_times(file.stat(), EARLY, EARLY);
    assert_times(folder.root.stat_at(NOFOLLOW, "link"), LATE, LATE);
    folder.directory("directory");
    set(FOLLOW, "directory", EARLY).unwrap();
    assert_times(folder.root.stat_at(FOLLOW, "directory"), EARLY, EARLY);
    assert_eq!(error(set(FOLLOW, "none", EARLY)), ErrorCode::NoEntry);
    assert_eq!(error(set(NOFOLLOW, "none", EARLY)), ErrorCode::NoEntry);
}

#[test]
fn times_of_a_file_that_may_neither_be_read_nor_written() {
    let folder = Folder::new();
    folder.file("file", b"");
    let closed = fs::Permissions::from_mode(0o0);
    fs::set_permissions(folder.path("file"), closed).unwrap();
    folder
        .root
        .set_times_at(FOLLOW, "file", at(EARLY), at(LATE))
        .unwrap();
    assert_times(folder.root.stat_at(FOLLOW, "file"), EARLY, LATE);
}

#[test]
fn nanoseconds_carry_over_and_what_no_clock_has_overflows() {
    let folder = Folder::new();
    let file = folder.file("file", b"");
    let carry = Datetime {
        seconds: 10,
        nanoseconds: 2_500_000_000,
    };
    file.set_times(at(carry), NewTimestamp::NoChange).unwrap();
    let carried = Datetime {
        seconds: 12,
        nanoseconds: 500_000_000,
    };
    let stat = file.stat().unwrap();
    assert_eq!(stat.data_access_timestamp, Some(carried));
    for seconds in [u64::MAX, 1 << 63] {
        let time = at(Datetime {
            seconds,
            nanoseconds: 0,
        });
        let set = file.set_times(time, NewTimestamp::NoChange);
        assert_eq!(error(set), ErrorCode::Overflow);
        let set = folder
            .root
            .set_times_at(FOLLOW, "file", NewTimestamp::NoChange, time);
        assert_eq!(error(set), ErrorCode::Overflow);
    }
}

#[test]
fn the_folder_itself_is_open_for_looking_up_only() {
    let folder = Folder::new();
    let set = folder.root.set_times(at(EARLY), at(EARLY));
    assert_eq!(error(set), ErrorCode::BadDescriptor);
    // Opened as a directory of its own, it takes them.
    let opened = folder.open(".", READ).unwrap();
    opened.set_times(at(EARLY), at(EARLY)).unwrap();
    assert_times(folder.root.stat(), EARLY, EARLY);
}
