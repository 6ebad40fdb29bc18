//! Holds the documentation to its word: every promise in docs/spec.md names a test that exists (or says that it has
//! none), and every link between the pages leads somewhere. It reads text and runs nothing: that the tests pass is the
//! other stages' business. Called by `test` as its stage "specification".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::context::{Context, say};

/// The page whose promises are checked.
const SPEC: &str = "docs/spec.md";
/// What an honest promise without a test says.
const NOT_TESTED: &str = "(not tested)";
/// Its cases are run by a harness of their own, by name: there a test is a quoted name, not a function.
const CASES: &str = "conformance/cases/";

/// Checks docs/spec.md and the links of all pages; an error lists every fault with file and line.
pub(crate) fn check(context: &Context) -> anyhow::Result<()> {
    let spec = read(&context.root.join(SPEC))?;
    let mut sources = BTreeMap::new();
    let (mut faults, named) = judge(&spec, |path| {
        sources
            .entry(path.to_owned())
            .or_insert_with(|| std::fs::read_to_string(context.root.join(path)).ok())
            .clone()
    });
    let pages = pages(&context.root)?;
    let mut links = 0;
    for page in &pages {
        let folder = page.parent().unwrap_or(&context.root);
        let shown = page.strip_prefix(&context.root).unwrap_or(page).display();
        for (line, target) in local_links(&read(page)?) {
            links += 1;
            if !folder.join(&target).exists() {
                faults.push(format!(
                    "{shown}:{line}: a link to {target}, which is not there"
                ));
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    say(format_args!(
        "{SPEC} names {named} tests, and all exist; {links} links of {} pages lead somewhere",
        pages.len()
    ));
    Ok(())
}

/// The faults of a specification, and how many tests it names. `source` gives the text of a file of the repository.
fn judge(spec: &str, mut source: impl FnMut(&str) -> Option<String>) -> (Vec<String>, usize) {
    let mut faults = Vec::new();
    let mut named = 0;
    // Line of the promise that is being read, and whether its test was named.
    let mut open: Option<(usize, bool)> = None;
    for (number, line) in lines(spec) {
        if line.starts_with("- ") || line.is_empty() || line.starts_with('#') {
            faults.extend(untested(open.take()));
        }
        if line.starts_with("- ") {
            open = Some((number, false));
        }
        let tests: Vec<(&str, &str)> = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(test)
            .collect();
        if let Some((_, tested)) = &mut open {
            *tested |= !tests.is_empty() || line.contains(NOT_TESTED);
        }
        named += tests.len();
        for (path, name) in tests {
            match source(path) {
                None => faults.push(format!(
                    "{SPEC}:{number}: no file {path}, where {name} is said to be"
                )),
                Some(text) if !has_test(path, &text, name) => {
                    faults.push(format!("{SPEC}:{number}: no test {name} in {path}"));
                }
                Some(_) => {}
            }
        }
    }
    faults.extend(untested(open));
    (faults, named)
}

fn untested(promise: Option<(usize, bool)>) -> Option<String> {
    let (number, tested) = promise?;
    (!tested).then(|| {
        format!(
            "{SPEC}:{number}: a promise without a test; expected `FILE.rs::TEST` or {NOT_TESTED}"
        )
    })
}

/// `path/file.rs::name`, as it stands between backticks.
fn test(code: &str) -> Option<(&str, &str)> {
    code.split_once("::")
        .filter(|(path, _)| std::path::Path::new(path).extension() == Some("rs".as_ref()))
}

/// Whether `text` has a test of that name: a function below `#[test]` or `#[tokio::test]`, with other attributes and
/// comments between them at most.
fn has_test(path: &str, text: &str, name: &str) -> bool {
    if path.contains(CASES) {
        return text.contains(&format!("\"{name}\""));
    }
    let mut marked = false;
    text.lines().map(str::trim).any(|line| {
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        let found =
            marked && function.is_some_and(|rest| rest.split(['(', '<']).next() == Some(name));
        marked = line.starts_with("#[test")
            || line.starts_with("#[tokio::test")
            || marked && (line.starts_with("#[") || line.starts_with("//"));
        found
    })
}

/// README.md and the like at the top, in docs/ and in apps/.
fn pages(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in [root.to_path_buf(), root.join("docs"), root.join("apps")] {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?;
        let files = entries.flatten().map(|entry| entry.path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    pages.sort();
    Ok(pages)
}

/// `](target)` outside code, with its line and without its anchor, when it means a file.
fn local_links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in lines(page) {
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") {
                found.push((number, file.to_owned()));
            }
        }
    }
    found
}

/// Numbered lines outside fenced code.
fn lines(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    page.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(spec: &str) -> Vec<String> {
        let source = "#[test]\n#[cfg(unix)]\n// why\nfn it_holds() {}\n#[tokio::test]\nasync fn it_waits() {}\nfn helper() {}\n";
        judge(spec, |path| (path == "a.rs").then(|| source.to_owned())).0
    }

    #[test]
    fn a_promise_needs_a_test_that_exists() {
        assert!(
            faults("- It holds.\n  `a.rs::it_holds`, `a.rs::it_waits`\n- It will. (not tested)\n")
                .is_empty()
        );
        assert_eq!(
            faults("# X\n\n- It holds.\n- It waits. `a.rs::it_waits`\n"),
            ["docs/spec.md:3: a promise without a test; expected `FILE.rs::TEST` or (not tested)"]
        );
        assert_eq!(
            faults("- It holds.\n  `a.rs::it_hopes`\n"),
            ["docs/spec.md:2: no test it_hopes in a.rs"]
        );
        assert_eq!(
            faults("- It holds. `a.rs::helper`\n"),
            ["docs/spec.md:1: no test helper in a.rs"]
        );
        assert_eq!(
            faults("- It holds. `b.rs::it_holds`\n"),
            ["docs/spec.md:1: no file b.rs, where it_holds is said to be"]
        );
    }

    #[test]
    fn cases_of_the_conformance_suite_are_tests() {
        let path = "adapters/runtime/src/conformance/cases/traps.rs";
        assert!(has_test(
            path,
            "run(\"a_trap_is_told\", ...)",
            "a_trap_is_told"
        ));
        assert!(!has_test(path, "run(\"a_trap_is_told\", ...)", "a_trap"));
    }

    #[test]
    fn links_to_files_are_found_outside_code() {
        let page = "[a](docs/a.md#part) and [b](https://example.org/)\n```\n[c](c.md)\n```\n[d](#here) [e](e.md)\n";
        assert_eq!(
            local_links(page),
            [(1, "docs/a.md".to_owned()), (5, "e.md".to_owned())]
        );
    }
}
