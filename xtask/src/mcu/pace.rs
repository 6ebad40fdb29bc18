//! How fast the microcontroller is, in instructions: QEMU counts each as a nanosecond (`-icount shift=0`), so what the board's own
//! clock says depends on no other load of this machine, and comes out the same each time. The board runs a firmware that
//! measures itself first (feature `bench`: loops in native code, going to an app and back) and then the app
//! `apps/guests/pace` (the same loops in wasm3, host calls). Called by the budgets, whose page it is on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use regex_lite::Regex;
use serde::Serialize;

use super::Board;
use super::image;
use super::run;
use crate::boot::{MachineOptions, Plan};
use crate::context::{Context, say};
use crate::figures::{Figure, Goal};
use crate::platforms::MICROCONTROLLER;

/// The app's last line.
const DONE: &str = r"^\[pace\] .*done$";
/// Some hundred million instructions, at some ten million a second when this machine is busy.
const TIMEOUT: Duration = Duration::from_mins(4);
/// Instructions of a microsecond.
const PER_MICROSECOND: f64 = 1000.0;

/// What was measured, in instructions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Pace {
    /// Loops, by name.
    loops: BTreeMap<String, Loop>,
    /// From the executor to an app and back, registers only.
    registers: f64,
    /// The same from app to app: with the clock, the slice and the protection unit.
    apps: f64,
    /// A call of the host by an app, reading the clock, seen from the app.
    host_call: f64,
}

/// One loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Loop {
    native: f64,
    wasm3: f64,
}

/// Boots the board and reads what it says.
pub(super) fn measure(context: &Context) -> anyhow::Result<Pace> {
    let guest = context.root.join("apps/guests/pace");
    let image = image::build_bench(context, Board::DEFAULT, &guest)?;
    let options = MachineOptions {
        qemu: ["-icount", "shift=0,sleep=off"].map(str::to_owned).to_vec(),
        ..MachineOptions::default()
    };
    let plan = Plan {
        until: &[Regex::new(DONE)?],
        timeout: TIMEOUT,
        keep_running: false,
        screenshot: None,
        echo: false,
    };
    say(format_args!(
        "counting instructions of {MICROCONTROLLER}, natively and in wasm3"
    ));
    let report = run::boot(&image, &options, &plan, &|_| Ok(()))?;
    let lines: Vec<&str> = report.lines.iter().map(|line| line.text.as_str()).collect();
    parse(&lines)
}

/// What one side says: microseconds, and the rest of the line.
type Said<'a> = BTreeMap<&'a str, (f64, &'a str)>;

fn parse(lines: &[&str]) -> anyhow::Result<Pace> {
    // `vyoma: bench: NAME: N us, REST` and `[pace] NAME: N us, REST`.
    let pattern = Regex::new(r"(vyoma: bench:|\[pace\]) (\w+): (\d+) us, (.*)$")?;
    let (mut firmware, mut app) = (Said::new(), Said::new());
    for line in lines {
        let Some(found) = pattern.captures(line.trim_end()) else {
            continue;
        };
        let [_, who, name, us, rest] = [0, 1, 2, 3, 4].map(|group| {
            let found = found.get(group);
            found.map_or("", |found| found.as_str())
        });
        let side = if who == "[pace]" {
            &mut app
        } else {
            &mut firmware
        };
        side.insert(name, (us.parse()?, rest));
    }
    let end = || {
        format!(
            "the console's end: {:?}",
            lines.iter().rev().take(8).collect::<Vec<_>>()
        )
    };
    let mut loops = BTreeMap::new();
    for (name, (us, sum)) in &firmware {
        if !sum.starts_with("sum ") {
            continue;
        }
        let (in_wasm3, same) = app
            .get(name)
            .with_context(|| format!("{name}: the app says nothing; {}", end()))?;
        ensure!(
            sum == same,
            "{name}: found {same} in wasm3; expected {sum}, as in native code"
        );
        let measured = Loop {
            native: us * PER_MICROSECOND,
            wasm3: in_wasm3 * PER_MICROSECOND,
        };
        loops.insert((*name).to_owned(), measured);
    }
    ensure!(
        !loops.is_empty(),
        "the firmware measured no loop; {}",
        end()
    );
    let each = |side: &Said<'_>, name: &str| -> anyhow::Result<f64> {
        let (us, times) = side
            .get(name)
            .with_context(|| format!("{name} was not measured; {}", end()))?;
        let times = times
            .strip_suffix(" times")
            .and_then(|n| n.parse::<f64>().ok());
        let times = times.filter(|times| *times > 0.0);
        let times = times.with_context(|| format!("{name}: not how often"))?;
        Ok(us * PER_MICROSECOND / times)
    };
    Ok(Pace {
        registers: each(&firmware, "registers")?,
        apps: each(&firmware, "apps")?,
        host_call: each(&app, "clock")? - each(&app, "nothing")?,
        loops,
    })
}

