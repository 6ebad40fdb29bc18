//! Ways out of the folder: none may lead anywhere.

use wasip2::filesystem::types::{Descriptor, OpenFlags};

use crate::{BOTH, FOLLOW, READ, STAY, does, show, stat};

/// Paths that lead out.
const OUT: [&str; 9] = [
    "..",
    "../x",
    "/",
    "/etc/passwd",
    "d/../..",
    "d/../../x",
    "./../x",
    "//etc",
    "d/e/../../../etc/passwd",
];

/// Where symlinks out lead.
const TARGETS: [&str; 4] = ["/etc/passwd", "..", "../../etc/passwd", "/"];

pub(crate) fn run(root: &Descriptor) {
    println!("-- escapes");
    for path in OUT {
        does(
            &format!("open {path}"),
            root.open_at(FOLLOW, path, OpenFlags::empty(), READ),
        );
        does(
            &format!("create {path}"),
            root.open_at(STAY, path, OpenFlags::CREATE, BOTH),
        );
        stat(&format!("stat {path}"), root.stat_at(FOLLOW, path));
        does(&format!("make {path}"), root.create_directory_at(path));
        does(&format!("remove {path}"), root.remove_directory_at(path));
        does(&format!("unlink {path}"), root.unlink_file_at(path));
        does(
            &format!("rename from {path}"),
            root.rename_at(path, root, "in"),
        );
        does(
            &format!("rename to {path}"),
            root.rename_at("d/file", root, path),
        );
        does(
            &format!("hard link from {path}"),
            root.link_at(STAY, path, root, "in"),
        );
        does(
            &format!("hard link to {path}"),
            root.link_at(STAY, "d/file", root, path),
        );
        does(&format!("symlink at {path}"), root.symlink_at("d", path));
        show(&format!("readlink {path}"), root.readlink_at(path));
        does(&format!("hash {path}"), root.metadata_hash_at(FOLLOW, path));
    }
    let inside = root
        .open_at(STAY, "d", OpenFlags::DIRECTORY, READ)
        .expect("it is there");
    does(
        "open .. of a folder below",
        inside.open_at(STAY, "..", OpenFlags::DIRECTORY, READ),
    );
    does(
        "open ../way of a folder below",
        inside.open_at(FOLLOW, "../way", OpenFlags::empty(), READ),
    );
    for (number, target) in TARGETS.into_iter().enumerate() {
        let link = format!("out{number}");
        does(
            &format!("symlink to {target}"),
            root.symlink_at(target, &link),
        );
        does(
            &format!("open through {link}"),
            root.open_at(FOLLOW, &link, OpenFlags::empty(), READ),
        );
        does(
            &format!("open {link} itself"),
            root.open_at(STAY, &link, OpenFlags::empty(), READ),
        );
        does(
            &format!("open below {link}"),
            root.open_at(FOLLOW, &format!("{link}/hosts"), OpenFlags::empty(), READ),
        );
        does(
            &format!("create below {link}"),
            root.open_at(FOLLOW, &format!("{link}/new"), OpenFlags::CREATE, BOTH),
        );
        stat(&format!("stat through {link}"), root.stat_at(FOLLOW, &link));
        does(
            &format!("hard link through {link}"),
            root.link_at(FOLLOW, &link, root, "in"),
        );
        show(&format!("readlink {link}"), root.readlink_at(&link));
    }
    // A symlink that leads out and back in.
    does("symlink out", root.symlink_at("d/../../x", "winding"));
    does(
        "open through winding",
        root.open_at(FOLLOW, "winding", OpenFlags::empty(), READ),
    );
    does("open .", root.open_at(STAY, ".", OpenFlags::empty(), READ));
    does(
        "open d/.. ",
        root.open_at(STAY, "d/..", OpenFlags::empty(), READ),
    );
}
