//! The command line of `vyomad`. By hand, because the binary is PID 1 of small devices and a parser crate would be
//! a tenth of it. Called by `main` only.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
The Vyoma daemon. As PID 1 it runs a device; argv is ignored there.

Usage:
  vyomad --hosted --state DIR --profile NAME|FILE [--apps DIR]... [--store DIR]... [--console]
  vyomad app NAME         run one app (started by the daemon)
  vyomad admit NAME       check and compile one component (started by the daemon)
  vyomad ssh ADDRESS      serve one SSH connection (started by the daemon)
  vyomad compile ...      check and compile a component off the device
  vyomad control [--socket PATH]
                          the control socket on standard input and output, for the forced command of an SSH server;
                          default: /run/vyoma/control.sock

Options:
  --hosted          run on a developer's machine, without the duties of PID 1
  --state DIR       where everything is kept; the control socket is DIR/control.sock
  --profile P       one of the six platforms, or a profile TOML file
  --apps DIR        a folder of apps (DIR/NAME/vyoma.toml); may be given more than once
  --store DIR       a read-only folder of compiled artefacts; may be given more than once
  --board B         the machine's board: a name like raspberry-pi-4, or a board TOML file; default: found out
  --simulate B      simulate that board instead: pins, buses, serial ports and converters in memory
  --ssh ADDR        serve SSH at ADDR, such as 127.0.0.1:2222, to the keys in STATE/ssh/authorized_keys
  --ssh-keys FILE   further authorised keys, in the form of OpenSSH; may be given more than once
  --keys DIR        a folder of public keys (NAME.pub) that are trusted, as an image has them; may be given more than once
  --signatures P    off, required or image, as vyoma.signatures= on a device
  --fault LIST      fault injection for tests, as vyoma.fault= on a device
  --console         print what apps print, as a device's console does
  --version         print the version
  --help            print this
";

/// Which of its roles this process is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The daemon on a developer's machine.
    Hosted(Box<Hosted>),
    /// One app.
    App,
    /// Admission of one component.
    Admit,
    /// Compilation off the device.
    Compile,
    /// One SSH connection.
    Ssh,
    /// The control socket on standard input and output.
    Control(PathBuf),
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
    /// Where to serve SSH.
    pub(crate) ssh: Option<SocketAddr>,
    /// Files of keys that may log in, besides the one in the state directory.
    pub(crate) ssh_keys: Vec<PathBuf>,
    /// Folders of keys.
    pub(crate) keys: Vec<PathBuf>,
    /// Which signatures are needed.
    pub(crate) signatures: Option<String>,
    /// Faults to inject.
    pub(crate) fault: Option<String>,
}

/// Reads the words after the program's name. Words after `app`, `admit`, `ssh` and `compile` are left to those roles.
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
            "ssh" if first => return Ok(Role::Ssh),
            "control" if first => return control(words),
            "--version" | "-V" => return Ok(Role::Version),
            "--help" | "-h" => return Ok(Role::Help),
            "--hosted" => hosted = true,
            "--console" => options.console = true,
            "--state" => options.state = value(flag)?.into(),
            "--profile" => options.profile = utf8(flag, value(flag)?)?,
            "--board" => options.board = Some(utf8(flag, value(flag)?)?),
            "--simulate" => options.simulate = Some(utf8(flag, value(flag)?)?),
            "--keys" => options.keys.push(value(flag)?.into()),
            "--signatures" => options.signatures = Some(utf8(flag, value(flag)?)?),
            "--fault" => options.fault = Some(utf8(flag, value(flag)?)?),
            "--ssh" => options.ssh = Some(address(&utf8(flag, value(flag)?)?)?),
            "--ssh-keys" => options.ssh_keys.push(value(flag)?.into()),
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
    Ok(Role::Hosted(options.into()))
}

/// The words after `control`.
fn control(mut words: impl Iterator<Item = OsString>) -> Result<Role, String> {
    let mut socket = PathBuf::from(crate::daemon::SOCKET);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--socket") => socket = words.next().ok_or("--socket needs a value")?.into(),
            _ => {
                return Err(format!(
                    "control: found {}; expected --socket PATH",
                    word.display()
                ));
            }
        }
    }
    Ok(Role::Control(socket))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("--ssh: found {text:?}; expected an address and a port, such as 127.0.0.1:2222")
    })
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
            ssh: None,
            ssh_keys: Vec::new(),
            keys: Vec::new(),
            signatures: None,
            fault: None,
        };
        assert_eq!(role, Role::Hosted(expected.into()));
    }

    #[test]
    fn roles_are_only_recognised_as_the_first_word() {
        assert_eq!(words("app hello"), Ok(Role::App));
        assert_eq!(words("admit hello"), Ok(Role::Admit));
        assert_eq!(words("ssh 10.0.2.2:40000"), Ok(Role::Ssh));
        assert_eq!(
            words("control --socket /s/control.sock"),
            Ok(Role::Control("/s/control.sock".into()))
        );
        assert!(
            words("control --target x")
                .unwrap_err()
                .contains("--socket")
        );
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
        let wrong = words("--hosted --state s --profile mobile --ssh 2222").unwrap_err();
        assert!(wrong.contains("127.0.0.1:2222"), "{wrong}");
        assert!(words("--hosted --bogus").unwrap_err().contains("--bogus"));
        assert!(
            words("--hosted --console=yes")
                .unwrap_err()
                .contains("takes no value")
        );
    }
}
