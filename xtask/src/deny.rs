//! Licences, sources and bans of every dependency, against `deny.toml`. The part of cargo-deny that needs no network,
//! for machines where building cargo-deny itself would take longer than the tests; the file is cargo-deny's own.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::context::{Context, capture, say};

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Checks the workspace, `apps/` and the firmware; an error lists everything that is wrong.
pub(crate) fn check(context: &Context) -> anyhow::Result<()> {
    let path = context.root.join("deny.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let rules: Rules =
        toml::from_str(&text).with_context(|| format!("{} is not cargo-deny's", path.display()))?;
    let mut faults = Vec::new();
    let mut count = 0;
    for folder in ["", "apps", "mcu-firmware/firmware"].map(|folder| context.root.join(folder)) {
        let mut cargo = context.cargo();
        let json = capture(cargo.current_dir(&folder).args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
        ]))?;
        let metadata: Metadata =
            serde_json::from_str(&json).context("cargo metadata said something unexpected")?;
        count += metadata.packages.len();
        faults.extend(judge(&rules, &metadata.packages)?);
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    say(format_args!(
        "{count} packages: licences, sources and bans are as deny.toml has them"
    ));
    Ok(())
}

fn judge(rules: &Rules, packages: &[Package]) -> anyhow::Result<Vec<String>> {
    let allowed: Vec<Licensee> = rules
        .licenses
        .allow
        .iter()
        .map(|text| {
            Licensee::parse(text)
                .with_context(|| format!("deny.toml: {text:?} is not an SPDX licence"))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut faults = Vec::new();
    let mut registries = BTreeSet::new();
    for package in packages {
        let id = format!("{} {}", package.name, package.version);
        let license = package.license.as_deref().unwrap_or("none");
        match Expression::parse_mode(license, ParseMode::LAX) {
            Ok(expression)
                if expression.evaluate(|want| allowed.iter().any(|have| have.satisfies(want))) => {}
            Ok(_) => faults.push(format!(
                "{id}: licence {license}: expected one that deny.toml allows"
            )),
            Err(_) => faults.push(format!(
                "{id}: licence {license:?} is not an SPDX expression"
            )),
        }
        if let Some(ban) = rules.bans.deny.iter().find(|ban| ban.name == package.name) {
            faults.push(format!("{id}: banned by deny.toml: {}", ban.reason));
        }
        match package.source.as_deref() {
            Some(source) if source.starts_with("registry+") => {
                registries.insert(source);
            }
            Some(source) => {
                faults.push(format!("{id}: comes from {source}; expected the registry"));
            }
            None => {}
        }
    }
    if registries.len() > 1 {
        faults.push(format!(
            "crates come from {} registries; expected one: {registries:?}",
            registries.len()
        ));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(license: Option<&str>, name: &str, source: &str) -> Vec<String> {
        let rules = Rules {
            licenses: Licenses {
                allow: vec!["MIT".into(), "Apache-2.0 WITH LLVM-exception".into()],
            },
            bans: Bans {
                deny: vec![Ban {
                    name: "bad".into(),
                    reason: "it is bad".into(),
                }],
            },
        };
        let package = Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.map(str::to_owned),
            source: Some(source.into()),
        };
        judge(&rules, &[package]).unwrap()
    }

    #[test]
    fn licence_expressions_are_understood() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/GPL-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(faults(Some(good), "x", "registry+r").is_empty(), "{good}");
        }
        for bad in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "Apache-2.0",
            "beerware of some kind",
        ] {
            assert_eq!(faults(Some(bad), "x", "registry+r").len(), 1, "{bad}");
        }
        assert_eq!(faults(None, "x", "registry+r").len(), 1);
    }

    #[test]
    fn banned_crates_and_git_sources_are_named() {
        assert!(faults(Some("MIT"), "bad", "registry+r")[0].contains("it is bad"));
        assert!(
            faults(Some("MIT"), "x", "git+https://example.org/x")[0].contains("comes from git+")
        );
    }
}
