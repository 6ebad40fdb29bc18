//! `inspect`: what a component imports and needs, and on which of the six platforms it can run, as far as that is known
//! without a device. Nothing is run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::profile::{self, Engine, PLATFORMS, Profile};
use vyoma_capabilities::resolve::resolve;
use vyoma_component::program::Needs;
use vyoma_runtime::component::{self, ComponentInfo};
use vyoma_runtime::sizes::{FunctionSize, MICROCONTROLLER};

use crate::exit::{Exit, Failure};
use crate::microcontroller;
use crate::output::{Align, Cell, Output, Style, Table, clean};
use crate::package::{self, Found};
use crate::units;

/// KiB in a WebAssembly page.
const PAGE_KIB: u64 = 64;

/// Whether a platform runs a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// With everything that it declares.
    Runs,
    /// It starts, and what it declares in vain answers with an error.
    RunsWithout,
    /// It needs more memory than there is.
    DoesNotFit,
    /// It can't start there.
    No,
}

/// A verdict with its reasons.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outlook {
    platform: &'static str,
    verdict: Verdict,
    /// Declared, but not there.
    without: Vec<String>,
    /// One line for people.
    text: String,
}

/// Everything that is shown.
#[derive(Debug, Serialize)]
struct Report {
    component: String,
    /// The manifest beside it.
    manifest: Option<String>,
    app: Option<String>,
    #[serde(flatten)]
    info: ComponentInfo,
    /// Why no platform admits it.
    refused: Option<String>,
    platforms: Vec<Outlook>,
}

/// `inspect`
pub(crate) fn inspect(path: &Path, out: &mut Output) -> Result<(), Failure> {
    let found = Found::at(path)?;
    let manifest = found
        .manifest
        .as_ref()
        .map(|path| package::read_manifest(path).map(|(_, manifest)| (path.clone(), manifest)))
        .transpose()?;
    let (component_path, manifest) = pair(found.component, manifest)?;
    let bytes = package::read_component(&component_path)?;
    let info = component::inspect(&bytes).map_err(|error| {
        Failure::new(
            Exit::Invalid,
            format!("{}: {error}", component_path.display()),
        )
    })?;
    let unpinned = manifest.as_ref().and_then(|(path, manifest)| {
        package::check_pin(path, manifest, &component_path, &info.sha256).err()
    });
    let refused = component::check(&bytes)
        .err()
        .map(|error| error.to_string())
        .or(unpinned.map(|failure| failure.message().to_owned()));
    // Absent for what no platform runs, of which it is not asked.
    let needs = component::program(&bytes).ok().map(|program| program.needs);
    let manifest_ref = manifest.as_ref().map(|(_, manifest)| manifest);
    let platforms = profiles()?
        .iter()
        .map(|(name, profile)| {
            outlook(
                name,
                profile,
                &info,
                needs,
                refused.as_deref(),
                manifest_ref,
            )
        })
        .collect();
    let report = Report {
        component: component_path.display().to_string(),
        app: manifest_ref.map(|manifest| manifest.app.name.clone()),
        manifest: manifest
            .as_ref()
            .map(|(path, _)| path.display().to_string()),
        info,
        refused,
        platforms,
    };
    if out.is_json() {
        return out.json(&report);
    }
    show(&report, out)
}

/// The component that was named, or the one that the manifest means. A manifest that means another one than the component
/// that was named says nothing about that, and is left out.
fn pair(
    named: Option<PathBuf>,
    manifest: Option<(PathBuf, Manifest)>,
) -> Result<(PathBuf, Option<(PathBuf, Manifest)>), Failure> {
    match (named, manifest) {
        (Some(named), None) => Ok((named, None)),
        (Some(named), Some((path, manifest))) => {
            let same = package::same_file(&named, &path, &manifest).is_ok();
            Ok((named, same.then_some((path, manifest))))
        }
        (None, Some((path, manifest))) => {
            let component = package::declared_component(&path, &manifest)
                .ok_or_else(|| package::no_component(&path, &manifest))?;
            Ok((component, Some((path, manifest))))
        }
        (None, None) => unreachable!("a path is a component or leads to a manifest"),
    }
}

/// The six profiles as this program carries them.
fn profiles() -> Result<Vec<(&'static str, Profile)>, Failure> {
    PLATFORMS
        .iter()
        .map(|name| {
            let text = profile::builtin(name).unwrap_or_default();
            profile::parse(name, text)
                .map(|profile| (*name, profile))
                .map_err(|error| Failure::new(Exit::Local, format!("built-in profile {error}")))
        })
        .collect()
}

fn outlook(
    platform: &'static str,
    profile: &Profile,
    info: &ComponentInfo,
    needs: Option<Needs>,
    refused: Option<&str>,
    manifest: Option<&Manifest>,
) -> Outlook {
    let without: Vec<String> = manifest
        .map(|manifest| {
            resolve(manifest, profile)
                .warnings
                .iter()
                .map(|warning| warning.capability.to_string())
                .collect()
        })
        .unwrap_or_default();
    let (verdict, text) = judge(profile, info, needs, refused, manifest, &without);
    Outlook {
        platform,
        verdict,
        without,
        text,
    }
}

