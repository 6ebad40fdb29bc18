//! Figures as they are shown: medians with their spread, beside a baseline that was measured in the same run.

use std::fmt::Write as _;
use std::process::Command;

use crate::context::{Context, capture};

/// What a figure is promised to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many units.
    AtMost(f64),
    /// At most so many times the baseline.
    AtMostTimesBaseline(f64),
    /// At most so many units, and the baseline at least so many times as much.
    AtMostAndTimesBetter(f64, f64),
    /// At least so many units.
    AtLeast(f64),
    /// Only reported.
    None,
}

/// One measured thing.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured, in words.
    pub(crate) what: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Every measurement.
    pub(crate) samples: Vec<f64>,
    /// Name and measurements of what it is compared with.
    pub(crate) baseline: Option<(String, Vec<f64>)>,
    /// What it should be.
    pub(crate) goal: Goal,
}

impl Figure {
    fn value(&self) -> f64 {
        median(&self.samples)
    }

    fn base(&self) -> Option<f64> {
        self.baseline.as_ref().map(|(_, samples)| median(samples))
    }

    /// Whether the goal is met; absent: there is none.
    pub(crate) fn met(&self) -> Option<bool> {
        let value = self.value();
        match self.goal {
            Goal::AtMost(most) => Some(value <= most),
            Goal::AtMostTimesBaseline(times) => self.base().map(|base| value <= times * base),
            Goal::AtMostAndTimesBetter(most, times) => self
                .base()
                .map(|base| value <= most && base >= times * value),
            Goal::AtLeast(least) => Some(value >= least),
            Goal::None => None,
        }
    }

    fn goal_text(&self) -> String {
        let unit = self.unit;
        match self.goal {
            Goal::AtMost(most) => format!("at most {most} {unit}"),
            Goal::AtMostTimesBaseline(times) => format!("at most {times} times the baseline"),
            Goal::AtMostAndTimesBetter(most, times) => {
                format!("at most {most} {unit}, and {times} times better than the baseline")
            }
            Goal::AtLeast(least) => format!("at least {least} {unit}"),
            Goal::None => String::new(),
        }
    }

    /// One row of the table.
    fn row(&self) -> String {
        let (base, ratio) = match (&self.baseline, self.base()) {
            (Some((name, _)), Some(base)) => {
                let ratio = if base >= self.value() {
                    format!("{:.1} times less", base / self.value())
                } else {
                    format!("{:.2} times as much", self.value() / base)
                };
                (format!("{} ({name})", quantity(base, self.unit)), ratio)
            }
            _ => (String::new(), String::new()),
        };
        let goal = match self.met() {
            Some(true) => format!("{}: met", self.goal_text()),
            Some(false) => format!("{}: **missed**", self.goal_text()),
            None => "reported only".to_owned(),
        };
        let spread = match self.samples.as_slice() {
            [_] => "one measurement".to_owned(),
            samples => format!(
                "{} runs, {} to {}",
                samples.len(),
                short(least(samples)),
                short(most(samples))
            ),
        };
        format!(
            "| {} | {} | {spread} | {base} | {ratio} | {goal} |",
            self.what,
            quantity(self.value(), self.unit)
        )
    }
}

/// The table of all figures.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::from(
        "| what | median | runs | baseline | ratio | goal |\n|---|---|---|---|---|---|\n",
    );
    for figure in figures {
        let _ = writeln!(text, "{}", figure.row());
    }
    text
}

fn quantity(value: f64, unit: &str) -> String {
    format!("{} {unit}", short(value))
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// The middle of them.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

fn least(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The page with `section` between the two marks: in place of what is there, else at the end.
pub(crate) fn insert_between(page: &str, begin: &str, end: &str, section: &str) -> String {
    let block = format!("{begin}\n{}\n{end}\n", section.trim_end());
    let place = page.find(begin).and_then(|from| {
        let to = from + page[from..].find(end)? + end.len();
        Some((from, to + usize::from(page[to..].starts_with('\n'))))
    });
    match place {
        Some((from, to)) => format!("{}{block}{}", &page[..from], &page[to..]),
        None => format!("{}\n\n{block}", page.trim_end()),
    }
}

/// Which version was measured, and when.
pub(crate) fn commit(context: &Context) -> String {
    let mut git = Command::new("git");
    git.args(["rev-parse", "--short", "HEAD"])
        .current_dir(&context.root);
    let mut date = Command::new("date");
    date.args(["-u", "+%Y-%m-%d"]);
    let said = |command: &mut Command| {
        capture(command).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    format!("Commit {}, {}", said(&mut git), said(&mut date))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(samples: &[f64], baseline: &[f64], goal: Goal) -> Figure {
        Figure {
            what: "start".into(),
            unit: "ms",
            samples: samples.to_vec(),
            baseline: Some(("base".into(), baseline.to_vec())),
            goal,
        }
    }

    #[test]
    fn one_slow_run_does_not_move_the_median() {
        let figure = figure(
            &[4.0, 5.0, 400.0],
            &[50.0, 40.0],
            Goal::AtMostAndTimesBetter(10.0, 5.0),
        );
        assert_eq!(figure.met(), Some(true));
        assert!(
            figure
                .row()
                .contains("| 5 ms | 3 runs, 4 to 400 | 45 ms (base) | 9.0 times less |"),
            "{}",
            figure.row()
        );
    }

    #[test]
    fn a_missed_goal_is_shown_as_missed() {
        let figure = figure(&[30.0], &[10.0], Goal::AtMostTimesBaseline(2.5));
        assert_eq!(figure.met(), Some(false));
        assert!(figure.row().contains("**missed**"), "{}", figure.row());
    }
}
