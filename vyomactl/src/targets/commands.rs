//! `target add`, `target list`, `target remove`.

use serde_json::json;

use super::file::{File, is_name};
use super::running;
use crate::cli::{TargetAddArgs, TargetRemoveArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table, clean};
use crate::target::Target;
use std::time::Duration;

/// `target add`: the target is there whatever the first look at it says; what it says helps with keys.
pub(crate) fn add(
    args: &TargetAddArgs,
    timeout: Option<Duration>,
    out: &mut Output,
) -> Result<(), Failure> {
    if !is_name(&args.name) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "target {:?}: expected a name of letters, digits, - and _, at most 63",
                args.name
            ),
        ));
    }
    let mut target = Target::parse(&args.address)?;
    let mut file = File::load()?;
    let new = file.set(&args.name, &args.address, &args.groups)?;
    if args.default {
        file.set_default(&args.name);
    }
    file.save()?;
    let looked = if args.no_check {
        None
    } else {
        if let Target::Ssh(remote) = &mut target {
            running::equip(remote);
        }
        Some(Client::open(&target, timeout))
    };
    if out.is_json() {
        let (platform, error) = match &looked {
            None => (None, None),
            Some(Ok(client)) => (Some(client.platform.clone()), None),
            Some(Err(failure)) => (None, Some(failure.json())),
        };
        return out.json(&json!({
            "done": "target-add", "target": args.name, "address": args.address, "platform": platform, "error": error
        }));
    }
    let done = if new { "added" } else { "changed" };
    let name = clean(&args.name);
    match looked {
        None => out.line(&format!("{name}: {done} in {}", file.place())),
        Some(Ok(client)) => out.line(&format!(
            "{name}: {done} in {}; it answers: {}",
            file.place(),
            clean(&client.platform)
        )),
        Some(Err(failure)) => {
            out.line(&format!("{name}: {done} in {}, but:", file.place()))?;
            out.line(&out.paint(Style::Warn, &clean(failure.message())))
        }
    }
}

/// `target list`
pub(crate) fn list(out: &mut Output) -> Result<(), Failure> {
    let file = File::load()?;
    let default = file.default()?;
    let groups = |name: &str| file.groups_of(name);
    let is_default = |name: &str| {
        default.as_deref().is_some_and(|default| {
            default == name || groups(name).iter().any(|group| group == default)
        })
    };
    let targets = file.targets();
    if out.is_json() {
        let all: Vec<_> = targets
            .iter()
            .map(|(name, address)| {
                json!({ "name": name, "address": address, "groups": groups(name), "default": is_default(name) })
            })
            .collect();
        return out.json(&all);
    }
    if targets.is_empty() {
        return out.line(&format!(
            "no targets in {}: add one with `vyomactl target add NAME ssh://HOST`",
            file.place()
        ));
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("ADDRESS", Align::Left),
        ("GROUPS", Align::Left),
        ("DEFAULT", Align::Left),
    ]);
    for (name, address) in targets {
        table.row(vec![
            Cell::new(&name),
            Cell::new(address),
            Cell::new(groups(&name).join(",")),
            Cell::new(if is_default(&name) { "yes" } else { "" }),
        ]);
    }
    out.table(&table)
}

/// `target remove`
pub(crate) fn remove(args: &TargetRemoveArgs, out: &mut Output) -> Result<(), Failure> {
    let mut file = File::load()?;
    if !file.forget(&args.name) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "target {:?}: not in {}; `vyomactl target list` shows what is",
                args.name,
                file.place()
            ),
        ));
    }
    file.save()?;
    if out.is_json() {
        return out.json(&json!({ "done": "target-remove", "target": args.name }));
    }
    out.line(&format!(
        "{}: removed from {}",
        clean(&args.name),
        file.place()
    ))
}
