//! `targets.toml`: names of devices and of groups of them. Read strictly, and changed in place, so that comments and
//! order of whoever wrote it stay.

use std::path::PathBuf;

use toml_edit::{DocumentMut, Item, Table, Value, value};

use super::Place;
use crate::client::plain;
use crate::exit::{Exit, Failure};
use crate::target::Target;

/// Longest name.
const LONGEST: usize = 63;
/// Longest file: some ten thousand targets.
const MOST_BYTES: u64 = 1024 * 1024;

/// The file, or an empty one where there is none.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    document: DocumentMut,
}

/// Whether a word can be the name of a target or group, and no path or address.
pub(super) fn is_name(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=LONGEST).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(inner)
}

/// Where the file is: `$XDG_CONFIG_HOME/vyoma/targets.toml`, by default in `~/.config`.
fn path() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".config")));
    base.map(|base| base.join("vyoma/targets.toml"))
        .ok_or_else(|| {
            Failure::new(
                Exit::Local,
                "there is no home folder for targets.toml; set HOME or XDG_CONFIG_HOME",
            )
        })
}

impl File {
    /// Reads it.
    pub(super) fn load() -> Result<Self, Failure> {
        let path = path()?;
        let failed = |why: String| Failure::new(Exit::Local, format!("{}: {why}", path.display()));
        let text = match std::fs::metadata(&path) {
            Ok(of) if of.len() > MOST_BYTES => {
                return Err(failed(format!(
                    "found {} bytes; expected at most {MOST_BYTES}",
                    of.len()
                )));
            }
            Ok(_) => std::fs::read_to_string(&path).map_err(|error| failed(plain(&error)))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(plain(&error))),
        };
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let line = error.span().map_or(1, |span| {
                1 + text[..span.start.min(text.len())].matches('\n').count()
            });
            failed(format!(
                "line {line}: {}",
                error.message().replace('\n', "; ")
            ))
        })?;
        let file = Self { path, document };
        file.check()?;
        Ok(file)
    }

    /// Everything in it has to be known: a slip must not send a command to another device than was meant.
    fn check(&self) -> Result<(), Failure> {
        for (key, item) in self.document.iter() {
            match key {
                "default" if item.is_str() => {}
                "targets" | "groups" if item.is_table_like() => {}
                "default" | "targets" | "groups" => {
                    return Err(
                        self.wrong(key, "expected default = \"NAME\", [targets] and [groups]")
                    );
                }
                _ => {
                    return Err(
                        self.wrong(key, "unknown; expected default, [targets] and [groups]")
                    );
                }
            }
        }
        for name in self.names("targets").chain(self.names("groups")) {
            if !is_name(name) {
                return Err(self.wrong(name, "expected letters, digits, - and _ in a name"));
            }
        }
        for group in self.names("groups") {
            if self.names("targets").any(|name| name == group) {
                return Err(self.wrong(group, "it is a target and a group; rename one of them"));
            }
        }
        Ok(())
    }

    /// Each target and group of it can be found, and so can the default.
    pub(super) fn check_all(&self) -> Result<(), Failure> {
        for name in self.names("targets").chain(self.names("groups")) {
            self.find(name)?;
        }
        self.default().map(drop)
    }

    fn wrong(&self, key: &str, why: &str) -> Failure {
        Failure::new(
            Exit::Local,
            format!("{}: {key}: {why}", self.path.display()),
        )
    }

    /// Where it is.
    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn names<'a>(&'a self, table: &str) -> impl Iterator<Item = &'a str> {
        let table = self.document.get(table).and_then(Item::as_table_like);
        table
            .into_iter()
            .flat_map(|table| table.iter().map(|(name, _)| name))
    }

    /// The target or group that is used when none is named.
    pub(super) fn default(&self) -> Result<Option<String>, Failure> {
        let Some(name) = self.document.get("default").and_then(Item::as_str) else {
            return Ok(None);
        };
        self.find(name)?;
        Ok(Some(name.to_owned()))
    }

    /// The target of that name, or all of the group.
    pub(super) fn find(&self, name: &str) -> Result<Vec<Place>, Failure> {
        if let Some(target) = self.target(name)? {
            return Ok(vec![target]);
        }
        let group = self
            .document
            .get("groups")
            .and_then(|groups| groups.get(name));
        let Some(group) = group else {
            let known: Vec<_> = self.names("targets").chain(self.names("groups")).collect();
            let known = if known.is_empty() {
                "add one with `vyomactl target add NAME ssh://HOST`".to_owned()
            } else {
                format!("expected one of {}", known.join(", "))
            };
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "target {name:?}: not in {}; {known}, or an address such as ssh://HOST or a path",
                    self.path.display()
                ),
            ));
        };
        let members = group.as_array().ok_or_else(|| {
            self.wrong(name, "expected a list of targets, such as [\"a\", \"b\"]")
        })?;
        members
            .iter()
            .map(|member| {
                let member = member
                    .as_str()
                    .ok_or_else(|| self.wrong(name, "expected names of targets in quotes"))?;
                self.target(member)?
                    .ok_or_else(|| self.wrong(name, &format!("there is no target {member:?}")))
            })
            .collect()
    }

    fn target(&self, name: &str) -> Result<Option<Place>, Failure> {
        let Some(item) = self
            .document
            .get("targets")
            .and_then(|targets| targets.get(name))
        else {
            return Ok(None);
        };
        let address = item
            .as_str()
            .ok_or_else(|| self.wrong(name, "expected an address, such as \"ssh://10.0.0.5\""))?;
        let target =
            Target::parse(address).map_err(|failure| self.wrong(name, failure.message()))?;
        Ok(Some(Place {
            name: name.to_owned(),
            target,
        }))
    }

    /// All targets with their addresses, as they are written.
    pub(super) fn targets(&self) -> Vec<(String, String)> {
        let address = |name: &str| {
            let item = self.document.get("targets")?.get(name)?;
            item.as_str().map(str::to_owned)
        };
        self.names("targets")
            .map(|name| (name.to_owned(), address(name).unwrap_or_default()))
            .collect()
    }

    /// Groups that have this target.
    pub(super) fn groups_of(&self, target: &str) -> Vec<String> {
        let groups = self.document.get("groups");
        let has = |group: &&str| {
            groups
                .and_then(|groups| groups.get(group)?.as_array())
                .is_some_and(|members| members.iter().any(|member| member.as_str() == Some(target)))
        };
        self.names("groups")
            .filter(has)
            .map(str::to_owned)
            .collect()
    }

    /// Adds a target, or gives it another address; false when it was there with another one.
    pub(super) fn set(
        &mut self,
        name: &str,
        address: &str,
        groups: &[String],
    ) -> Result<bool, Failure> {
        if self.names("groups").any(|group| group == name) {
            return Err(self.wrong(name, "there is a group of that name; choose another one"));
        }
        let new = self.table("targets").insert(name, value(address)).is_none();
        for group in groups {
            if !is_name(group) || self.names("targets").any(|target| target == group) {
                return Err(self.wrong(
                    group,
                    "expected the name of a group: letters, digits, - and _, and no target's",
                ));
            }
            let members = self
                .table("groups")
                .entry(group)
                .or_insert_with(|| value(toml_edit::Array::new()));
            let Some(members) = members.as_array_mut() else {
                return Err(self.wrong(group, "expected a list of targets"));
            };
            if !members.iter().any(|member| member.as_str() == Some(name)) {
                members.push(name);
            }
        }
        Ok(new)
    }

    /// Makes it the one that is used when none is named.
    pub(super) fn set_default(&mut self, name: &str) {
        self.document.insert("default", value(name));
    }

    /// Forgets a target, in all groups too; false when there is none.
    pub(super) fn forget(&mut self, name: &str) -> bool {
        if self.table("targets").remove(name).is_none() {
            return false;
        }
        let groups = self.table("groups");
        let mut empty = Vec::new();
        for (group, members) in groups.iter_mut() {
            let Some(members) = members.as_array_mut() else {
                continue;
            };
            let is = |member: &Value| member.as_str() == Some(name);
            members.retain(|member| !is(member));
            if members.is_empty() {
                empty.push(group.to_string());
            }
        }
        for group in empty {
            groups.remove(&group);
        }
        let default = self.document.get("default").and_then(Item::as_str);
        if default.is_some_and(|default| self.find(default).is_err()) {
            self.document.remove("default");
        }
        true
    }

    fn table(&mut self, name: &str) -> &mut Table {
        let item = self
            .document
            .entry(name)
            .or_insert_with(|| Item::Table(Table::new()));
        // `check` has seen that it is one; written inline it becomes an ordinary one.
        if !item.is_table() {
            let table = std::mem::take(item).into_table().unwrap_or_default();
            *item = Item::Table(table);
        }
        item.as_table_mut().expect("a table: it was made one")
    }

    /// Writes it, whole or not at all.
    pub(super) fn save(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(
                Exit::Local,
                format!("cannot write {}: {}", self.path.display(), plain(&error)),
            )
        };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let temporary = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&temporary, self.document.to_string())
            .and_then(|()| std::fs::rename(&temporary, &self.path))
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<File, Failure> {
        let file = File {
            path: "targets.toml".into(),
            document: text.parse().expect("TOML"),
        };
        file.check().map(|()| file)
    }

    const TEXT: &str = "# mine\ndefault = \"edges\"\n[targets]\nlab = \"ssh://10.0.0.5\" # by the window\nshed = \"ssh://shed:2222\"\n\
                        [groups]\nedges = [\"lab\", \"shed\"]\n";

    #[test]
    fn a_group_is_all_of_its_targets_in_their_order() {
        let file = file(TEXT).expect("a file");
        let names = |name: &str| -> Vec<String> {
            let places = file.find(name).expect(name);
            places.into_iter().map(|place| place.name).collect()
        };
        assert_eq!(names("edges"), ["lab", "shed"]);
        assert_eq!(names("shed"), ["shed"]);
        assert_eq!(file.default().expect("a default").as_deref(), Some("edges"));
    }

    #[test]
    fn slips_are_told_with_the_file_and_the_key() {
        for (text, said) in [
            ("defualt = \"x\"", "targets.toml: defualt: unknown"),
            ("default = 3", "targets.toml: default: expected"),
            ("targets = 3", "targets.toml: targets: expected"),
            ("[targets]\n\"a/b\" = \"x\"", "a/b: expected letters"),
            (
                "[targets]\na = \"/x\"\n[groups]\na = []",
                "a target and a group",
            ),
        ] {
            let failure = file(text).expect_err(text);
            assert!(failure.message().contains(said), "{}", failure.message());
        }
        let found = |text: &str, name: &str| match file(text).expect(text).find(name) {
            Ok(places) => panic!("{places:?}"),
            Err(failure) => failure.message().to_owned(),
        };
        file(TEXT).and_then(|file| file.check_all()).expect(TEXT);
        for text in [
            "[targets]\na = 3",
            "[groups]\ng = [\"a\"]",
            "default = \"a\"",
        ] {
            file(text).expect(text).check_all().expect_err(text);
        }
        assert!(found(TEXT, "office").contains("expected one of lab, shed, edges"));
        assert!(found("", "office").contains("vyomactl target add"));
        assert!(found("[targets]\na = 3", "a").contains("expected an address"));
        assert!(found("[targets]\na = \"ssh://a b\"", "a").contains("found host"));
        assert!(found("[groups]\ng = [\"a\"]", "g").contains("no target \"a\""));
        assert!(found("[groups]\ng = \"a\"", "g").contains("expected a list"));
    }

    #[test]
    fn what_people_wrote_stays_when_a_target_comes_or_goes() {
        let mut file = file(TEXT).expect("a file");
        assert!(
            file.set("roof", "ssh://roof", &["edges".into()])
                .expect("room")
        );
        let text = file.document.to_string();
        assert!(
            text.contains("# mine") && text.contains("# by the window"),
            "{text}"
        );
        assert!(
            text.contains("edges = [\"lab\", \"shed\", \"roof\"]"),
            "{text}"
        );
        assert_eq!(file.groups_of("roof"), ["edges"]);
        assert!(file.forget("lab") && !file.forget("lab"));
        let text = file.document.to_string();
        assert!(
            !text.contains("lab") && text.contains("\"shed\", \"roof\""),
            "{text}"
        );
    }

    #[test]
    fn a_group_and_a_default_go_with_their_last_target() {
        let mut file = file("default = \"g\"\n[targets]\na = \"/a\"\n[groups]\ng = [\"a\"]\n")
            .expect("a file");
        assert!(file.forget("a"));
        let text = file.document.to_string();
        assert!(!text.contains("g =") && !text.contains("default"), "{text}");
    }

    #[test]
    fn names_are_no_paths_and_no_addresses() {
        assert!(is_name("edge-1") && is_name("a_b"));
        for text in ["", "a.sock", "a/b", "ssh://a", "-a", &"a".repeat(64)] {
            assert!(!is_name(text), "{text}");
        }
    }
}
