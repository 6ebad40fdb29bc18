//! One command on several devices: all are asked at once, some at a time; what each one answered is a row of one table, or
//! one line of JSON, in the order in which they were named.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::cli::Command;
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table};
use crate::targets::Place;
use crate::units;

/// Devices that are asked at the same time. Each is an ssh of some megabytes here, and a log-in's work.
const AT_ONCE: usize = 16;

/// What came of one device: the documents that its command would have printed as JSON.
type Answer = Result<Vec<Value>, Failure>;

/// Runs `command` on each place; `one` is what does it on one of them, printing JSON. The error, if any did not succeed, has
/// their common exit code, or 16 where they have none in common.
pub(crate) fn run(
    places: &[Place],
    command: &Command,
    out: &mut Output,
    one: impl Fn(&Place, &mut Output) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let answers = ask_all(places, one);
    if out.is_json() {
        for (place, answer) in places.iter().zip(&answers) {
            out.json(&document(place, answer))?;
        }
    } else {
        show(places, &answers, command, out)?;
    }
    out.flush()?;
    verdict(&answers)
}

fn ask_all(
    places: &[Place],
    one: impl Fn(&Place, &mut Output) -> Result<(), Failure> + Sync,
) -> Vec<Answer> {
    let next = AtomicUsize::new(0);
    let answers: Vec<Mutex<Option<Answer>>> = places.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..places.len().min(AT_ONCE) {
            scope.spawn(|| {
                while let Some((place, answer)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    places.get(number).zip(answers.get(number))
                } {
                    let mut out = Output::captured();
                    let done = one(place, &mut out).and_then(|()| documents(&out.into_text()));
                    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
                }
            });
        }
    });
    answers
        .into_iter()
        .map(|answer| {
            answer
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .unwrap_or_else(|| Err(Failure::new(Exit::Local, "was not asked")))
        })
        .collect()
}

fn documents(text: &str) -> Answer {
    text.lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|error| {
                Failure::new(Exit::Local, format!("cannot read the answer: {error}"))
            })
        })
        .collect()
}

fn document(place: &Place, answer: &Answer) -> Value {
    match answer {
        Ok(documents) => {
            // Nearly every command prints one.
            let result = match documents.as_slice() {
                [one] => one.clone(),
                many => Value::from(many),
            };
            json!({ "target": place.name, "ok": true, "result": result })
        }
        Err(failure) => json!({ "target": place.name, "ok": false, "error": failure.json() }),
    }
}

