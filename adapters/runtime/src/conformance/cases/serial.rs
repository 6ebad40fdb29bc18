//! Serial ports and converters of the simulated board: GPS says a sentence when it is opened, MODEM answers lines, ECHO sends
//! back; LIGHT is at 2048 of 4095, channel 1 at the top, channel 2 can't be read.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::manifest::{Adc, Uart};
use vyoma_capabilities::resolve::Grants;

use super::run;
use crate::conformance::devices::Bench;
use crate::conformance::{Outcome, Run};

fn uart(port: Option<u32>, baud: Option<u32>) -> Grants {
    Grants {
        stdio: true,
        uart: Some(Uart { port, baud }),
        ..Grants::default()
    }
}

fn adc(channels: &[u32]) -> Grants {
    Grants {
        adc: Some(Adc {
            channels: channels.to_vec(),
        }),
        ..Grants::default()
    }
}

fn passed(outcome: &Outcome) -> bool {
    outcome.ended(&Ending::Exited(0))
}

/// A guest with names of ports. `$open` opens one without a configuration: the port is at 20, its streams at 24 and 28.
macro_rules! uart_guest {
    ($($body:literal),+ $(,)?) => {
        concat!(
            "(data (i32.const 256) \"GPSMODEMECHO0GONE\")
             (data (i32.const 304) \"AT+CSQ\\r\\nhello\")
             (func $port (param $at i32) (param $length i32) (param $some i32) (param $baud i32) (param $bits i32)
               (call $uart.open (local.get $at) (local.get $length) (local.get $some) (local.get $baud)
                 (local.get $bits) (i32.const 1) (i32.const 1) (i32.const 16)))
             (func $open (param $step i32) (param $at i32) (param $length i32)
               (call $port (local.get $at) (local.get $length) (i32.const 0) (i32.const 0) (i32.const 0))
               (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16)))))
             (func $refused (param $step i32) (param $case i32)
               (call $check (local.get $step) (i32.load8_u (i32.const 16)))
               (call $check (i32.add (local.get $step) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 20)) (local.get $case))))
            ",
            $($body),+
        )
    };
}

/// A guest with names of channels; `$channel` opens one.
macro_rules! adc_guest {
    ($($body:literal),+ $(,)?) => {
        concat!(
            "(data (i32.const 256) \"LIGHT012\")
             (func $channel (param $step i32) (param $at i32) (param $length i32) (result i32)
               (call $adc.open (local.get $at) (local.get $length) (i32.const 16))
               (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.load (i32.const 20)))
             (func $refused (param $step i32) (param $at i32) (param $length i32) (param $case i32)
               (call $adc.open (local.get $at) (local.get $length) (i32.const 16))
               (call $check (local.get $step) (i32.load8_u (i32.const 16)))
               (call $check (i32.add (local.get $step) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 20)) (local.get $case))))
            ",
            $($body),+
        )
    };
}

pub(super) fn cases() -> Vec<Run> {
    let mut cases = uart_cases();
    cases.extend(adc_cases());
    cases
}

