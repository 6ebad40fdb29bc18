//! Builds apps and lays each out as a device sees it: a folder with `vyoma.toml` and the component. Called for images,
//! boots and tests. Deliberately changes no byte of either file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use vyoma_capabilities::manifest::{self, Manifest};

use crate::context::{Context, call, say, sha256, write_atomically};

/// The target that apps are built for.
pub(crate) const APP_TARGET: &str = "wasm32-wasip2";

/// An app that is ready to go into an image.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// `[app] name`
    pub(crate) name: String,
    /// Folder with `vyoma.toml` and the component.
    pub(crate) dir: PathBuf,
    /// The component, relative to `dir`.
    pub(crate) wasm: String,
    /// Lower-case hex SHA-256 of the component: the app's identity.
    pub(crate) sha256: String,
    /// It asks for pins, buses, ports or converters: what it is good for depends on what is wired to the device.
    pub(crate) needs_board: bool,
}

/// Builds the workspace `apps/` and stages everything in it: (apps, the guests that misbehave for tests).
pub(crate) fn build_all(context: &Context) -> anyhow::Result<(Vec<App>, Vec<App>)> {
    build(context, &["--workspace"])?;
    let all = |folder: &str, into: &str| -> anyhow::Result<Vec<App>> {
        let into = context.out.join(into);
        let sources = manifests(&context.root.join(folder))?;
        let staged: Vec<App> = sources
            .iter()
            .map(|source| stage(context, source, &into))
            .collect::<anyhow::Result<_>>()?;
        forget_others(&into, &staged)?;
        Ok(staged)
    };
    Ok((all("apps", "apps")?, all("apps/guests", "guests")?))
}

/// Makes `dir` ready: an app's source folder is built first; a folder that holds its component is taken as it is.
pub(crate) fn ready(context: &Context, dir: &Path) -> anyhow::Result<App> {
    let dir = dir
        .canonicalize()
        .with_context(|| format!("cannot find the app folder {}", dir.display()))?;
    if !dir.join("Cargo.toml").is_file() {
        return describe(&dir);
    }
    ensure!(
        dir.starts_with(context.root.join("apps").canonicalize()?),
        "{} is outside apps/; expected an app of this repository, or a folder with vyoma.toml and its component",
        dir.display()
    );
    build(
        context,
        &["--manifest-path", &dir.join("Cargo.toml").to_string_lossy()],
    )?;
    stage(context, &dir, &context.out.join("some"))
}

fn build(context: &Context, arguments: &[&str]) -> anyhow::Result<()> {
    let mut cargo = context.cargo();
    // apps/.cargo/config.toml decides the bytes; cargo finds it from the working directory.
    cargo
        .current_dir(context.root.join("apps"))
        .env_remove("RUSTC_WRAPPER");
    call(
        cargo
            .args([
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--target",
                APP_TARGET,
            ])
            .args(arguments),
    )
}

/// Folders right under `folder` that hold a manifest, in order of name.
fn manifests(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut dirs: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|dir| dir.join("vyoma.toml").is_file())
        .collect();
    dirs.sort();
    Ok(dirs)
}

/// Removes folders of apps that are no longer in the tree, so that a hosted daemon doesn't start them.
fn forget_others(folder: &Path, staged: &[App]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        if !staged.iter().any(|app| app.dir == entry.path()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Puts manifest and built component of the source folder side by side in a folder of the app's name in `into`.
fn stage(context: &Context, source: &Path, into: &Path) -> anyhow::Result<App> {
    let (text, manifest) = manifest(source)?;
    let manifest = manifest.app;
    let built = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(_) => context.target.clone(),
        None => context.root.join("apps/target"),
    };
    let file = Path::new(&manifest.wasm)
        .file_name()
        .context("[app] wasm names no file")?;
    let component = built.join(APP_TARGET).join("release").join(file);
    let bytes = std::fs::read(&component).with_context(|| {
        format!(
            "{}: [app] wasm = {:?}, but cargo built no {}",
            source.display(),
            manifest.wasm,
            component.display()
        )
    })?;
    let dir = into.join(&manifest.name);
    if dir.exists() && describe(&dir).map_or(true, |old| old.wasm != manifest.wasm) {
        std::fs::remove_dir_all(&dir)?;
    }
    for (path, bytes) in [
        ("vyoma.toml", text.as_bytes()),
        (manifest.wasm.as_str(), bytes.as_slice()),
    ] {
        let path = dir.join(path);
        // Unchanged files keep their times, so a hosted daemon that runs from here sees no change.
        if std::fs::read(&path).ok().as_deref() != Some(bytes) {
            write_atomically(&path, bytes)?;
        }
    }
    describe(&dir)
}

fn describe(dir: &Path) -> anyhow::Result<App> {
    let (_, manifest) = manifest(dir)?;
    let needs_board = manifest.capabilities.asks_for_devices();
    let component = dir.join(&manifest.app.wasm);
    let bytes = std::fs::read(&component)
        .with_context(|| format!("cannot read {}", component.display()))?;
    Ok(App {
        name: manifest.app.name,
        dir: dir.to_owned(),
        wasm: manifest.app.wasm,
        sha256: sha256(bytes),
        needs_board,
    })
}

/// The manifest's text and what it says, checked as a device checks it: no name or path in it leaves its folder.
fn manifest(dir: &Path) -> anyhow::Result<(String, Manifest)> {
    let path = dir.join("vyoma.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let parsed = manifest::parse(&path.to_string_lossy(), &text)?;
    Ok((text, parsed))
}

/// Two apps of one name can't both be on a device.
pub(crate) fn check_names(apps: &[App]) -> anyhow::Result<()> {
    for (index, app) in apps.iter().enumerate() {
        if let Some(first) = apps[..index].iter().find(|first| first.name == app.name) {
            bail!(
                "app name {:?} is used by {} and by {}",
                app.name,
                first.dir.display(),
                app.dir.display()
            );
        }
    }
    Ok(())
}

/// Says what was staged, with its identity.
pub(crate) fn announce(apps: &[App]) {
    for app in apps {
        say(format_args!("app {:<16} sha256 {}", app.name, app.sha256));
    }
}
