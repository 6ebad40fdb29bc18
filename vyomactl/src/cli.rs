//! The command line: the one definition from which parsing, help, man page and completions are made.
//!
//! It only says what can be written; the modules named after the commands do it. A mistake is told in one line, like
//! every other failure.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::exit::{self, Exit, Failure};
use crate::sim::SimArgs;
use crate::units::{self, Since};

/// Where a device's socket is unless something else is said.
pub(crate) const DEFAULT_TARGET: &str = "unix:///run/vyoma/control.sock";

/// Operate a Vyoma device: its apps, their logs, the device itself.
#[derive(Debug, Parser)]
#[command(name = "vyomactl", version, long_about = LONG_ABOUT, after_long_help = exit::table_text(),
          disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// The device: ssh://[user@]host[:port], unix:///PATH or the path of its control socket, serial:///dev/ttyACM0[?baud=RATE],
    /// or the name of a target or group of targets.toml; several times for several devices
    /// [default: the default of targets.toml, else a device that `cargo xtask run` runs, else unix:///run/vyoma/control.sock]
    #[arg(short, long, global = true, help_heading = GLOBAL, value_name = "TARGET", env = "VYOMA_TARGET", value_delimiter = ',',
          value_hint = clap::ValueHint::AnyPath)]
    pub(crate) target: Vec<String>,

    /// Tables for people, or JSON for programs (streams: one document a line)
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FORMAT", value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) output: OutputFormat,

    /// Colour in tables; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,

    /// Longest wait for the connection and for each reply [default: 10; 60 to stop apps or the device, 300 to install]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "SECS", value_parser = units::parse_seconds)]
    pub(crate) timeout: Option<Duration>,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Heading of the options that every command takes.
const GLOBAL: &str = "Options of every command";

const LONG_ABOUT: &str = "\
Operate a Vyoma device: its apps, their logs, the device itself.

vyomactl talks to a device by SSH, to the control socket of a hosted vyomad on this machine, or to a microcontroller \
on a serial port, and to several of them at once. Every command but \
dashboard knows --output json; errors are then JSON on standard error too. What apps and devices say is shown with terminal escapes \
made harmless. `vyomactl completions SHELL` prints shell completions, `vyomactl man` the man page.";

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Even into a pipe
    Always,
    /// Not at all
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the apps: phase, restarts, memory, how they last ended
    Ps,
    /// Show what the apps use, again and again on a terminal, once otherwise
    Top(TopArgs),
    /// Show what apps printed
    Logs(LogsArgs),
    /// Install or replace an app, without a reboot; all or nothing
    Install(InstallArgs),
    /// Build an app whenever it is saved, install it and show its logs, until Ctrl-C
    Watch(InstallArgs),
    /// Go back to the version before the current one
    Rollback(AppArgs),
    /// Stop an app and forget it, its data too
    Remove(RemoveArgs),
    /// Write to an app's standard input
    Send(SendArgs),
    /// Start a stopped or quarantined app
    Start(AppArgs),
    /// Stop an app; it stays stopped over a reboot
    Stop(AppArgs),
    /// Stop an app, then start it
    Restart(AppArgs),
    /// Show what an app may use, what it used and what it was denied, with counts
    Caps(AppArgs),
    /// Make keys, and say whose signatures a device trusts
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sign an app: its manifest and its component together, in a file vyoma.sig beside them
    Sign(SignArgs),
    /// Make one file of an app: manifest, component, signature and machine code
    Pack(PackArgs),
    /// Put an app into an OCI registry, as the Wasm OCI artifact
    Push(PushArgs),
    /// Show what a component imports and needs and where it can run; no device needed
    Inspect(InspectArgs),
    /// Show what happened on the device
    Events(EventsArgs),
    /// Show the device itself
    Info,
    /// Show devices, apps, capabilities and logs on a full screen, with keys to act
    Dashboard,
    /// Say what is wrong with this machine or the device, and how to mend it
    Doctor,
    /// Make one archive for a bug report: versions, state, logs; secrets left out
    Support(SupportArgs),
    /// Set and read the parts of a simulated board (vyomad --simulate), and make them fail
    Sim(SimArgs),
    /// Stop all apps in order and power off (a hosted daemon ends)
    Shutdown(EndArgs),
    /// Stop all apps in order and restart the device (a hosted daemon ends)
    Reboot(EndArgs),
    /// Name devices, and groups of them, in targets.toml
    #[command(subcommand)]
    Target(TargetCommand),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Print the man page
    #[command(hide = true)]
    Man,
}

