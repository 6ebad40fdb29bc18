//! How fast guests run, engine by engine: one guest that times itself on its own clock, run through our adapters, on the bare
//! engines, and compiled for this machine. Rounds are interleaved, so that what disturbs the machine disturbs all of
//! them. It starts no daemon: a run is a process of `vyoma-engine-speed`. Called by `cargo xtask bench`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use vyoma_capabilities::profile::OptimizationLevel;

use crate::apps;
use crate::artefacts;
use crate::context::{Context, call, say};
use crate::figures::{Figure, Goal, commit, insert_between, median, table};
use crate::platforms::Arch;

/// Where the section begins and ends in docs/benchmarks.md.
const BEGIN: &str = "<!-- engines: begin -->";
/// See [`BEGIN`].
const END: &str = "<!-- engines: end -->";

/// What our path may cost beyond the bare engine, in time for the same work: a promise of the project.
const MOST: f64 = 1.05;

/// One way to run the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Native,
    Wasmtime,
    Wamr,
    WamrBare,
    WamrInterpreter,
    Wasm3,
    Wasm3Bare,
}

const WAYS: [Way; 7] = [
    Way::Native,
    Way::Wasmtime,
    Way::Wamr,
    Way::WamrBare,
    Way::WamrInterpreter,
    Way::Wasm3,
    Way::Wasm3Bare,
];

impl Way {
    fn title(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Wasmtime => "Wasmtime",
            Self::Wamr => "WAMR, machine code",
            Self::WamrBare => "WAMR, machine code, bare",
            Self::WamrInterpreter => "WAMR, interpreter",
            Self::Wasm3 => "wasm3",
            Self::Wasm3Bare => "wasm3, bare",
        }
    }

    fn interprets(self) -> bool {
        matches!(self, Self::WamrInterpreter | Self::Wasm3 | Self::Wasm3Bare)
    }

    fn bare(self) -> bool {
        matches!(self, Self::WamrBare | Self::Wasm3Bare)
    }
}

/// One kind of work.
struct Work {
    name: &'static str,
    /// Rounds of one run where code is compiled, and where it is interpreted: some tenths of a second each.
    rounds: (u64, u64),
    /// It calls the host and does nothing else.
    host_call: Option<&'static str>,
}

const fn compute(name: &'static str, compiled: u64, interpreted: u64) -> Work {
    Work {
        name,
        rounds: (compiled, interpreted),
        host_call: None,
    }
}

const WORKS: [Work; 6] = [
    compute("coremark-like", 1500, 300),
    compute("fib", 2400, 160),
    compute("sha256", 600, 100),
    compute("json", 2000, 100),
    Work {
        name: "clock",
        rounds: (500_000, 200_000),
        host_call: Some("clock read"),
    },
    Work {
        name: "write-1",
        rounds: (50_000, 50_000),
        host_call: Some("stdout write of 1 byte to a pipe"),
    },
];

/// What one run said of itself.
#[derive(Debug, PartialEq)]
struct Said {
    nanoseconds: f64,
    checksum: String,
}

/// Nanoseconds per round, of every run.
type Samples = BTreeMap<Way, Vec<f64>>;

/// Runs everything, `runs` times, and returns the figures and the text of the section.
pub(crate) fn measure(context: &Context, runs: usize) -> anyhow::Result<(Vec<Figure>, String)> {
    let built = Built::new(context)?;
    let mut all = Vec::new();
    for work in &WORKS {
        say(format_args!(
            "measuring {}, {runs} runs on each engine",
            work.name
        ));
        let mut samples = Samples::new();
        // Interpreters do fewer rounds, so their checksum is another.
        let mut checksums: [Option<String>; 2] = [None, None];
        for _ in 0..runs {
            for way in WAYS
                .iter()
                .filter(|way| work.host_call.is_none() || !way.bare())
            {
                let rounds = if way.interprets() {
                    work.rounds.1
                } else {
                    work.rounds.0
                };
                let said = built.run(*way, work.name, rounds)?;
                let expected = checksums[usize::from(way.interprets())]
                    .get_or_insert_with(|| said.checksum.clone());
                ensure!(
                    said.checksum == *expected,
                    "{} on {}: checksum {}, expected {expected} as on the others",
                    work.name,
                    way.title(),
                    said.checksum
                );
                samples
                    .entry(*way)
                    .or_default()
                    .push(said.nanoseconds / rounds as f64);
            }
        }
        all.push((work, samples));
    }
    let figures: Vec<Figure> = all
        .iter()
        .flat_map(|(work, samples)| figures(work, samples))
        .collect();
    let section = section(context, &all, &figures);
    Ok((figures, section))
}

