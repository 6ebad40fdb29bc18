//! What `install` sends and `inspect` reads: a component and its `vyoma.toml`, found and checked on this side.
//!
//! Everything that can be known without a device is refused here, before anything is sent. The device checks again: it does
//! not believe us.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use vyoma_capabilities::control::{MAX_COMPONENT, MAX_MANIFEST};
use vyoma_capabilities::manifest::{self, Manifest};
use vyoma_capabilities::{hex, signature};
use vyoma_runtime::{component, sha256_hex};

use crate::bundle;
use crate::client::plain;
use crate::exit::{Exit, Failure};
use crate::secret::Secret;

/// Name of a manifest.
const MANIFEST: &str = "vyoma.toml";
/// Where cargo puts what it builds for the apps' target, below its target folder.
const CARGO_OUTPUT: &str = "wasm32-wasip2/release";
/// Folders above the app's in which cargo's target folder is looked for: the app's workspace, and one around it.
const WORKSPACE_LEVELS: usize = 4;

/// An app, ready to be sent.
#[derive(Debug)]
pub(crate) struct Package {
    /// Text of the manifest.
    pub(crate) manifest_text: String,
    /// The same, understood.
    pub(crate) manifest: Manifest,
    /// Where it was found.
    pub(crate) manifest_path: PathBuf,
    /// Where the component was found.
    pub(crate) component_path: PathBuf,
    /// The component.
    pub(crate) component: Vec<u8>,
    /// Its lower-case hex SHA-256.
    pub(crate) sha256: String,
    /// Text of the `vyoma.sig` that came with it.
    pub(crate) signature: Option<String>,
    /// Machine code that came with it, for whatever devices.
    pub(crate) machine_code: Vec<Vec<u8>>,
}

