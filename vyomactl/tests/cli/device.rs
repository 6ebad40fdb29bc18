//! The device that a test plays, and the run of `vyomactl` against it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;
use vyoma_capabilities::control::{
    AppStatus, DeviceEvent, DeviceInfo, LogLine, PROTOCOL, Request, Response, Stream,
};
use vyoma_capabilities::lifecycle::{Ending, Phase};

/// A socket with someone behind it, for one connection.
pub(crate) struct Device {
    folder: TempDir,
    thread: JoinHandle<()>,
}

/// The device's end of a connection.
pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
}

/// How a run of `vyomactl` went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Device {
    /// Accepts one connection and leaves it to `play`, greeting included.
    pub(crate) fn raw(play: impl FnOnce(Connection) + Send + 'static) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            play(Connection { stream });
        });
        Self { folder, thread }
    }

    /// Greets, then plays.
    pub(crate) fn new(play: impl FnOnce(&mut Connection) + Send + 'static) -> Self {
        Self::raw(|mut connection| {
            assert_eq!(
                connection.request(),
                Some(Request::Hello { protocol: PROTOCOL })
            );
            connection.send(&hello());
            play(&mut connection);
        })
    }

    /// Greets, expects one request and gives these answers.
    pub(crate) fn answers(expected: Request, answers: Vec<Response>) -> Self {
        Self::new(move |connection| {
            assert_eq!(connection.request(), Some(expected));
            for answer in &answers {
                connection.send(answer);
            }
        })
    }

    pub(crate) fn target(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    /// Runs `vyomactl` against it; a panic of the played device is a panic here.
    pub(crate) fn run(self, args: &[&str]) -> Outcome {
        let outcome = run(&[&["--target", &self.target()], args].concat());
        self.finish();
        outcome
    }

    /// Waits until the played device has ended.
    pub(crate) fn finish(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Connection {
    /// The next frame: kind and body; `None` when the client has hung up.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let length = u32::from_le_bytes(length) as usize;
        assert!((1..=262_144).contains(&length), "a frame of {length} bytes");
        let mut rest = vec![0; length];
        self.stream.read_exact(&mut rest).unwrap();
        let body = rest.split_off(1);
        Some((rest[0], body))
    }

    pub(crate) fn request(&mut self) -> Option<Request> {
        let (kind, body) = self.frame()?;
        assert_eq!(kind, 0, "expected a JSON frame");
        Some(serde_json::from_slice(&body).unwrap())
    }

    /// Is asked what it has kept of an upload, and has kept nothing.
    pub(crate) fn keeps_nothing(&mut self) {
        let asked = self.request();
        assert!(matches!(asked, Some(Request::Kept { .. })), "{asked:?}");
        self.send(&Response::Kept(vec![0]));
    }

    /// Takes the bytes of an upload; the frames that they came in.
    pub(crate) fn upload(&mut self, size: usize) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut frames) = (Vec::new(), Vec::new());
        while bytes.len() < size {
            let (kind, body) = self.frame().unwrap();
            assert_eq!(kind, 1, "expected raw bytes");
            frames.push(body.len());
            bytes.extend(body);
        }
        (bytes, frames)
    }

    pub(crate) fn send(&mut self, response: &Response) {
        self.send_frame(0, &serde_json::to_vec(response).unwrap());
    }

    pub(crate) fn send_frame(&mut self, kind: u8, body: &[u8]) {
        let mut frame = u32::try_from(body.len() + 1)
            .unwrap()
            .to_le_bytes()
            .to_vec();
        frame.push(kind);
        frame.extend(body);
        self.send_bytes(&frame);
    }

    /// Writes; a client that has gone is no failure of the device.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Stays until the client has gone.
    pub(crate) fn wait_for_hang_up(&mut self) {
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}

/// A command with a clean environment, its three streams piped or null.
pub(crate) fn command(args: &[&str]) -> Command {
    // Whoever runs these tests in the background of a shell made them ignore SIGINT, and children inherit that.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_vyomactl")])
        .args(args)
        .env_remove("VYOMA_TARGET")
        .env_remove("NO_COLOR")
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(args: &[&str]) -> Outcome {
    outcome(command(args))
}

pub(crate) fn outcome(mut command: Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().expect("ended by a signal"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn hello() -> Response {
    Response::Hello {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        platform: "server-headless".into(),
    }
}

pub(crate) fn app(name: &str) -> AppStatus {
    AppStatus {
        name: name.into(),
        version: "1.2.3".into(),
        sha256: "ab".repeat(32),
        phase: Phase::Running,
        last_ending: Some(Ending::Trapped("unreachable executed".into())),
        restarts: 2,
        pid: Some(42),
        uptime_ms: Some(61_000),
        pss_kb: Some(1536),
        cpu_ms: Some(610),
        host_calls: 7,
        dropped_lines: 0,
        unavailable: vec!["display".into()],
        execution: None,
        versions: None,
    }
}

pub(crate) fn info() -> DeviceInfo {
    DeviceInfo {
        platform: "server-headless".into(),
        version: "0.1.0".into(),
        engine: "wasmtime 48.0.8".into(),
        arch: "aarch64".into(),
        hostname: "vyoma".into(),
        kernel: "6.12.0".into(),
        mode: "pid1".into(),
        uptime_ms: 90_000,
        time_ms: 1_700_000_000_000,
        apps: 3,
        running: 2,
        max_apps: 200,
        daemon_pss_kb: Some(3000),
        memory_total_kb: 1_000_000,
        memory_available_kb: 500_000,
        data: "disk".into(),
        last_epitaph: None,
        addresses: vec!["eth0 10.0.2.15/24".into()],
        ahead_of_time: None,
    }
}

pub(crate) fn log_line(text: &str) -> LogLine {
    LogLine {
        app: "hello".into(),
        time_ms: 1_700_000_000_123,
        stream: Stream::Out,
        text: text.into(),
    }
}

pub(crate) fn event(detail: &str) -> DeviceEvent {
    DeviceEvent {
        time_ms: 1_700_000_000_123,
        app: Some("hello".into()),
        kind: "warning".into(),
        detail: detail.into(),
    }
}

/// A folder with an app in it.
pub(crate) struct App {
    pub(crate) folder: TempDir,
    pub(crate) component: Vec<u8>,
    pub(crate) sha256: String,
}

impl App {
    /// An app `hello` whose component carries `ballast` bytes; `more` is added to the manifest's `[app]`.
    pub(crate) fn new(ballast: usize, more: &str) -> Self {
        let component = component(ballast);
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("hello.wasm"), &component).unwrap();
        let manifest = format!(
            "[app]\nname = \"hello\"\nversion = \"1\"\nwasm = \"hello.wasm\"\n{more}\n[capabilities]\nstdio = true\ndisplay = true\n"
        );
        fs::write(folder.path().join("vyoma.toml"), manifest).unwrap();
        let sha256 = vyoma_runtime::sha256_hex(&component);
        Self {
            folder,
            component,
            sha256,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// A command of WASI 0.2 that does nothing.
pub(crate) fn component(ballast: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "memory") 1)
                (data "{}")
                (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $r (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $r)))"#,
        "x".repeat(ballast)
    );
    wat::parse_str(text).unwrap()
}