/// One table for all: of apps for `ps`, of devices for `info`, of what was done for the others.
fn show(
    places: &[Place],
    answers: &[Answer],
    command: &Command,
    out: &mut Output,
) -> Result<(), Failure> {
    let columns: &[(&'static str, Align)] = match command {
        Command::Ps => &[
            ("TARGET", Align::Left),
            ("NAME", Align::Left),
            ("VERSION", Align::Left),
            ("PHASE", Align::Left),
            ("UPTIME", Align::Right),
            ("RESTARTS", Align::Right),
            ("MEMORY", Align::Right),
            ("LAST END", Align::Left),
        ],
        Command::Info => &[
            ("TARGET", Align::Left),
            ("PLATFORM", Align::Left),
            ("VYOMAD", Align::Left),
            ("UP", Align::Right),
            ("APPS", Align::Right),
            ("MEMORY FREE", Align::Right),
            ("LAST EPITAPH", Align::Left),
        ],
        _ => &[
            ("TARGET", Align::Left),
            ("RESULT", Align::Left),
            ("WHAT", Align::Left),
        ],
    };
    let mut table = Table::new(columns);
    for (place, answer) in places.iter().zip(answers) {
        let mut row = |mut cells: Vec<Cell>| {
            cells.insert(0, Cell::new(&place.name));
            cells.resize(columns.len(), Cell::dash());
            table.row(cells);
        };
        match (answer, command) {
            // The second column is as wide as its words; the reason stands in the last one.
            (Err(failure), _) => {
                let mut cells = vec![Cell::styled(Style::Bad, failure.kind())];
                cells.resize(columns.len() - 2, Cell::dash());
                cells.push(Cell::new(failure.message()));
                row(cells);
            }
            (Ok(documents), Command::Ps) => {
                let apps = documents
                    .iter()
                    .flat_map(|apps| apps.as_array().into_iter().flatten());
                let before = apps.map(app).map(&mut row).count();
                if before == 0 {
                    row(vec![Cell::styled(Style::Dim, "no apps")]);
                }
            }
            (Ok(documents), Command::Info) => documents.iter().map(device).for_each(row),
            (Ok(documents), _) => row(vec![Cell::styled(Style::Good, "ok"), done(documents)]),
        }
    }
    out.table(&table)
}

fn text(document: &Value, key: &str) -> String {
    match &document[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn figure(document: &Value, key: &str, show: impl Fn(u64) -> String) -> Cell {
    document[key]
        .as_u64()
        .map_or_else(Cell::dash, |value| Cell::new(show(value)))
}

fn app(app: &Value) -> Vec<Cell> {
    let ending =
        serde_json::from_value::<vyoma_capabilities::lifecycle::Ending>(app["last_ending"].clone());
    let phase = serde_json::from_value(app["phase"].clone());
    vec![
        Cell::new(text(app, "name")),
        Cell::new(text(app, "version")),
        phase.map_or_else(|_| Cell::new(text(app, "phase")), crate::apps::phase),
        figure(app, "uptime_ms", units::duration),
        figure(app, "restarts", |count| count.to_string()),
        figure(app, "pss_kb", units::kib),
        ending.map_or_else(|_| Cell::dash(), |ending| Cell::new(ending.to_string())),
    ]
}

fn device(info: &Value) -> Vec<Cell> {
    vec![
        Cell::new(text(info, "platform")),
        Cell::new(format!(
            "{} ({})",
            text(info, "version"),
            text(info, "mode")
        )),
        figure(info, "uptime_ms", units::duration),
        Cell::new(format!("{}/{}", text(info, "running"), text(info, "apps"))),
        figure(info, "memory_available_kb", units::kib),
        Cell::new(text(info, "last_epitaph")),
    ]
}

/// What a command says that it did: its own words in JSON, without those that every row would repeat.
fn done(documents: &[Value]) -> Cell {
    let one = |document: &Value| match document.as_object() {
        Some(object) if object.contains_key("done") => {
            let mut words = vec![text(document, "done"), text(document, "app")];
            for warning in object
                .get("warnings")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                words.push(format!(
                    "(warning: {})",
                    warning.as_str().unwrap_or_default()
                ));
            }
            words.retain(|word| !word.is_empty());
            words.join(" ")
        }
        _ => document.to_string(),
    };
    Cell::new(documents.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// The end of the command: what those that failed have in common.
fn verdict(answers: &[Answer]) -> Result<(), Failure> {
    let failures: Vec<&Failure> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    let Some(first) = failures.first() else {
        return Ok(());
    };
    let same = failures
        .iter()
        .all(|failure| failure.exit() == first.exit());
    let exit = if same { first.exit() } else { Exit::Mixed };
    Err(Failure::new(
        exit,
        format!("{} of {} targets failed", failures.len(), answers.len()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(exit: Exit) -> Answer {
        Err(Failure::new(exit, "why"))
    }

    fn code(answers: &[Answer]) -> Option<Exit> {
        verdict(answers).err().map(|failure| failure.exit())
    }

    #[test]
    fn the_exit_code_is_that_of_all_failures_or_one_of_its_own() {
        let ok = || Ok(Vec::new());
        assert_eq!(code(&[ok(), ok()]), None);
        assert_eq!(code(&[ok(), failed(Exit::Denied)]), Some(Exit::Denied));
        assert_eq!(
            code(&[failed(Exit::Denied), failed(Exit::Denied)]),
            Some(Exit::Denied)
        );
        assert_eq!(
            code(&[failed(Exit::Denied), ok(), failed(Exit::Timeout)]),
            Some(Exit::Mixed)
        );
    }

    #[test]
    fn every_target_is_asked_once_and_never_more_than_so_many_at_a_time() {
        let place = |number: usize| Place {
            name: number.to_string(),
            target: crate::target::Target::Socket("/x".into()),
        };
        let places: Vec<Place> = (0..100).map(place).collect();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let answers = ask_all(&places, |place, out| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            out.json(&json!({ "is": place.name }))
        });
        for (place, answer) in places.iter().zip(&answers) {
            let documents = answer.as_ref().expect("an answer");
            assert_eq!(documents, &[json!({ "is": place.name })]);
        }
        assert!(most.into_inner() <= AT_ONCE);
    }

    #[test]
    fn what_was_done_is_told_with_its_warnings() {
        let document = json!({ "done": "install", "app": "a", "sha256": "x", "warnings": ["no display here"] });
        assert_eq!(
            done(&[document]),
            Cell::new("install a (warning: no display here)")
        );
    }
}
