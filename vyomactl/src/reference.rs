//! `completions` and `man`: made from the same definition as parsing and help.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::cli;
use crate::exit::{Failure, INTERRUPTED, TABLE};
use crate::output::Output;

/// `completions`
pub(crate) fn completions(shell: clap_complete::Shell, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition(), "vyomactl", &mut script);
    out.raw(&String::from_utf8_lossy(&script))
}

/// `man`: one page that holds all; clap_mangen's own would refer to a page for each command.
pub(crate) fn man(out: &mut Output) -> Result<(), Failure> {
    let mut page = Vec::new();
    render(&mut page).map_err(|error| Failure::output(&error))?;
    out.raw(&String::from_utf8_lossy(&page))
}

fn render(page: &mut Vec<u8>) -> io::Result<()> {
    let mut definition = cli::definition();
    definition.build();
    let man = Man::new(definition.clone()).manual("Vyoma");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    commands(&definition).to_writer(page)?;
    man.render_options_section(page)?;
    exit_status().to_writer(page)?;
    environment().to_writer(page)?;
    man.render_version_section(page)
}

fn commands(definition: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    // A command that has commands of its own stands for them.
    let all = definition.get_subcommands().flat_map(|command| {
        let own: Vec<&Command> = command.get_subcommands().collect();
        if own.is_empty() { vec![command] } else { own }
    });
    for command in all {
        // `Usage: vyomactl stop [OPTIONS] <APP>` -> `stop [OPTIONS] <APP>`
        let usage = command.clone().render_usage().to_string();
        let usage = usage
            .trim_start_matches("Usage: vyomactl ")
            .trim()
            .to_owned();
        roff.control("SS", [usage.as_str()]);
        roff.text([roman(
            command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default(),
        )]);
        for arg in command.get_arguments().filter(|arg| is_own(arg)) {
            roff.control("TP", []);
            roff.text(names(arg));
            roff.text([roman(
                arg.get_help().map(ToString::to_string).unwrap_or_default(),
            )]);
        }
    }
    roff
}

/// Not one of those that every command takes.
fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn names(arg: &Arg) -> Vec<clap_mangen::roff::Inline> {
    let flags: Vec<String> = [
        arg.get_short().map(|short| format!("-{short}")),
        arg.get_long().map(|long| format!("--{long}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut pieces = vec![bold(flags.join(", "))];
    if arg.get_action().takes_values() {
        let value = arg.get_value_names().map_or_else(
            || arg.get_id().as_str().to_uppercase(),
            |names| names.join(" "),
        );
        pieces.push(roman(if flags.is_empty() { "" } else { " " }));
        pieces.push(italic(value));
    }
    pieces
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    let codes = TABLE
        .iter()
        .map(|(exit, _, meaning)| (*exit as u8, *meaning));
    for (code, meaning) in codes.chain([INTERRUPTED]) {
        roff.control("TP", ["6"]);
        roff.text([bold(code.to_string())]);
        roff.text([roman(meaning)]);
    }
    roff
}

fn environment() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in [
        ("VYOMA_TARGET", "the device, unless --target names one"),
        (
            "NO_COLOR",
            "when set and not empty: no colour, unless --color=always",
        ),
        (
            "CARGO_TARGET_DIR",
            "where install and inspect look first for a component that its manifest names but that is not beside it",
        ),
    ] {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning)]);
    }
    roff
}
