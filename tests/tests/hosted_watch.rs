//! The developer's loop: `vyomactl watch` against a hosted daemon, with a crate of its own that is changed and saved.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::from_make_test;
use vyoma_system_tests::hosted::{HostedDaemon, Setup};

const PROFILE: &str = "server-headless";
/// A build of a small crate on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(3);

/// A crate that prints `version N` again and again.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(project.path("src")).expect("a folder");
        project.save(
            "Cargo.toml",
            "[package]\nname = \"watched\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
        );
        project.save("vyoma.toml", MANIFEST);
        project.save("src/main.rs", &source("version 1"));
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Saves as editors do: a new file takes the place of the old one.
    fn save(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.tmp"));
        fs::write(&new, text).expect("save");
        fs::rename(new, self.path(name)).expect("save");
    }
}

const MANIFEST: &str = "[app]\nname = \"watched\"\nversion = \"0.1.0\"\nwasm = \"watched.wasm\"\n\n[capabilities]\nstdio = true\n";

fn source(says: &str) -> String {
    format!(
        "fn main() {{\n    loop {{\n        println!(\"{says}\");\n        std::thread::sleep(std::time::Duration::from_millis(100));\n    }}\n}}\n"
    )
}

/// A running `vyomactl watch`, and everything that it says.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(daemon: &HostedDaemon, project: &Project, more: &[&str]) -> Self {
        let mut child = daemon.vyomactl();
        // Whoever runs the tests in the background of a shell made them ignore SIGINT, and children inherit that.
        let mut command = Command::new("env");
        command
            .arg("--default-signal=INT")
            .arg(child.get_program())
            .args(child.get_args());
        child = command;
        let mut child = child
            .arg("watch")
            .arg(project.0.path())
            .args(more)
            .env("CARGO_TARGET_DIR", project.path("target"))
            .env_remove("RUSTC_WRAPPER")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run vyomactl");
        let (sender, lines) = channel();
        hand_on(child.stdout.take().expect("a pipe"), sender.clone());
        hand_on(child.stderr.take().expect("a pipe"), sender);
        Self { child, lines }
    }

    /// Waits until a line says it; every line up to there.
    fn wait_for(&self, needle: &str) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    said.push(line);
                    if said.last().is_some_and(|line| line.contains(needle)) {
                        return said;
                    }
                }
                Err(why) => panic!("no {needle:?}: {why}; it said {said:#?}"),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hand_on(output: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
}

fn running(daemon: &HostedDaemon) -> (u32, String) {
    let app = daemon.wait_for_app("watched", "to run", |app| app.phase == Phase::Running);
    (app.pid.expect("a process"), app.sha256)
}

#[test]
fn what_is_saved_runs_soon_and_what_can_not_be_built_or_installed_leaves_the_old_version() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let project = Project::new();
    let watch = Watch::start(&daemon, &project, &[]);
    watch.wait_for("running");
    watch.wait_for("version 1");
    let (_, first) = running(&daemon);

    project.save("src/main.rs", &source("version 2"));
    watch.wait_for("watched: running");
    watch.wait_for("version 2");
    let (process, second) = running(&daemon);
    assert_ne!(first, second);

    // Its mistake is shown, and what runs goes on, its lines too.
    project.save("src/main.rs", "fn main() { no such thing }\n");
    watch.wait_for("error: expected");
    watch.wait_for("the build failed");
    watch.wait_for("version 2");
    assert_eq!(running(&daemon), (process, second.clone()));

    // What cargo can build and the device refuses.
    project.save("src/main.rs", &source("version 3"));
    project.save("vyoma.toml", &MANIFEST.replace("stdio", "stdioo"));
    let said = watch.wait_for("stdioo").join("\n");
    assert!(said.contains("unknown") || said.contains("stdio"), "{said}");
    watch.wait_for("version 2");
    assert_eq!(running(&daemon), (process, second.clone()));

    project.save("vyoma.toml", MANIFEST);
    watch.wait_for("watched: running");
    watch.wait_for("version 3");
    let (_, third) = running(&daemon);
    assert_ne!(second, third);

    // Saved without a change: nothing is installed.
    project.save(
        "src/main.rs",
        &format!("{}// a remark\n", source("version 3")),
    );
    watch.wait_for("the build made the same app");
    assert_eq!(running(&daemon).1, third);
}

#[test]
fn ctrl_c_ends_it_in_the_middle_of_a_build_and_what_runs_goes_on() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let project = Project::new();
    let mut watch = Watch::start(&daemon, &project, &["--output", "json"]);
    let said = watch.wait_for("\"running\"");
    let document: serde_json::Value =
        serde_json::from_str(said.last().expect("a line")).expect("JSON");
    assert_eq!(document["app"], "watched");
    assert!(document["save_to_running_ms"].as_u64() >= document["build_ms"].as_u64());
    let before = running(&daemon);
    project.save("src/main.rs", &source("version 2"));
    // Long enough for cargo to be at it on most machines; at any other moment the outcome is the same.
    thread::sleep(Duration::from_millis(300));
    let pid = watch.child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill").success());
    let status = watch.child.wait().expect("an end");
    assert!(
        status.signal() == Some(2) || status.code() == Some(130),
        "{status}"
    );
    let after = running(&daemon);
    assert!(
        after == before || after.1 != before.1,
        "the same process, or a new version"
    );
}

#[test]
fn a_folder_that_is_no_crate_and_a_device_that_is_not_there_are_told_before_anything_is_built() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let (code, said) = daemon.ctl_fails(&["watch", path]);
    assert!(
        code == 1 && said.contains("no Cargo.toml"),
        "{code}: {said}"
    );
    let (code, said) = daemon.ctl_fails(&["watch", "/no/such/folder"]);
    assert!(
        code == 1 && said.contains("expected the folder of an app"),
        "{code}: {said}"
    );
    let project = Project::new();
    let project_path = project.0.path().to_str().expect("UTF-8");
    let gone = Path::new(path).join("no.sock");
    let nobody = Command::new(from_make_test("VYOMACTL_BIN"))
        .arg("--target")
        .arg(gone)
        .args(["watch", project_path])
        .output()
        .expect("run vyomactl");
    let said = String::from_utf8_lossy(&nobody.stderr);
    assert_eq!(nobody.status.code(), Some(10), "{said}");
    assert!(said.contains("cannot connect"), "{said}");
    assert!(!project.path("target").exists());
}
