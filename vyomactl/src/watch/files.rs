//! Which files an app is made of, and when one of them was saved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use serde::Deserialize;

use crate::exit::{Exit, Failure};

/// An editor saves in several steps (a new file, a rename, a change of its mode): the build begins when so long nothing more came.
const QUIET: Duration = Duration::from_millis(50);
/// Whoever writes without end (a generator, a copy of a folder) does not put a build off for longer.
const LATEST: Duration = Duration::from_secs(1);
/// Folders in which nothing is saved by hand.
const IGNORED: [&str; 4] = ["target", ".git", ".hg", ".jj"];

/// Watches the folders of an app and of the crates beside it that it is built of.
pub(super) struct Files {
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
    /// For people.
    pub(super) folders: Vec<PathBuf>,
}

impl Files {
    /// Watches the package in `folder`; `saved` is told of every burst of changes, with the time of its first.
    pub(super) fn watch(
        folder: &Path,
        saved: impl Fn(Instant) -> bool + Send + 'static,
    ) -> Result<Self, Failure> {
        let folders = folders(folder)?;
        let (sender, changes) = std::sync::mpsc::channel();
        let roots = folders.clone();
        let mut watcher = notify::recommended_watcher(move |event| changed(&roots, event, &sender))
            .map_err(|error| unwatched(folder, &error))?;
        for folder in &folders {
            watcher
                .watch(folder, RecursiveMode::Recursive)
                .map_err(|error| unwatched(folder, &error))?;
        }
        std::thread::spawn(move || gather(&changes, saved));
        Ok(Self {
            _watcher: watcher,
            folders,
        })
    }
}

fn unwatched(folder: &Path, error: &notify::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "{}: cannot be watched: {error}; if that is the system's limit, raise fs.inotify.max_user_watches",
            folder.display()
        ),
    )
}

/// Hands on what may be a save.
fn changed(roots: &[PathBuf], event: notify::Result<notify::Event>, sender: &Sender<Instant>) {
    let is_save = match event {
        Ok(event) => is_save(roots, &event),
        // Events were lost: something may have been saved.
        Err(_) => true,
    };
    if is_save {
        // Nobody takes it any more: the command ends.
        let _ = sender.send(Instant::now());
    }
}

fn is_save(roots: &[PathBuf], event: &notify::Event) -> bool {
    let changes = match event.kind {
        EventKind::Create(_) | EventKind::Remove(_) => true,
        // That a file was read changes its access time, which is metadata too.
        EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
        EventKind::Any | EventKind::Other => event.need_rescan(),
        EventKind::Access(_) => false,
    };
    changes && (event.paths.is_empty() || event.paths.iter().any(|path| is_source(roots, path)))
}

/// Neither in a folder that builds write, nor what editors leave beside a file.
fn is_source(roots: &[PathBuf], path: &Path) -> bool {
    let below = roots
        .iter()
        .filter_map(|root| path.strip_prefix(root).ok())
        .min_by_key(|below| below.components().count())
        .unwrap_or(path);
    let ignored = below
        .iter()
        .any(|part| IGNORED.iter().any(|name| part == *name));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // vim probes a folder with a file called 4913; `x~`, `.x.swp` and `#x#` are copies of editors.
    let litter = name == "4913"
        || name.ends_with('~')
        || name.ends_with(".swp")
        || name.ends_with(".swx")
        || name.ends_with(".tmp")
        || name.starts_with(".#")
        || name.starts_with('#')
        || name == "Cargo.lock";
    !ignored && !litter
}

/// Makes one of the changes of a save.
fn gather(changes: &Receiver<Instant>, saved: impl Fn(Instant) -> bool) {
    while let Ok(first) = changes.recv() {
        loop {
            let left = LATEST.saturating_sub(first.elapsed());
            match changes.recv_timeout(QUIET.min(left)) {
                Ok(_) if !left.is_zero() => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => break,
            }
        }
        if !saved(first) {
            return;
        }
    }
}