/// The figures: reported only, they have no budget.
pub(super) fn figures(pace: &Pace) -> Vec<Figure> {
    let one = |what: String, value: f64, baseline| Figure {
        what,
        unit: "instructions",
        samples: vec![value.round()],
        baseline,
        goal: Goal::None,
    };
    let mut figures = vec![
        one(
            format!(
                "context switch on {MICROCONTROLLER}, registers only: from the executor into an app and back"
            ),
            pace.registers,
            None,
        ),
        one(
            format!(
                "context switch on {MICROCONTROLLER}, from app to app: with clock, slice and protection unit"
            ),
            pace.apps,
            None,
        ),
        one(
            format!(
                "host call on {MICROCONTROLLER}, reading the clock: from wasm through wasm3 and the canonical ABI into the firmware and back"
            ),
            pace.host_call,
            None,
        ),
    ];
    for (name, measured) in &pace.loops {
        let baseline = (
            "the same loop in native code".to_owned(),
            vec![measured.native],
        );
        figures.push(one(
            format!("the loop \"{name}\" on {MICROCONTROLLER} in wasm3"),
            measured.wasm3,
            Some(baseline),
        ));
    }
    figures
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const LINES: [&str; 8] = [
        "vyoma: bench: calls: 1000 us, sum 7",
        "vyoma: bench: registers: 400 us, 10000 times\r",
        "vyoma: bench: apps: 8000 us, 20000 times",
        "[pace] calls: 30000 us, sum 7",
        "[other] calls: 1 us, sum 7",
        "[pace] clock: 5000 us, 2000 times",
        "[pace] nothing: 1000 us, 2000 times",
        "[pace] done",
    ];

    /// Some pace.
    pub(in super::super) fn pace() -> Pace {
        parse(&LINES).unwrap()
    }

    #[test]
    fn what_the_board_says_becomes_instructions() {
        let pace = parse(&LINES).unwrap();
        let expected = Loop {
            native: 1e6,
            wasm3: 3e7,
        };
        assert_eq!(pace.loops["calls"], expected);
        assert_eq!(
            [pace.registers, pace.apps, pace.host_call].map(|count| count.round() as u32),
            [40, 400, 2000]
        );
        let rows: Vec<String> = figures(&pace)
            .iter()
            .map(|figure| crate::figures::table(std::slice::from_ref(figure)))
            .collect();
        assert_eq!(rows.len(), 4);
        assert!(rows[3].contains("| 30.00 times as much |"), "{}", rows[3]);
    }

    #[test]
    fn sums_that_differ_and_lines_that_are_missing_are_errors() {
        let mut other = LINES;
        other[3] = "[pace] calls: 30000 us, sum 8";
        assert!(parse(&other).unwrap_err().to_string().contains("sum 8"));
        for missing in [0, 1, 2, 3, 5, 6] {
            let mut lines = LINES;
            lines[missing] = "";
            assert!(parse(&lines).is_err(), "without {:?}", LINES[missing]);
        }
    }
}