/// What it needs to start and what there is, in KiB.
fn memory_kib(profile: &Profile, info: &ComponentInfo, needs: Option<Needs>) -> (u64, u64) {
    match (profile.engine, needs) {
        (Engine::Wasm3, Some(needs)) => (
            microcontroller::needs_bytes(profile, &needs).div_ceil(1024),
            microcontroller::gives_kib(profile),
        ),
        _ => (info.memory_pages.saturating_mul(PAGE_KIB), profile.ram_kb),
    }
}

/// What of a function is more than the engine takes.
fn too_large(found: FunctionSize, takes: FunctionSize) -> Option<String> {
    [
        (found.values, takes.values, "values at once"),
        (found.nesting, takes.nesting, "blocks in each other"),
    ]
    .into_iter()
    .find(|(found, takes, _)| found > takes)
    .map(|(found, takes, what)| {
        format!("does not fit: a function has {found} {what}, the engine there takes {takes}")
    })
}

fn judge(
    profile: &Profile,
    info: &ComponentInfo,
    needs: Option<Needs>,
    refused: Option<&str>,
    manifest: Option<&Manifest>,
    without: &[String],
) -> (Verdict, String) {
    if refused.is_some() {
        return (
            Verdict::No,
            "refused on every platform, see above".to_owned(),
        );
    }
    let starts_with = info.memory_pages.saturating_mul(PAGE_KIB);
    let allowed = manifest.and_then(|manifest| manifest.resources.memory_kb);
    if let Some(allowed) = allowed.filter(|allowed| u64::from(*allowed) < starts_with) {
        return (
            Verdict::No,
            format!("starts with {starts_with} KiB of memory, but resources.memory_kb = {allowed}"),
        );
    }
    if profile.engine == Engine::Wasm3
        && let Some(text) = too_large(info.largest_function, MICROCONTROLLER)
    {
        return (Verdict::DoesNotFit, text);
    }
    let lacking = without.join(", ");
    let (needs, gives) = memory_kib(profile, info, needs);
    if needs > gives {
        return (
            Verdict::DoesNotFit,
            format!("does not fit: needs {needs} KiB, the profile gives {gives} KiB"),
        );
    }
    let (verdict, mut text) = match (manifest, without.is_empty()) {
        (None, _) => (
            Verdict::Runs,
            "runs (what it declares is not known: no vyoma.toml beside it names it)".to_owned(),
        ),
        (Some(_), true) => (Verdict::Runs, "runs".to_owned()),
        (Some(_), false) => (Verdict::RunsWithout, format!("runs without {lacking}")),
    };
    if profile.engine == Engine::Wasm3 {
        let _ = write!(text, "; needs about {needs} of {gives} KiB");
    }
    (verdict, text)
}

fn show(report: &Report, out: &mut Output) -> Result<(), Failure> {
    let info = &report.info;
    let mut rows = vec![
        ("component", report.component.clone()),
        (
            "manifest",
            report
                .manifest
                .clone()
                .unwrap_or_else(|| "none that names it beside it".to_owned()),
        ),
        ("app", report.app.clone().unwrap_or_default()),
        ("sha256", info.sha256.clone()),
        ("size", format!("{} bytes", info.size)),
        ("memory", memory(info)),
        (
            "functions",
            format!(
                "at most {} values at once, {} blocks in each other",
                info.largest_function.values, info.largest_function.nesting
            ),
        ),
        ("features", info.features.join(", ")),
    ];
    for (name, list) in [("imports", &info.imports), ("exports", &info.exports)] {
        rows.push((name, list.first().cloned().unwrap_or_default()));
        rows.extend(list.iter().skip(1).map(|more| ("", more.clone())));
    }
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    for (name, value) in rows {
        table.row(vec![Cell::label(name), Cell::new(value)]);
    }
    out.table(&table)?;
    if let Some(refused) = &report.refused {
        let line = out.paint(Style::Bad, &format!("refused: {}", clean(refused)));
        out.line(&line)?;
    }
    out.line("")?;
    let mut table = Table::new(&[("PLATFORM", Align::Left), ("OUTLOOK", Align::Left)]);
    for platform in &report.platforms {
        let style = match platform.verdict {
            Verdict::Runs => Style::Good,
            Verdict::RunsWithout => Style::Warn,
            Verdict::DoesNotFit | Verdict::No => Style::Bad,
        };
        table.row(vec![
            Cell::new(platform.platform),
            Cell::styled(style, &platform.text),
        ]);
    }
    out.table(&table)
}

fn memory(info: &ComponentInfo) -> String {
    let pages = |pages: u64| units::kib(pages.saturating_mul(PAGE_KIB));
    let limit = info.memory_max_pages.map_or_else(
        || "sets itself no limit".to_owned(),
        |most| format!("at most {}", pages(most)),
    );
    let mut text = format!("starts with {}, {limit}", pages(info.memory_pages));
    if let Some(base) = info.heap_base {
        let _ = write!(text, "; {base} bytes of it are data and stack");
    }
    text
}
