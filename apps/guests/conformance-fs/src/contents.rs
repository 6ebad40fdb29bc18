//! What is in a file: reading and writing by offset, size, times, flags, how it was opened.

use wasip2::filesystem::types::{
    Advice, Datetime, Descriptor, DescriptorFlags, NewTimestamp, OpenFlags,
};

use crate::{BOTH, FOLLOW, READ, STAY, WRITE, cat, create, does, show, stat};

pub(crate) fn run(root: &Descriptor) {
    println!("-- contents");
    open(root);
    offsets(root);
    meta(root);
}

fn open(root: &Descriptor) {
    does(
        "open what is not there",
        root.open_at(STAY, "none", OpenFlags::empty(), READ),
    );
    create(root, "a", b"0123456789");
    does(
        "create exclusively what is there",
        root.open_at(STAY, "a", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, BOTH),
    );
    does(
        "open a file as a folder",
        root.open_at(STAY, "a", OpenFlags::DIRECTORY, READ),
    );
    does(
        "open a file as a folder and create it",
        root.open_at(STAY, "b", OpenFlags::DIRECTORY | OpenFlags::CREATE, READ),
    );
    does(
        "open below a file",
        root.open_at(STAY, "a/b", OpenFlags::empty(), READ),
    );
    does(
        "open a file with a slash at the end",
        root.open_at(STAY, "a/", OpenFlags::empty(), READ),
    );
    does(
        "open nothing",
        root.open_at(STAY, "", OpenFlags::empty(), READ),
    );
    does(
        "open a name with a zero byte",
        root.open_at(STAY, "a\0b", OpenFlags::empty(), READ),
    );
    does(
        "open a name of 256 bytes",
        root.open_at(STAY, &"x".repeat(256), OpenFlags::empty(), READ),
    );
    does(
        "open a path of 5000 bytes",
        root.open_at(STAY, &"x/".repeat(2500), OpenFlags::empty(), READ),
    );
    does(
        "truncate without the right to write",
        root.open_at(STAY, "a", OpenFlags::TRUNCATE, READ),
    );
    cat(root, "a");
    create(root, "a", b"0123456789");
    does(
        "open for neither",
        root.open_at(STAY, "a", OpenFlags::empty(), DescriptorFlags::empty()),
    );
    let file = root
        .open_at(STAY, "a", OpenFlags::empty(), READ)
        .expect("it is there");
    does("write to what was opened to be read", file.write(b"x", 0));
    does(
        "write a stream to what was opened to be read",
        file.write_via_stream(0),
    );
    does(
        "append to what was opened to be read",
        file.append_via_stream(),
    );
    show("flags of what was opened to be read", file.get_flags());
    let file = root
        .open_at(STAY, "a", OpenFlags::empty(), WRITE)
        .expect("it is there");
    show("read what was opened to be written", file.read(1, 0));
    does(
        "read a stream of what was opened to be written",
        file.read_via_stream(0),
    );
    show("flags of what was opened to be written", file.get_flags());
    show("flags of the folder", root.get_flags());
}

fn offsets(root: &Descriptor) {
    let file = root
        .open_at(STAY, "a", OpenFlags::empty(), BOTH)
        .expect("it is there");
    show("read 3 at 4", file.read(3, 4));
    show("read 100 at 8", file.read(100, 8));
    show("read at the end", file.read(100, 10));
    show("read past the end", file.read(100, 1000));
    show("read nothing", file.read(0, 0));
    show("read at 2^63", file.read(1, 1 << 63));
    show("write at 2^63", file.write(b"x", 1 << 63));
    show("write 2 at 4", file.write(b"ab", 4));
    show("write nothing", file.write(b"", 4));
    cat(root, "a");
    show("write past the end", file.write(b"z", 12));
    cat(root, "a");
    does("make it shorter", file.set_size(5));
    cat(root, "a");
    does("make it longer", file.set_size(7));
    cat(root, "a");
    does("make it too long", file.set_size(1 << 63));
    let large = vec![7; 100_000];
    show("write 100000 bytes", file.write(&large, 0));
    show(
        "read 100000 bytes",
        file.read(200_000, 0)
            .map(|(bytes, end)| (bytes.len(), bytes == large[..bytes.len()], end)),
    );
    does(
        "truncate at open",
        root.open_at(STAY, "a", OpenFlags::TRUNCATE, WRITE),
    );
    stat("stat a", root.stat_at(STAY, "a"));
}

fn meta(root: &Descriptor) {
    create(root, "m", b"meta");
    let file = root
        .open_at(STAY, "m", OpenFlags::empty(), BOTH)
        .expect("it is there");
    show("type of a file", file.get_type());
    show("type of a folder", root.get_type());
    stat("stat of the file", file.stat());
    stat("stat of the folder", root.stat());
    stat("stat of what is not there", root.stat_at(STAY, "none"));
    let time = |seconds, nanoseconds| {
        NewTimestamp::Timestamp(Datetime {
            seconds,
            nanoseconds,
        })
    };
    does(
        "set times",
        file.set_times(time(1000, 1), time(2000, 999_999_999)),
    );
    let shown = |file: &Descriptor| {
        file.stat().map(|stat| {
            let pair = |time: Option<Datetime>| time.map(|time| (time.seconds, time.nanoseconds));
            (
                pair(stat.data_access_timestamp),
                pair(stat.data_modification_timestamp),
            )
        })
    };
    show("times", shown(&file));
    does(
        "set one time",
        file.set_times(NewTimestamp::NoChange, time(3000, 0)),
    );
    show("times", shown(&file));
    does(
        "set impossible times",
        file.set_times(NewTimestamp::NoChange, time(1, 1_000_000_000)),
    );
    does(
        "set times by path",
        root.set_times_at(STAY, "m", time(4000, 5), NewTimestamp::NoChange),
    );
    show("times", shown(&file));
    does(
        "set times of what is not there",
        root.set_times_at(FOLLOW, "none", time(1, 1), NewTimestamp::Now),
    );
    does(
        "set times to now",
        file.set_times(NewTimestamp::Now, NewTimestamp::Now),
    );
    stat("stat of the file", file.stat());
    does("advise", file.advise(0, 100, Advice::Sequential));
    does("advise of a folder", root.advise(0, 100, Advice::WillNeed));
    does("sync", file.sync());
    does("sync data", file.sync_data());
    does("sync the folder", root.sync());
    let other = root
        .open_at(STAY, "m", OpenFlags::empty(), READ)
        .expect("it is there");
    println!("the same object: {}", file.is_same_object(&other));
    println!(
        "the folder is the same object: {}",
        file.is_same_object(root)
    );
    let hash = |file: &Descriptor| file.metadata_hash().map(|hash| (hash.lower, hash.upper));
    println!(
        "the same hash: {}, by path: {}, of another: {}",
        hash(&file).ok() == hash(&other).ok(),
        root.metadata_hash_at(STAY, "m")
            .map(|hash| (hash.lower, hash.upper))
            .ok()
            == hash(&file).ok(),
        hash(&file).ok() == hash(root).ok(),
    );
    does(
        "hash of what is not there",
        root.metadata_hash_at(STAY, "none"),
    );
    does("read the folder as a file", root.read(1, 0));
    does("write the folder as a file", root.write(b"x", 0));
    does("set the size of the folder", root.set_size(0));
    does("stream the folder", root.read_via_stream(0));
}
