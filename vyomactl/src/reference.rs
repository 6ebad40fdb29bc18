//! `completions` and `man`: made from the same definition as parsing and help.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli;
use crate::exit::{Exit, Failure, TABLE};
use crate::output::Output;

/// `completions`
pub(crate) fn completions(shell: clap_complete::Shell, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition(), "vyomactl", &mut script);
    out.raw(&String::from_utf8_lossy(&script))
}

/// `man`
pub(crate) fn man(command: Option<&str>, out: &mut Output) -> Result<(), Failure> {
    let mut page = Vec::new();
    match command {
        None => whole(&mut page),
        Some(name) => one(name, &mut page)?,
    }
    .map_err(|error| Failure::output(&error))?;
    out.raw(&String::from_utf8_lossy(&page))
}

/// The page of the whole: with the exit codes as a section of their own instead of the end of the help.
fn whole(page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(cli::definition().after_long_help(None::<&str>)).manual("Vyoma");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_subcommands_section(page)?;
    man.render_options_section(page)?;
    exit_status().to_writer(page)?;
    man.render_version_section(page)
}

fn one(name: &str, page: &mut Vec<u8>) -> Result<io::Result<()>, Failure> {
    let mut definition = cli::definition();
    definition.build();
    let command = definition.find_subcommand(name).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("man: no command {name:?}; see `vyomactl --help`"),
        )
    })?;
    Ok(Man::new(command.clone())
        .title(format!("vyomactl-{name}"))
        .manual("Vyoma")
        .render(page))
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (exit, _, meaning) in TABLE {
        roff.control("TP", ["6"]);
        roff.text([bold((*exit as u8).to_string())]);
        roff.text([roman(*meaning)]);
    }
    roff.control("TP", ["6"]);
    roff.text([bold("130")]);
    roff.text([roman("interrupted by Ctrl-C (as the shell shows it)")]);
    roff
}
