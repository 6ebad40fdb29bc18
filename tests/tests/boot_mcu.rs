//! mcu-minimal on its board in QEMU: three unmodified components at once in 128 KB, installed over the serial line, and
//! what becomes of those that misbehave. Everything is asked by `vyomactl`, unless a test breaks the line itself.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vyoma_capabilities::control::{ErrorKind, Request, Response};
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_capabilities::manifest::{self, compact};
use vyoma_system_tests::board::Setup;
use vyoma_system_tests::operator::Operator;
use vyoma_system_tests::qtest::{self, Pins};
use vyoma_system_tests::turn::Turn;
use vyoma_system_tests::wire::Wire;
use vyoma_system_tests::{from_make_test, guest};

const BOARD: &str = "mps2-an385";

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The component of an app as it was built.
fn component(app: &str) -> Vec<u8> {
    fs::read(guest(app).join(format!("{app}.wasm"))).expect("a component")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The number in counter's last line so far.
fn count(board: &Operator) -> u64 {
    let mut line = board.texts("counter").into_iter().rev();
    line.find_map(|line| line.rsplit_once("count ")?.1.trim().parse().ok())
        .unwrap_or(0)
}

/// Waits until counter has counted on, in the run in which it was.
fn counts_on(board: &Operator, before: u64) {
    board.until("counter to count on", || {
        (count(board) > before + 1).then_some(())
    });
    let counter = board.app("counter");
    assert_eq!((counter.phase, counter.restarts), (Phase::Running, 0));
}

#[test]
fn three_unmodified_components_run_at_once_interleave_and_talk_to_each_other() {
    let setup = Setup::new(BOARD).app("counter").app("ping").app("pong");
    let board = setup.start();
    let info = board.info();
    assert_eq!(info.platform, "mcu-minimal");
    assert!(info.engine.starts_with("wasm3 "), "{}", info.engine);
    assert_eq!((info.max_apps, info.memory_total_kb), (3, 128));
    for app in ["counter", "ping", "pong"] {
        let expected = sha256(&component(app));
        assert_eq!(board.app(app).sha256, expected, "{app}");
        let line = board.wait_for_console(&format!("{app}: sha256"));
        assert!(line.contains(&expected), "{line}");
    }
    // All three are there at once: ping has been answered, and counter counted between two of its lines.
    board.wait_for_log("ping", "5 answered");
    let console = board.console();
    let at = |needle: &str| {
        console
            .find(needle)
            .unwrap_or_else(|| panic!("no {needle}"))
    };
    let first = at("pong 1 after");
    let last = console.rfind("answered").expect("ping's last line");
    let between = &console[first..last];
    assert!(between.contains("[counter]"), "{console}");
    let ping = board.wait_for_app("ping", "to end", |app| app.phase == Phase::Exited);
    assert_eq!(ping.last_ending, Some(Ending::Exited(0)));
    counts_on(&board, count(&board));
}

#[test]
fn an_app_is_installed_replaced_and_removed_over_the_serial_line_while_others_keep_running() {
    let setup = Setup::new(BOARD).app("counter").app("pong");
    let board = setup.start();
    let before = count(&board);
    let sensor = setup.folder("sensor", "sensor", str::to_owned);
    board.ctl_ok(&["install", &text(&sensor)]);
    assert_eq!(board.app("sensor").sha256, sha256(&component("sensor")));
    board.wait_for_log("sensor", "reading 2:");
    counts_on(&board, before);

    // Another version: the same component, with another manifest, which declares what no microcontroller has.
    let newer = setup.folder("sensor", "newer", |manifest| {
        manifest
            .replace("stdio = true", "stdio = true\nnetwork = true")
            .replace("name = \"newer\"", "name = \"sensor\"")
            .replace("version = \"0.1.0\"", "version = \"0.2.0\"")
    });
    board.ctl_ok(&["install", &text(&newer)]);
    assert_eq!(board.app("sensor").version, "0.2.0");
    board.wait_for_log("sensor", "reading 1:");
    // One warning, and it runs.
    assert_eq!(board.app("sensor").unavailable, ["network"]);
    let warnings = board.events().into_iter();
    let warnings: Vec<_> = warnings.filter(|event| event.kind == "warning").collect();
    assert!(
        warnings.len() == 1 && warnings[0].detail.contains("network"),
        "{warnings:?}"
    );

    board.ctl_ok(&["stop", "sensor"]);
    assert_eq!(board.app("sensor").phase, Phase::Stopped);
    let before = count(&board);
    // What is in flash outlives the power; that it was stopped does, too.
    board.cut_power();
    let board = setup.start();
    board.wait_for_app("counter", "to run", |app| app.phase == Phase::Running);
    assert_eq!(board.app("sensor").phase, Phase::Stopped);
    assert_eq!(board.app("sensor").version, "0.2.0");
    board.ctl_ok(&["remove", "sensor"]);
    assert!(board.ps().iter().all(|app| app.name != "sensor"));
    assert!(before > 0, "counter counted before the power was cut");
}

/// Announces the app in `folder` with that hash.
fn announce(wire: &mut Wire, folder: &Path, bytes: &[u8], hash: &str) -> Option<Response> {
    let path = folder.join("vyoma.toml");
    let manifest = fs::read_to_string(&path).expect("a manifest");
    let manifest = manifest::parse("vyoma.toml", &manifest).expect("a manifest");
    wire.ask(&Request::InstallCompact {
        manifest: compact::encode(&manifest).expect("a compact form"),
        component_size: bytes.len() as u64,
        sha256: hash.to_owned(),
    })
}

#[test]
fn a_transfer_that_breaks_off_or_has_another_hash_changes_nothing_and_the_next_one_works() {
    let setup = Setup::new(BOARD).app("counter");
    let board = setup.start();
    let sensor = setup.folder("sensor", "sensor", str::to_owned);
    let bytes = component("sensor");

    let mut wire = Wire::open(board.line(), 0x1234);
    let answer = announce(&mut wire, &sensor, &bytes, &sha256(&bytes));
    assert_eq!(answer, None, "the device wants the component");
    assert_eq!(wire.upload(&bytes[..bytes.len() / 2]), None);
    drop(wire);
    assert!(board.ps().iter().all(|app| app.name != "sensor"));

    let mut wire = Wire::open(board.line(), 0x1235);
    let announced = sha256(b"other bytes");
    assert_eq!(announce(&mut wire, &sensor, &bytes, &announced), None);
    let Some(Response::Error(error)) = wire.upload(&bytes) else {
        panic!("other bytes than announced were taken");
    };
    assert_eq!(error.kind, ErrorKind::HashMismatch);
    for hash in [announced, sha256(&bytes)] {
        assert!(error.message.contains(&hash), "{error}");
    }
    drop(wire);
    assert!(board.ps().iter().all(|app| app.name != "sensor"));

    board.ctl_ok(&["install", &text(&sensor)]);
    board.wait_for_log("sensor", "reading 1:");
    counts_on(&board, count(&board));
}

#[test]
fn an_app_whose_bytes_changed_in_flash_is_quarantined_at_boot_and_the_others_run() {
    let setup = Setup::new(BOARD).app("counter").app("sensor");
    let board = setup.start();
    board.wait_for_log("sensor", "reading 1:");
    board.cut_power();
    let mut flash = fs::read(setup.flash()).expect("a flash");
    let bytes = component("sensor");
    let at = flash
        .windows(bytes.len())
        .position(|window| window == bytes)
        .expect("the component lies in flash as it was built");
    flash[at + bytes.len() / 2] ^= 1;
    fs::write(setup.flash(), flash).expect("write the flash");

    let board = setup.start();
    let sensor = board.wait_for_app("sensor", "to be judged", |app| {
        app.phase == Phase::Quarantined
    });
    assert_ne!(sensor.sha256, sha256(&bytes), "what the device computed");
    board.wait_for_log("counter", "count 2");
    assert_eq!(
        board
            .texts("sensor")
            .iter()
            .find(|line| line.contains("reading")),
        None
    );
}

#[test]
fn apps_that_trap_recurse_or_exhaust_memory_end_alone_each_with_its_reason() {
    let setup = Setup::new(BOARD).app("counter").app("pong");
    let board = setup.start();
    let before = count(&board);
    let bomb = |manifest: &str| {
        manifest.replace(
            "restart = \"never\"",
            "restart = \"never\"\nargs = [\"abort\"]",
        )
    };
    let install = |name: &str, change: &dyn Fn(&str) -> String| {
        let folder = setup.folder(name, name, change);
        board.ctl_ok(&["install", &text(&folder)]);
        let ended = board.wait_for_app(name, "to end", |app| app.last_ending.is_some());
        board.ctl_ok(&["remove", name]);
        ended.last_ending.expect("an ending")
    };
    let plain = |manifest: &str| manifest.to_owned();
    let Ending::Trapped(why) = install("trap", &plain) else {
        panic!("trap did not trap");
    };
    assert!(why.contains("unreachable"), "{why}");
    let Ending::Trapped(why) = install("stack-overflow", &plain) else {
        panic!("stack-overflow did not trap");
    };
    assert!(
        why.contains("stack") || why.contains("out of bounds"),
        "{why}"
    );
    assert_eq!(install("memory-bomb", &bomb), Ending::OutOfMemory);
    // In the midst of a host function: the host makes more of the app's list than its arena has room for.
    assert_eq!(install("exhaust", &plain), Ending::OutOfMemory);
    let loops = |manifest: &str| manifest.replace("\"poll\"", "\"loops\"");
    let Ending::Trapped(why) = install("exhaust", &loops) else {
        panic!("exhaust did not use up its stack");
    };
    assert!(why.contains("call stack exhausted"), "{why}");
    // Not one of wasm3's checks has found it, which leave more than a kilobyte: the stack was used to its end, where the arena
    // and with it the memory that the app may touch ends.
    let memory = board.events().into_iter().rev();
    let mut memory = memory.filter(|event| event.kind == "memory");
    let event = memory.find(|event| event.app.as_deref() == Some("exhaust"));
    let detail = event.expect("what exhaust used").detail;
    let number = |name: &str| {
        let (_, rest) = detail.split_once(name).expect("a number");
        let digits = rest.split(|digit: char| !digit.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse::<u32>().ok())
    };
    let (stack, used) = (number("= stack "), number("(used "));
    assert!(stack < used.map(|used| used + 512), "{detail}");
    counts_on(&board, before);
    let pong = board.app("pong");
    assert_eq!((pong.phase, pong.restarts), (Phase::Running, 0));
}

#[test]
fn an_app_that_never_yields_is_preempted_killed_by_its_watchdog_and_restarted() {
    let setup = Setup::new(BOARD).app("counter").app("busy-loop");
    let board = setup.start();
    let spins = board.wait_for_app("busy-loop", "to be killed", |app| app.restarts > 0);
    assert_eq!(spins.last_ending, Some(Ending::Watchdog));
    // Its two seconds of watchdog are two of counter's, which has gone on meanwhile.
    counts_on(&board, count(&board));
}

#[test]
fn an_app_that_does_not_fit_is_refused_with_the_numbers_by_the_device_and_beforehand() {
    let setup = Setup::new(BOARD).app("counter").app("pong");
    let board = setup.start();
    let folder = setup.folder("std-hello", "std-hello", str::to_owned);
    let (_, said) = board.ctl_fails(&["install", &text(&folder)]);
    assert!(
        said.contains("does not fit") && said.contains("needs"),
        "{said}"
    );
    assert!(board.ps().iter().all(|app| app.name != "std-hello"));
    counts_on(&board, count(&board));
    let inspect = board.ctl_ok(&["inspect", &text(&folder)]);
    let line = inspect.lines().find(|line| line.contains("mcu-minimal"));
    assert!(
        line.is_some_and(|line| line.contains("does not fit")),
        "{inspect}"
    );
}

#[test]
fn pins_of_st_s_board_are_driven_and_observed_from_outside_and_vyomactl_works_there_too() {
    /// PB14 and PC13 (UM2153): `LED2` and `BUTTON`.
    const LED: u32 = 14;
    const BUTTON: u32 = 13;
    /// Register of the EXTI (RM0351, 14.5.1): a bit for each line that may interrupt.
    const UNMASKED: u32 = 0x4001_0400;
    // GPIOA_ODR (RM0351, 8.4.6), of which bit 5 is LED1.
    const PORT_A: u32 = 0x4800_0014;
    let led = |label: &'static str| move |text: &str| text.replace("\"LED\"", label);
    let uart4 = |manifest: &str| manifest.replace("UART2", "UART4");
    let setup = Setup::new("b-l475e-iot01a")
        .app_as("button", "button", led("\"LED2\""))
        .app_as("blink", "blink", led("\"LED1\""))
        .app_as("port", "port", uart4);
    let (qtest, qmp) = (setup.path("qtest"), setup.path("pins"));
    let arguments = qtest::arguments(&qtest, &qmp);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let serial = setup.path("serial");
    let socket = format!("unix:{},server=on,wait=off", serial.display());
    // USART3, and UART4.
    let setup = setup
        .qemu(&words)
        .qemu(&["-serial", "null", "-serial", &socket]);
    let board = setup.power_on();
    let mut pins = Pins::connect(&qtest, &qmp);
    let ports = pins.devices("stm32l4x5-gpio");
    let port = |name: &str| {
        let found = ports.iter().find(|path| path.ends_with(name));
        found.unwrap_or_else(|| panic!("no {name}: {ports:?}"))
    };
    let (leds, buttons) = (port("/gpiob"), port("/gpioc"));
    pins.watch(leds);
    // Out of the reset, line 13 of the EXTI is that of port A, where the debugger's pin is pulled up. QEMU goes on to take it
    // for high when the firmware chooses port C, and would miss the first rising edge.
    pins.drive(port("/gpioa"), BUTTON, false);
    pins.drive(buttons, BUTTON, false);
    pins.go();
    board.wait_for_console("[button] ready");
    board.until("the app to wait for an edge", || {
        (pins.word(UNMASKED) >> BUTTON & 1 == 1).then_some(())
    });
    for (number, lit) in [(1, true), (2, false), (3, true)] {
        pins.drive(buttons, BUTTON, true);
        assert_eq!(pins.next_change(LED), lit, "the LED after edge {number}");
        board.wait_for_console(&format!("[button] edge {number}"));
        pins.drive(buttons, BUTTON, false);
    }
    // Rising edges only, and each once.
    let console = board.console();
    assert_eq!(console.matches("[button] edge").count(), 3, "{console}");
    // Meanwhile the other LED goes on and off by itself.
    for lit in [1, 0, 1] {
        board.until("LED1 to change", || {
            (pins.word(PORT_A) >> 5 & 1 == lit).then_some(())
        });
    }

    // The board sleeps meanwhile, and answers all the same.
    let info = board.info();
    assert_eq!((info.arch.as_str(), info.running), ("thumbv7em", 3));
    assert_eq!(board.app("button").sha256, sha256(&component("button")));
    board.wait_for_log("button", "edge 3");
    board.ctl_ok(&["restart", "button"]);
    let ready = |board: &Operator| {
        let texts = board.texts("button").into_iter();
        texts.filter(|line| line.contains("ready")).count()
    };
    board.until("button to be there again", || {
        (ready(&board) == 2).then_some(())
    });
    echoes_backwards(&board, UnixStream::connect(&serial).expect("UART4"));
    // Its flash is read-only in QEMU: an installation fails, and that is all.
    let sensor = setup.folder("sensor", "sensor", str::to_owned);
    let (_, said) = board.ctl_fails(&["install", &text(&sensor)]);
    assert!(said.contains("flash"), "{said}");
    assert_eq!(board.app("button").phase, Phase::Running);
    assert_eq!(board.ps().len(), 3);
}

/// Talks to the app `port` until it ends.
fn echoes_backwards(board: &Operator, mut line: UnixStream) {
    board.wait_for_log("port", "open at 115200");
    let patience = Some(Duration::from_mins(1));
    line.set_read_timeout(patience).expect("a limit");
    let mut back = BufReader::new(line.try_clone().expect("a second handle"));
    for (sent, expected) in [("hello\n", "olleh\n"), ("0123456789\n", "9876543210\n")] {
        line.write_all(sent.as_bytes()).expect("QEMU listens");
        let mut came = String::new();
        back.read_line(&mut came).expect("an answer");
        assert_eq!(came, expected);
    }
    line.write_all(b"close\n").expect("QEMU listens");
    board.wait_for_log("port", "2 lines, 0 lost");
    let port = board.wait_for_app("port", "to end", |app| app.phase == Phase::Exited);
    assert_eq!(port.last_ending, Some(Ending::Exited(0)));
}

#[test]
fn an_app_talks_on_a_serial_port_of_its_own_that_no_other_gets() {
    let mute = |manifest: &str| manifest.replace("uart = true", "");
    let setup = Setup::new(BOARD).app("port");
    let serial = setup.path("serial");
    let socket = format!("unix:{},server=on,wait=off", serial.display());
    let setup = setup.qemu(&["-serial", &socket]);
    let board = setup.start();
    board.wait_for_log("port", "open at 115200");
    for (name, change, expected) in [
        (
            "second",
            &str::to_owned as &dyn Fn(&str) -> String,
            "UART2: already in use",
        ),
        ("mute", &mute, "UART2: not declared in vyoma.toml"),
    ] {
        let folder = setup.folder("port", name, change);
        board.ctl_ok(&["install", &text(&folder)]);
        board.wait_for_log(name, expected);
        board.ctl_ok(&["remove", name]);
    }
    echoes_backwards(&board, UnixStream::connect(&serial).expect("UART2"));
}

#[test]
fn an_app_that_declares_all_five_gets_what_the_table_says_on_a_microcontroller() {
    /// A name that no board gives.
    const NONE: &str = "NOWHERE";
    // What the board has. The one has no converter, and of the other's QEMU knows nothing: it does not answer.
    for (name, pin, port, channel, answer) in [
        (BOARD, "LED0", "UART2", "A0", "no-such-device"),
        ("b-l475e-iot01a", "LED2", "UART4", "A0", "hardware-fault"),
    ] {
        let named = format!("args = {:?}", [pin, NONE, NONE, port, channel]);
        let named = |manifest: &str| {
            manifest.replace("\n[capabilities]", &format!("{named}\n\n[capabilities]"))
        };
        let setup = Setup::new(name)
            .app("all-five")
            .app_as("all-five", "named", named);
        let board = setup.start();
        for (app, answers) in [
            (
                "all-five",
                ["undefined-pin-label", "no-such-device", "no-such-device"],
            ),
            ("named", ["opened", "opened", answer]),
        ] {
            let ended = board.wait_for_app(app, "to end", |app| app.phase == Phase::Exited);
            assert_eq!(ended.last_ending, Some(Ending::Exited(0)));
            assert_eq!(
                ended.sha256,
                sha256(&component("all-five")),
                "the same bytes as everywhere"
            );
            assert_eq!(ended.unavailable, ["i2c", "spi"]);
            let [gpio, uart, adc] = answers;
            let said = board.texts(app);
            for line in [
                format!("gpio: {gpio}"),
                "i2c: not-supported".to_owned(),
                "spi: not-supported".to_owned(),
                format!("uart: {uart}"),
                format!("adc: {adc}"),
            ] {
                assert!(said.contains(&line), "{name}, {app}: {line}: {said:#?}");
            }
            for capability in ["gpio", "i2c", "spi", "uart", "adc"] {
                let lack = format!("declares {capability}, which mcu-minimal does not have");
                let events = board.events().into_iter();
                let told = events.filter(|event| {
                    event.app.as_deref() == Some(app) && event.detail.contains(&lack)
                });
                let lacks = ["i2c", "spi"].contains(&capability);
                assert_eq!(
                    told.count(),
                    usize::from(lacks),
                    "{name}, {app}: {capability}"
                );
            }
        }
    }
}

#[test]
fn a_crash_of_the_firmware_is_a_restart_with_an_epitaph_and_a_shutdown_is_the_end() {
    /// ICSR and its bit for an NMI (ARMv7-M, B3.2.4): of the flash, which QEMU has not, no other comes.
    const ICSR: u32 = 0xe000_ed04;
    const NMI: u32 = 1 << 31;
    let setup = Setup::new(BOARD).app("counter");
    let (qtest, qmp) = (setup.path("qtest"), setup.path("pins"));
    let arguments = qtest::arguments(&qtest, &qmp);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let setup = setup.qemu(&words);
    let board = setup.power_on();
    let mut pins = Pins::connect(&qtest, &qmp);
    pins.go();
    board.wait_for_console("count 2");
    assert_eq!(board.info().last_epitaph, None);
    pins.set_word(ICSR, NMI);
    board.until("the firmware to start again", || {
        (board.console().matches("vyoma: started:").count() == 2).then_some(())
    });
    let epitaph = board.info().last_epitaph.expect("an epitaph");
    assert!(
        epitaph.contains("interrupted by what it can't go on from, at 0x"),
        "{epitaph}"
    );
    assert!(
        board.console().contains(&format!("vyoma: {epitaph}")),
        "{epitaph}"
    );
    let event = board
        .events()
        .into_iter()
        .find(|event| event.kind == "epitaph");
    assert_eq!(event.expect("an event").detail, epitaph);
    counts_on(&board, 0);

    // What was told is not told again.
    board.ctl_ok(&["reboot", "--yes"]);
    board.until("the firmware to start a third time", || {
        (board.console().matches("vyoma: started:").count() == 3).then_some(())
    });
    assert_eq!(board.info().last_epitaph, None);
    counts_on(&board, 0);

    board.ctl_ok(&["shutdown", "--yes"]);
    let last = board.wait_for_console("shutdown: all apps are stopped");
    thread::sleep(Duration::from_secs(2));
    let console = board.console();
    let end = console.lines().rfind(|line| !line.trim().is_empty());
    assert_eq!(end, Some(last.as_str()), "something happened after the end");
    assert!(console.contains("[counter] stopped"), "{console}");
}

#[test]
fn the_firmware_and_three_apps_keep_to_the_budget_of_ram_and_flash() {
    /// 128 KB, and a quarter of the board's megabyte.
    const RAM: u64 = 128 << 10;
    const FLASH: u64 = 256 << 10;
    let _turn = Turn::shared();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("budget.json");
    let output = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .args(["budget", "--platform", "mcu-minimal", "--json"])
        .arg(&json)
        .output()
        .expect("running xtask");
    let said = String::from_utf8_lossy(&output.stderr);
    let text = fs::read(&json).unwrap_or_else(|error| panic!("no report ({error}): {said}"));
    let measured: Value = serde_json::from_slice(&text).expect("a report in JSON");
    let measured = &measured[0];
    let number = |of: &Value, key: &str| {
        let found = of[key].as_u64().filter(|bytes| *bytes > 0);
        found.unwrap_or_else(|| panic!("no {key}: {of}"))
    };
    let own = &measured["own"];
    let firmware: u64 = ["statics", "heap", "stack", "loader"]
        .map(|part| number(own, part))
        .iter()
        .sum();
    let apps = measured["apps"].as_array().expect("apps");
    assert_eq!(apps.len(), 3, "{measured}");
    let mut taken = 0;
    for app in apps {
        // A part that is left out would be within any budget.
        let parts = ["stack", "metadata", "code", "linear"].map(|part| number(app, part));
        let free = app["free"].as_u64().expect("bytes");
        assert_eq!(
            parts.iter().sum::<u64>() + free,
            number(app, "arena"),
            "{app}"
        );
        assert!(number(app, "stack_used") <= number(app, "stack"), "{app}");
        taken += number(app, "arena");
    }
    assert!(taken <= number(own, "pool"), "{measured}");
    assert!(firmware + number(own, "pool") <= RAM, "{measured}");
    assert!(number(own, "stack_used") < number(own, "stack"), "{own}");
    assert!(number(own, "loader_used") < number(own, "loader"), "{own}");
    let flash: u64 = ["wasm3", "components", "compilers", "firmware"]
        .map(|part| number(&measured["flash"], part))
        .iter()
        .sum();
    assert!(flash <= FLASH, "{measured}");
    assert!(output.status.success(), "{said}");
}
