//! `cargo xtask new NAME`: an app from the template, as a member of the workspace `apps/`. Overwrites nothing.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};

use crate::context::{Context, call};

/// The template's files. `{{name}}` in them is the app's name.
const TEMPLATE: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../templates/app/Cargo.toml")),
    ("vyoma.toml", include_str!("../templates/app/vyoma.toml")),
    ("build.rs", include_str!("../templates/app/build.rs")),
    ("src/main.rs", include_str!("../templates/app/src/main.rs")),
];

/// Names that mean something else: message targets, folders of `apps/`, and what cargo refuses as a program's name.
const TAKEN: [&str; 14] = [
    "supervisor",
    "broadcast",
    "reply",
    "sdk",
    "guests",
    "target",
    "vyoma",
    "test",
    "core",
    "std",
    "alloc",
    "build",
    "deps",
    "incremental",
];

/// Makes `apps/NAME`.
pub(crate) fn command(context: &Context, name: &str) -> anyhow::Result<()> {
    check(name)?;
    let apps = context.root.join("apps");
    let dir = apps.join(name);
    ensure!(
        !dir.exists(),
        "{} is there already; choose another name",
        dir.display()
    );
    let workspace = apps.join("Cargo.toml");
    let text = std::fs::read_to_string(&workspace)
        .with_context(|| format!("cannot read {}", workspace.display()))?;
    let joined = with_member(&text, name)
        .with_context(|| format!("{} has no list `members = [`", workspace.display()))?;

    for (path, text) in TEMPLATE {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&dir))?;
        std::fs::write(&path, text.replace("{{name}}", name))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    std::fs::write(&workspace, joined)
        .with_context(|| format!("cannot write {}", workspace.display()))?;
    lock(context, &apps)?;
    println!("made apps/{name}. Next:");
    println!("    cd apps/{name} && cargo build --target wasm32-wasip2 --release");
    println!(
        "    make run PLATFORM=server-headless     # every app in apps/ that needs no board is in the image"
    );
    Ok(())
}

/// As the manifest has it: 1 to 32 of a-z, 0-9 and -, a letter first.
fn check(name: &str) -> anyhow::Result<()> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 32
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    ensure!(
        good,
        "app name: found {name:?}; expected 1 to 32 characters of a-z, 0-9 and -, starting with a letter"
    );
    if TAKEN.contains(&name) {
        bail!("app name: {name:?} means something else already; choose another name");
    }
    Ok(())
}

/// The workspace's manifest with one more member.
fn with_member(text: &str, name: &str) -> Option<String> {
    let head = "members = [\n";
    let at = text.find(head)? + head.len();
    // After the last app and before the guests, which stay last.
    let end = at + text[at..].find(']')?;
    let at = text[at..end]
        .find("    \"guests/")
        .map_or(end, |offset| at + offset);
    Some(format!("{}    \"{name}\",\n{}", &text[..at], &text[at..]))
}

/// Writes the member into apps/Cargo.lock; builds are `--locked`. No new crates, so no network is needed.
fn lock(context: &Context, apps: &Path) -> anyhow::Result<()> {
    let mut cargo = context.cargo();
    cargo
        .current_dir(apps)
        .args(["metadata", "--quiet", "--format-version", "1"])
        .stdout(Stdio::null());
    call(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_manifest_takes() {
        for good in ["a", "my-app", "sensor2", "a234567890123456789012345678901"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "My-App",
            "2fast",
            "-x",
            "a_b",
            "../x",
            "supervisor",
            "sdk",
            "a23456789012345678901234567890123",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_member_is_added_before_the_guests() {
        let text = "members = [\n    \"hello\",\n    \"guests/*\",\n]\n";
        let expected = "members = [\n    \"hello\",\n    \"new\",\n    \"guests/*\",\n]\n";
        assert_eq!(with_member(text, "new").as_deref(), Some(expected));
        assert_eq!(with_member("[workspace]\n", "new"), None);
    }
}
