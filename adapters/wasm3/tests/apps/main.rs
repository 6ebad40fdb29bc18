//! The apps that are made for a microcontroller, as it runs them: in a linear memory that ends at their `__heap_base`, under a host
//! whose clock and input follow a script. What they say, how much stack they use of what they have, and how large they are:
//! `apps/sizes.txt` is that table, and this keeps it true.

mod host;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use host::{Ending, Memory, Outcome, SECOND, Script, run};
use vyoma_component::program::Program;
use wasmparser::{Operator, Parser, Payload};

/// What an app may take at most.
struct Budget {
    app: &'static str,
    /// Bytes of the component file.
    file: usize,
    /// Bytes of RAM, as `vyomactl inspect` estimates them.
    ram: u64,
}

const fn budget(app: &'static str, file: usize, ram: u64) -> Budget {
    Budget { app, file, ram }
}

/// Three run at once in the 90 KiB that the firmware leaves, so each of those that are shown together has 30 KiB.
const BUDGETS: [Budget; 24] = [
    budget("hello", 12 << 10, 33 << 10),
    budget("counter", 9 << 10, 26 << 10),
    budget("echo", 7 << 10, 24 << 10),
    budget("ping", 10 << 10, 28 << 10),
    budget("pong", 7 << 10, 23 << 10),
    budget("clock", 7 << 10, 21 << 10),
    budget("sensor", 5 << 10, 19 << 10),
    budget("blink", 10 << 10, 27 << 10),
    budget("button", 11 << 10, 28 << 10),
    budget("adc-logger", 10 << 10, 28 << 10),
    budget("thermometer", 10 << 10, 27 << 10),
    budget("motor-pid", 17 << 10, 42 << 10),
    budget("busy-loop", 4 << 10, 15 << 10),
    budget("clocks-poll", 10 << 10, 28 << 10),
    budget("escape-codes", 4 << 10, 16 << 10),
    budget("exit3", 4 << 10, 15 << 10),
    budget("heap", 12 << 10, 40 << 10),
    budget("invalid-utf8", 4 << 10, 17 << 10),
    budget("memory-bomb", 6 << 10, 21 << 10),
    budget("read-all-stdin", 7 << 10, 23 << 10),
    budget("silent-wait", 5 << 10, 18 << 10),
    budget("stack-overflow", 4 << 10, 18 << 10),
    budget("stdout-flood", 6 << 10, 20 << 10),
    budget("trap", 4 << 10, 15 << 10),
];

/// Programs with `std` that are run here too; they fit no microcontroller.
const WITH_STD: [&str; 2] = ["requests", "std-hello"];

/// Native stack of each app on the microcontroller: `stack_size_kb` of profiles/mcu-minimal.toml.
const NATIVE_STACK: u64 = 4 << 10;

/// Bytes of shadow stack that are to be left in what is tried here.
const STACK_LEFT: usize = 128;

fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps")
}