/// `top`
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Time between two looks, at least 100ms
    #[arg(long, value_name = "DURATION", value_parser = units::parse_interval, default_value = "2s")]
    pub(crate) interval: Duration,
    /// End after so many looks [default: go on on a terminal, 1 otherwise]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

/// `logs`
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only these apps' lines [default: all apps]
    #[arg(value_name = "APP", value_parser = units::parse_app)]
    pub(crate) apps: Vec<String>,
    /// Go on showing lines as they come, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only lines from then on: so long ago (30s, 5m, 1h30m) or at a time such as 2026-11-26T09:30:00Z, by the device's clock
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    pub(crate) since: Option<Since>,
    /// Lines from before the daemon last started (on a device: before the last reboot)
    #[arg(long, conflicts_with = "follow")]
    pub(crate) previous: bool,
    /// Only the last so many lines
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u32>,
}

/// `install`
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Folder with a vyoma.toml, a vyoma.toml, a component beside one, a bundle, or oci://HOST[:PORT]/NAME[:TAG or @DIGEST]
    #[arg(value_name = "DIR|FILE|OCI", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// The vyoma.toml of an app in a registry that comes without one
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) manifest: Option<PathBuf>,
    /// Send no machine code along, even to a device that takes some; the app is interpreted there
    #[arg(long)]
    pub(crate) no_aot: bool,
    /// Wait until the device knows whether the new version is healthy; if it is not, and was taken back, end with 9
    #[arg(long)]
    pub(crate) wait: bool,
    /// Sign it with the secret key in FILE, the machine code that is sent along too
    #[arg(long, value_name = "FILE", env = "VYOMA_KEY", value_hint = clap::ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// Install it even if a newer version has run on the device
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
}

/// `key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key: the secret in FILE, which only you may read, the public key beside it (.pub)
    New {
        /// Where the secret goes, such as release.key; it must not be there yet
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        path: PathBuf,
    },
    /// Have the device trust what a key signs
    Trust {
        /// The public key: the .pub file
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        path: PathBuf,
        /// What it is called on the device [default: the file's name]
        #[arg(long)]
        name: Option<String>,
    },
    /// Show whom the device trusts, and whether it requires signatures
    List,
    /// Have the device trust a key no longer; apps that it has signed stay
    Untrust {
        /// Its name on the device, or the key itself (ed25519:...)
        key: String,
    },
    /// Have the device take only what a trusted key has signed, or anything
    Require {
        /// Whether
        #[arg(value_enum)]
        what: OnOff,
    },
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnOff {
    /// Yes
    On,
    /// No
    Off,
}

/// `sign`
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Folder with a vyoma.toml, a vyoma.toml, or a component beside one
    #[arg(value_name = "DIR|FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// File of the secret key, as `vyomactl key new` makes it
    #[arg(long, value_name = "FILE", env = "VYOMA_KEY", value_hint = clap::ValueHint::FilePath)]
    pub(crate) key: PathBuf,
}

/// `push`
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Folder with a vyoma.toml, a vyoma.toml, a component beside one, or a bundle
    #[arg(value_name = "DIR|FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Where to: oci://HOST[:PORT]/NAME[:TAG]
    #[arg(value_name = "OCI")]
    pub(crate) reference: String,
}

/// `pack`
#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// Folder with a vyoma.toml, a vyoma.toml, or a component beside one
    #[arg(value_name = "DIR|FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// The bundle [default: NAME-VERSION.bundle]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Sign it with the secret key in FILE, the machine code too
    #[arg(long, value_name = "FILE", env = "VYOMA_KEY", value_hint = clap::ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// Add machine code for devices of this platform, such as iot-edge, or iot-edge/x86_64; may be given more than once
    #[arg(long, value_name = "PLATFORM[/ARCH]")]
    pub(crate) aot: Vec<String>,
}

/// `remove`
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The app
    pub(crate) app: String,
    /// Leave the app's data folder on the device
    #[arg(long)]
    pub(crate) keep_data: bool,
}

/// `send`
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The app
    pub(crate) app: String,
    /// A line; without one, what stands on standard input is sent as it is, at most 64 KiB
    #[arg(value_name = "LINE")]
    pub(crate) line: Option<String>,
    /// Nothing comes after it: the app reads the end of its input
    #[arg(long)]
    pub(crate) end: bool,
}

