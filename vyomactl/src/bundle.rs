//! `pack`: an app as one file, and reading such a file. A bundle is a plain ustar archive, so that anything can look into it:
//!
//! ```text
//! vyoma.toml            the manifest, as it is
//! app.wasm              the component
//! vyoma.sig             the signature, if there is one
//! code/PLATFORM.aot     machine code for such devices, if there is any
//! ```
//!
//! In that order, without times, owners or modes of the machine that made it: the same app gives the same bytes anywhere.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use tar::{Archive, Builder, EntryType, Header};
use vyoma_capabilities::control::{MAX_ARTEFACT, MAX_COMPONENT, MAX_MANIFEST};
use vyoma_capabilities::signature::{self, MAX_MACHINE_CODE, MAX_SIGNATURE};

use crate::ahead_of_time;
use crate::cli::PackArgs;
use crate::client::plain;
use crate::exit::{Exit, Failure};
use crate::output::{Output, clean};
use crate::package::Package;
use crate::secret::Secret;

const MANIFEST: &str = "vyoma.toml";
const COMPONENT: &str = "app.wasm";
const CODE: &str = "code/";
const CODE_END: &str = ".aot";
/// What a bundle's name ends with, unless another is given.
pub(crate) const EXTENSION: &str = "bundle";
/// Where ustar says what it is.
const MAGIC_AT: usize = 257;
const MAGIC: &[u8] = b"ustar";

/// `pack`
pub(crate) fn pack(args: &PackArgs, out: &mut Output) -> Result<(), Failure> {
    let package = if args.key.is_some() {
        Package::load_unsigned(&args.path)?
    } else {
        Package::load(&args.path)?
    };
    let mut platforms = args.aot.clone();
    platforms.sort_unstable();
    platforms.dedup();
    let mut codes = Vec::new();
    for platform in &platforms {
        codes.push((
            platform.clone(),
            ahead_of_time::for_platform(platform, &package.component)?,
        ));
    }
    let text = match &args.key {
        Some(path) => {
            let secret = Secret::load(path)?;
            let codes: Vec<&[u8]> = codes.iter().map(|(_, code)| &code[..]).collect();
            Some(package.sign(&secret, &codes))
        }
        None if package.signature.is_some() && !codes.is_empty() => {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "{}: its {} names no machine code; sign all of it together with --key FILE, or leave out --aot",
                    args.path.display(),
                    signature::FILE
                ),
            ));
        }
        None => package.signature.clone(),
    };
    let bytes = write(
        &package.manifest_text,
        &package.component,
        text.as_deref(),
        &codes,
    )
    .map_err(|error| Failure::new(Exit::Local, format!("cannot pack: {}", plain(&error))))?;
    let app = &package.manifest.app;
    let to = args.out.clone().unwrap_or_else(|| {
        PathBuf::from(format!(
            "{}-{}.{EXTENSION}",
            app.name,
            file_name(&app.version)
        ))
    });
    write_file(&to, &bytes)?;
    if out.is_json() {
        return out.json(&json!({
            "done": "pack", "app": app.name, "version": app.version, "sha256": package.sha256,
            "bundle": to.display().to_string(), "bundle_sha256": vyoma_runtime::sha256_hex(&bytes),
            "bytes": bytes.len(), "signed": text.is_some(), "machine_code": platforms,
        }));
    }
    let signed = if text.is_some() {
        "signed"
    } else {
        "not signed"
    };
    out.line(&clean(&format!(
        "{} {}: {}, {} bytes, {signed}",
        app.name,
        app.version,
        to.display(),
        bytes.len()
    )))
}

/// A version as part of a file's name: it may be any printable text.
fn file_name(version: &str) -> String {
    version
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".+-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// Whole or not at all.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Failure::new(
            Exit::Local,
            format!("cannot write {}: {}", path.display(), plain(&error)),
        )
    })
}

/// The bytes of a bundle.
pub(crate) fn write(
    manifest: &str,
    component: &[u8],
    signature: Option<&str>,
    codes: &[(String, Vec<u8>)],
) -> std::io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_path(name)?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        archive.append(&header, bytes)
    };
    add(MANIFEST, manifest.as_bytes())?;
    add(COMPONENT, component)?;
    if let Some(text) = signature {
        add(signature::FILE, text.as_bytes())?;
    }
    for (platform, code) in codes {
        add(
            &format!("{CODE}{}{CODE_END}", platform.replace('/', "-")),
            code,
        )?;
    }
    archive.into_inner()
}

/// What a bundle holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Text of the manifest.
    pub(crate) manifest: Vec<u8>,
    /// The component.
    pub(crate) component: Vec<u8>,
    /// Text of the signature.
    pub(crate) signature: Option<Vec<u8>>,
    /// Machine code, for whatever devices.
    pub(crate) machine_code: Vec<Vec<u8>>,
}