/// What is promised of one kind of work.
fn figures(work: &Work, samples: &Samples) -> Vec<Figure> {
    if work.host_call.is_some() {
        return Vec::new();
    }
    [(Way::Wamr, Way::WamrBare), (Way::Wasm3, Way::Wasm3Bare)]
        .into_iter()
        .filter_map(|(ours, bare)| {
            let micros = |way| -> Option<Vec<f64>> {
                Some(samples.get(&way)?.iter().map(|nanos| nanos / 1e3).collect())
            };
            Some(Figure {
                what: format!("{}, one round, {}", work.name, ours.title()),
                unit: "µs",
                samples: micros(ours)?,
                baseline: Some((bare.title().to_owned(), micros(bare)?)),
                goal: Goal::AtMostTimesBaseline(MOST),
            })
        })
        .collect()
}

/// A table of one kind of thing: nanoseconds, and how many times Wasmtime's and the native program's.
fn comparison(works: &[(&Work, Samples)], host_calls: bool) -> String {
    let mut text = String::from(
        "| what | engine | median | times Wasmtime | times native |\n|---|---|---|---|---|\n",
    );
    for (work, samples) in works
        .iter()
        .filter(|(work, _)| work.host_call.is_some() == host_calls)
    {
        let of = |way| samples.get(&way).map(|samples| median(samples));
        for (way, value) in WAYS.iter().filter_map(|way| Some((way, of(*way)?))) {
            let times = |base: Option<f64>| {
                base.map_or_else(String::new, |base| format!("{:.2}", value / base))
            };
            let shown = if host_calls {
                format!("{value:.0} ns")
            } else {
                format!("{:.1} µs", value / 1e3)
            };
            let _ = writeln!(
                text,
                "| {} | {} | {shown} | {} | {} |",
                work.host_call.unwrap_or(work.name),
                way.title(),
                times(of(Way::Wasmtime)),
                times(of(Way::Native)),
            );
        }
    }
    text
}

fn section(context: &Context, works: &[(&Work, Samples)], figures: &[Figure]) -> String {
    format!(
        "## Engines\n\n\
         One guest (apps/guests/speed, x86-64) on each engine, timed by its own clock; its checksums are the same on all. \
         `bare` is the same artefact on the same engine as we build it (source with our patches, among them those for \
         canonical NaNs and the check of the native stack; machine code of the same `vyoma-aotc` for x86-64-v2), embedded \
         with the few functions that it needs instead of our adapter, WASI and checks. So the ratio is the cost of our \
         adapter, not that of our patches. `native` is the same source, compiled with rustc's opt-level 3 for the \
         oldest x86-64 processor. Medians of interleaved runs; the machine does other work at times, as the spread shows.\n\n\
         {}\nAgainst the others, time of one round:\n\n{}\n\
         Host calls, as Rust's standard library makes them: a write is `check-write`, `write` and the flush after it, each \
         a call of the guest into the host.\n\n{}\n- {}\n",
        table(figures),
        comparison(works, false),
        comparison(works, true),
        commit(context),
    )
}

/// The page with `section` in the place of the old one, or at its end if it had none.
pub(crate) fn insert(page: &str, section: &str) -> String {
    insert_between(page, BEGIN, END, section)
}

/// Programs and artefacts.
struct Built {
    runner: PathBuf,
    native: PathBuf,
    folder: PathBuf,
}

impl Built {
    fn new(context: &Context) -> anyhow::Result<Self> {
        let folder = context.out.join("speed");
        std::fs::create_dir_all(&folder)?;
        let guest = apps::ready(context, &context.root.join("apps/guests/speed"))?;
        let component = guest.dir.join(&guest.wasm);
        let runner = runner(context)?;
        for engine in ["wasmtime", "wamr", "wasm3"] {
            let mut command = Command::new(&runner);
            command.args(["compile", engine]).arg(&component);
            call(command.arg(folder.join(engine)))?;
        }
        let aotc = artefacts::aotc(context)?;
        let machine_code = folder.join("machine-code");
        // A store of one, whose file has the name of its key.
        let _ = std::fs::remove_dir_all(&machine_code);
        std::fs::create_dir_all(&machine_code)?;
        let level = OptimizationLevel::Speed;
        artefacts::ahead_of_time(&aotc, Arch::X86_64, level, &component, &machine_code)?;
        let made = std::fs::read_dir(&machine_code)?
            .next()
            .context("vyoma-aotc made nothing")??;
        std::fs::rename(made.path(), folder.join("wamr-aot"))?;
        let native = folder.join("native");
        let mut rustc = Command::new("rustc");
        rustc.current_dir(&context.root).args([
            "--edition",
            "2024",
            "-C",
            "opt-level=3",
            "-C",
            "panic=abort",
            "-C",
            "codegen-units=1",
        ]);
        call(
            rustc
                .arg("apps/guests/speed/src/main.rs")
                .arg("-o")
                .arg(&native),
        )?;
        Ok(Self {
            runner,
            native,
            folder,
        })
    }

