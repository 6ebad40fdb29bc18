//! `key` and `sign`: who made an app, and whom a device believes.

use std::fs;
use std::path::Path;

use serde_json::json;
use vyoma_capabilities::control::{Request, Response, SignaturePolicy};
use vyoma_capabilities::signature;

use crate::cli::{KeyCommand, OnOff, SignArgs};
use crate::client::{Client, Patience, plain};
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table, clean};
use crate::package::{self, Package};
use crate::secret::Secret;

/// Longest file with a public key.
const MAX_PUBLIC: u64 = 256;

/// `key`
pub(crate) fn key(
    client: &mut Client,
    command: &KeyCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        KeyCommand::New { path } => new(path, out),
        KeyCommand::Trust { path, name } => {
            let (key, own_name) = read_public(path)?;
            let name = name.clone().unwrap_or(own_name);
            let request = Request::Trust {
                name: name.clone(),
                key: key.clone(),
            };
            client.command(&request, Patience::Prompt)?;
            if out.is_json() {
                return out.json(&json!({ "done": "trust", "name": name, "key": key }));
            }
            out.line(&clean(&format!("{name} is trusted: {key}")))
        }
        KeyCommand::Untrust { key } => {
            let request = Request::Untrust { key: key.clone() };
            client.command(&request, Patience::Prompt)?;
            if out.is_json() {
                return out.json(&json!({ "done": "untrust", "key": key }));
            }
            out.line(&clean(&format!("{key} is not trusted any more")))
        }
        KeyCommand::List => list(client, out),
        KeyCommand::Require { what } => {
            let on = *what == OnOff::On;
            client.command(&Request::RequireSignatures { on }, Patience::Prompt)?;
            if out.is_json() {
                return out.json(&json!({ "done": "require", "on": on }));
            }
            out.line(if on {
                "the device takes only what a trusted key has signed; apps that are there already stay"
            } else {
                "the device takes unsigned apps too"
            })
        }
    }
}

/// `key new`
pub(crate) fn new(path: &Path, out: &mut Output) -> Result<(), Failure> {
    let (beside, public) = Secret::create(path)?;
    if out.is_json() {
        return out.json(&json!({
            "done": "new", "secret": path.display().to_string(),
            "public": beside.display().to_string(), "key": public,
        }));
    }
    out.line(&clean(&format!(
        "{}: the secret key, for your eyes only; {}: the public key, for devices (`vyomactl key trust {}`)",
        path.display(),
        beside.display(),
        beside.display()
    )))
}

/// A public key, and the name that its file gives it.
fn read_public(path: &Path) -> Result<(String, String), Failure> {
    let bytes = package::read_at_most(path, MAX_PUBLIC, "a public key")?;
    let key = String::from_utf8(bytes)
        .ok()
        .and_then(|text| signature::parse_key(&text));
    let Some(key) = key else {
        return Err(Failure::new(
            Exit::Invalid,
            format!(
                "{}: no public key; expected one line that starts with {}, as in the .pub file that `vyomactl key new` writes",
                path.display(),
                signature::KEY_PREFIX
            ),
        ));
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok((signature::key_text(&key), name.to_lowercase()))
}

fn list(client: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let answer = client.call(&Request::Keys, Patience::Prompt)?;
    let Response::Keys(store) = answer else {
        return Err(client.unexpected(&answer));
    };
    if out.is_json() {
        return out.json(&store);
    }
    let by = if store.fixed {
        ", as the device was started"
    } else {
        ""
    };
    let policy = match store.policy {
        SignaturePolicy::Off => "signatures are not required",
        SignaturePolicy::Required => "signatures of a trusted key are required",
        SignaturePolicy::Image => "signatures of a key of the image are required",
    };
    out.line(&format!("{policy}{by}"))?;
    if store.keys.is_empty() {
        return out.line("no keys: `vyomactl key trust FILE.pub` adds one");
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("FROM", Align::Left),
        ("TRUSTED", Align::Left),
        ("KEY", Align::Left),
    ]);
    for key in &store.keys {
        table.row(vec![
            Cell::new(&key.name),
            Cell::new(if key.image { "image" } else { "operator" }),
            if key.trusted {
                Cell::styled(Style::Good, "yes")
            } else {
                Cell::styled(Style::Bad, "no")
            },
            Cell::styled(Style::Dim, &key.key),
        ]);
    }
    out.table(&table)
}

/// `sign`
pub(crate) fn sign(args: &SignArgs, out: &mut Output) -> Result<(), Failure> {
    // The signature that is there already is what is to be replaced.
    let package = Package::load_unsigned(&args.path)?;
    let secret = Secret::load(&args.key)?;
    let text = package.sign(&secret, &[]);
    let path = package.manifest_path.with_file_name(signature::FILE);
    fs::write(&path, text).map_err(|error| {
        Failure::new(
            Exit::Local,
            format!("cannot write {}: {}", path.display(), plain(&error)),
        )
    })?;
    let (app, version, key) = (
        &package.manifest.app.name,
        &package.manifest.app.version,
        secret.public(),
    );
    if out.is_json() {
        return out.json(&json!({
            "done": "sign", "app": app, "version": version, "sha256": package.sha256,
            "key": key, "signature": path.display().to_string(),
        }));
    }
    out.line(&clean(&format!(
        "{app} {version}: signed with {key}, in {}",
        path.display()
    )))
}
