//! What is said about a bad manifest, word for word.

use vyoma_capabilities::manifest;

const APP: &str = "[app]\nname = \"hello\"\nversion = \"1.0.0\"\nwasm = \"hello.wasm\"\n";

fn error(text: &str) -> String {
    manifest::parse("vyoma.toml", text)
        .expect_err(text)
        .to_string()
}

/// `APP` with lines added, and what is said about them.
#[track_caller]
fn with(more: &str, said: &str) {
    assert_eq!(
        error(&format!("{APP}{more}")),
        format!("vyoma.toml:{said}"),
        "{more}"
    );
}

/// `APP` with a part replaced, and what is said about it.
#[track_caller]
fn without(old: &str, new: &str, said: &str) {
    assert!(APP.contains(old));
    assert_eq!(
        error(&APP.replacen(old, new, 1)),
        format!("vyoma.toml:{said}"),
        "{new}"
    );
}

#[test]
fn unknown_keys_name_the_nearest_known_one_or_where_they_belong() {
    let app =
        "expected one of name, version, wasm, wasm_sha256, icon, restart, health_secs, args, env";
    with(
        "restrat = \"never\"\n",
        &format!("5: app.restrat: found an unknown key; {app}; did you mean restart?"),
    );
    with(
        "colour = 1\n",
        &format!("5: app.colour: found an unknown key; {app}"),
    );
    with(
        "memory_kb = 64\n",
        &format!("5: app.memory_kb: found an unknown key; {app}; it belongs in [resources]"),
    );
    with(
        "capabilities = {}\n",
        &format!("5: app.capabilities: found an unknown key; {app}; it belongs outside of [app]"),
    );
    with(
        "\"a\\nb\" = 1\n",
        &format!("5: app.\"a\\x0ab\": found an unknown key; {app}"),
    );
    with(
        "[capabilities]\n\nnetwrk = true\n",
        "7: capabilities.netwrk: found an unknown key; expected one of stdio, filesystem, network, display, shell, mouse, \
         touch, audio, network_port, watchdog_secs, gpio, i2c, spi, uart, adc; did you mean network?",
    );
    with(
        "[capability]\nstdio = true\n",
        "5: capability: found an unknown table or key; expected one of app, capabilities, resources, realtime, window, menu_items; \
         did you mean capabilities?",
    );
    with(
        "[capabilities.gpio]\npin = [3]\n",
        "6: capabilities.gpio.pin: found an unknown key; expected one of pins, direction; did you mean pins?",
    );
    with(
        "[capabilities.i2c]\nport = 3\n",
        "6: capabilities.i2c.port: found an unknown key; expected one of bus, address; it belongs in [capabilities.uart]",
    );
}

#[test]
fn of_several_unknown_keys_the_first_in_the_file_is_named() {
    let said = error(&format!("{APP}[capabilities]\nzzz = 1\naaa = 1\n"));
    assert!(
        said.starts_with("vyoma.toml:6: capabilities.zzz: found an unknown key"),
        "{said}"
    );
}

#[test]
fn wrong_types_say_what_was_found() {
    with(
        "[capabilities]\nstdio = 1\n",
        "6: capabilities.stdio: found the number 1; expected true or false",
    );
    with(
        "[capabilities]\nstdio = \"yes\"\n",
        "6: capabilities.stdio: found the string \"yes\"; expected true or false",
    );
    with(
        "[[capabilities]]\n",
        "5: capabilities: found an array; expected a table",
    );
    with(
        "[capabilities]\ngpio = 3\n",
        "6: capabilities.gpio: found the number 3; expected true, false or the table [capabilities.gpio]",
    );
    with(
        "[capabilities]\nwatchdog_secs = 1979-05-27\n",
        "6: capabilities.watchdog_secs: found a date or time; expected a whole number from 0 to 4294967295",
    );
    with(
        "args = \"a\"\n",
        "5: app.args: found the string \"a\"; expected an array of strings",
    );
    with(
        "args = [\"a\", 1]\n",
        "5: app.args[1]: found the number 1; expected a string",
    );
    with(
        "env = { A = 1 }\n",
        "5: app.env.A: found the number 1; expected a string",
    );
    with(
        "restart = true\n",
        "5: app.restart: found true; expected one of \"never\", \"on-failure\", \"always\"",
    );
    with(
        "[capabilities.gpio]\npins = 3\n",
        "6: capabilities.gpio.pins: found the number 3; expected an array of pin numbers or labels",
    );
    without(
        "\"1.0.0\"",
        "1.0",
        "3: app.version: found the number 1.0; expected a string of 1 to 32 printable characters",
    );
    without(
        "\"hello\"",
        "[]",
        "2: app.name: found an array; expected a string",
    );
    assert_eq!(
        error("app = 1"),
        "vyoma.toml:1: app: found the number 1; expected a table"
    );
}

