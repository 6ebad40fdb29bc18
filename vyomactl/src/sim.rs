//! `sim`: the simulated board of a daemon that was started with `--simulate`: sets and reads its inputs and outputs, talks on its
//! serial lines, makes its parts fail. What parts there are and what they can have, the daemon knows.

use clap::{Args, Subcommand};
use serde_json::json;
use vyoma_capabilities::control::sim::{
    MAX_SAY, MAX_VALUES, Part, PartFault, Picture, SimAnswer, SimRequest, number,
};
use vyoma_capabilities::control::{Request, Response};

use crate::client::{Client, Patience};
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table, clean};

/// `sim`
#[derive(Debug, Args)]
#[command(after_help = PARTS, disable_help_subcommand = true)]
pub(crate) struct SimArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: SimCommand,
}

const PARTS: &str = "\
A PART is gpio/PIN, i2c/BUS (for faults), i2c/BUS/ADDRESS[/REGISTER], spi/DEVICE[/VALUE], uart/PORT or adc/CHANNEL, by the labels and \
numbers of the board: gpio/LED, i2c/1/0x48/0x00, spi/ADC/3, uart/GPS, adc/0. Numbers are decimal, or hexadecimal after 0x.";

/// The commands of `sim`.
#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// Show the parts of the board and what they have
    List,
    /// Show the level of a pin, registers, or values
    Get(GetArgs),
    /// Drive a pin from outside, or write registers or values
    Set(SetArgs),
    /// Say a line to the app at a serial port
    Say(SayArgs),
    /// Show what apps said at a serial port
    Hear(PartArgs),
    /// Make a part fail, or work again
    Fault(FaultArgs),
    /// Show what a display shows
    Picture(PartArgs),
}

/// `sim hear`, `sim picture`
#[derive(Debug, Args)]
pub(crate) struct PartArgs {
    /// Which part
    #[arg(value_parser = Part::parse)]
    pub(crate) part: Part,
}

/// `sim get`
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Which part
    #[arg(value_parser = Part::parse)]
    pub(crate) part: Part,
    /// How many registers or values, from that one on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_VALUES as i64))]
    pub(crate) count: u32,
}

/// `sim set`
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Which part
    #[arg(value_parser = Part::parse)]
    pub(crate) part: Part,
    /// Of a pin high or low; bytes of registers, or values, from that one on
    #[arg(required = true, value_name = "VALUE", value_parser = value, num_args = 1..=MAX_VALUES)]
    pub(crate) values: Vec<u32>,
}

/// `sim say`
#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// Which port
    #[arg(value_parser = Part::parse)]
    pub(crate) part: Part,
    /// The line; it is sent with a carriage return and a line feed after it
    #[arg(value_name = "LINE")]
    pub(crate) line: String,
    /// Nothing is sent after the line
    #[arg(long)]
    pub(crate) bare: bool,
}

/// `sim fault`
#[derive(Debug, Args)]
pub(crate) struct FaultArgs {
    /// Which part
    #[arg(value_parser = Part::parse)]
    pub(crate) part: Part,
    /// none: it works again; of a pin stuck, broken; of an I2C device nak, nak-data, bus, timeout, arbitration; of an I2C bus bus,
    /// timeout, arbitration; of anything else broken
    #[arg(value_parser = fault)]
    pub(crate) fault: PartFault,
    /// So many transfers of an I2C device still work
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u32,
}

fn value(text: &str) -> Result<u32, String> {
    match text {
        "high" => Ok(1),
        "low" => Ok(0),
        other => number(other).ok_or_else(|| {
            format!("found {other:?}; expected high, low or a number such as 27 or 0x1b")
        }),
    }
}

fn fault(text: &str) -> Result<PartFault, String> {
    let named = PartFault::NAMES.iter().find(|(name, _)| *name == text);
    named.map(|(_, fault)| *fault).ok_or_else(|| {
        let names = PartFault::NAMES.map(|(name, _)| name).join(", ");
        format!("found {text:?}; expected one of {names}")
    })
}

