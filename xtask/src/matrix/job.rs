//! What the matrix runs: one app with its manifest, when it is done, and what of its output is compared.
//!
//! Output is compared as lines of each stream. Two things can't be equal everywhere and are masked, visibly: the name of
//! the platform, and what an app measures (times). Which expressions those are stands beside the app.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use regex_lite::Regex;
use vyoma_capabilities::control::{LogLine, MAX_SEND, Stream};
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::PLATFORMS;

use crate::apps::App;
use crate::context::{sha256, write_atomically};

/// One app of the matrix.
#[derive(Debug)]
pub(crate) struct Job {
    /// `[app] name`
    pub(crate) name: String,
    /// Folder with `vyoma.toml` and the component.
    pub(crate) dir: PathBuf,
    /// The component in it.
    pub(crate) component: PathBuf,
    /// Lower-case hex SHA-256 of the component, as this machine computes it.
    pub(crate) sha256: String,
    /// Its standard input, up to the end; absent: nothing comes, nor an end.
    pub(crate) stdin: Option<Vec<u8>>,
    /// Done after so many lines, for apps that don't end; absent: when it ends.
    pub(crate) lines: Option<usize>,
    /// Expressions and what takes the place of a match.
    pub(crate) masks: Vec<(Regex, &'static str)>,
}

/// A shipped app in the demonstration.
pub(crate) struct Demo {
    /// Its folder under apps/.
    pub(crate) name: &'static str,
    /// See [`Job::lines`].
    pub(crate) lines: Option<usize>,
    /// See [`Job::masks`].
    pub(crate) masks: &'static [(&'static str, &'static str)],
}

/// What `make demo` runs: every shipped app but those that need what is wired to a board; of these one.
pub(crate) const DEMO: &[Demo] = &[
    Demo {
        name: "hello",
        lines: None,
        masks: &[],
    },
    Demo {
        name: "counter",
        lines: Some(3),
        masks: &[],
    },
    Demo {
        name: "echo",
        lines: Some(1),
        masks: &[],
    },
    Demo {
        name: "notes",
        lines: Some(2),
        masks: &[],
    },
    Demo {
        name: "http-server",
        lines: Some(1),
        masks: &[],
    },
    Demo {
        name: "clock",
        lines: Some(2),
        masks: &[(
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ drift [+-]\d+ ms$",
            "TIME drift MS",
        )],
    },
    Demo {
        name: "sensor",
        lines: Some(2),
        masks: &[],
    },
    // Starts everywhere; none of these boards has a pin of that name, and some have no pins at all.
    Demo {
        name: "blink",
        lines: Some(1),
        masks: &[(r"the board has no such pin|not on this platform", "NO PIN")],
    },
    // Answers ping and prints nothing.
    Demo {
        name: "pong",
        lines: Some(0),
        masks: &[],
    },
    // A slow device may start pong a few seconds after ping.
    Demo {
        name: "ping",
        lines: None,
        masks: &[
            (r"no answer to ping \d+$", ""),
            (r"pong \d+ after \d+ us$", "pong N after MICROSECONDS"),
            (r"\d+ sent, ", "N sent, "),
        ],
    },
];

impl Demo {
    /// The job, with the app as it was staged.
    pub(crate) fn job(&self, app: &App) -> anyhow::Result<Job> {
        let masks = self
            .masks
            .iter()
            .map(|(regex, text)| Ok((Regex::new(regex)?, *text)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Job {
            name: self.name.to_owned(),
            dir: app.dir.clone(),
            component: app.dir.join(&app.wasm),
            sha256: app.sha256.clone(),
            stdin: None,
            lines: self.lines,
            masks,
        })
    }
}

impl Job {
    /// Any component as an app that runs once, with everything that it may ask for on the platforms that have it.
    pub(crate) fn of_file(
        wasm: &Path,
        args: &[String],
        stdin: Option<&Path>,
        into: &Path,
    ) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
        let name = app_name(wasm);
        let dir = into.join(&name);
        let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
        let manifest = format!(
            "[app]\nname = \"{name}\"\nversion = \"0\"\nwasm = \"app.wasm\"\nrestart = \"never\"\nargs = [{}]\n\n\
             [capabilities]\nstdio = true\nfilesystem = true\nnetwork = true\n",
            args.join(", ")
        );
        write_atomically(&dir.join("vyoma.toml"), manifest.as_bytes())?;
        let component = dir.join("app.wasm");
        write_atomically(&component, &bytes)?;
        let stdin = stdin
            .map(|path| {
                let bytes = std::fs::read(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                ensure!(
                    bytes.len() <= MAX_SEND,
                    "{}: {} bytes; a device takes at most {MAX_SEND} at once",
                    path.display(),
                    bytes.len()
                );
                anyhow::Ok(bytes)
            })
            .transpose()?;
        Ok(Self {
            name,
            dir,
            component,
            sha256: sha256(&bytes),
            stdin,
            lines: None,
            masks: Vec::new(),
        })
    }