#[test]
fn what_is_required_and_missing_is_named_with_an_example() {
    without(
        "name = \"hello\"\n",
        "",
        "1: app.name: found nothing; expected the app's name, e.g. name = \"hello\"",
    );
    without(
        "version = \"1.0.0\"\n",
        "",
        "1: app.version: found nothing; expected the app's version, e.g. version = \"1.0.0\"",
    );
    without(
        "wasm = \"hello.wasm\"\n",
        "",
        "1: app.wasm: found nothing; expected the component's path, e.g. wasm = \"hello.wasm\"",
    );
    assert_eq!(
        error(""),
        "vyoma.toml: app: found nothing; expected the table [app] with name, version and wasm"
    );
    with(
        "[[menu_items]]\nlabel = \"Open\"\n",
        "5: menu_items[0].action: found nothing; expected what a click sends, e.g. action = \"open\"",
    );
}

#[test]
fn names_that_do_not_fit_every_place_are_refused() {
    let rule = "expected 1 to 32 characters of a-z, 0-9 and -, the first a letter";
    for name in ["", "My App", "1a", "hellö"] {
        without(
            "hello",
            name,
            &format!("2: app.name: found the string \"{name}\"; {rule}"),
        );
    }
    without(
        "hello",
        "supervisor",
        &format!(
            "2: app.name: found the string \"supervisor\"; {rule}; supervisor is reserved for @supervisor: lines"
        ),
    );
    let long = "a".repeat(33);
    without(
        "hello",
        &long,
        &format!("2: app.name: found the string \"{long}\"; {rule}; it has 33 characters"),
    );
    without(
        "1.0.0",
        "",
        "3: app.version: found the string \"\"; expected a string of 1 to 32 printable characters",
    );
    without(
        "1.0.0",
        "1\\n0",
        "3: app.version: found the string \"1\\x0a0\"; expected a string of 1 to 32 printable characters",
    );
}

#[test]
fn paths_that_leave_the_apps_folder_are_refused() {
    let rule = "expected a file inside the app's folder, relative to vyoma.toml and with / between its parts";
    for (path, found) in [
        ("", "an empty path"),
        ("/hello.wasm", "an absolute path: \"/hello.wasm\""),
        ("../hello.wasm", "a path with ..: \"../hello.wasm\""),
        ("a/../../b.wasm", "a path with ..: \"a/../../b.wasm\""),
        ("a/..", "a path with ..: \"a/..\""),
        ("a\\\\b.wasm", "a path with a backslash: \"a\\b.wasm\""),
        (
            "a\\u0000.wasm",
            "a path with a NUL character: \"a\\x00.wasm\"",
        ),
        (
            "a\\u0007.wasm",
            "a path with a control character: \"a\\x07.wasm\"",
        ),
        ("a/", "the path of a folder: \"a/\""),
        (".", "the path of a folder: \".\""),
    ] {
        without(
            "hello.wasm",
            path,
            &format!("4: app.wasm: found {found}; {rule}"),
        );
        with(
            &format!("icon = \"{path}\"\n"),
            &format!("5: app.icon: found {found}; {rule}"),
        );
    }
}