/// The component of an app.
fn component(app: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let target = apps().join("target");
        let status = Command::new("cargo")
            .args([
                "build",
                "--quiet",
                "--release",
                "--target",
                "wasm32-wasip2",
                "--target-dir",
            ])
            .arg(&target)
            .args(BUDGETS.iter().flat_map(|budget| ["--package", budget.app]))
            .args(WITH_STD.iter().flat_map(|app| ["--package", *app]))
            .current_dir(apps())
            // They would replace the flags that make the bytes the same for everyone.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cargo can't build the apps in {} for wasm32-wasip2",
            apps().display()
        );
        target.join("wasm32-wasip2/release")
    });
    let path = folder.join(format!("{app}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The size of the shadow stack: where the stack pointer begins, the first global of a module that lld made.
fn stack(module: &[u8]) -> usize {
    for payload in Parser::new(0).parse_all(module) {
        if let Ok(Payload::GlobalSection(globals)) = payload {
            let first = globals
                .into_iter()
                .next()
                .expect("a global")
                .expect("a global");
            let mut code = first.init_expr.get_operators_reader();
            let Ok(Operator::I32Const { value }) = code.read() else {
                panic!("the first global is no stack pointer");
            };
            return value as usize;
        }
    }
    panic!("no globals");
}

fn seconds(seconds: u64) -> u64 {
    seconds * SECOND
}

fn running(for_seconds: u64) -> Script {
    Script {
        ends: seconds(for_seconds),
        ..Script::default()
    }
}

/// Lines at their times.
fn hearing(lines: &[(u64, &str)], ends: u64) -> Script {
    let input = lines.iter().map(|(at, line)| (*at, format!("{line}\n")));
    Script {
        input: input.collect(),
        ends,
        ..Script::default()
    }
}

/// Runs an app, and sees that its stack is large enough.
fn ran(app: &str, script: &Script) -> Outcome {
    let bytes = component(app);
    let stack = stack(&Program::of(&bytes).expect("a program").module);
    let outcome = run(&bytes, Memory::Small, stack, script);
    assert!(
        outcome.stack_used + STACK_LEFT <= stack,
        "{app} used {} of {stack} bytes of shadow stack; expected at least {STACK_LEFT} to be left: say more in its build.rs",
        outcome.stack_used
    );
    outcome
}

#[test]
fn apps_are_as_large_as_their_table_says_and_within_their_budgets() {
    let mut table = format!(
        "{:<16} {:>6} {:>6} {:>6} {:>9} {:>6} {:>9} {:>6}\n",
        "app", "file", "core", "code", "functions", "stack", "heap base", "RAM"
    );
    let mut over = String::new();
    for Budget { app, file, ram } in &BUDGETS {
        let bytes = component(app);
        let program = Program::of(&bytes).expect("a program");
        let needs = program.needs;
        let needed = needs.microcontroller_bytes(NATIVE_STACK);
        let _ = writeln!(
            table,
            "{app:<16} {:>6} {:>6} {:>6} {:>9} {:>6} {:>9} {needed:>6}",
            bytes.len(),
            program.module.len(),
            needs.code_bytes,
            needs.functions,
            stack(&program.module),
            needs.heap_base.expect("an exported __heap_base"),
        );
        if bytes.len() > *file || needed > *ram {
            let found = (bytes.len(), needed);
            let _ = writeln!(
                over,
                "{app}: found {found:?} bytes of (file, RAM), expected at most {:?}",
                (file, ram)
            );
        }
    }
    assert!(over.is_empty(), "over budget:\n{over}");
    let path = apps().join("sizes.txt");
    if std::env::var_os("VYOMA_WRITE_SIZES").is_some() {
        std::fs::write(&path, &table).expect("writing apps/sizes.txt");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "apps/sizes.txt is not what was built; if that is as it should be, run this test with VYOMA_WRITE_SIZES=1. Found:\n{table}"
    );
}

#[test]
fn hello_greets_and_says_where_it_runs() {
    let script = Script {
        arguments: &["one", "two \"words\"", "", "äöü €"],
        ..hearing(
            &[(SECOND, "early"), (SECOND, "REPLY:mcu-minimal")],
            seconds(60),
        )
    };
    let hello = ran("hello", &script);
    assert_eq!(
        hello.out,
        "Hello from Vyoma!\narguments: [\"one\", \"two \\\"words\\\"\", \"\", \"äöü €\"]\n\
         environment variables: 0\nVYOMA_DRAW:fill_rect:0,0,400,300,505294591\n\
         VYOMA_DRAW:draw_text:10,10,4294967295,m,Hello\nVYOMA_DRAW:flush\n@supervisor: platform\n"
    );
    assert_eq!(hello.err, "[hello] running on mcu-minimal\n");
    assert_eq!(hello.ending, Ending::Exited(true));
}

#[test]
fn hello_ends_without_a_supervisor() {
    let nobody = ran("hello", &running(60));
    assert_eq!(
        nobody.err,
        "[hello] platform unknown: no answer from a supervisor in 5 s\n"
    );
    assert_eq!(nobody.ending, Ending::Exited(true));
    let closed = Script {
        input_ends: Some(0),
        ..running(60)
    };
    let closed = ran("hello", &closed);
    assert_eq!(
        closed.err,
        "[hello] platform unknown: standard input is closed: no supervisor to ask\n"
    );
}

#[test]
fn counter_counts_seconds_and_answers_lines_meanwhile() {
    let lines = [
        (SECOND / 2, "first"),
        (SECOND * 5 / 2, "second"),
        (SECOND * 5 / 2, "REPLY:to nobody"),
    ];
    let counter = ran("counter", &hearing(&lines, SECOND * 9 / 2));
    assert_eq!(
        counter.out,
        "@reply: 0\ncount 1\ncount 2\n@reply: 2\ncount 3\ncount 4\n"
    );
    // Whole lines: they can't be torn by those of another app.
    assert_eq!(counter.writes, 6);
    let deaf = Script {
        input_ends: Some(SECOND),
        ..running(4)
    };
    assert_eq!(ran("counter", &deaf).out, "count 1\ncount 2\ncount 3\n");
}

#[test]
fn echo_answers_with_the_same_line_and_pong_with_the_number() {
    let long = "x".repeat(3000);
    let lines = [
        (1, "one"),
        (2, ""),
        (3, long.as_str()),
        (4, "@broadcast: no"),
        (5, "ping 17"),
        (6, "ping"),
    ];
    let mut script = hearing(&lines, SECOND);
    script.input_ends = Some(7);
    let echo = ran("echo", &script);
    let cut = &long[..1024];
    assert_eq!(
        echo.out,
        format!(
            "ready\n@reply: one\n@reply: \n@reply: {cut}\n@reply: @broadcast: no\n@reply: ping 17\n@reply: ping\n"
        )
    );
    let pong = ran("pong", &script);
    assert_eq!(pong.out, "@reply: pong 17\n");
    assert_eq!(
        (echo.ending, pong.ending),
        (Ending::Exited(true), Ending::Exited(true))
    );
}

#[test]
fn ping_sends_until_it_is_answered_five_times_and_gives_up_after_thirty() {
    let lines: Vec<(u64, String)> = (2..=6)
        .map(|n| (seconds(n - 1) + 5000 * n, format!("pong {n}")))
        .collect();
    let lines: Vec<(u64, &str)> = lines
        .iter()
        .map(|(at, line)| (*at, line.as_str()))
        .collect();
    let ping = ran("ping", &hearing(&lines, seconds(60)));
    assert_eq!(ping.ending, Ending::Exited(true));
    assert!(
        ping.out
            .starts_with("@pong: ping 1\nno answer to ping 1\n@pong: ping 2\npong 2 after "),
        "{}",
        ping.out
    );
    assert!(
        ping.out.ends_with(" us\n6 sent, 5 answered\n"),
        "{}",
        ping.out
    );
    let alone = ran("ping", &running(60));
    assert_eq!(alone.ending, Ending::Exited(false));
    assert!(
        alone
            .out
            .ends_with("no answer to ping 30\n30 sent, 0 answered: is the app pong running?\n"),
        "{}",
        alone.out
    );
}

#[test]
fn apps_for_devices_use_them_within_the_stack_that_they_have() {
    let script = Script {
        arguments: &["LED", "250"],
        ..running(1)
    };
    let blink = ran("blink", &script);
    assert_eq!(blink.out, "blinking LED\n");
    assert_eq!(blink.levels, [true, false, true, false]);

    let script = Script {
        edges: vec![SECOND, SECOND + 1, 2 * SECOND],
        ..running(60)
    };
    let button = ran("button", &script);
    assert_eq!(button.out, "ready\nedge 1\nedge 2\nedge 3\n");
    assert_eq!(button.levels, [true, false, true]);

    let script = Script {
        arguments: &["0", "500", "hub"],
        ..running(1)
    };
    let logger = ran("adc-logger", &script);
    let reading = "1.650 V, 2048 of 4095\n@hub: voltage 1.650 V\n";
    assert_eq!(logger.out, reading.repeat(2));

    let script = Script {
        arguments: &["1", "hub"],
        ..running(2)
    };
    let thermometer = ran("thermometer", &script);
    let reading = "temperature 25.00 C\n@hub: temperature 25.00 C\n";
    assert_eq!(thermometer.out, reading.repeat(2));

    let script = Script {
        arguments: &["0", "pin:LED", "2048", "1"],
        ..running(60)
    };
    let motor = ran("motor-pid", &script);
    assert_eq!(motor.ending, Ending::Exited(true));
    assert_eq!(motor.levels.len(), 1000);
    // No difference from what is wanted, so nothing is driven; a tick is as late as the two calls before it.
    assert!(
        motor
            .out
            .contains("second 1: at 2048, drives 0 of 4095; late by "),
        "{}",
        motor.out
    );
    assert!(
        motor.out.contains("late by less than 10 us: 1000\n"),
        "{}",
        motor.out
    );
}

#[test]
fn clock_and_sensor_print_a_line_every_second() {
    let clock = ran("clock", &running(3));
    assert_eq!(
        clock.out,
        "2026-11-25T00:00:00Z drift +0 ms\n2026-11-25T00:00:01Z drift +0 ms\n2026-11-25T00:00:02Z drift +0 ms\n"
    );
    let sensor = ran("sensor", &running(3));
    let lines: Vec<&str> = sensor.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", sensor.out);
    for (line, number) in lines.iter().zip(1..) {
        let value = line
            .strip_prefix(&format!("reading {number}: "))
            .and_then(|rest| rest.strip_suffix(" C"));
        assert!(
            value.is_some_and(|value| value.parse::<f32>().is_ok()),
            "{line}"
        );
    }
    assert_eq!(sensor.writes, 3);
}

#[test]
fn guests_that_misbehave_do_so_here_too() {
    let exit = ran("exit3", &running(1));
    assert_eq!(
        (exit.ending, exit.out.as_str()),
        (Ending::Exited(false), "about to exit with 3\n")
    );
    let trap = ran("trap", &running(1));
    assert_eq!(
        (trap.ending, trap.out.as_str()),
        (Ending::Trapped("unreachable"), "about to trap\n")
    );
    let bytes = component("stack-overflow");
    let deep = run(&bytes, Memory::Small, 0, &running(1));
    assert_eq!(deep.ending, Ending::Trapped("out of bounds memory access"));
    assert_eq!(deep.out, "about to overflow the stack\n");
    let flood = ran(
        "stdout-flood",
        &Script {
            arguments: &["1000"],
            ..running(60)
        },
    );
    assert_eq!(flood.out.lines().count(), 1000);
    assert!(flood.out.ends_with("flood 998\nflood 999\n"));
}

#[test]
fn a_memory_that_cannot_grow_is_an_answer_and_a_panic_says_where_and_why() {
    let bomb = ran("memory-bomb", &running(1));
    assert_eq!(
        (bomb.ending, bomb.out.as_str()),
        (Ending::Exited(true), "no more after 0 MiB\n")
    );
    let abort = ran(
        "memory-bomb",
        &Script {
            arguments: &["abort"],
            ..running(1)
        },
    );
    assert_eq!(abort.ending, Ending::Trapped("unreachable"));
    assert_eq!(abort.out, "no more after 0 MiB\n");
    assert!(
        abort
            .err
            .starts_with("panicked at guests/memory-bomb/src/main.rs:")
            && abort.err.ends_with(": memory allocation failed\n"),
        "{}",
        abort.err
    );
}

#[test]
fn input_is_read_to_its_end_and_bytes_that_are_no_text_are_printed() {
    let mut script = hearing(&[(1, "one"), (2, "two")], SECOND);
    script.input_ends = Some(3);
    script.arguments = &["a", "b c"];
    let hash = b"one\ntwo\n"
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    assert_eq!(
        ran("read-all-stdin", &script).out,
        format!("argument \"a\"\nargument \"b c\"\n8 bytes, hash {hash:016x}\n")
    );
    assert_eq!(ran("silent-wait", &script).out, "ready\ninput ended\n");
    assert!(
        ran("invalid-utf8", &script)
            .out
            .contains("overlong: <\u{fffd}\u{fffd}>\n")
    );
    assert!(
        ran("escape-codes", &script)
            .out
            .ends_with("tab\tend\ndone\n")
    );
}

#[test]
fn an_app_has_the_heap_that_it_asked_for_and_ends_when_that_is_full() {
    let words: Vec<String> = (0..200)
        .map(|n| format!("word{}\n", n * 37 % 200))
        .collect();
    let words = words.concat();
    let rounds = ["forget\n", "pear\napple\nfig\n", "list\n"]
        .concat()
        .repeat(50);
    let script = Script {
        input: vec![(1, rounds), (2, "last\n".into())],
        input_ends: Some(3),
        ..running(60)
    };
    let heap = ran("heap", &script);
    assert_eq!(heap.ending, Ending::Exited(true));
    assert_eq!(heap.out.matches("@reply: apple fig pear\n").count(), 50);
    assert!(heap.out.ends_with("4 lines\n"), "{}", heap.out);
    let full = ran(
        "heap",
        &Script {
            input: vec![(1, words)],
            ..running(60)
        },
    );
    assert_eq!(full.ending, Ending::Trapped("unreachable"));
    // It says where, and for `panic = place` no more.
    assert!(
        full.err.starts_with("panicked at ") && !full.err.contains(": "),
        "{}",
        full.err
    );
}

#[test]
fn waits_last_their_time() {
    let waits = ran("clocks-poll", &running(60));
    assert_eq!(waits.out.matches(": yes\n").count(), 6, "{}", waits.out);
    assert!(waits.out.ends_with("done\n"));
}

#[test]
fn arguments_that_have_no_room_end_the_app() {
    let crowd = Script {
        arguments: &["0123456789abcdef0123456789abcdef"; 20],
        ..running(60)
    };
    let hello = ran("hello", &crowd);
    assert_eq!(hello.ending, Ending::Trapped("unreachable"));
}

#[test]
fn a_program_with_std_runs_and_may_use_the_sdk_without_its_feature() {
    let script = Script {
        arguments: &["platform", "ping"],
        ..hearing(
            &[
                (SECOND, "x"),
                (SECOND, "REPLY:iot-edge"),
                (2 * SECOND, "REPLY:error: no"),
            ],
            seconds(60),
        )
    };
    let hello = run(&component("std-hello"), Memory::Pages(4), 0, &script);
    assert_eq!(
        (hello.ending, hello.out.as_str()),
        (
            Ending::Exited(true),
            "Hello from the standard library!\narguments: [\"platform\", \"ping\"]\n"
        )
    );
    let requests = run(&component("requests"), Memory::Pages(4), 0, &script);
    assert_eq!(
        requests.out,
        "@supervisor: platform\nplatform -> iot-edge\n@supervisor: ping\nping -> no\ndone\n"
    );
}

#[test]
fn with_the_feature_std_errors_are_those_of_std_and_lines_are_long() {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("with-std");
    let sdk = apps().join("sdk").canonicalize().expect("the SDK");
    std::fs::create_dir_all(project.join("src")).expect("a folder");
    let manifest = format!(
        "[package]\nname = \"with-std\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         vyoma = {{ path = {sdk:?}, features = [\"std\"] }}\n\n[profile.release]\nopt-level = \"z\"\n\n[workspace]\n"
    );
    std::fs::write(project.join("Cargo.toml"), manifest).expect("a manifest");
    let source = r#"
fn main() -> std::io::Result<()> {
    let mut inbox = vyoma::Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        if let vyoma::Incoming::Line(text) = incoming {
            vyoma::reply(format_args!("{} bytes", text.len()));
        }
    }
    Ok(())
}
"#;
    std::fs::write(project.join("src/main.rs"), source).expect("a program");
    let target = project.join("target");
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--offline",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(&project)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
            "-Clink-args=--export=__heap_base",
        )
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "cargo can't build a program with the feature std"
    );
    let built =
        std::fs::read(target.join("wasm32-wasip2/release/with-std.wasm")).expect("a component");
    let long = "x".repeat(5000);
    let mut script = hearing(&[(1, "one"), (2, &long)], SECOND);
    script.input_ends = Some(3);
    let with_std = run(&built, Memory::Pages(32), 0, &script);
    assert_eq!(
        (with_std.ending, with_std.out.as_str()),
        (
            Ending::Exited(true),
            "@reply: 3 bytes\n@reply: 5000 bytes\n"
        )
    );
}