    /// What is compared: the lines of stdout, then those of stderr, masked. Of an app that doesn't end, the first ones.
    pub(crate) fn output(&self, log: &[LogLine]) -> Vec<String> {
        let said = log.iter().filter(|line| line.stream != Stream::System);
        let mut lines: Vec<(bool, String)> = said
            .map(|line| (line.stream == Stream::Err, self.mask(&line.text)))
            .filter(|(_, text)| !text.is_empty())
            .take(self.lines.unwrap_or(usize::MAX))
            .collect();
        // The streams are two pipes: which of two lines of different ones comes first is nobody's promise.
        lines.sort_by_key(|(stderr, _)| *stderr);
        lines
            .into_iter()
            .map(|(stderr, text)| format!("{} {text}", if stderr { "err" } else { "out" }))
            .collect()
    }

    fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for platform in PLATFORMS {
            text = text.replace(platform, "PLATFORM");
        }
        for (regex, with) in &self.masks {
            text = regex.replace_all(&text, *with).into_owned();
        }
        // A mask that takes a whole line away leaves what stood before it on the line, such as the app's name.
        let rest = text.trim_start_matches(&format!("[{}]", self.name)).trim();
        if rest.is_empty() { String::new() } else { text }
    }

    /// Whether there is nothing more to wait for.
    pub(crate) fn is_done(&self, ending: Option<&Ending>, log: &[LogLine]) -> bool {
        ending.is_some()
            || self
                .lines
                .is_some_and(|lines| self.output(log).len() >= lines)
    }
}

/// A name that a manifest takes, from a file's.
fn app_name(wasm: &Path) -> String {
    let stem = wasm.file_stem().unwrap_or_default().to_string_lossy();
    let mut name: String = stem
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(28)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, "app-");
    }
    if ["supervisor", "broadcast", "reply"].contains(&name.as_str()) {
        name.push_str("-app");
    }
    name
}

#[cfg(test)]
mod tests {
    use vyoma_capabilities::manifest;

    use super::*;

    fn line(stream: Stream, text: &str) -> LogLine {
        LogLine {
            app: "ping".to_owned(),
            time_ms: 0,
            stream,
            text: text.to_owned(),
        }
    }

    fn job(name: &str) -> Job {
        let demo = DEMO.iter().find(|demo| demo.name == name).unwrap();
        let app = App {
            name: name.to_owned(),
            dir: PathBuf::new(),
            wasm: String::new(),
            sha256: String::new(),
            needs_board: false,
        };
        demo.job(&app).unwrap()
    }

    #[test]
    fn what_an_app_measures_and_the_platforms_name_are_masked_and_nothing_else() {
        let log = [
            line(Stream::Err, "[ping] no answer to ping 1"),
            line(Stream::Err, "[ping] pong 2 after 523 us"),
            line(Stream::Out, "on mobile: 2 pings"),
            line(Stream::System, "exited with 0"),
        ];
        assert_eq!(
            job("ping").output(&log),
            [
                "out on PLATFORM: 2 pings",
                "err [ping] pong N after MICROSECONDS"
            ]
        );
    }

    #[test]
    fn an_app_without_end_is_done_after_its_lines_and_the_rest_is_not_compared() {
        let counter = job("counter");
        let mut log: Vec<LogLine> = (1..=2)
            .map(|n| line(Stream::Err, &format!("[counter] count {n}")))
            .collect();
        assert!(!counter.is_done(None, &log));
        log.extend((3..=5).map(|n| line(Stream::Err, &format!("[counter] count {n}"))));
        assert!(counter.is_done(None, &log));
        assert_eq!(counter.output(&log).len(), 3);
    }

    #[test]
    fn any_file_name_becomes_an_apps_name() {
        for (file, name) in [
            ("Hello_World.wasm", "hello-world"),
            ("3d.wasm", "app-3d"),
            ("reply.wasm", "reply-app"),
        ] {
            assert_eq!(app_name(Path::new(file)), name);
            assert!(vyoma_capabilities::manifest::is_app_name(&app_name(
                Path::new(file)
            )));
        }
    }

    /// Apps that need a board's devices are shown where there is one (tests/tests/hosted_sim.rs), but for blink, which says
    /// everywhere that it has none; sensor-hub shows what other apps say, so it is with them.
    #[test]
    fn the_demonstration_is_every_shipped_app_that_can_run_alone() {
        let context = crate::context::Context::find().unwrap();
        let mut shipped: Vec<String> = std::fs::read_dir(context.root.join("apps"))
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let text = std::fs::read_to_string(entry.path().join("vyoma.toml")).ok()?;
                let asked = manifest::parse("vyoma.toml", &text).unwrap().capabilities;
                let name = entry.file_name().to_string_lossy().into_owned();
                (name == "blink" || !asked.asks_for_devices() && name != "sensor-hub")
                    .then_some(name)
            })
            .collect();
        shipped.sort();
        let mut shown: Vec<&str> = DEMO.iter().map(|demo| demo.name).collect();
        shown.sort_unstable();
        assert_eq!(shown, shipped);
    }
}
