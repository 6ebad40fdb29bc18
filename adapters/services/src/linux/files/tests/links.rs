//! Hard and symbolic links, and what tells two names of one file.

use vyoma_component::wasi::filesystem::{DescriptorType, ErrorCode};

use super::*;

#[test]
fn a_symbolic_link_says_what_it_was_made_with() {
    let folder = Folder::new();
    for target in ["file", "../../up", ".", "none/at/all", "x/"] {
        folder.root.symlink_at(target, "link").unwrap();
        assert_eq!(folder.root.readlink_at("link"), Ok(target.to_string()));
        folder.root.unlink_file_at("link").unwrap();
    }
    folder.root.symlink_at("a", "link").unwrap();
    let again = folder.root.symlink_at("b", "link");
    assert_eq!(error(again), ErrorCode::Exist);
    let slash = folder.root.symlink_at("a", "other/");
    assert_eq!(error(slash), ErrorCode::NoEntry);
    let empty = folder.root.symlink_at("", "other");
    assert_eq!(error(empty), ErrorCode::NoEntry);
}

#[test]
fn reading_what_is_no_link_is_invalid() {
    let folder = Folder::new();
    folder.file("file", b"");
    folder.directory("directory");
    let read = |path| folder.root.readlink_at(path);
    assert_eq!(error(read("file")), ErrorCode::Invalid);
    assert_eq!(error(read("directory")), ErrorCode::Invalid);
    assert_eq!(error(read("file/")), ErrorCode::NotDirectory);
    assert_eq!(error(read("none")), ErrorCode::NoEntry);
}

#[test]
fn a_link_is_followed_when_that_is_asked_for_and_in_the_middle_always() {
    let folder = Folder::new();
    folder.directory("directory");
    folder.file("directory/file", b"bytes");
    folder.symlink("directory", "link");
    folder.symlink("directory/file", "to-file");
    let open = |flags, path| folder.root.open_at(flags, path, NOTHING, READ);
    assert_eq!(open(FOLLOW, "to-file").unwrap().stat().unwrap().size, 5);
    assert_eq!(error(open(NOFOLLOW, "to-file")), ErrorCode::Loop);
    open(NOFOLLOW, "link/file").unwrap();
    let kind = |flags, path| folder.root.stat_at(flags, path).unwrap().kind;
    assert_eq!(kind(FOLLOW, "link"), DescriptorType::Directory);
    assert_eq!(kind(NOFOLLOW, "link"), DescriptorType::SymbolicLink);
    assert_eq!(kind(NOFOLLOW, "link/file"), DescriptorType::RegularFile);
    assert_eq!(folder.root.stat_at(NOFOLLOW, "to-file").unwrap().size, 14);
}

#[test]
fn links_in_a_circle_end() {
    let folder = Folder::new();
    folder.symlink("two", "one");
    folder.symlink("one", "two");
    assert_eq!(error(folder.open("one", READ)), ErrorCode::Loop);
    assert_eq!(error(folder.open("one/file", READ)), ErrorCode::Loop);
    assert_eq!(error(folder.root.stat_at(FOLLOW, "one")), ErrorCode::Loop);
    folder.root.stat_at(NOFOLLOW, "one").unwrap();
}

#[test]
fn a_dangling_link_is_no_entry_until_it_is_made_through() {
    let folder = Folder::new();
    folder.symlink("target", "link");
    assert_eq!(error(folder.open("link", READ)), ErrorCode::NoEntry);
    let exclusive = CREATE.with(OpenFlags::EXCLUSIVE);
    let made = folder.root.open_at(FOLLOW, "link", exclusive, WRITE);
    assert_eq!(error(made), ErrorCode::Exist);
    folder.root.open_at(FOLLOW, "link", CREATE, WRITE).unwrap();
    assert!(folder.path("target").is_file());
}

#[test]
fn a_hard_link_is_the_same_file() {
    let folder = Folder::new();
    let file = folder.file("file", b"bytes");
    let other = folder.file("other", b"bytes");
    let directory = folder.directory("directory");
    folder
        .root
        .link_at(NOFOLLOW, "file", &directory, "name")
        .unwrap();
    let linked = folder.open("directory/name", READ).unwrap();
    assert!(linked.is_same_object(&file).unwrap());
    assert!(!linked.is_same_object(&other).unwrap());
    assert_eq!(linked.stat().unwrap().link_count, 2);
    let hash = file.metadata_hash().unwrap();
    assert_eq!(linked.metadata_hash(), Ok(hash));
    let by_path = folder.root.metadata_hash_at(FOLLOW, "directory/name");
    assert_eq!(by_path, Ok(hash));
    assert_ne!(other.metadata_hash(), Ok(hash));
    assert_ne!(hash.lower, hash.upper);
}

#[test]
fn hard_links_have_their_rules() {
    let folder = Folder::new();
    folder.file("file", b"");
    folder.directory("directory");
    folder.symlink("file", "link");
    let link = |flags, from, to| folder.root.link_at(flags, from, &folder.root, to);
    assert_eq!(error(link(FOLLOW, "file", "new")), ErrorCode::Invalid);
    assert_eq!(error(link(NOFOLLOW, "file", "link")), ErrorCode::Exist);
    assert_eq!(error(link(NOFOLLOW, "none", "new")), ErrorCode::NoEntry);
    let directory = link(NOFOLLOW, "directory", "new");
    assert_eq!(error(directory), ErrorCode::NotPermitted);
    assert_eq!(
        error(link(NOFOLLOW, "file/", "new")),
        ErrorCode::NotDirectory
    );
    assert_eq!(error(link(NOFOLLOW, "file", "new/")), ErrorCode::NoEntry);
    // The link itself gets the name, not its target.
    link(NOFOLLOW, "link", "new").unwrap();
    assert_eq!(folder.root.readlink_at("new"), Ok("file".to_string()));
}