    fn run(&self, way: Way, work: &str, rounds: u64) -> anyhow::Result<Said> {
        let (engine, artefact) = match way {
            Way::Native => ("", ""),
            Way::Wasmtime => ("wasmtime", "wasmtime"),
            Way::Wamr => ("wamr", "wamr-aot"),
            Way::WamrBare => ("wamr-bare", "wamr-aot"),
            Way::WamrInterpreter => ("wamr", "wamr"),
            Way::Wasm3 => ("wasm3", "wasm3"),
            Way::Wasm3Bare => ("wasm3-bare", "wasm3"),
        };
        let mut command = if way == Way::Native {
            Command::new(&self.native)
        } else {
            let mut command = Command::new(&self.runner);
            command
                .args(["run", engine])
                .arg(self.folder.join(artefact));
            command
        };
        command.arg(work).arg(rounds.to_string());
        // Both streams are pipes, and drained.
        let output = command.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{work} on {}: {}: {}",
            way.title(),
            output.status,
            text.trim()
        );
        said(&text).with_context(|| {
            format!(
                "{work} on {} said {text:?}; expected nanoseconds and a checksum",
                way.title()
            )
        })
    }
}

/// Reads what the guest says of itself: `NANOSECONDS CHECKSUM`.
fn said(text: &str) -> Option<Said> {
    let (nanoseconds, checksum) = text.trim().split_once(' ')?;
    let nanoseconds: u64 = nanoseconds.parse().ok()?;
    (nanoseconds > 0 && checksum.len() == 16).then(|| Said {
        nanoseconds: nanoseconds as f64,
        checksum: checksum.to_owned(),
    })
}

/// `vyoma-engine-speed`, built together with the `vyomad` of all engines: so its Wasmtime is that one's, not another.
fn runner(context: &Context) -> anyhow::Result<PathBuf> {
    let features = ["--features", "vyomad/wamr,vyomad/wasm3"];
    artefacts::beside_vyomad(context, "vyoma-engine-speed", Arch::X86_64, &features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_line_is_read_and_another_is_not() {
        let line = said("1500 00000000000000ff\n").unwrap();
        assert_eq!(line.checksum, "00000000000000ff");
        assert!((line.nanoseconds - 1500.0).abs() < f64::EPSILON);
        for other in [
            "",
            "1500",
            "x 00000000000000ff",
            "0 00000000000000ff",
            "1500 ff",
        ] {
            assert_eq!(said(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_new_section_takes_the_place_of_the_old_and_nothing_else() {
        let page = insert("# Benchmarks\n\n| boots |\n", "## Engines\n\nold\n");
        let page = page + "\nafter\n";
        assert!(page.contains(&format!("{BEGIN}\n## Engines\n\nold\n{END}\n")));
        let again = insert(&page, "## Engines\n\nnew");
        assert_eq!(again, page.replace("old", "new"));
        assert!(again.starts_with("# Benchmarks\n\n| boots |\n") && again.ends_with("after\n"));
    }

    #[test]
    fn our_path_is_held_against_the_bare_engine() {
        let samples = Samples::from([
            (Way::Wamr, vec![1060.0]),
            (Way::WamrBare, vec![1000.0]),
            (Way::Wasm3, vec![5000.0]),
            (Way::Wasm3Bare, vec![4990.0]),
        ]);
        let met: Vec<_> = figures(&WORKS[0], &samples)
            .iter()
            .map(Figure::met)
            .collect();
        assert_eq!(met, [Some(false), Some(true)]);
    }

    #[test]
    fn an_engine_is_compared_with_wasmtime_and_native() {
        let samples = Samples::from([
            (Way::Native, vec![10.0]),
            (Way::Wasmtime, vec![200.0]),
            (Way::Wamr, vec![100.0, 300.0, 90.0]),
        ]);
        let text = comparison(&[(&WORKS[4], samples)], true);
        assert!(
            text.contains("| clock read | WAMR, machine code | 100 ns | 0.50 | 10.00 |"),
            "{text}"
        );
    }
}