impl Package {
    /// Loads a folder with a `vyoma.toml`, a `vyoma.toml`, or a component beside one; and the signature that is there.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        if let Some(bytes) = bundle_at(path)? {
            return Self::of_bundle(path, &bytes);
        }
        let mut package = Self::load_unsigned(path)?;
        let path = package.manifest_path.with_file_name(signature::FILE);
        if path.is_file() {
            let bytes = read_at_most(&path, signature::MAX_SIGNATURE as u64, "a signature")?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            package.attach(&path, text)?;
        }
        Ok(package)
    }

    /// Reads a bundle; `path` is where it came from.
    pub(crate) fn of_bundle(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let invalid =
            |why: String| Failure::new(Exit::Invalid, format!("{}: {why}", path.display()));
        let contents = bundle::read(bytes).map_err(invalid)?;
        let manifest_path = path.join(MANIFEST);
        let (manifest_text, manifest) = text_of_manifest(&manifest_path, contents.manifest)?;
        let mut package = Self::checked(
            (manifest_text, manifest, manifest_path),
            (path.join("app.wasm"), contents.component),
        )?;
        package.machine_code = contents.machine_code;
        if let Some(bytes) = contents.signature {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            package.attach(&path.join(signature::FILE), text)?;
        }
        Ok(package)
    }

    /// Checks what belongs together: a manifest and where it is from, a component and where it is from.
    pub(crate) fn checked(
        (manifest_text, manifest, manifest_path): (String, Manifest, PathBuf),
        (component_path, component): (PathBuf, Vec<u8>),
    ) -> Result<Self, Failure> {
        let sha256 = sha256_hex(&component);
        check_pin(&manifest_path, &manifest, &component_path, &sha256)?;
        component::check(&component).map_err(|error| {
            Failure::new(
                Exit::Invalid,
                format!("{}: {error}", component_path.display()),
            )
        })?;
        Ok(Self {
            manifest_text,
            manifest,
            manifest_path,
            component_path,
            component,
            sha256,
            signature: None,
            machine_code: Vec::new(),
        })
    }

    /// SHA-256 of the manifest's text and of the component.
    fn hashes(&self) -> ([u8; 32], [u8; 32]) {
        let hash = |text: &str| hex::decode(text).unwrap_or_default();
        (
            hash(&sha256_hex(self.manifest_text.as_bytes())),
            hash(&self.sha256),
        )
    }

    /// Text of a signature over it, and over this machine code.
    pub(crate) fn sign(&self, secret: &Secret, machine_code: &[&[u8]]) -> String {
        let (manifest, component) = self.hashes();
        let mut codes: Vec<[u8; 32]> = machine_code
            .iter()
            .filter_map(|code| hex::decode(&sha256_hex(code)))
            .collect();
        codes.sort_unstable();
        secret.sign(&manifest, &component, &codes)
    }

    /// Attaches the signature that came with it, which has to be of what is there. Whether it is right, and whose, is for the device
    /// to judge.
    pub(crate) fn attach(&mut self, path: &Path, text: String) -> Result<(), Failure> {
        let bad = |why: String| Failure::new(Exit::BadSignature, why);
        let signed = signature::parse(&text)
            .map_err(|error| bad(format!("{}: {error}", path.with_file_name("").display())))?;
        let (manifest, component) = self.hashes();
        for (what, found, expected) in [
            (&self.manifest_path, manifest, signed.manifest),
            (&self.component_path, component, signed.component),
        ] {
            if found != expected {
                return Err(bad(format!(
                    "{}: found SHA-256 {}; expected {}, as {} says; sign it anew with `vyomactl sign`",
                    what.display(),
                    hex::encode(&found),
                    hex::encode(&expected),
                    path.display()
                )));
            }
        }
        self.signature = Some(text);
        Ok(())
    }

    /// The same without looking for a signature.
    pub(crate) fn load_unsigned(path: &Path) -> Result<Self, Failure> {
        let found = Found::at(path)?;
        let Some(manifest_path) = found.manifest else {
            return Err(Failure::new(
                Exit::Invalid,
                format!(
                    "{}: no {MANIFEST} beside it; write one (docs/manifest.md), or name the app's folder",
                    path.display()
                ),
            ));
        };
        let (manifest_text, manifest) = read_manifest(&manifest_path)?;
        let component_path = match found.component {
            Some(given) => {
                same_file(&given, &manifest_path, &manifest)?;
                given
            }
            None => declared_component(&manifest_path, &manifest)
                .ok_or_else(|| no_component(&manifest_path, &manifest))?,
        };
        let component = read_component(&component_path)?;
        Self::checked(
            (manifest_text, manifest, manifest_path),
            (component_path, component),
        )
    }
}

/// What a path that the operator named stands for.
#[derive(Debug)]
pub(crate) struct Found {
    /// The manifest, if there is one.
    pub(crate) manifest: Option<PathBuf>,
    /// The component, if it was the one that was named.
    pub(crate) component: Option<PathBuf>,
}

impl Found {
    /// Looks at the path. An absent manifest is no error yet when a component was named.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let kind = fs::metadata(path).map_err(|error| {
            Failure::new(
                Exit::Local,
                format!(
                    "{}: {}; expected a folder with a {MANIFEST}, a {MANIFEST} or a component",
                    path.display(),
                    plain(&error)
                ),
            )
        })?;
        if kind.is_dir() {
            let manifest = path.join(MANIFEST);
            if !manifest.is_file() {
                return Err(Failure::new(
                    Exit::Invalid,
                    format!(
                        "{}: no {MANIFEST} in this folder; write one (docs/manifest.md), or name another folder",
                        path.display()
                    ),
                ));
            }
            return Ok(Self {
                manifest: Some(manifest),
                component: None,
            });
        }
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            return Ok(Self {
                manifest: Some(path.to_owned()),
                component: None,
            });
        }
        // `with_file_name` keeps "beside it" right for a bare file name too.
        let manifest = path.with_file_name(MANIFEST);
        Ok(Self {
            manifest: manifest.is_file().then_some(manifest),
            component: Some(path.to_owned()),
        })
    }
}

/// Reads and checks a manifest.
pub(crate) fn read_manifest(path: &Path) -> Result<(String, Manifest), Failure> {
    let bytes = read_at_most(path, MAX_MANIFEST as u64, "a manifest")?;
    text_of_manifest(path, bytes)
}