/// `start`, `stop`, `restart`, `rollback`
#[derive(Debug, Args)]
pub(crate) struct AppArgs {
    /// The app
    pub(crate) app: String,
}

/// `inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A component, or what install takes
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
}

/// `events`
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on showing events as they come, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only events from then on: so long ago (30s, 5m, 1h30m) or at a time such as 2026-11-26T09:30:00Z, by the device's clock
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    pub(crate) since: Option<Since>,
}

/// `support`
#[derive(Debug, Args)]
pub(crate) struct SupportArgs {
    /// The archive to make [default: vyoma-support-HOST-TIME.tar.gz in this folder]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,
}

/// `shutdown`, `reboot`
#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    /// Don't ask (without a terminal nothing is asked)
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `target`
#[derive(Debug, Subcommand)]
pub(crate) enum TargetCommand {
    /// Give a device a name, and look whether it answers
    Add(TargetAddArgs),
    /// Show the names
    List,
    /// Forget a name
    Remove(TargetRemoveArgs),
}

/// `target add`
#[derive(Debug, Args)]
pub(crate) struct TargetAddArgs {
    /// The name: letters, digits, - and _
    pub(crate) name: String,
    /// Where it is, as --target takes it
    pub(crate) address: String,
    /// Put it into this group, too; may be given more than once
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// Use it when no target is named
    #[arg(long)]
    pub(crate) default: bool,
    /// Don't connect to it now
    #[arg(long)]
    pub(crate) no_check: bool,
}

/// `target remove`
#[derive(Debug, Args)]
pub(crate) struct TargetRemoveArgs {
    /// The name
    pub(crate) name: String,
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Reads the process's arguments. What is not a command to run (help, version, a mistake) is dealt with here, and the exit
/// code is returned.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help into a closed pipe is read by nobody: no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(Exit::Usage as u8)
        }
        _ => {
            let format = format_of(std::env::args_os());
            Failure::new(Exit::Usage, one_line(&error.to_string())).report(format)
        }
    })
}

/// The definition itself, for the man page and completions.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// The form for an error about arguments that could not be parsed: JSON if that was asked for somewhere in them.
fn format_of(args: impl Iterator<Item = std::ffi::OsString>) -> OutputFormat {
    let mut after_output = false;
    for arg in args {
        if arg == "--output=json" || (after_output && arg == "json") {
            return OutputFormat::Json;
        }
        after_output = arg == "--output";
    }
    OutputFormat::Table
}

/// clap's several lines as one: what was wrong, its tips, and the help to look at.
fn one_line(message: &str) -> String {
    let (what, usage) = message.split_once("\n\nUsage: ").unwrap_or((message, ""));
    let mut line = String::new();
    for part in what
        .lines()
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.starts_with("For more information"))
    {
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        line.push_str(part.strip_prefix("error: ").unwrap_or(part));
    }
    // The usage line names the command that the mistake is in.
    let command: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .collect();
    let command = if command.is_empty() {
        "vyomactl".to_owned()
    } else {
        command.join(" ")
    };
    format!("{line}; see `{command} --help`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(args: &[&str]) -> String {
        let error = Cli::try_parse_from(args).expect_err("a mistake");
        one_line(&error.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn mistakes_are_one_line_that_names_the_help_to_read() {
        assert_eq!(
            mistake(&["vyomactl", "stop"]),
            "the following required arguments were not provided: <APP>; see `vyomactl stop --help`"
        );
        let line = mistake(&["vyomactl", "logz"]);
        assert!(
            line.contains("logs") && line.ends_with("see `vyomactl --help`"),
            "{line}"
        );
        let line = mistake(&["vyomactl", "logs", "--since", "5"]);
        assert!(
            line.contains("such as 30s") && !line.contains('\n'),
            "{line}"
        );
    }

    #[test]
    fn json_is_seen_in_arguments_that_do_not_parse() {
        let args = |words: &[&str]| {
            format_of(
                words
                    .iter()
                    .map(std::ffi::OsString::from)
                    .collect::<Vec<_>>()
                    .into_iter(),
            )
        };
        assert_eq!(
            args(&["vyomactl", "--output", "json", "oops"]),
            OutputFormat::Json
        );
        assert_eq!(
            args(&["vyomactl", "oops", "--output=json"]),
            OutputFormat::Json
        );
        assert_eq!(args(&["vyomactl", "json"]), OutputFormat::Table);
    }
}
