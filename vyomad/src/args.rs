//! The command line of `vyomad`. By hand, because the binary is PID 1 of small devices and a parser crate would be
//! a tenth of it. Called by `main` only.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
The Vyoma daemon. As PID 1 it runs a device; argv is ignored there.

Usage:
  vyomad --hosted --state DIR --profile NAME|FILE [--apps DIR]... [--store DIR]... [--console]
  vyomad app NAME         run one app (started by the daemon)
  vyomad admit NAME       check and compile one component (started by the daemon)
  vyomad compile ...      check and compile a component off the device

Options:
  --hosted          run on a developer's machine, without the duties of PID 1
  --state DIR       where everything is kept; the control socket is DIR/control.sock
  --profile P       one of the six platforms, or a profile TOML file
  --apps DIR        a folder of apps (DIR/NAME/vyoma.toml); may be given more than once
  --store DIR       a read-only folder of compiled artefacts; may be given more than once
  --board B         the machine's board: a name like raspberry-pi-4, or a board TOML file; default: found out
  --simulate B      simulate that board instead: pins, buses, serial ports and converters in memory
  --fault LIST      fault injection for tests, as vyoma.fault= on a device
  --console         print what apps print, as a device's console does
  --version         print the version
  --help            print this
";

/// Which of its roles this process is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The daemon on a developer's machine.
    Hosted(Hosted),
    /// One app.
    App,
    /// Admission of one component.
    Admit,
    /// Compilation off the device.
    Compile,
    /// `--version`
    Version,
    /// `--help`
    Help,
}

/// Options of a hosted daemon.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosted {
    /// The state directory.
    pub(crate) state: PathBuf,
    /// Name of a built-in profile, or a file.
    pub(crate) profile: String,
    /// Folders of image apps.
    pub(crate) apps: Vec<PathBuf>,
    /// Read-only stores.
    pub(crate) stores: Vec<PathBuf>,
    /// Name of a built-in board, or a file.
    pub(crate) board: Option<String>,
    /// The same, simulated.
    pub(crate) simulate: Option<String>,
    /// Print what apps print.
    pub(crate) console: bool,
    /// Faults to inject.
    pub(crate) fault: Option<String>,
}

/// Reads the words after the program's name. Words after `app`, `admit` and `compile` are left to those roles.
pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Role, String> {
    let mut hosted = false;
    let mut options = Hosted::default();
    let mut first = true;
    while let Some(word) = words.next() {
        let text = word
            .to_str()
            .ok_or_else(|| format!("found {}; expected UTF-8", word.display()))?;
        // `--state=DIR` is the same as `--state DIR`.
        let (flag, mut inline) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
            _ => (text, None),
        };
        let mut value = |flag: &str| {
            inline
                .take()
                .or_else(|| words.next())
                .ok_or(format!("{flag} needs a value"))
        };
        match flag {
            "app" if first => return Ok(Role::App),
            "admit" if first => return Ok(Role::Admit),
            "compile" if first => return Ok(Role::Compile),
            "--version" | "-V" => return Ok(Role::Version),
            "--help" | "-h" => return Ok(Role::Help),
            "--hosted" => hosted = true,
            "--console" => options.console = true,
            "--state" => options.state = value(flag)?.into(),
            "--profile" => options.profile = utf8(flag, value(flag)?)?,
            "--board" => options.board = Some(utf8(flag, value(flag)?)?),
            "--simulate" => options.simulate = Some(utf8(flag, value(flag)?)?),
            "--fault" => options.fault = Some(utf8(flag, value(flag)?)?),
            "--apps" => options.apps.push(value(flag)?.into()),
            "--store" => options.stores.push(value(flag)?.into()),
            _ => {
                return Err(format!(
                    "found {text:?}; expected --hosted and its options, or a role"
                ));
            }
        }
        if let Some(extra) = inline {
            return Err(format!("{flag} takes no value, found {}", extra.display()));
        }
        first = false;
    }
    if !hosted {
        return Err("not PID 1; expected --hosted".into());
    }
    if options.state.as_os_str().is_empty() {
        return Err("--hosted needs --state DIR".into());
    }
    if options.board.is_some() && options.simulate.is_some() {
        return Err("--simulate names the board; expected no --board beside it".into());
    }
    if options.profile.is_empty() {
        return Err("--hosted needs --profile NAME or FILE".into());
    }
    Ok(Role::Hosted(options))
}

fn utf8(flag: &str, value: OsString) -> Result<String, String> {
    value
        .into_string()
        .map_err(|value| format!("{flag}: found {}; expected UTF-8", value.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Role, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn hosted_options_are_read_in_both_spellings() {
        let role =
            words("--hosted --state=/s --profile mobile --apps a --apps=b --store c --console --simulate f.toml")
                .unwrap();
        let expected = Hosted {
            state: "/s".into(),
            profile: "mobile".into(),
            apps: vec!["a".into(), "b".into()],
            stores: vec!["c".into()],
            board: None,
            simulate: Some("f.toml".into()),
            console: true,
            fault: None,
        };
        assert_eq!(role, Role::Hosted(expected));
    }

    #[test]
    fn roles_are_only_recognised_as_the_first_word() {
        assert_eq!(words("app hello"), Ok(Role::App));
        assert_eq!(words("admit hello"), Ok(Role::Admit));
        assert!(words("--hosted app hello").is_err());
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert!(words("").unwrap_err().contains("--hosted"));
        assert!(
            words("--hosted --profile mobile")
                .unwrap_err()
                .contains("--state")
        );
        assert!(
            words("--hosted --state s")
                .unwrap_err()
                .contains("--profile")
        );
        assert!(
            words("--hosted --state s --profile mobile --board generic --simulate f")
                .unwrap_err()
                .contains("--board")
        );
        assert!(words("--hosted --bogus").unwrap_err().contains("--bogus"));
        assert!(
            words("--hosted --console=yes")
                .unwrap_err()
                .contains("takes no value")
        );
    }
}