/// What `cargo metadata` tells, as far as it is needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    /// Absent: it lies on this machine.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// The folder of the package, and those of the local packages that it depends on.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |why: &str| {
        Failure::new(
            Exit::Local,
            format!(
                "{}: {why}; expected the folder of a crate",
                folder.display()
            ),
        )
    };
    let folder = folder
        .canonicalize()
        .map_err(|error| failed(&crate::client::plain(&error)))?;
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(failed("no Cargo.toml in it"));
    }
    let output = Command::new(super::build::cargo())
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| super::build::no_cargo(&error))?;
    if !output.status.success() {
        return Err(failed("cargo metadata failed, see above"));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(&format!("cargo metadata: {error}")))?;
    Ok(local(&metadata, &manifest))
}

fn local(metadata: &Metadata, manifest: &Path) -> Vec<PathBuf> {
    let of_id = |id: &str| metadata.packages.iter().find(|package| package.id == id);
    let mut waiting: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path == manifest)
        .map(|package| package.id.as_str())
        .collect();
    let mut folders = BTreeSet::from_iter(manifest.parent().map(Path::to_owned));
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let Some(package) = of_id(id).filter(|package| package.source.is_none()) else {
            continue;
        };
        if !seen.insert(id) {
            continue;
        }
        folders.extend(package.manifest_path.parent().map(Path::to_owned));
        let nodes = metadata.resolve.nodes.iter().filter(|node| node.id == id);
        waiting.extend(nodes.flat_map(|node| node.dependencies.iter().map(String::as_str)));
    }
    folders.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, MetadataKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> notify::Event {
        notify::Event::new(kind).add_path(path.into())
    }

    #[test]
    fn saves_are_told_from_builds_reads_and_what_editors_leave() {
        let roots = [PathBuf::from("/home/target/app")];
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for path in [
            "src/main.rs",
            "vyoma.toml",
            "Cargo.toml",
            "wit/world.wit",
            "src",
        ] {
            let path = format!("/home/target/app/{path}");
            assert!(is_save(&roots, &event(written, &path)), "{path}");
            assert!(
                is_save(&roots, &event(EventKind::Create(CreateKind::File), &path)),
                "{path}"
            );
            let read = event(EventKind::Access(AccessKind::Any), &path);
            let touched = event(
                EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
                &path,
            );
            assert!(
                !is_save(&roots, &read) && !is_save(&roots, &touched),
                "{path}"
            );
        }
        for path in [
            "target/wasm32-wasip2/x.wasm",
            ".git/index",
            "src/main.rs~",
            "src/.main.rs.swp",
            "src/4913",
            "Cargo.lock",
        ] {
            let path = format!("/home/target/app/{path}");
            assert!(!is_save(&roots, &event(written, &path)), "{path}");
        }
    }

    #[test]
    fn a_burst_of_changes_is_one_save_that_began_with_the_first() {
        let (sender, changes) = std::sync::mpsc::channel();
        let (told, saves) = std::sync::mpsc::channel();
        let first = Instant::now();
        for n in 0..20 {
            sender.send(first + Duration::from_millis(n)).expect("open");
        }
        drop(sender);
        gather(&changes, move |save| told.send(save).is_ok());
        assert!(saves.iter().count() <= 1);
    }

    #[test]
    fn local_dependencies_are_watched_and_others_are_not() {
        let metadata = serde_json::json!({
            "packages": [
                { "id": "app", "source": null, "manifest_path": "/w/app/Cargo.toml" },
                { "id": "sdk", "source": null, "manifest_path": "/w/sdk/Cargo.toml" },
                { "id": "other", "source": null, "manifest_path": "/w/other/Cargo.toml" },
                { "id": "serde", "source": "registry", "manifest_path": "/r/serde/Cargo.toml" }
            ],
            "resolve": { "nodes": [
                { "id": "app", "dependencies": ["sdk", "serde"] },
                { "id": "sdk", "dependencies": ["app"] },
                { "id": "other", "dependencies": ["sdk"] },
                { "id": "serde", "dependencies": [] }
            ] }
        });
        let metadata = serde_json::from_value(metadata).expect("metadata");
        assert_eq!(
            local(&metadata, Path::new("/w/app/Cargo.toml")),
            [PathBuf::from("/w/app"), PathBuf::from("/w/sdk")]
        );
    }
}
