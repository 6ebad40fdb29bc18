//! `caps`: what an app may use, what it used, and what it was denied.

use serde::Serialize;
use vyoma_capabilities::control::{CapabilityUse, Request, Response};

use crate::client::{Client, ManifestForm, Patience};
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table, clean};

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    app: &'a str,
    capabilities: &'a [CapabilityUse],
}

/// `caps`
pub(crate) fn caps(client: &mut Client, app: &str, out: &mut Output) -> Result<(), Failure> {
    let all = ask(client, app)?;
    if out.is_json() {
        return out.json(&Document {
            app,
            capabilities: &all,
        });
    }
    if all.is_empty() {
        return out.line(&clean(&format!(
            "{app}: declares no capability, and called for none"
        )));
    }
    let mut table = Table::new(&[
        ("CAPABILITY", Align::Left),
        ("STATE", Align::Left),
        ("USED", Align::Right),
        ("DENIED", Align::Right),
        ("TERMS", Align::Left),
    ]);
    for one in &all {
        let (style, state) = state(one);
        table.row(vec![
            Cell::new(one.capability.name()),
            Cell::styled(style, state),
            Cell::new(one.used.to_string()),
            crate::apps::counted(one.denied),
            Cell::new(&one.terms),
        ]);
    }
    out.table(&table)
}

/// In a word whether it may.
pub(crate) fn state(one: &CapabilityUse) -> (Style, &'static str) {
    match (one.granted, one.declared) {
        (true, _) => (Style::Good, "granted"),
        (false, true) => (Style::Warn, "not here"),
        (false, false) => (Style::Bad, "not declared"),
    }
}

/// Asks for them.
pub(crate) fn ask(client: &mut Client, app: &str) -> Result<Vec<CapabilityUse>, Failure> {
    if client.manifest_form() == ManifestForm::Compact {
        return Err(Failure::new(
            Exit::State,
            format!(
                "{app}: a microcontroller counts no uses of capabilities; `vyomactl inspect` shows what a component imports"
            ),
        ));
    }
    let request = Request::Caps {
        app: app.to_owned(),
    };
    match client.call(&request, Patience::Prompt)? {
        Response::Caps(all) => Ok(all),
        other => Err(client.unexpected(&other)),
    }
}
