//! `install` and `inspect`: what is checked here, what is sent, what is said.

use std::fs;

use vyoma_capabilities::control::{ControlError, ErrorKind, InstallOptions, Request, Response};

use crate::device::{App, Device, Outcome, command, component, outcome, run};

/// A device that takes the app and answers as `answer` says.
fn taking(app: &App, answer: Response) -> Device {
    let (component, sha256) = (app.component.clone(), app.sha256.clone());
    let manifest = fs::read_to_string(app.path("vyoma.toml")).unwrap();
    Device::new(move |connection| {
        let mut request = connection.request().unwrap();
        let size = component.len();
        if size >= 256 * 1024 {
            let asked = Request::Kept {
                sha256s: vec![sha256.clone()],
            };
            assert_eq!(request, asked);
            connection.send(&Response::Kept(vec![0]));
            request = connection.request().unwrap();
        }
        assert_eq!(
            request,
            Request::Install {
                manifest,
                component_size: size as u64,
                sha256,
                ahead_of_time: None,
                options: InstallOptions::default(),
            }
        );
        let (bytes, frames) = connection.upload(size);
        assert!(bytes == component, "other bytes arrived");
        assert!(
            frames.iter().all(|length| *length <= 128 * 1024),
            "{frames:?}"
        );
        connection.send(&answer);
    })
}

fn installed(app: &App, replaced: bool) -> Response {
    Response::Installed {
        app: "hello".into(),
        sha256: app.sha256.clone(),
        replaced,
        warnings: vec!["hello: display is not available on server-headless".into()],
    }
}

#[test]
fn a_folder_a_manifest_and_a_component_beside_one_are_the_same_app() {
    let app = App::new(300_000, "");
    for path in ["", "vyoma.toml", "hello.wasm"] {
        let outcome = taking(&app, installed(&app, false)).run(&["install", &app.text(path)]);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        assert!(
            outcome
                .out
                .contains(&format!("hello: installed, sha256 {}", app.sha256))
        );
        assert!(
            outcome
                .out
                .contains("warning: hello: display is not available")
        );
        assert_eq!(outcome.err, "", "no progress without a terminal");
    }
}

