//! Apps on a simulated board under a hosted daemon, and an operator who sets its inputs, reads its outputs and makes its parts fail
//! (`vyomactl sim`).

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use serde_json::Value;
use vyoma_system_tests::hosted::{HostedDaemon, Setup};

/// All engines. Once a board is simulated, each platform has what the board has.
const ENGINES: [&str; 3] = ["wasmtime", "wamr", "wasm3"];
/// Where the engine doesn't matter: nothing is compiled, so apps start at once.
const WAMR: &str = "wamr";
const PROFILE: &str = "iot-edge";

fn simulated(engine: &str) -> Setup {
    let setup = match engine {
        "wasmtime" => Setup::new("server-headless"),
        "wamr" => Setup::new(PROFILE),
        // A microcontroller's linear memories, which can be smaller than a page, are its firmware's.
        _ => Setup::new("server-headless").profile_text(|text| {
            text.replace("\"wasmtime\"", "\"wasm3\"")
                .replace("jit = true", "interpreter = true")
                .replace("cache_compiled = true", "cache_compiled = false")
        }),
    };
    setup.arg(&["--simulate", "simulated"])
}

/// The board, by `vyomactl sim`.
trait Board {
    fn sim(&self, arguments: &[&str]) -> String;
    fn sim_fails(&self, arguments: &[&str]) -> (i32, String);
    fn is_high(&self, pin: &str) -> bool;
}

impl Board for HostedDaemon {
    fn sim(&self, arguments: &[&str]) -> String {
        self.ctl_ok(&[&["sim"], arguments].concat())
    }

    fn sim_fails(&self, arguments: &[&str]) -> (i32, String) {
        self.ctl_fails(&[&["sim"], arguments].concat())
    }

    fn is_high(&self, pin: &str) -> bool {
        self.sim(&["get", pin]) == "high\n"
    }
}

/// How many lines of an app's log are that.
fn count(daemon: &HostedDaemon, app: &str, line: &str) -> usize {
    let texts = daemon.texts(app);
    texts.iter().filter(|text| *text == line).count()
}

