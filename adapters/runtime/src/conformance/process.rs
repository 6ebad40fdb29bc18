//! One case in a process of its own: fed, read, and ended when it does not end by itself.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{CHILD, Outcome, Run};

/// In a case's folder: the artefact, the guest's folder, the child's report.
pub(super) const ARTEFACT: &str = "artefact";
pub(super) const DATA: &str = "data";
pub(super) const REPORT: &str = "ending";

/// How long a case may take: the longest takes a second, and the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// What runs a case; empty: this binary. Set once, by [`super::main_through`].
pub(super) static CHILD_COMMAND: OnceLock<Vec<OsString>> = OnceLock::new();

fn command() -> io::Result<Command> {
    match CHILD_COMMAND.get().map_or(&[][..], Vec::as_slice) {
        [] => Ok(Command::new(std::env::current_exe()?)),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            Ok(command)
        }
    }
}

/// Runs case number `index` in `folder`, which it makes.
pub(super) fn run(folder: &Path, index: usize, case: &Run, artefact: &[u8]) -> io::Result<Outcome> {
    std::fs::create_dir_all(folder.join(DATA))?;
    std::fs::write(folder.join(ARTEFACT), artefact)?;
    let stdout = if case.stdout_is_closed {
        let (reader, writer) = io::pipe()?;
        drop(reader);
        Stdio::from(writer)
    } else {
        Stdio::piped()
    };
    let mut child = command()?
        .args([CHILD, &index.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut stdin, input, keep) = (
        child.stdin.take().expect("piped"),
        case.stdin,
        case.stdin_stays_open,
    );
    let feeder = std::thread::spawn(move || {
        // The guest may end without having read everything; that shows in its ending, not here.
        let _ = stdin.write_all(input);
        keep.then_some(stdin)
    });
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let status = end(&mut child, PATIENCE);
    drop(feeder.join());
    let bytes = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        reader.map_or_else(Vec::new, |reader| reader.join().unwrap_or_default())
    };
    let (stdout, stderr) = (bytes(stdout), bytes(stderr));
    let status = status?.map_or_else(
        || format!("it was still running after {PATIENCE:?}"),
        |status| status.to_string(),
    );
    let report = std::fs::read_to_string(folder.join(REPORT))
        .unwrap_or_else(|_| format!("no report; {status}\n0\n0"));
    let mut lines = report.lines();
    Ok(Outcome {
        ending: lines.next().unwrap_or_default().to_owned(),
        stdout,
        stderr,
        calls: lines.next().and_then(|line| line.parse().ok()).unwrap_or(0),
        open_calls: lines.next().and_then(|line| line.parse().ok()).unwrap_or(0),
        uses: lines.next().unwrap_or_default().to_owned(),
    })
}

/// Waits for the end at most as long as `patience`, then makes it: none when it had to.
pub fn end(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}