#[test]
fn what_is_given_twice_is_refused() {
    let pins = "expected pin numbers or labels, each only once";
    with(
        "[capabilities.gpio]\npins = [3, 4, 3]\n",
        &format!("6: capabilities.gpio.pins[2]: found the number 3 again; {pins}"),
    );
    with(
        "[capabilities.gpio]\npins = [3, 0x3]\n",
        &format!("6: capabilities.gpio.pins[1]: found the number 0x3 again; {pins}"),
    );
    with(
        "[capabilities.gpio]\npins = [3, \"LED\",\n\"LED\"]\n",
        &format!("7: capabilities.gpio.pins[2]: found the string \"LED\" again; {pins}"),
    );
    with(
        "[capabilities.adc]\nchannels = [0, 1, 0]\n",
        "6: capabilities.adc.channels[2]: found the number 0 again; expected channel numbers, each only once",
    );
    with(
        "name = \"again\"\n",
        "5: found \"name\" a second time; expected each key and table only once",
    );
    with(
        "[app]\nicon = \"a.png\"\n",
        "5: found \"app\" a second time; expected each key and table only once",
    );
}

#[test]
fn what_is_out_of_range_says_the_range() {
    for (key, value, range) in [
        ("network_port", "0", "1 to 65535"),
        ("network_port", "70000", "1 to 65535"),
        ("network_port", "80.5", "1 to 65535"),
        ("watchdog_secs", "-1", "0 to 4294967295"),
        ("watchdog_secs", "99999999999999999999", "0 to 4294967295"),
        ("i2c.address", "0x80", "0 to 127"),
        ("i2c.bus", "1024", "0 to 1023"),
        ("spi.cs_pin", "1024", "0 to 1023"),
        ("uart.baud", "9", "50 to 4000000"),
    ] {
        with(
            &format!("[capabilities]\n{key} = {value}\n"),
            &format!(
                "6: capabilities.{key}: found the number {value}; expected a whole number from {range}"
            ),
        );
    }
    for (key, value, range) in [
        ("memory_kb", "63", "64 to 4194304"),
        ("cpu_percent", "0", "1 to 6400"),
        ("storage_kb", "0", "1 to 4294967295"),
    ] {
        with(
            &format!("[resources]\n{key} = {value}\n"),
            &format!(
                "6: resources.{key}: found the number {value}; expected a whole number from {range}"
            ),
        );
    }
    with(
        "[window]\nz = 256\n",
        "6: window.z: found the number 256; expected a whole number from 0 to 255",
    );
    for pin in ["2000", "-1"] {
        with(
            &format!("[capabilities.gpio]\npins = [{pin}]\n"),
            &format!(
                "6: capabilities.gpio.pins[0]: found the number {pin}; expected a pin's number from 0 to 1023 or its \
                      label of 1 to 32 printable characters"
            ),
        );
    }
    with(
        "wasm_sha256 = \"abc\"\n",
        "5: app.wasm_sha256: found the string \"abc\"; expected 64 hexadecimal digits; it has 3 characters",
    );
    let hash = "g".repeat(64);
    with(
        &format!("wasm_sha256 = \"{hash}\"\n"),
        &format!(
            "5: app.wasm_sha256: found the string \"{}...\"; expected 64 hexadecimal digits",
            &hash[..60]
        ),
    );
    with(
        "health_secs = 3601\n",
        "5: app.health_secs: found the number 3601; expected a whole number from 0 to 3600",
    );
}

#[test]
fn one_of_a_few_words_lists_them() {
    let policies = "expected one of \"never\", \"on-failure\", \"always\"";
    with(
        "restart = \"sometimes\"\n",
        &format!("5: app.restart: found the string \"sometimes\"; {policies}"),
    );
    with(
        "restart = \"allways\"\n",
        &format!(
            "5: app.restart: found the string \"allways\"; {policies}; did you mean \"always\"?"
        ),
    );
    with(
        "[capabilities.gpio]\ndirection = \"out\"\n",
        "6: capabilities.gpio.direction: found the string \"out\"; expected one of \"input\", \"output\"",
    );
}

#[test]
fn an_environment_that_no_process_can_have_is_refused() {
    let rule = "expected a name of 1 to 4096 bytes without = and NUL";
    with(
        "env = { \"A=B\" = \"1\" }\n",
        &format!("5: app.env.\"A=B\": found the variable \"A=B\"; {rule}"),
    );
    with(
        "env = { \"\" = \"1\" }\n",
        &format!("5: app.env.\"\": found the variable \"\"; {rule}"),
    );
    with(
        "[app.env]\n\"A\\u0000\" = \"1\"\n",
        &format!("6: app.env.\"A\\x00\": found the variable \"A\\x00\"; {rule}"),
    );
    with(
        "env = { A = \"\\u0000\" }\n",
        "5: app.env.A: found the string \"\\x00\"; expected a string without NUL characters",
    );
    with(
        "args = [\"a\\u0000\"]\n",
        "5: app.args[0]: found the string \"a\\x00\"; expected a string without NUL characters",
    );
}