/// Another arguments line in a manifest.
fn with_args(manifest: &str, args: &str) -> String {
    let lines = manifest.lines().map(|line| {
        if line.starts_with("args = ") {
            args
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_thermometer_shows_what_is_set_on_every_engine() {
    for engine in ENGINES {
        let setup = simulated(engine).app("thermometer");
        let daemon = setup.start();
        daemon.wait_for_log("thermometer", "temperature 25.00 C");
        daemon.sim(&["set", "i2c/1/0x48", "0x1b", "0x80"]);
        daemon.wait_for_log("thermometer", "temperature 27.50 C");
        // Sixteenths of a degree, below zero.
        daemon.sim(&["set", "i2c/SENSORS/0x48/0", "0xff", "0xf0"]);
        daemon.wait_for_log("thermometer", "temperature -0.06 C");
        assert_eq!(
            daemon.sim(&["get", "i2c/1/0x48", "--count", "2"]),
            "255 240\n"
        );
        assert_eq!(daemon.app("thermometer").restarts, 0, "{engine}");
    }
}

#[test]
fn whatever_an_i2c_device_does_the_app_gets_an_error_and_nothing_else() {
    let setup = simulated(WAMR).app("thermometer");
    let daemon = setup.start();
    daemon.wait_for_log("thermometer", "temperature 25.00 C");
    let pid = daemon.app("thermometer").pid;
    for (part, fault, word) in [
        ("i2c/1/0x48", "nak", "nobody is at this address"),
        ("i2c/1/0x48", "nak-data", "not acknowledged"),
        ("i2c/1/0x48", "bus", "the bus is held or was disturbed"),
        ("i2c/1/0x48", "timeout", "the bus is held or was disturbed"),
        ("i2c/1/0x48", "arbitration", "another master won"),
        ("i2c/1", "bus", "the bus is held or was disturbed"),
    ] {
        let error = format!("no reading: {word}");
        let before = (
            count(&daemon, "thermometer", &error),
            count(&daemon, "thermometer", "temperature 25.00 C"),
        );
        daemon.sim(&["fault", part, fault]);
        daemon.until(&error, || {
            (count(&daemon, "thermometer", &error) > before.0).then_some(())
        });
        daemon.sim(&["fault", part, "none"]);
        daemon.until("a reading again", || {
            (count(&daemon, "thermometer", "temperature 25.00 C") > before.1).then_some(())
        });
    }
    // Pulled after one more transfer.
    let before = count(
        &daemon,
        "thermometer",
        "no reading: nobody is at this address",
    );
    daemon.sim(&["fault", "i2c/1/0x48", "nak", "--after", "1"]);
    daemon.until("the sensor to be gone", || {
        let now = count(
            &daemon,
            "thermometer",
            "no reading: nobody is at this address",
        );
        (now > before).then_some(())
    });
    let app = daemon.app("thermometer");
    assert_eq!((app.pid, app.restarts), (pid, 0));
}

#[test]
fn a_button_is_pressed_and_the_app_switches_its_led() {
    for engine in ENGINES {
        let setup = simulated(engine).app("button");
        let daemon = setup.start();
        daemon.wait_for_log("button", "ready");
        assert!(!daemon.is_high("gpio/LED"));
        for (edge, lit) in [(1, true), (2, false), (3, true)] {
            daemon.sim(&["set", "gpio/BUTTON", "low"]);
            daemon.sim(&["set", "gpio/BUTTON", "high"]);
            daemon.wait_for_log("button", &format!("edge {edge}"));
            assert_eq!(
                daemon.is_high("gpio/LED"),
                lit,
                "{engine}: after edge {edge}"
            );
        }
    }
}

#[test]
fn the_line_of_blink_goes_up_and_down_until_the_app_ends() {
    let setup = simulated(WAMR).app_as("blink", "blink", |text| {
        with_args(text, "args = [\"LED\", \"100\"]")
    });
    let daemon = setup.start();
    daemon.wait_for_log("blink", "blinking LED");
    for level in [true, false, true] {
        daemon.until("another level", || {
            (daemon.is_high("gpio/LED") == level).then_some(())
        });
    }
    let (code, why) = daemon.sim_fails(&["set", "gpio/LED", "low"]);
    assert_eq!(code, 7, "{why}");
    assert!(why.contains("gpio/LED is driven"), "{why}");
    // Whatever it was in the middle of: LED is low when nobody has it.
    daemon.ctl_ok(&["stop", "blink"]);
    daemon.until("the safe state", || {
        (!daemon.is_high("gpio/LED")).then_some(())
    });
}

#[test]
fn adc_logger_logs_what_the_converter_is_set_to_and_outlives_its_failure() {
    for engine in ENGINES {
        let setup = simulated(engine).app_as("adc-logger", "adc-logger", |text| {
            with_args(text, "args = [\"LIGHT\", \"200\"]")
        });
        let daemon = setup.start();
        daemon.wait_for_log("adc-logger", "1.650 V, 2048 of 4095");
        daemon.sim(&["set", "adc/LIGHT", "4095"]);
        daemon.wait_for_log("adc-logger", "3.300 V, 4095 of 4095");
        daemon.sim(&["fault", "adc/LIGHT", "broken"]);
        daemon.wait_for_log("adc-logger", "no sample: the device fails");
        daemon.sim(&["set", "adc/0", "0"]);
        daemon.sim(&["fault", "adc/LIGHT", "none"]);
        daemon.wait_for_log("adc-logger", "0.000 V, 0 of 4095");
    }
}

#[test]
fn gps_reader_reads_sentences_whatever_is_between_them_and_sees_the_port_go() {
    let setup = simulated(WAMR).app_as("gps-reader", "gps-reader", |text| {
        text.replace("on-failure", "never")
    });
    let daemon = setup.start();
    // The board's file says this one when the port is opened.
    daemon.wait_for_log("gps-reader", "position 48.11730 11.51667, 22.4 knots");
    daemon.sim(&["say", "uart/GPS", "no sentence at all"]);
    // One letter is another than the check sum says.
    daemon.sim(&[
        "say",
        "uart/GPS",
        "$GPRMC,123520,A,4807.038,S,01131.000,E,022.4,084.4,230394,003.1,W*6A",
    ]);
    daemon.wait_for_log("gps-reader", "damaged sentences: 1");
    // In two pieces, the second a while later.
    daemon.sim(&[
        "say",
        "--bare",
        "uart/0",
        "$GPRMC,081836,A,3751.65,S,14507.36,E,",
    ]);
    daemon.sim(&["say", "uart/0", "000.0,360.0,130998,011.3,E*62"]);
    daemon.wait_for_log("gps-reader", "position -37.86083 145.12267, 0.0 knots");
    // Half a sentence, and then nobody is there any more.
    daemon.sim(&["say", "--bare", "uart/GPS", "$GPRMC,0818"]);
    daemon.sim(&["fault", "uart/GPS", "broken"]);
    daemon.wait_for_log("gps-reader", "Error: the port is gone");
    daemon.wait_for_log("gps-reader", "exited with code 1");
    let (code, why) = daemon.sim_fails(&["say", "uart/GPS", "anybody there?"]);
    assert_eq!(code, 7, "{why}");
    assert!(why.contains("uart/GPS is broken"), "{why}");
    daemon.sim(&["fault", "uart/GPS", "none"]);
    daemon.ctl_ok(&["restart", "gps-reader"]);
    daemon.until("a position from the port as it is now", || {
        let line = "position 48.11730 11.51667, 22.4 knots";
        (count(&daemon, "gps-reader", line) == 2).then_some(())
    });
}

/// What stands in rows of characters of 8 by 8 dots.
fn cells(picture: &Value) -> Vec<Vec<String>> {
    let rows = picture["rows"].as_array().expect("rows");
    let rows: Vec<&str> = rows
        .iter()
        .map(|row| row.as_str().expect("a row"))
        .collect();
    assert_eq!((rows.len(), rows[0].len()), (64, 128));
    let cell = |line: usize, column: usize| -> String {
        let dots = rows[line * 8..][..8].iter();
        dots.map(|row| &row[column * 8..][..8]).collect()
    };
    (0..8)
        .map(|line| (0..16).map(|column| cell(line, column)).collect())
        .collect()
}

/// Whether these characters can be that text: each stands for one letter, and a space is dark.
fn reads(cells: &[Vec<String>], lines: &[&str]) -> bool {
    let mut known: Vec<(char, &str)> = Vec::new();
    let letters = lines
        .iter()
        .zip(cells)
        .flat_map(|(line, cells)| line.chars().zip(cells));
    for (letter, cell) in letters {
        if (letter == ' ') == cell.contains('#') {
            return false;
        }
        if known
            .iter()
            .any(|(other, dots)| (*other == letter) != (dots == cell))
        {
            return false;
        }
        known.push((letter, cell));
    }
    true
}

#[test]
fn weather_shows_on_its_display_what_the_sensor_measures() {
    let setup = simulated(WAMR).app("weather");
    let daemon = setup.start();
    // The measurement of the data sheet's example.
    let line = daemon.wait_for_log("weather", "weather 25.08 C, 1006.5 hPa, ");
    let values = line.strip_prefix("weather ").expect("values");
    let lines: Vec<&str> = values.split(", ").collect();
    let shown = || -> Value {
        let text = daemon.sim(&["--output", "json", "picture", "i2c/1/0x3c"]);
        serde_json::from_str(&text).expect("JSON")
    };
    daemon.until("the readings on the display", || {
        let picture = shown();
        (picture["on"] == true && reads(&cells(&picture), &lines)).then_some(())
    });
    let text = daemon.sim(&["picture", "i2c/1/0x3c"]);
    assert!(text.contains('█') && text.lines().count() == 32, "{text}");
    // Another temperature, and other figures.
    daemon.sim(&["set", "i2c/1/0x76/0xfa", "0x60", "0x00", "0x00"]);
    let line = daemon.until("another reading", || {
        let texts = daemon.texts("weather");
        let other = |text: &&String| text.starts_with("weather ") && !text.contains("25.08 C");
        texts.iter().rev().find(other).cloned()
    });
    let values = line.strip_prefix("weather ").expect("values");
    let lines: Vec<&str> = values.split(", ").collect();
    daemon.until("the new readings on the display", || {
        reads(&cells(&shown()), &lines).then_some(())
    });
    daemon.sim(&["fault", "i2c/1/0x76", "nak"]);
    daemon.wait_for_log("weather", "no reading: the bus has an error");
}

#[test]
fn motor_pid_brings_its_motor_to_speed_and_keeps_account_of_its_ticks() {
    let setup = simulated(WAMR).app_as("motor-pid", "motor-pid", |text| {
        let args = "args = [\"SPEED\", \"dac:MOTOR\", \"1500\", \"2\"]";
        with_args(text, args).replace("on-failure", "never")
    });
    let daemon = setup.start();
    daemon.wait_for_log("motor-pid", "exited with code 0");
    let said = daemon.texts("motor-pid");
    let last = said.iter().find(|line| line.starts_with("second 2: at "));
    let last = last.unwrap_or_else(|| panic!("two seconds: {said:#?}"));
    let speed = last["second 2: at ".len()..].split(',').next();
    let speed: i32 = speed.and_then(|text| text.parse().ok()).expect("a speed");
    assert!((1498..=1502).contains(&speed), "{last}");
    assert!(last.ends_with(" ticks missed"), "{last}");
    let ticks: u32 = said
        .iter()
        .filter(|line| line.starts_with("late by less than ") || line.starts_with("later: "))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok())
        .sum();
    assert_eq!(ticks, 2000, "{said:#?}");
}

#[test]
fn drivers_of_the_registry_work_as_they_are_and_so_does_the_rest_of_the_sdk() {
    for engine in ENGINES {
        let setup = simulated(engine).app("drivers");
        let daemon = setup.start();
        daemon.wait_for_log("drivers", "exited with code 0");
        let said = daemon.texts("drivers");
        for line in [
            "ads1015: 800",
            "max31855: 25.25 C, 22.50 C itself",
            "i2c transaction: 60 0",
            "i2c: too many operations: failed",
            "i2c: nobody is at this address",
            "spi transaction: [3, 4] [5, 6] [7, 0, 0]",
            "stateful output: high true, low false",
            "stateful output: already in use",
            "in-out: true, then false",
            "edges: none before true, in order true, 0 lost",
            "port: OK at 115200, ready before false, 0 lost",
            "channel: 2048 of 4095, 1650402 of 3300000 uV",
        ] {
            assert!(
                said.iter().any(|text| text == line),
                "{engine}: {line}: {said:#?}"
            );
        }
    }
}

fn get(port: u16, path: &str) -> String {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: device\r\n\r\n");
    client.write_all(request.as_bytes()).expect("a request");
    client.shutdown(Shutdown::Write).expect("its end");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn sensor_hub_serves_over_http_what_other_apps_told_it() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let setup = simulated(WAMR)
        .app_as("sensor-hub", "sensor-hub", |text| {
            text.replace("8081", &port.to_string())
        })
        .app_as("thermometer", "thermometer", |text| {
            with_args(text, "args = [\"1\", \"sensor-hub\"]")
        })
        .app_as("adc-logger", "adc-logger", |text| {
            with_args(text, "args = [\"LIGHT\", \"200\", \"sensor-hub\"]")
        });
    let daemon = setup.start();
    daemon.wait_for_log("sensor-hub", &format!("listening on port {port}"));
    let value = |name: &str| -> Option<String> {
        let answer = get(port, "/json");
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let list: Vec<Value> = serde_json::from_str(body).ok()?;
        let reading = list.iter().find(|reading| reading["name"] == name)?;
        reading["value"].as_str().map(String::from)
    };
    let shows = |name: &str, wanted: &str| {
        daemon.until(&format!("{name} {wanted}"), || {
            value(name).filter(|value| value == wanted)
        });
    };
    shows("temperature", "25.00 C");
    shows("voltage", "1.650 V");
    daemon.sim(&["set", "i2c/1/0x48", "0x1e", "0x00"]);
    shows("temperature", "30.00 C");
    let page = get(port, "/");
    assert!(
        page.contains("<th>temperature</th><td>30.00 C</td>"),
        "{page}"
    );
}

#[test]
fn parts_are_listed_with_what_they_have_and_a_wrong_one_is_told_from_a_fault() {
    let setup = simulated(WAMR);
    let daemon = setup.start();
    let list: Vec<Value> =
        serde_json::from_str(&daemon.sim(&["--output", "json", "list"])).expect("JSON");
    let find = |part: &str| {
        let found = list.iter().find(|it| it["part"] == part);
        found.unwrap_or_else(|| panic!("no {part}: {list:#?}"))
    };
    assert_eq!(find("gpio/BUTTON")["value"], "high");
    assert_eq!(find("gpio/STUCK")["fault"], "stuck");
    assert_eq!(find("i2c/SENSORS/0x3c")["kind"], "display");
    assert_eq!(find("spi/ADC")["value"], "0 128 256 512 640 768 896 1023");
    assert_eq!(find("uart/GPS")["kind"], "serial line");
    assert_eq!(find("adc/LIGHT")["value"], "2048 of 4095");
    let table = daemon.sim(&["list"]);
    assert!(table.starts_with("PART"), "{table}");

    for (arguments, code, why) in [
        (&["get", "gpio/LAMP"][..], 4, "expected one of"),
        (&["get", "i2c/1/0x20"], 4, "0x48"),
        (&["set", "adc/LIGHT", "4096"], 4, "expected 0 to 4095"),
        (&["set", "spi/ADC/7", "1", "2"], 4, "expected 1"),
        (&["fault", "gpio/LED", "nak"], 4, "stuck or broken"),
        (&["say", "gpio/LED", "hello"], 4, "expected a serial port"),
        (&["picture", "i2c/1/0x48"], 4, "expected a display"),
        (&["say", "uart/GPS", "hello"], 7, "no app has uart/GPS open"),
        (&["set", "gpio/STUCK", "high"], 7, "gpio/STUCK is stuck"),
        (&["get", "lamp"], 2, "expected gpio/PIN"),
    ] {
        let (found, said) = daemon.sim_fails(arguments);
        assert_eq!(found, code, "{arguments:?}: {said}");
        assert!(
            said.contains(why) && said.lines().count() == 1,
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn without_a_simulated_board_sim_says_how_to_have_one() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let (code, why) = daemon.sim_fails(&["list"]);
    assert_eq!(code, 7, "{why}");
    assert!(
        why.contains("no board is simulated here") && why.contains("--simulate"),
        "{why}"
    );
}

#[test]
fn apps_for_devices_say_what_is_missing_where_the_platform_has_none() {
    let setup = Setup::new("server-headless")
        .app("blink")
        .app("button")
        .app("adc-logger")
        .app("gps-reader")
        .app("thermometer");
    let daemon = setup.start();
    for (app, capability) in [
        ("blink", "gpio"),
        ("button", "gpio"),
        ("adc-logger", "adc"),
        ("gps-reader", "uart"),
        ("thermometer", "i2c"),
    ] {
        daemon.wait_for_log(app, "Error: not on this platform");
        let lack = format!("declares {capability}, which server-headless does not have");
        let told = daemon
            .texts(app)
            .iter()
            .filter(|text| text.contains(&lack))
            .count();
        let told = told + daemon.console().matches(&format!("{app} {lack}")).count();
        assert!(told >= 1, "{app}: {}", daemon.console());
    }
}