fn uart_cases() -> Vec<Run> {
    vec![
        Run {
            grants: uart(Some(0), None),
            ..run(
                "what_a_serial_device_says_is_read_when_it_is_there",
                uart_guest!(
                    "(func $run (result i32) (local $in i32)
                       (call $open (i32.const 2) (i32.const 256) (i32.const 3))
                       (local.set $in (i32.load (i32.const 24)))
                       (call $pollable.block (call $input-stream.subscribe (local.get $in)))
                       (call $input-stream.read (local.get $in) (i64.const 500) (i32.const 32))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 32))))
                       (call $print (i32.load (i32.const 36)) (i32.load (i32.const 40)))
                       ;; Nothing more: no error, and a timer wins.
                       (call $input-stream.read (local.get $in) (i64.const 500) (i32.const 32))
                       (call $check (i32.const 4) (i32.eqz (i32.load8_u (i32.const 32))))
                       (call $check (i32.const 5) (i32.eqz (i32.load (i32.const 40))))
                       (i32.store (i32.const 512) (call $input-stream.subscribe (local.get $in)))
                       (i32.store (i32.const 516) (call $monotonic-clock.subscribe-duration (i64.const 20000000)))
                       (call $poll.poll (i32.const 512) (i32.const 2) (i32.const 32))
                       (call $check (i32.const 6) (i32.eq (i32.load (i32.load (i32.const 32))) (i32.const 1)))
                       (i32.const 0))"
                ),
                |o| {
                    passed(o)
                        && o.stdout
                            == b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"
                },
            )
        },
        Run {
            grants: uart(None, None),
            ..run(
                "a_serial_port_goes_both_ways",
                uart_guest!(
                    "(func $run (result i32)
                       (call $open (i32.const 2) (i32.const 259) (i32.const 5))
                       (call $print-to (i32.load (i32.const 28)) (i32.const 304) (i32.const 8))
                       (call $input-stream.blocking-read (i32.load (i32.const 24)) (i64.const 500) (i32.const 40))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 40))))
                       (call $print (i32.load (i32.const 44)) (i32.load (i32.const 48)))
                       (call $check (i32.const 4) (i64.eqz (call $port.lost (i32.load (i32.const 20)))))
                       (i32.const 0))"
                ),
                |o| passed(o) && o.stdout == b"+CSQ: 17,0\r\nOK\r\n",
            )
        },
        Run {
            grants: uart(Some(3), None),
            ..run(
                "of_a_serial_device_that_is_gone_the_rest_is_read_and_then_the_stream_is_at_its_end",
                uart_guest!(
                    "(func $run (result i32) (local $in i32)
                       (call $open (i32.const 2) (i32.const 269) (i32.const 4))
                       (local.set $in (i32.load (i32.const 24)))
                       (call $input-stream.blocking-read (local.get $in) (i64.const 500) (i32.const 40))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 40))))
                       (call $print (i32.load (i32.const 44)) (i32.load (i32.const 48)))
                       (call $input-stream.blocking-read (local.get $in) (i64.const 500) (i32.const 40))
                       (call $check (i32.const 4) (i32.load8_u (i32.const 40)))
                       (call $check (i32.const 5) (i32.eq (i32.load8_u (i32.const 44)) (i32.const 1)))
                       (i32.const 0))"
                ),
                |o| passed(o) && o.stdout == b"$GPR",
            )
        },
        Run {
            grants: uart(Some(0), Some(9600)),
            ..run(
                "a_serial_port_has_the_declared_rate_and_no_other",
                uart_guest!(
                    "(func $run (result i32)
                       (call $open (i32.const 2) (i32.const 268) (i32.const 1))
                       (call $port.get-config (i32.load (i32.const 20)) (i32.const 32))
                       ;; 9600 8N1.
                       (call $check (i32.const 3) (i32.eq (i32.load (i32.const 32)) (i32.const 9600)))
                       (call $check (i32.const 4) (i32.eq (i32.load (i32.const 36)) (i32.const 0x00000008)))
                       (call $output-stream.drop (i32.load (i32.const 28)))
                       (call $input-stream.drop (i32.load (i32.const 24)))
                       (call $port (i32.const 256) (i32.const 3) (i32.const 1) (i32.const 9600) (i32.const 7))
                       ;; Open as long as one of the three is there.
                       (call $refused (i32.const 5) (i32.const 2))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: uart(Some(0), Some(9600)),
            ..run(
                "a_serial_port_can_be_closed_and_opened_in_another_way",
                uart_guest!(
                    "(func $run (result i32)
                       (call $open (i32.const 2) (i32.const 268) (i32.const 1))
                       (call $output-stream.drop (i32.load (i32.const 28)))
                       (call $input-stream.drop (i32.load (i32.const 24)))
                       (call $port.drop (i32.load (i32.const 20)))
                       (call $port (i32.const 256) (i32.const 3) (i32.const 1) (i32.const 19200) (i32.const 7))
                       (call $refused (i32.const 3) (i32.const 0))
                       (call $port (i32.const 256) (i32.const 3) (i32.const 1) (i32.const 9600) (i32.const 9))
                       (call $refused (i32.const 5) (i32.const 4))
                       (call $port (i32.const 256) (i32.const 3) (i32.const 1) (i32.const 9600) (i32.const 7))
                       (call $check (i32.const 7) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $port.get-config (i32.load (i32.const 20)) (i32.const 32))
                       (call $check (i32.const 8) (i32.eq (i32.load (i32.const 36)) (i32.const 0x00010107)))
                       (call $port (i32.const 259) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0))
                       (call $refused (i32.const 9) (i32.const 0))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: uart(None, None),
            bench: Bench::Taken,
            ..run(
                "a_serial_port_that_another_app_has_is_already_in_use",
                uart_guest!(
                    "(func $run (result i32)
                       (call $port (i32.const 256) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0))
                       (call $refused (i32.const 2) (i32.const 2)) (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: uart(None, None),
            bench: Bench::Bare,
            ..run(
                "on_a_platform_without_serial_ports_opening_one_is_not_supported",
                uart_guest!(
                    "(func $run (result i32)
                       (call $port (i32.const 256) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0))
                       (call $refused (i32.const 2) (i32.const 1)) (i32.const 0))"
                ),
                passed,
            )
        },
        run(
            "without_the_capability_no_serial_port_is_allowed",
            uart_guest!(
                "(func $run (result i32)
                   (call $port (i32.const 256) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0))
                   (call $refused (i32.const 2) (i32.const 0)) (i32.const 0))"
            ),
            passed,
        ),
    ]
}

