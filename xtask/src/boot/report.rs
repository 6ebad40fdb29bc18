//! What was seen of a boot: the console, line by line, and the milestones in it.

use regex_lite::Regex;
use serde::Serialize;
use vyoma_capabilities::manifest::is_app_name;

/// One console line and when its last byte arrived, in seconds since QEMU was started.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Seconds.
    pub(crate) at: f64,
    /// The line, without its end.
    pub(crate) text: String,
}

/// A line that `--until` waited for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Match {
    /// The expression.
    pub(crate) regex: String,
    /// Seconds since QEMU was started.
    pub(crate) at: f64,
    /// The line.
    pub(crate) line: String,
}

/// When a milestone was passed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Moment {
    /// Seconds since QEMU was started.
    pub(crate) wall: f64,
    /// Seconds since the kernel started, from the line's own time stamp, where it has one.
    pub(crate) kernel: Option<f64>,
}

/// What was seen of a boot.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Everything that was waited for came; without `--until`: the device powered itself off.
    pub(crate) ok: bool,
    /// Each expression that has matched.
    pub(crate) matched: Vec<Match>,
    /// `powered-off` (by the device), `stopped` (by xtask, after the match), `timeout`, or `qemu-failed`.
    pub(crate) ended: Option<&'static str>,
    /// QEMU's exit status.
    pub(crate) qemu_status: Option<i32>,
    /// Times the machine started again.
    pub(crate) resets: u32,
    /// The kernel's first line.
    pub(crate) kernel: Option<Moment>,
    /// The kernel starts /init.
    pub(crate) init: Option<Moment>,
    /// The first line that an app printed.
    pub(crate) first_app_line: Option<Moment>,
    /// QMP events, in order.
    pub(crate) events: Vec<String>,
    /// The console.
    pub(crate) lines: Vec<Line>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            ok: false,
            matched: Vec::new(),
            ended: None,
            qemu_status: None,
            resets: 0,
            kernel: None,
            init: None,
            first_app_line: None,
            events: Vec::new(),
            lines: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, line: Line, until: &[Regex]) {
        let stamp = kernel_time(&line.text);
        let moment = Moment {
            wall: line.at,
            kernel: stamp,
        };
        if stamp.is_some() && self.kernel.is_none() {
            self.kernel = Some(moment);
        }
        if self.init.is_none() && stamp.is_some() && line.text.contains("Run /init as init process")
        {
            self.init = Some(moment);
        }
        if self.first_app_line.is_none() && is_app_line(&line.text) {
            self.first_app_line = Some(moment);
        }
        for regex in until {
            let known = self
                .matched
                .iter()
                .any(|found| found.regex == regex.as_str());
            if !known && regex.is_match(&line.text) {
                self.matched.push(Match {
                    regex: regex.as_str().to_owned(),
                    at: line.at,
                    line: line.text.clone(),
                });
            }
        }
        self.lines.push(line);
    }
}

/// `1.234567` of `[    1.234567] text`.
fn kernel_time(text: &str) -> Option<f64> {
    let (stamp, _) = text.strip_prefix('[')?.split_once(']')?;
    let (seconds, fraction) = stamp.trim_start().split_once('.')?;
    (fraction.len() == 6 && seconds.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| stamp.trim().parse().ok())?
}

/// vyomad shows what apps print as `[NAME] text`; what it has to say about an app itself starts with `warning: `.
fn is_app_line(text: &str) -> bool {
    let line = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    line.is_some_and(|(name, said)| is_app_name(name) && !said.starts_with("warning: "))
}

pub(super) fn line(at: f64, bytes: &[u8]) -> Line {
    let text = String::from_utf8_lossy(bytes);
    Line {
        at,
        text: without_colour(text.trim_end_matches('\r')),
    }
}

/// `[app] text` of a line whose `[app]` vyomad coloured. Undoes exactly that, so that an escape sequence which an app
/// smuggled to the console would still be in the report.
fn without_colour(text: &str) -> String {
    let coloured = text
        .strip_prefix("\x1b[3")
        .and_then(|rest| rest.split_once("m["))
        .filter(|(digit, _)| digit.len() == 1);
    match coloured.and_then(|(_, rest)| rest.split_once("]\x1b[0m ")) {
        Some((app, rest)) => format!("[{app}] {rest}"),
        None => text.to_owned(),
    }
}

/// A device's console could hold anything; this terminal gets no control characters from it.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_time_stamps_are_told_from_app_lines() {
        assert_eq!(
            kernel_time("[    1.234567] Run /init as init process"),
            Some(1.234_567)
        );
        assert_eq!(kernel_time("[hello] Hello from Vyoma!"), None);
        assert_eq!(kernel_time("[1.5] not the kernel"), None);
        assert!(is_app_line("[hello] Hello from Vyoma!"));
        assert!(!is_app_line("[    1.234567] Run /init as init process"));
        assert!(!is_app_line("vyomad: started"));
        assert!(!is_app_line(
            "[hello] warning: hello declares display, which server-headless does not have"
        ));
    }

    #[test]
    fn only_the_colour_that_vyomad_gives_is_taken_off() {
        assert_eq!(
            without_colour("\x1b[32m[hello]\x1b[0m Hello"),
            "[hello] Hello"
        );
        assert_eq!(
            without_colour("[hello] \x1b[31mred\x1b[0m "),
            "[hello] \x1b[31mred\x1b[0m "
        );
    }

    #[test]
    fn a_report_knows_the_milestones_and_what_was_waited_for() {
        let until = [Regex::new("Hello").unwrap(), Regex::new("never").unwrap()];
        let mut report = Report::new();
        let texts = [
            "[    0.000000] Linux",
            "[    0.400000] Run /init as init process",
            "[hello] Hello",
            "[hello] Hello",
        ];
        for (at, text) in (1_u8..).zip(texts) {
            report.take(
                Line {
                    at: f64::from(at),
                    text: text.to_owned(),
                },
                &until,
            );
        }
        assert!((report.kernel.unwrap().wall - 1.0).abs() < 1e-9);
        assert!((report.init.unwrap().kernel.unwrap() - 0.4).abs() < 1e-9);
        assert!((report.first_app_line.unwrap().wall - 3.0).abs() < 1e-9);
        assert_eq!(report.matched.len(), 1, "each expression counts once");
    }
}