/// Whether bytes look like a bundle.
pub(crate) fn is_bundle(bytes: &[u8]) -> bool {
    bytes
        .get(MAGIC_AT..MAGIC_AT + MAGIC.len())
        .is_some_and(|magic| magic == MAGIC)
}

/// Most bytes of one.
pub(crate) fn most_bytes() -> u64 {
    // The largest component and its machine code for two kinds of device; more is no app for what Vyoma runs on.
    MAX_COMPONENT + 2 * MAX_ARTEFACT + (1 << 20)
}

/// Reads a bundle; the error says what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, String> {
    let mut contents = Contents::default();
    let mut archive = Archive::new(bytes);
    let broken = |error: std::io::Error| format!("no whole bundle: {error}");
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let most = match name.as_str() {
            MANIFEST => MAX_MANIFEST as u64,
            COMPONENT => MAX_COMPONENT,
            signature::FILE => MAX_SIGNATURE as u64,
            code if code.starts_with(CODE) && code.ends_with(CODE_END) => MAX_ARTEFACT,
            _ => {
                return Err(format!(
                    "found {name:?}; expected {MANIFEST}, {COMPONENT}, {} and {CODE}*{CODE_END}",
                    signature::FILE
                ));
            }
        };
        if entry.header().entry_type() != EntryType::Regular || entry.size() > most {
            return Err(format!(
                "{name}: found {} bytes; expected a file of at most {most}",
                entry.size()
            ));
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(broken)?;
        let again = match name.as_str() {
            MANIFEST => !std::mem::replace(&mut contents.manifest, data).is_empty(),
            COMPONENT => !std::mem::replace(&mut contents.component, data).is_empty(),
            signature::FILE => contents.signature.replace(data).is_some(),
            _ => {
                contents.machine_code.push(data);
                contents.machine_code.len() > MAX_MACHINE_CODE
            }
        };
        if again {
            return Err(format!("found {name:?} again, or more than are taken"));
        }
    }
    if contents.manifest.is_empty() || contents.component.is_empty() {
        return Err(format!("found no {MANIFEST} or no {COMPONENT} in it"));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Vec<(String, Vec<u8>)> {
        vec![
            ("iot-edge".into(), vec![1, 2, 3]),
            ("robotics-rt/x86_64".into(), vec![4; 600]),
        ]
    }

    #[test]
    fn a_bundle_holds_what_was_put_in_and_its_bytes_are_always_the_same() {
        let bytes = write("[app]", b"component", Some("vyoma signature"), &codes()).unwrap();
        let again = write("[app]", b"component", Some("vyoma signature"), &codes()).unwrap();
        assert_eq!(bytes, again);
        // A change of these bytes is a change of the format: bundles that are published have this hash.
        assert_eq!(
            vyoma_runtime::sha256_hex(&bytes),
            "272cc898e912e37e9995175b6fc96618a04a0e640dbe45cd5cf4899cdd598a26"
        );
        assert!(is_bundle(&bytes));
        let contents = read(&bytes).unwrap();
        assert_eq!(contents.manifest, b"[app]");
        assert_eq!(contents.component, b"component");
        assert_eq!(contents.signature.as_deref(), Some(&b"vyoma signature"[..]));
        assert_eq!(contents.machine_code, [vec![1, 2, 3], vec![4; 600]]);
    }

    #[test]
    fn a_bundle_that_is_cut_or_holds_something_else_is_refused() {
        let bytes = write("[app]", b"component", None, &codes()).unwrap();
        for length in [0, 100, 513, 700, 1600] {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        let of = |name: &str, kind: EntryType, size: u64| {
            let mut archive = Builder::new(Vec::new());
            let mut header = Header::new_ustar();
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_size(size);
            header.set_cksum();
            archive.append(&header, &b""[..]).unwrap();
            read(&archive.into_inner().unwrap()).unwrap_err()
        };
        for (name, kind, size, said) in [
            (
                "../../etc/passwd",
                EntryType::Regular,
                0,
                "expected vyoma.toml",
            ),
            ("/vyoma.toml", EntryType::Regular, 0, "expected vyoma.toml"),
            ("app.wasm", EntryType::Symlink, 0, "expected a file"),
            ("app.wasm", EntryType::Regular, MAX_COMPONENT + 1, "at most"),
            (
                "vyoma.toml",
                EntryType::Regular,
                0,
                "no vyoma.toml or no app.wasm",
            ),
        ] {
            let error = of(name, kind, size);
            assert!(error.contains(said), "{name}: {error}");
        }
    }
}