#[test]
fn the_answer_is_one_json_document() {
    let app = App::new(10, "");
    let outcome =
        taking(&app, installed(&app, true)).run(&["--output", "json", "install", &app.text("")]);
    let answer: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(answer["app"], "hello");
    assert_eq!(answer["replaced"], true);
    assert_eq!(answer["sha256"], app.sha256.as_str());
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_is_heard_at_once() {
    // Far more than the socket's buffers hold: the client would wait for ever for a device that reads no further.
    let app = App::new(1_500_000, "");
    let device = Device::new(|connection| {
        connection.keeps_nothing();
        connection.request();
        connection.frame();
        connection.send(&Response::Error(ControlError {
            kind: ErrorKind::Limit,
            message: "no room".into(),
        }));
        connection.wait_for_hang_up();
    });
    let start = std::time::Instant::now();
    let outcome = device.run(&["install", &app.text("")]);
    assert_eq!(
        (outcome.code, outcome.err.as_str()),
        (6, "vyomactl: no room\n")
    );
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn a_device_that_refuses_and_hangs_up_at_once_is_still_heard() {
    let app = App::new(1_500_000, "");
    let device = Device::new(|connection| {
        connection.keeps_nothing();
        connection.request();
        connection.send(&Response::Error(ControlError {
            kind: ErrorKind::Invalid,
            message: "not here".into(),
        }));
    });
    let outcome = device.run(&["install", &app.text("")]);
    assert_eq!(
        (outcome.code, outcome.err.as_str()),
        (4, "vyomactl: not here\n")
    );
}

#[test]
fn a_device_that_stops_reading_an_upload_is_12() {
    let app = App::new(1_500_000, "");
    let device = Device::new(|connection| {
        connection.keeps_nothing();
        connection.request();
        connection.frame();
        std::thread::sleep(std::time::Duration::from_millis(1500));
    });
    let outcome = device.run(&["install", &app.text(""), "--timeout", "0.5"]);
    assert_eq!(outcome.code, 12, "{}", outcome.err);
}

#[test]
fn a_device_that_installed_other_bytes_is_not_believed() {
    let app = App::new(10, "");
    let answer = Response::Installed {
        app: "hello".into(),
        sha256: "0".repeat(64),
        replaced: false,
        warnings: Vec::new(),
    };
    let outcome = taking(&app, answer).run(&["install", &app.text("")]);
    assert_eq!(outcome.code, 5, "{}", outcome.err);
}

/// An install that must fail before a device is asked: there is none.
fn refused_here(path: &str) -> Outcome {
    let outcome = run(&["--target", "/nonexistent/socket", "install", path]);
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    assert_eq!(outcome.out, "");
    outcome
}

#[test]
fn what_is_wrong_on_this_side_is_found_before_a_device_is_asked() {
    let app = App::new(10, "");
    let outcome = refused_here(&app.text("nothing"));
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("No such file"), "{}", outcome.err);

    let empty = tempfile::TempDir::new().unwrap();
    let outcome = refused_here(empty.path().to_str().unwrap());
    assert_eq!(outcome.code, 4);
    assert!(outcome.err.contains("no vyoma.toml"), "{}", outcome.err);

    fs::write(empty.path().join("lonely.wasm"), component(1)).unwrap();
    let outcome = refused_here(empty.path().join("lonely.wasm").to_str().unwrap());
    assert_eq!(outcome.code, 4);
    assert!(outcome.err.contains("no vyoma.toml"), "{}", outcome.err);

    fs::write(app.path("other.wasm"), component(2)).unwrap();
    let outcome = refused_here(&app.text("other.wasm"));
    assert_eq!(outcome.code, 4);
    assert!(outcome.err.contains("hello.wasm") && outcome.err.contains("other.wasm"));

    fs::remove_file(app.path("hello.wasm")).unwrap();
    let outcome = refused_here(&app.text(""));
    assert_eq!(outcome.code, 4);
    assert!(outcome.err.contains("cargo build"), "{}", outcome.err);

    fs::write(app.path("hello.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let outcome = refused_here(&app.text(""));
    assert_eq!(outcome.code, 4);
    assert!(outcome.err.contains("core module"), "{}", outcome.err);
}

#[test]
fn a_manifest_that_cannot_be_used_is_refused_with_file_and_key() {
    let app = App::new(10, "colour = \"red\"");
    let outcome = refused_here(&app.text(""));
    assert_eq!(outcome.code, 4);
    assert!(
        outcome.err.contains("vyoma.toml:5") && outcome.err.contains("colour"),
        "{}",
        outcome.err
    );
    fs::write(app.path("vyoma.toml"), b"[app]\nname = \"\xff\"").unwrap();
    let outcome = refused_here(&app.text(""));
    assert!(
        outcome.err.contains("byte 14 is not UTF-8"),
        "{}",
        outcome.err
    );
    fs::write(app.path("vyoma.toml"), vec![b'#'; 65 * 1024]).unwrap();
    assert_eq!(refused_here(&app.text("")).code, 6);
}

#[test]
fn a_pinned_hash_is_checked_and_both_hashes_are_named() {
    let pinned = "0".repeat(64);
    let app = App::new(10, &format!("wasm_sha256 = \"{pinned}\""));
    let outcome = refused_here(&app.text(""));
    assert_eq!(outcome.code, 5);
    assert!(outcome.err.contains(&pinned) && outcome.err.contains(&app.sha256));

    let right = vyoma_runtime::sha256_hex(&component(10));
    let app = App::new(10, &format!("wasm_sha256 = \"{right}\""));
    let outcome = taking(&app, installed(&app, false)).run(&["install", &app.text("")]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

#[test]
fn what_cargo_built_in_the_workspace_is_found_from_the_apps_folder() {
    let workspace = tempfile::TempDir::new().unwrap();
    let app = App::new(10, "");
    let folder = workspace.path().join("apps/hello");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(app.path("vyoma.toml"), folder.join("vyoma.toml")).unwrap();
    fs::write(folder.join("Cargo.toml"), "").unwrap();
    let built = workspace.path().join("apps/target/wasm32-wasip2/release");
    fs::create_dir_all(&built).unwrap();
    fs::rename(app.path("hello.wasm"), built.join("hello.wasm")).unwrap();
    let device = taking(&app, installed(&app, false));
    let mut command = command(&["install", ".", "--target", &device.target()]);
    command.current_dir(&folder);
    let outcome = outcome(command);
    device.finish();
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(
        outcome
            .out
            .contains("target/wasm32-wasip2/release/hello.wasm"),
        "{}",
        outcome.out
    );
}

#[test]
fn inspect_tells_where_a_component_runs_without_any_device() {
    let app = App::new(10, "");
    for path in ["", "vyoma.toml", "hello.wasm"] {
        let outcome = run(&["inspect", &app.text(path), "--target", "ssh://nobody"]);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let expected = [
            ("desktop-full", "runs"),
            ("mobile", "runs"),
            ("iot-edge", "runs without display"),
            ("robotics-rt", "runs without display"),
            ("server-headless", "runs without display"),
            (
                "mcu-minimal",
                "runs without display; needs about 76 of 90 KiB",
            ),
        ];
        for (platform, outlook) in expected {
            let line = outcome
                .out
                .lines()
                .find(|line| line.starts_with(platform))
                .unwrap();
            assert_eq!(line.trim_start_matches(platform).trim(), outlook);
        }
        assert!(outcome.out.contains(&app.sha256));
        assert!(outcome.out.contains("wasi:cli/run@0.2.6"));
        assert!(outcome.out.contains("starts with 64 KiB"));
    }
}

#[test]
fn inspect_says_what_keeps_a_component_from_running() {
    // The manifest allows less than the component starts with.
    let app = App::new(10, "");
    let text = fs::read_to_string(app.path("vyoma.toml")).unwrap();
    fs::write(
        app.path("vyoma.toml"),
        format!("{text}[resources]\nmemory_kb = 64\n"),
    )
    .unwrap();
    let outcome = run(&["inspect", &app.text(""), "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["platforms"][0]["verdict"], "runs");

    let two_pages =
        wat::parse_str(r#"(component (core module (memory (export "memory") 2)))"#).unwrap();
    fs::write(app.path("hello.wasm"), two_pages).unwrap();
    let outcome = run(&["inspect", &app.text(""), "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert!(
        report["refused"].as_str().unwrap().contains("wasi:cli/run"),
        "{report}"
    );
    for platform in report["platforms"].as_array().unwrap() {
        assert_eq!(platform["verdict"], "no");
    }
    assert_eq!(report["memory_pages"], 2);
}

#[test]
fn inspect_says_what_a_component_needs_and_a_platform_gives() {
    let app = App::new(10, "");
    // 17 pages: what Rust makes of a program when nobody says how large its stack is.
    let text = r#"(component
        (core module $m (memory (export "memory") 17) (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $r (export "run" (func $run)))
        (export "wasi:cli/run@0.2.6" (instance $r)))"#;
    fs::write(app.path("hello.wasm"), wat::parse_str(text).unwrap()).unwrap();
    let outcome = run(&["inspect", &app.text(""), "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let verdicts: Vec<&str> = report["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|platform| platform["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts[5], "does-not-fit", "{report}");
    assert!(
        verdicts[..5]
            .iter()
            .all(|verdict| verdict.starts_with("runs")),
        "{report}"
    );
    let text = report["platforms"][5]["text"].as_str().unwrap();
    assert!(text.starts_with("does not fit: needs 11"), "{text}");
    assert!(text.ends_with("KiB, the profile gives 90 KiB"), "{text}");
}

#[test]
fn inspect_says_where_a_function_is_too_large() {
    let app = App::new(10, "");
    let inspect = |function: &str| -> serde_json::Value {
        let text = format!(
            r#"(component
                (core module $m (memory (export "memory") 1) (func {function})
                  (func (export "run") (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func $run (result (result)) (canon lift (core func $i "run")))
                (instance $r (export "run" (func $run)))
                (export "wasi:cli/run@0.2.6" (instance $r)))"#
        );
        fs::write(app.path("hello.wasm"), wat::parse_str(text).unwrap()).unwrap();
        let outcome = run(&["inspect", &app.text(""), "--output", "json"]);
        serde_json::from_str(&outcome.out).unwrap()
    };
    let report = inspect(&format!("(local {})", "i32 ".repeat(193)));
    assert_eq!(report["largest_function"]["values"], 193);
    let platforms = report["platforms"].as_array().unwrap();
    for platform in &platforms[..5] {
        assert!(
            platform["verdict"].as_str().unwrap().starts_with("runs"),
            "{platform}"
        );
    }
    assert_eq!(
        platforms[5]["text"],
        "does not fit: a function has 193 values at once, the engine there takes 192"
    );
    let report = inspect(&format!("{}{}", "block ".repeat(2001), "end ".repeat(2001)));
    let refused = report["refused"].as_str().unwrap();
    assert!(
        refused.contains("has 2001 blocks in each other") && refused.contains("at most 2000"),
        "{refused}"
    );
    for platform in report["platforms"].as_array().unwrap() {
        assert_eq!(platform["verdict"], "no", "{platform}");
    }
}

#[test]
fn inspect_leaves_out_a_manifest_that_means_another_component() {
    let app = App::new(10, "");
    fs::write(app.path("other.wasm"), component(2)).unwrap();
    let outcome = run(&["inspect", &app.text("other.wasm")]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(
        outcome.out.contains("no vyoma.toml beside it names it"),
        "{}",
        outcome.out
    );
}
