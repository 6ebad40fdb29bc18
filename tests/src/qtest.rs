//! Pins of an emulated board, from outside: QEMU's qtest protocol (docs/devel/testing/qtest), one line a command, beside a
//! guest that runs as ever. A machine for it is started with [`arguments`].

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// For an emulator that has just been started.
const SOON: Duration = Duration::from_secs(30);

/// What QEMU needs to be told, with two sockets at those paths. The machine waits for [`Pins::go`].
pub fn arguments(qtest: &Path, qmp: &Path) -> Vec<String> {
    let socket = |path: &Path| format!("unix:{},server=on,wait=off", path.display());
    let words = [
        "-S",
        "-qtest",
        &socket(qtest),
        "-qtest-log",
        "/dev/null",
        "-qmp",
        &socket(qmp),
    ];
    words.map(str::to_owned).to_vec()
}

/// A change of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Number of the line among those of the device.
    pub line: u32,
    /// What it became.
    pub high: bool,
}

/// A machine's pins.
pub struct Pins {
    qtest: Connection,
    qmp: Connection,
    changes: Vec<Change>,
}

impl Pins {
    /// Connects to the two sockets.
    pub fn connect(qtest: &Path, qmp: &Path) -> Self {
        let mut pins = Self {
            qtest: Connection::open(qtest),
            qmp: Connection::open(qmp),
            changes: Vec::new(),
        };
        pins.qmp.read_line();
        pins.command(&json!({"execute": "qmp_capabilities"}));
        pins
    }

    /// Lets the machine run.
    pub fn go(&mut self) {
        self.command(&json!({"execute": "cont"}));
    }

    /// From now on changes of the device's outputs are seen. To be called before [`Pins::go`].
    pub fn watch(&mut self, device: &str) {
        self.ask(&format!("irq_intercept_out {device}"));
    }

    /// Drives an input of the device.
    pub fn drive(&mut self, device: &str, line: u32, high: bool) {
        self.ask(&format!(
            "set_irq_in {device} unnamed-gpio-in {line} {}",
            u8::from(high)
        ));
    }

    /// The 32 bits at an address of the machine's bus: a register, say.
    pub fn word(&mut self, address: u32) -> u32 {
        let answer = self.ask(&format!("readl {address:#x}"));
        let digits = answer.trim().strip_prefix("OK 0x");
        let word = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let word = word.and_then(|word| u32::try_from(word).ok());
        word.unwrap_or_else(|| panic!("no word at {address:#x}: {answer}"))
    }

    /// Writes 32 bits to an address of the machine's bus: of a register, what the processor would do.
    pub fn set_word(&mut self, address: u32, word: u32) {
        self.ask(&format!("writel {address:#x} {word:#x}"));
    }

    /// The next change of `line`.
    pub fn next_change(&mut self, line: u32) -> bool {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self.changes.iter().position(|change| change.line == line) {
                return self.changes.remove(at).high;
            }
            assert!(
                Instant::now() < deadline,
                "output {line} did not change within {} s; others: {:?}",
                SOON.as_secs(),
                self.changes
            );
            // A command without an effect: QEMU reports changes between answers, whenever they happen.
            self.ask("endianness");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sets a property of a device: what a sensor measures, say.
    pub fn set(&mut self, path: &str, property: &str, value: i64) {
        let arguments = json!({"path": path, "property": property, "value": value});
        self.command(&json!({"execute": "qom-set", "arguments": arguments}));
    }

    /// Paths of all devices of a type, in their order.
    pub fn devices(&mut self, kind: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec!["/machine".to_owned()];
        while let Some(path) = open.pop() {
            let list = self.command(&json!({"execute": "qom-list", "arguments": {"path": path}}));
            for property in list.as_array().into_iter().flatten() {
                let name = property["name"].as_str().unwrap_or_default();
                let Some(child) = property["type"]
                    .as_str()
                    .and_then(|text| text.strip_prefix("child<")?.strip_suffix('>'))
                else {
                    continue;
                };
                let below = format!("{path}/{name}");
                if child == kind {
                    found.push(below.clone());
                }
                open.push(below);
            }
        }
        found.sort();
        found
    }

    /// Returns the answer, which begins with `OK`.
    fn ask(&mut self, command: &str) -> String {
        self.qtest.write_line(command);
        loop {
            let line = self.qtest.read_line();
            let Some(change) = change(&line) else {
                assert!(line.starts_with("OK"), "{command}: {line}");
                return line;
            };
            self.changes.push(change);
        }
    }

    fn command(&mut self, command: &Value) -> Value {
        self.qmp.write_line(&command.to_string());
        loop {
            let mut answer: Value =
                serde_json::from_str(&self.qmp.read_line()).expect("JSON from QEMU");
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            if let Some(value) = answer.get_mut("return") {
                return value.take();
            }
        }
    }
}

/// `IRQ raise 7`, `IRQ lower 7`
fn change(line: &str) -> Option<Change> {
    let (what, line) = line.strip_prefix("IRQ ")?.split_once(' ')?;
    Some(Change {
        line: line.trim().parse().ok()?,
        high: what == "raise",
    })
}

/// Lines both ways.
struct Connection {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Connection {
    fn open(path: &Path) -> Self {
        let deadline = Instant::now() + SOON;
        let writer = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(
                    Instant::now() < deadline
                        && [ErrorKind::NotFound, ErrorKind::ConnectionRefused]
                            .contains(&error.kind()),
                    "{}: {error}",
                    path.display()
                ),
            }
            thread::sleep(Duration::from_millis(20));
        };
        writer.set_read_timeout(Some(SOON)).expect("a time limit");
        let reader = BufReader::new(writer.try_clone().expect("a second handle"));
        Self { reader, writer }
    }

    fn write_line(&mut self, line: &str) {
        self.writer
            .write_all(format!("{line}\n").as_bytes())
            .expect("QEMU listens");
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        assert!(matches!(read, Ok(1..)), "QEMU said nothing: {read:?}");
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_outputs_are_told_from_answers() {
        assert_eq!(
            change("IRQ raise 13\n"),
            Some(Change {
                line: 13,
                high: true
            })
        );
        assert_eq!(
            change("IRQ lower 0\n"),
            Some(Change {
                line: 0,
                high: false
            })
        );
        assert_eq!(change("OK\n"), None);
    }
}
