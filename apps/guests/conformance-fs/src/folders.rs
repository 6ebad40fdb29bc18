//! Names: folders, listings, renaming, links, removal.

use wasip2::filesystem::types::{Descriptor, OpenFlags};

use crate::{BOTH, FOLLOW, READ, STAY, WRITE, cat, create, does, show, stat};

pub(crate) fn run(root: &Descriptor) {
    println!("-- folders");
    make(root);
    rename(root);
    links(root);
    remove(root);
}

/// Names in a folder, sorted: their order is the file system's.
fn list(root: &Descriptor, path: &str) {
    let folder = root.open_at(STAY, path, OpenFlags::DIRECTORY, READ);
    let names = folder.and_then(|folder| {
        let entries = folder.read_directory()?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry()? {
            names.push(format!("{} {:?}", entry.name, entry.type_));
        }
        names.sort();
        Ok(names)
    });
    show(&format!("list {path}"), names);
}

fn make(root: &Descriptor) {
    does("make d", root.create_directory_at("d"));
    does("make d again", root.create_directory_at("d"));
    does("make d/e/f", root.create_directory_at("d/e/f"));
    does("make d/e/", root.create_directory_at("d/e/"));
    does("make a folder in a file", root.create_directory_at("a/d"));
    does("make .", root.create_directory_at("."));
    does("make nothing", root.create_directory_at(""));
    create(root, "d/file", b"in d");
    list(root, "d");
    list(root, ".");
    list(root, "d/e");
    list(root, "a");
    let file = root
        .open_at(STAY, "d/file", OpenFlags::empty(), BOTH)
        .expect("it is there");
    does("list a file", file.read_directory());
    does(
        "open below a descriptor of a file",
        file.open_at(STAY, "x", OpenFlags::empty(), READ),
    );
    does(
        "make below a descriptor of a file",
        file.create_directory_at("x"),
    );
    does(
        "open a folder to write it",
        root.open_at(STAY, "d", OpenFlags::empty(), BOTH),
    );
    does(
        "create where a folder is",
        root.open_at(STAY, "d", OpenFlags::CREATE, WRITE),
    );
    does(
        "truncate a folder",
        root.open_at(STAY, "d", OpenFlags::TRUNCATE, WRITE),
    );
    let folder = root
        .open_at(STAY, "d", OpenFlags::DIRECTORY, READ)
        .expect("it is there");
    cat(&folder, "file");
    cat(&folder, "./file");
    cat(&folder, "e/../file");
    create(&folder, "through-a-read-only-folder", b"x");
    does(
        "make through a read-only folder",
        folder.create_directory_at("g"),
    );
    does(
        "unlink through a read-only folder",
        folder.unlink_file_at("file"),
    );
    cat(root, "d/file");
}

fn rename(root: &Descriptor) {
    create(root, "one", b"1");
    create(root, "two", b"2");
    does("rename one to two", root.rename_at("one", root, "two"));
    cat(root, "two");
    does(
        "rename what is not there",
        root.rename_at("one", root, "three"),
    );
    does(
        "rename a file over a folder",
        root.rename_at("two", root, "d"),
    );
    does(
        "rename a folder over a file",
        root.rename_at("d", root, "two"),
    );
    does(
        "rename a folder into itself",
        root.rename_at("d", root, "d/x"),
    );
    does(
        "rename into a folder that is not there",
        root.rename_at("two", root, "none/two"),
    );
    does("rename to itself", root.rename_at("two", root, "two"));
    let folder = root
        .open_at(STAY, "d", OpenFlags::DIRECTORY, READ)
        .expect("it is there");
    does(
        "rename from folder to folder",
        root.rename_at("two", &folder, "two"),
    );
    cat(root, "d/two");
    does("make p", root.create_directory_at("p"));
    does("make q", root.create_directory_at("q"));
    does(
        "rename a folder over an empty one",
        root.rename_at("p", root, "q"),
    );
    does(
        "rename a folder over a full one",
        root.rename_at("q", root, "d"),
    );
    list(root, "q");
}

fn links(root: &Descriptor) {
    create(root, "target", b"linked");
    create(root, "d/file", b"in d again");
    does("hard link", root.link_at(STAY, "target", root, "hard"));
    cat(root, "hard");
    stat("stat of hard", root.stat_at(STAY, "hard"));
    does(
        "hard link over what is there",
        root.link_at(STAY, "target", root, "hard"),
    );
    does(
        "hard link of what is not there",
        root.link_at(STAY, "none", root, "hard2"),
    );
    does(
        "hard link of a folder",
        root.link_at(STAY, "d", root, "hard2"),
    );
    does(
        "hard link that follows",
        root.link_at(FOLLOW, "target", root, "hard3"),
    );
    does("symlink", root.symlink_at("target", "soft"));
    show("readlink", root.readlink_at("soft"));
    show("readlink of a file", root.readlink_at("target"));
    show("readlink of what is not there", root.readlink_at("none"));
    stat("stat of soft itself", root.stat_at(STAY, "soft"));
    stat("stat through soft", root.stat_at(FOLLOW, "soft"));
    does(
        "open soft itself",
        root.open_at(STAY, "soft", OpenFlags::empty(), READ),
    );
    does(
        "open through soft",
        root.open_at(FOLLOW, "soft", OpenFlags::empty(), READ),
    );
    does(
        "symlink over what is there",
        root.symlink_at("target", "soft"),
    );
    does("symlink to nothing", root.symlink_at("", "empty"));
    does(
        "symlink to what is not there",
        root.symlink_at("nowhere", "dangling"),
    );
    does(
        "open through dangling",
        root.open_at(FOLLOW, "dangling", OpenFlags::empty(), READ),
    );
    does(
        "create through dangling",
        root.open_at(FOLLOW, "dangling", OpenFlags::CREATE, BOTH),
    );
    list(root, ".");
    does("symlink to itself", root.symlink_at("loop", "loop"));
    does(
        "open through loop",
        root.open_at(FOLLOW, "loop", OpenFlags::empty(), READ),
    );
    does("symlink to a folder", root.symlink_at("d", "way"));
    cat(root, "way/file");
    does(
        "symlink up and back",
        root.symlink_at("../d/file", "d/back"),
    );
    does(
        "open through up and back",
        root.open_at(FOLLOW, "d/back", OpenFlags::empty(), READ),
    );
    does(
        "hard link of a symlink",
        root.link_at(STAY, "soft", root, "hard-soft"),
    );
    stat("stat of it", root.stat_at(STAY, "hard-soft"));
}

fn remove(root: &Descriptor) {
    does("remove a full folder", root.remove_directory_at("d"));
    does(
        "remove a file as a folder",
        root.remove_directory_at("target"),
    );
    does("remove what is not there", root.remove_directory_at("none"));
    does("unlink a folder", root.unlink_file_at("q"));
    does("unlink what is not there", root.unlink_file_at("none"));
    does("remove q", root.remove_directory_at("q"));
    does("remove .", root.remove_directory_at("."));
    does("remove nothing", root.remove_directory_at(""));
    does(
        "unlink with a slash at the end",
        root.unlink_file_at("target/"),
    );
    does("unlink a symlink", root.unlink_file_at("soft"));
    cat(root, "target");
    let file = root
        .open_at(STAY, "target", OpenFlags::empty(), BOTH)
        .expect("it is there");
    does("unlink what is open", root.unlink_file_at("target"));
    show("read it all the same", file.read(10, 0));
    stat("stat of what has no name but one", file.stat());
    list(root, ".");
}