#[test]
fn counts_and_sizes_are_bounded() {
    let fits = format!(
        "args = [{}]\n",
        format!("\"{}\", ", "x".repeat(900)).repeat(64)
    );
    assert!(manifest::parse("vyoma.toml", &format!("{APP}{fits}")).is_ok());
    with(
        &format!("args = [{}]\n", "\"\", ".repeat(65)),
        "5: app.args: found 65 values; expected at most 64 strings",
    );
    with(
        &format!("args = [\"{}\"]\n", "x".repeat(4097)),
        "5: app.args[0]: found 4097 bytes; expected at most 4096 bytes",
    );
    with(
        &format!("env = {{ A = \"{}\" }}\n", "x".repeat(4097)),
        "5: app.env.A: found 4097 bytes; expected at most 4096 bytes",
    );
    let variables: Vec<_> = (0..65).map(|n| format!("V{n} = \"\"\n")).collect();
    let variables = variables.concat();
    with(
        &format!("[app.env]\n{variables}"),
        "5: app.env: found 65 variables; expected at most 64 variables",
    );
    let pins: Vec<_> = (0..65).collect();
    with(
        &format!("[capabilities.gpio]\npins = {pins:?}\n"),
        "6: capabilities.gpio.pins: found 65 values; expected at most 64 pin numbers or labels",
    );
    let items = "[[menu_items]]\nlabel = \"a\"\naction = \"a\"\n".repeat(65);
    with(
        &items,
        "5: menu_items: found 65 values; expected at most 64 tables [[menu_items]]",
    );
    assert_eq!(
        error(&"#".repeat(65_537)),
        "vyoma.toml: found 65537 bytes; expected at most 65536 bytes"
    );
    assert_eq!(
        error(&format!("{}z = 1", "a.".repeat(16))),
        "vyoma.toml:1: found a key of more than 16 parts; expected a known table or key"
    );
}

#[test]
fn real_time_needs_a_priority_that_the_kernel_leaves_to_apps() {
    with(
        "[realtime]\npriority = 99\n",
        "6: realtime.priority: found the number 99; expected a whole number from 1 to 98",
    );
    with(
        "[realtime]\npriority = 0\n",
        "6: realtime.priority: found the number 0; expected a whole number from 1 to 98",
    );
}

#[test]
fn text_that_is_no_toml_is_one_line_too() {
    let toml = "expected valid TOML";
    with(
        "[capabilities]\nstdio = \n",
        &format!(
            "6: found the line \"stdio =\"; {toml} (string values must be quoted, expected literal string)"
        ),
    );
    with(
        "[capabilities\nstdio = true\n",
        &format!("5: found the line \"[capabilities\"; {toml} (unclosed table, expected `]`)"),
    );
    with(
        "stdio true\n",
        &format!("5: found the line \"stdio true\"; {toml} (key with no value, expected `=`)"),
    );
    with(
        "x = \"abc\n",
        &format!("5: found the line \"x = \"abc\"; {toml} (invalid basic string, expected `\"`)"),
    );
    with(
        "args = [\"a\"\n",
        &format!("5: found the line \"args = [\"a\"\"; {toml} (unclosed array, expected `]`)"),
    );
    with(
        "icon = \"a\x1b[2J\n",
        &format!(
            "5: found the line \"icon = \"a\\x1b[2J\"; {toml} (invalid basic string, expected `\"`)"
        ),
    );
}

#[test]
fn long_and_hostile_text_is_cut_and_made_harmless() {
    with(
        &format!("restart = \"\\u001b[31m{}\"\n", "x".repeat(5_000)),
        &format!(
            "5: app.restart: found the string \"\\x1b[31m{}...\"; expected one of \"never\", \"on-failure\", \"always\"",
            "x".repeat(52)
        ),
    );
    assert_eq!(
        manifest::parse("a\nb\x1b.toml", "")
            .unwrap_err()
            .to_string(),
        "a\\x0ab\\x1b.toml: app: found nothing; expected the table [app] with name, version and wasm"
    );
}