/// `sim`
pub(crate) fn sim(
    client: &mut Client,
    command: &SimCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    let request = match command {
        SimCommand::List => SimRequest::List,
        SimCommand::Get(args) => SimRequest::Get {
            part: args.part.clone(),
            count: args.count,
        },
        SimCommand::Set(args) => SimRequest::Set {
            part: args.part.clone(),
            values: args.values.clone(),
        },
        SimCommand::Say(args) => SimRequest::Say {
            part: args.part.clone(),
            bytes: said(args)?,
        },
        SimCommand::Hear(args) => SimRequest::Hear {
            part: args.part.clone(),
        },
        SimCommand::Fault(args) => SimRequest::Fault {
            part: args.part.clone(),
            fault: args.fault,
            after: args.after,
        },
        SimCommand::Picture(args) => SimRequest::Picture {
            part: args.part.clone(),
        },
    };
    let answer = client.call(&Request::Sim(request), Patience::Prompt)?;
    match answer {
        Response::Done => done(command, out),
        Response::Sim(SimAnswer::Parts(parts)) if out.is_json() => out.json(&parts),
        Response::Sim(SimAnswer::Parts(parts)) => {
            let mut table = Table::new(&[
                ("PART", Align::Left),
                ("KIND", Align::Left),
                ("VALUE", Align::Left),
                ("FAULT", Align::Left),
            ]);
            for part in &parts {
                table.row(vec![
                    Cell::new(&part.part),
                    Cell::new(&part.kind),
                    Cell::new(&part.value),
                    match part.fault {
                        PartFault::None => Cell::dash(),
                        fault => Cell::styled(Style::Bad, fault.name()),
                    },
                ]);
            }
            out.table(&table)
        }
        Response::Sim(SimAnswer::Values(values)) if out.is_json() => out.json(&values),
        Response::Sim(SimAnswer::Values(values)) => {
            let is_pin = matches!(
                command,
                SimCommand::Get(GetArgs {
                    part: Part::Pin { .. },
                    ..
                })
            );
            let words: Vec<String> = values.iter().map(|value| shown(*value, is_pin)).collect();
            out.line(&words.join(" "))
        }
        Response::Sim(SimAnswer::Said(text)) if out.is_json() => out.json(&json!({ "said": text })),
        Response::Sim(SimAnswer::Said(text)) => {
            text.lines().try_for_each(|line| out.line(&clean(line)))
        }
        Response::Sim(SimAnswer::Picture(picture)) if out.is_json() => out.json(&picture),
        Response::Sim(SimAnswer::Picture(picture)) => {
            if !picture.on {
                out.line("it is switched off")?;
            }
            half_blocks(&picture)
                .iter()
                .try_for_each(|line| out.line(line))
        }
        other => Err(client.unexpected(&other)),
    }
}

fn done(command: &SimCommand, out: &mut Output) -> Result<(), Failure> {
    let (part, action) = match command {
        SimCommand::Set(args) => (args.part.to_string(), "set"),
        SimCommand::Say(args) => (args.part.to_string(), "said"),
        SimCommand::Fault(args) => (args.part.to_string(), args.fault.name()),
        // They have answers.
        _ => return Ok(()),
    };
    if out.is_json() {
        return out.json(&json!({ "done": action, "part": part }));
    }
    out.line(&format!("{}: {action}", clean(&part)))
}

fn shown(value: u32, is_pin: bool) -> String {
    match (is_pin, value) {
        (true, 0) => "low".to_owned(),
        (true, _) => "high".to_owned(),
        (false, value) => value.to_string(),
    }
}

/// The bytes of what is to be said.
fn said(args: &SayArgs) -> Result<Vec<u8>, Failure> {
    let end = if args.bare { "" } else { "\r\n" };
    let bytes = format!("{}{end}", args.line).into_bytes();
    if bytes.is_empty() || bytes.len() > MAX_SAY {
        let found = bytes.len();
        return Err(Failure::new(
            Exit::Invalid,
            format!("found a line of {found} bytes with its end; expected 1 to {MAX_SAY}"),
        ));
    }
    Ok(bytes)
}

/// Two rows of dots a line, since a character is twice as high as it is wide. Of a device that sends anything else than `#` and
/// `.`, everything is dark.
fn half_blocks(picture: &Picture) -> Vec<String> {
    picture
        .rows
        .chunks(2)
        .map(|rows| {
            let [upper, lower] =
                [0, 1].map(|row| rows.get(row).map(String::as_bytes).unwrap_or_default());
            upper
                .iter()
                .enumerate()
                .map(
                    |(at, dot)| match (*dot == b'#', lower.get(at) == Some(&b'#')) {
                        (true, true) => '█',
                        (true, false) => '▀',
                        (false, true) => '▄',
                        (false, false) => ' ',
                    },
                )
                .collect::<String>()
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use vyoma_capabilities::control::sim::PART_FORMS;

    use super::*;

    #[test]
    fn the_forms_of_parts_in_the_help_are_those_that_are_read() {
        for form in PART_FORMS
            .split([',', ' '])
            .filter(|word| word.contains('/'))
        {
            let plain = form.split('[').next().unwrap_or_default();
            assert!(PARTS.contains(plain), "{form}");
        }
        for example in [
            "gpio/LED",
            "i2c/1/0x48/0x00",
            "spi/ADC/3",
            "uart/GPS",
            "adc/0",
        ] {
            assert!(PARTS.contains(example));
            Part::parse(example).unwrap();
        }
    }

    #[test]
    fn levels_are_words_and_numbers_are_of_either_base() {
        assert_eq!(value("high"), Ok(1));
        assert_eq!(value("0x1b"), Ok(27));
        let why = value("on").unwrap_err();
        assert!(why.contains("\"on\"") && why.contains("high"), "{why}");
        assert_eq!(fault("nak-data"), Ok(PartFault::NakData));
        let why = fault("pulled").unwrap_err();
        assert!(why.contains("arbitration"), "{why}");
    }

    #[test]
    fn a_picture_is_drawn_with_two_rows_in_a_line() {
        let rows = ["#.#.", "##..", "...#"].map(String::from).to_vec();
        let picture = Picture { on: true, rows };
        assert_eq!(half_blocks(&picture), ["█▄▀", "   ▀"]);
    }
}