/// Reads the bundle at `path`, if that is one.
fn bundle_at(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut head = [0; 512];
    let looks_like_one = fs::metadata(path).is_ok_and(|meta| meta.is_file())
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok_and(|()| bundle::is_bundle(&head));
    if !looks_like_one {
        return Ok(None);
    }
    read_at_most(path, bundle::most_bytes(), "a bundle").map(Some)
}

/// Checks the bytes of a manifest; `path` is where they came from.
pub(crate) fn text_of_manifest(path: &Path, bytes: Vec<u8>) -> Result<(String, Manifest), Failure> {
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::new(
            Exit::Invalid,
            format!(
                "{}: byte {} is not UTF-8; expected a text file",
                path.display(),
                error.utf8_error().valid_up_to()
            ),
        )
    })?;
    let manifest = manifest::parse(&path.display().to_string(), &text)
        .map_err(|error| Failure::new(Exit::Invalid, error.to_string()))?;
    Ok((text, manifest))
}

/// Reads a component, whatever it holds.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>, Failure> {
    read_at_most(path, MAX_COMPONENT, "a component")
}

/// The file that a manifest means: the one that it names, else what cargo has built under that name.
pub(crate) fn declared_component(manifest_path: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let folder = manifest_path.parent().unwrap_or(Path::new(""));
    let named = folder.join(&manifest.app.wasm);
    if named.is_file() {
        return Some(named);
    }
    if !folder.join("Cargo.toml").is_file() {
        return None;
    }
    let output = Path::new(CARGO_OUTPUT).join(named.file_name()?);
    let from_env = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = folder
        .canonicalize()
        .or_else(|_| std::env::current_dir())
        .ok()?;
    from_env
        .into_iter()
        .chain(
            folder
                .ancestors()
                .take(WORKSPACE_LEVELS)
                .map(|folder| folder.join("target")),
        )
        .map(|target| target.join(&output))
        .find(|built| built.is_file())
}

/// The manifest beside a component speaks of that component, and not of another.
pub(crate) fn same_file(
    given: &Path,
    manifest_path: &Path,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let declared = declared_component(manifest_path, manifest);
    let same = declared.is_some_and(|declared| {
        matches!((given.canonicalize(), declared.canonicalize()), (Ok(a), Ok(b)) if a == b)
    });
    if same {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Invalid,
        format!(
            "{}: app.wasm: found {:?}; expected {:?}, the component to install; name it there, or install the folder",
            manifest_path.display(),
            manifest.app.wasm,
            given.file_name().unwrap_or_default().to_string_lossy(),
        ),
    ))
}

/// A pinned hash is the component's.
pub(crate) fn check_pin(
    manifest_path: &Path,
    manifest: &Manifest,
    component_path: &Path,
    sha256: &str,
) -> Result<(), Failure> {
    match &manifest.app.wasm_sha256 {
        Some(pinned) if pinned != sha256 => Err(Failure::new(
            Exit::HashMismatch,
            format!(
                "{}: app.wasm_sha256: found {sha256} in {}; expected {pinned}; install the bytes that were pinned, or pin these",
                manifest_path.display(),
                component_path.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// A manifest whose component is nowhere.
pub(crate) fn no_component(manifest_path: &Path, manifest: &Manifest) -> Failure {
    Failure::new(
        Exit::Invalid,
        format!(
            "{}: app.wasm: found no file {:?}; expected the component there; build it with `cargo build --target wasm32-wasip2 --release`",
            manifest_path.display(),
            manifest.app.wasm
        ),
    )
}

/// Reads a file whose size is bounded.
pub(crate) fn read_at_most(path: &Path, most: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(
            Exit::Local,
            format!(
                "cannot read {}: {}; check the path and its permissions",
                path.display(),
                plain(&error)
            ),
        )
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(Failure::new(
            Exit::Limit,
            format!(
                "{}: found more than {most} bytes; expected {what} of at most {most}; make it smaller",
                path.display()
            ),
        ));
    }
    Ok(bytes)
}
