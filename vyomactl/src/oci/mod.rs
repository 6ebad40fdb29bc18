//! Apps in OCI registries: `install oci://HOST/NAME:TAG` and `push`. An app is the Wasm OCI artifact that other tools know
//! (CNCF, "Wasm OCI Artifact layout": <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>): a config
//! `application/vnd.wasm.config.v0+json` and one layer `application/wasm`, the component as it is. What the layout has no place for
//! stands in annotations, which others pass over: `dev.vyoma.manifest` is the text of `vyoma.toml`, `dev.vyoma.signature` that of
//! `vyoma.sig`.

mod reference;
mod registry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use vyoma_capabilities::control::MAX_COMPONENT;
use vyoma_runtime::{component, sha256_hex};

pub(crate) use reference::{Reference, SCHEME};

use crate::cli::PushArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Output, clean};
use crate::package::{self, Package};
use registry::Registry;

/// Of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of a component's config.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Of a component.
const LAYER: &str = "application/wasm";
/// The text of `vyoma.toml`.
const APP: &str = "dev.vyoma.manifest";
/// The text of `vyoma.sig`.
const SIGNATURE: &str = "dev.vyoma.signature";
/// Most bytes of a manifest, as registries have it.
const MAX_MANIFEST: u64 = 4 << 20;

/// An image manifest, as far as it concerns us.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Where bytes are, and which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.into(),
            digest: digest(bytes),
            size: bytes.len() as u64,
        }
    }
}

/// `sha256:` and the digits.
fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

fn invalid(reference: &Reference, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Invalid, format!("{reference}: {why}"))
}

/// Pulls an app. `manifest` is a `vyoma.toml` on this machine, for an artifact without one.
pub(crate) fn pull(reference: &Reference, manifest: Option<&Path>) -> Result<Package, Failure> {
    let mut registry = Registry::new(reference);
    let bytes = registry.manifest(MANIFEST, MAX_MANIFEST)?;
    if let Some(expected) = reference.digest() {
        let found = digest(&bytes);
        if found != expected {
            return Err(Failure::new(
                Exit::HashMismatch,
                format!("{reference}: the registry gave {found}; expected {expected}"),
            ));
        }
    }
    let found: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
        invalid(
            reference,
            format!("found no image manifest ({error}); expected {MANIFEST}"),
        )
    })?;
    if found.config.media_type != CONFIG {
        return Err(invalid(
            reference,
            format!(
                "found an artifact with config {:?}; expected a wasm component's, {CONFIG}",
                found.config.media_type
            ),
        ));
    }
    let [layer] = found.layers.as_slice() else {
        return Err(invalid(
            reference,
            format!("found {} layers; expected one, {LAYER}", found.layers.len()),
        ));
    };
    if layer.media_type != LAYER || layer.size > MAX_COMPONENT {
        return Err(invalid(
            reference,
            format!(
                "found a layer {:?} of {} bytes; expected {LAYER} of at most {MAX_COMPONENT}",
                layer.media_type, layer.size
            ),
        ));
    }
    let bytes = registry.blob(&layer.digest, layer.size)?;
    if digest(&bytes) != layer.digest || bytes.len() as u64 != layer.size {
        return Err(Failure::new(
            Exit::HashMismatch,
            format!(
                "{reference}: the registry gave {} ({} bytes) for the component; expected {} ({} bytes)",
                digest(&bytes),
                bytes.len(),
                layer.digest,
                layer.size
            ),
        ));
    }
    let place = PathBuf::from(reference.to_string());
    let own = found.annotations.get(APP);
    let (text, parsed, path) = match (manifest, own) {
        (Some(path), _) => {
            let (text, parsed) = package::read_manifest(path)?;
            (text, parsed, path.to_owned())
        }
        (None, Some(text)) => {
            let path = place.join("vyoma.toml");
            let (text, parsed) = package::text_of_manifest(&path, text.clone().into_bytes())?;
            (text, parsed, path)
        }
        (None, None) => {
            return Err(invalid(
                reference,
                "the artifact comes without a vyoma.toml (annotation dev.vyoma.manifest); give one with --manifest FILE",
            ));
        }
    };
    let mut package = Package::checked((text, parsed, path), (place.join("app.wasm"), bytes))?;
    // A signature is of the manifest that came with it.
    if manifest.is_none()
        && let Some(text) = found.annotations.get(SIGNATURE)
    {
        package.attach(&place.join("vyoma.sig"), text.clone())?;
    }
    Ok(package)
}

/// `push`
pub(crate) fn push(args: &PushArgs, out: &mut Output) -> Result<(), Failure> {
    let reference = Reference::parse(&args.reference)?;
    let package = Package::load(&args.path)?;
    let info =
        component::inspect(&package.component).map_err(|error| invalid(&reference, error))?;
    let layer = Descriptor::of(LAYER, &package.component);
    // The same app gives the same bytes, and so the same digest: no time of today in it.
    let config = serde_json::to_vec(&json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.digest],
        "component": { "exports": info.exports, "imports": info.imports, "target": null },
    }))
    .unwrap_or_default();
    let app = &package.manifest.app;
    let mut annotations = BTreeMap::from([
        (APP.to_owned(), package.manifest_text.clone()),
        (
            "org.opencontainers.image.title".to_owned(),
            app.name.clone(),
        ),
        (
            "org.opencontainers.image.version".to_owned(),
            app.version.clone(),
        ),
    ]);
    if let Some(text) = &package.signature {
        annotations.insert(SIGNATURE.to_owned(), text.clone());
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.into(),
        config: Descriptor::of(CONFIG, &config),
        layers: vec![layer.clone()],
        annotations,
    };
    let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
    let mut registry = Registry::new(&reference);
    registry.push_blob(&manifest.config.digest, &config)?;
    registry.push_blob(&layer.digest, &package.component)?;
    registry.push_manifest(MANIFEST, &bytes)?;
    let digest = digest(&bytes);
    if out.is_json() {
        return out.json(&json!({
            "done": "push", "app": app.name, "version": app.version, "sha256": package.sha256,
            "reference": reference.to_string(), "digest": digest, "signed": package.signature.is_some(),
        }));
    }
    out.line(&clean(&format!(
        "{} {}: {reference}, {digest}",
        app.name, app.version
    )))
}