fn adc_cases() -> Vec<Run> {
    vec![
        Run {
            grants: adc(&[]),
            ..run(
                "a_channel_gives_its_value_and_what_it_is_in_microvolts",
                adc_guest!(
                    "(func $run (result i32) (local $channel i32)
                       (local.set $channel (call $channel (i32.const 2) (i32.const 256) (i32.const 5)))
                       (call $channel.read-raw (local.get $channel) (i32.const 16))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $check (i32.const 4) (i32.eq (i32.load (i32.const 20)) (i32.const 2048)))
                       (call $channel.read-microvolts (local.get $channel) (i32.const 16))
                       (call $check (i32.const 5) (i32.eq (i32.load (i32.const 20)) (i32.const 1650402)))
                       (call $channel.get-range (local.get $channel) (i32.const 16))
                       (call $check (i32.const 6) (i32.eq (i32.load (i32.const 16)) (i32.const 4095)))
                       (call $check (i32.const 7) (i32.eq (i32.load (i32.const 20)) (i32.const 3300000)))
                       (call $refused (i32.const 8) (i32.const 261) (i32.const 1) (i32.const 2))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: adc(&[0, 1]),
            ..run(
                "a_channel_is_an_analogue_pin_too",
                adc_guest!(
                    "(func $analog (param $step i32) (param $at i32) (param $flags i32) (result i32)
                       (call $gpio.get-analog-in (local.get $at) (i32.const 1) (local.get $flags) (i32.const 16))
                       (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16))))
                       (i32.load (i32.const 20)))
                     (func $run (result i32) (local $pin i32)
                       (local.set $pin (call $analog (i32.const 2) (i32.const 262) (i32.const 0)))
                       (call $analog-in-pin.read (local.get $pin) (i32.const 16))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $check (i32.const 4) (f32.eq (f32.load (i32.const 20)) (f32.const 1)))
                       (call $analog-in-pin.drop (local.get $pin))
                       (local.set $pin (call $analog (i32.const 5) (i32.const 262) (i32.const 2)))
                       (call $analog-in-pin.read-raw (local.get $pin) (i32.const 16))
                       (call $check (i32.const 6) (i32.eqz (i32.load (i32.const 20))))
                       (call $analog-in-pin.get-config (local.get $pin) (i32.const 16))
                       (call $check (i32.const 7) (i32.eq (i32.load8_u (i32.load (i32.const 16))) (i32.const 49)))
                       (call $analog-in-pin.watch-above (local.get $pin) (f32.const 0.5) (i32.const 16))
                       (call $check (i32.const 8) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 7)))
                       ;; What it is not: a pin that is not declared, and both levels at once.
                       (call $gpio.get-analog-in (i32.const 263) (i32.const 1) (i32.const 0) (i32.const 16))
                       (call $check (i32.const 9) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 2)))
                       (call $gpio.get-analog-in (i32.const 261) (i32.const 1) (i32.const 3) (i32.const 16))
                       (call $check (i32.const 10) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 5)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: adc(&[2, 7]),
            ..run(
                "a_channel_that_fails_one_that_is_not_declared_and_one_that_is_not_there_each_say_so",
                adc_guest!(
                    "(func $run (result i32) (local $channel i32)
                       (local.set $channel (call $channel (i32.const 2) (i32.const 263) (i32.const 1)))
                       (call $channel.read-raw (local.get $channel) (i32.const 16))
                       (call $check (i32.const 3) (i32.load8_u (i32.const 16)))
                       (call $check (i32.const 4) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 5)))
                       (call $refused (i32.const 5) (i32.const 262) (i32.const 1) (i32.const 0))
                       (i32.store8 (i32.const 256) (i32.const 55))
                       (call $refused (i32.const 7) (i32.const 256) (i32.const 1) (i32.const 3))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: adc(&[]),
            bench: Bench::Bare,
            ..run(
                "on_a_platform_without_converters_opening_a_channel_is_not_supported",
                adc_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 5) (i32.const 1)) (i32.const 0))"
                ),
                passed,
            )
        },
        run(
            "without_the_capability_no_channel_is_allowed",
            adc_guest!(
                "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 5) (i32.const 0)) (i32.const 0))"
            ),
            passed,
        ),
    ]
}
