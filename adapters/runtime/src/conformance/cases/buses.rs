//! I2C and SPI of the simulated board: register files at 0x48 and 0x76, devices that fail at 0x10 to 0x14; a loopback, an
//! MCP3008 and a dead device behind the chip selects of SPI bus 0.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::manifest::{I2c, Spi};
use vyoma_capabilities::resolve::Grants;

use super::run;
use crate::conformance::devices::Bench;
use crate::conformance::{Outcome, Run};

fn i2c(bus: Option<u32>, address: Option<u8>) -> Grants {
    Grants {
        i2c: Some(I2c { bus, address }),
        ..Grants::default()
    }
}

fn spi(bus: Option<u32>, cs_pin: Option<u32>) -> Grants {
    Grants {
        spi: Some(Spi { bus, cs_pin }),
        ..Grants::default()
    }
}

fn passed(outcome: &Outcome) -> bool {
    outcome.ended(&Ending::Exited(0))
}

/// A guest with names of buses. `$bus` opens bus 1; `$ask` writes the byte at 300 and reads into the list at 20; `$fails`
/// checks that reading a byte from an address gives the error, and what kind of NAK it is.
macro_rules! i2c_guest {
    ($($body:literal),+ $(,)?) => {
        concat!(
            "(data (i32.const 256) \"1SENSORS2\")
             (func $bus (result i32)
               (call $buses.open-i2c (i32.const 256) (i32.const 1) (i32.const 16))
               (call $check (i32.const 2) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.load (i32.const 20)))
             (func $ask (param $step i32) (param $bus i32) (param $address i32) (param $register i32) (param $length i64)
               (i32.store8 (i32.const 300) (local.get $register))
               (call $i2c.write-read (local.get $bus) (local.get $address) (i32.const 300) (i32.const 1)
                 (local.get $length) (i32.const 16))
               (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16)))))
             (func $fails (param $step i32) (param $bus i32) (param $address i32) (param $error i32) (param $nak i32)
               (call $i2c.read (local.get $bus) (local.get $address) (i64.const 1) (i32.const 16))
               (call $check (local.get $step) (i32.load8_u (i32.const 16)))
               (call $check (i32.add (local.get $step) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 20)) (local.get $error)))
               (if (i32.eq (local.get $error) (i32.const 2))
                 (then (call $check (i32.add (local.get $step) (i32.const 2))
                   (i32.eq (i32.load8_u (i32.const 21)) (local.get $nak))))))
             (func $refused (param $step i32) (param $at i32) (param $length i32) (param $case i32)
               (call $buses.open-i2c (local.get $at) (local.get $length) (i32.const 16))
               (call $check (local.get $step) (i32.load8_u (i32.const 16)))
               (call $check (i32.add (local.get $step) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 20)) (local.get $case))))
            ",
            $($body),+
        )
    };
}

/// The same for SPI; `$device` opens the device of that name.
macro_rules! spi_guest {
    ($($body:literal),+ $(,)?) => {
        concat!(
            "(data (i32.const 256) \"LOOPADCDEAD0.10.9\")
             (data (i32.const 304) \"\\01\\c0\\00\\de\\ad\\be\\ef\")
             (func $device (param $step i32) (param $at i32) (param $length i32) (result i32)
               (call $buses.open-spi (local.get $at) (local.get $length) (i32.const 16))
               (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.load (i32.const 20)))
             (func $refused (param $step i32) (param $at i32) (param $length i32) (param $case i32)
               (call $buses.open-spi (local.get $at) (local.get $length) (i32.const 16))
               (call $check (local.get $step) (i32.load8_u (i32.const 16)))
               (call $check (i32.add (local.get $step) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 20)) (local.get $case))))
             (func $operation (param $place i32) (param $case i32) (param $low i32) (param $high i32)
               (local $at i32)
               (local.set $at (i32.add (i32.const 512) (i32.shl (local.get $place) (i32.const 4))))
               (i32.store (local.get $at) (local.get $case))
               (i32.store offset=8 (local.get $at) (local.get $low))
               (i32.store offset=12 (local.get $at) (local.get $high)))
            ",
            $($body),+
        )
    };
}

pub(super) fn cases() -> Vec<Run> {
    let mut cases = i2c_cases();
    cases.extend(i2c_refusals());
    cases.extend(spi_cases());
    cases.extend(spi_refusals());
    cases
}

fn i2c_cases() -> Vec<Run> {
    vec![
        Run {
            grants: i2c(Some(1), None),
            ..run(
                "registers_of_an_i2c_device_are_read_and_written",
                i2c_guest!(
                    "(func $run (result i32) (local $bus i32) (local $at i32)
                       (local.set $bus (call $bus))
                       ;; A chip id of one byte.
                       (call $ask (i32.const 3) (local.get $bus) (i32.const 0x76) (i32.const 0xd0) (i64.const 1))
                       (call $check (i32.const 4) (i32.eq (i32.load (i32.const 24)) (i32.const 1)))
                       (call $check (i32.const 5) (i32.eq (i32.load8_u (i32.load (i32.const 20))) (i32.const 0x60)))
                       ;; Registers that follow each other, in one read and in two.
                       (call $ask (i32.const 6) (local.get $bus) (i32.const 0x76) (i32.const 0x88) (i64.const 4))
                       (call $check (i32.const 7) (i32.eq (i32.load (i32.load (i32.const 20))) (i32.const 0x67436b70)))
                       (call $i2c.read (local.get $bus) (i32.const 0x76) (i64.const 2) (i32.const 16))
                       (call $check (i32.const 8) (i32.eq (i32.load16_u (i32.load (i32.const 20))) (i32.const 0xfc18)))
                       ;; Registers of two bytes, and one that is written.
                       (call $ask (i32.const 9) (local.get $bus) (i32.const 0x48) (i32.const 0x00) (i64.const 2))
                       (call $check (i32.const 10) (i32.eq (i32.load16_u (i32.load (i32.const 20))) (i32.const 0x0019)))
                       (i32.store (i32.const 300) (i32.const 0x00347f02))
                       (call $i2c.write (local.get $bus) (i32.const 0x48) (i32.const 300) (i32.const 3) (i32.const 16))
                       (call $check (i32.const 11) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $ask (i32.const 12) (local.get $bus) (i32.const 0x48) (i32.const 0x02) (i64.const 2))
                       (call $check (i32.const 13) (i32.eq (i32.load16_u (i32.load (i32.const 20))) (i32.const 0x347f)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: i2c(None, None),
            ..run(
                "a_transaction_gives_what_each_of_its_reads_read",
                i2c_guest!(
                    "(func $run (result i32) (local $bus i32) (local $lists i32)
                       (local.set $bus (call $bus))
                       (i32.store16 (i32.const 300) (i32.const 0x88d0))
                       ;; write d0, read 1, write 88, read 2, read 0
                       (i32.store (i32.const 512) (i32.const 1))
                       (i32.store (i32.const 520) (i32.const 300)) (i32.store (i32.const 524) (i32.const 1))
                       (i64.store (i32.const 536) (i64.const 1))
                       (i32.store (i32.const 544) (i32.const 1))
                       (i32.store (i32.const 552) (i32.const 301)) (i32.store (i32.const 556) (i32.const 1))
                       (i64.store (i32.const 568) (i64.const 2))
                       (call $i2c.transaction (local.get $bus) (i32.const 0x76) (i32.const 512) (i32.const 5) (i32.const 16))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $check (i32.const 4) (i32.eq (i32.load (i32.const 24)) (i32.const 3)))
                       (local.set $lists (i32.load (i32.const 20)))
                       (call $check (i32.const 5) (i32.eq (i32.load8_u (i32.load (local.get $lists))) (i32.const 0x60)))
                       (call $check (i32.const 6) (i32.eq (i32.load offset=4 (local.get $lists)) (i32.const 1)))
                       (call $check (i32.const 7) (i32.eq (i32.load16_u (i32.load offset=8 (local.get $lists))) (i32.const 0x6b70)))
                       (call $check (i32.const 8) (i32.eqz (i32.load offset=20 (local.get $lists))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: i2c(Some(1), None),
            ..run(
                "what_fails_on_an_i2c_bus_is_its_own_error",
                i2c_guest!(
                    "(func $run (result i32) (local $bus i32)
                       (local.set $bus (call $bus))
                       (call $fails (i32.const 3) (local.get $bus) (i32.const 0x50) (i32.const 2) (i32.const 0))
                       (call $fails (i32.const 6) (local.get $bus) (i32.const 0x10) (i32.const 2) (i32.const 1))
                       (call $fails (i32.const 9) (local.get $bus) (i32.const 0x11) (i32.const 0) (i32.const 0))
                       (call $fails (i32.const 12) (local.get $bus) (i32.const 0x12) (i32.const 0) (i32.const 0))
                       (call $fails (i32.const 15) (local.get $bus) (i32.const 0x13) (i32.const 1) (i32.const 0))
                       ;; And what is beyond the limits: a read of 8193 bytes, 43 operations.
                       (call $i2c.read (local.get $bus) (i32.const 0x76) (i64.const 8193) (i32.const 16))
                       (call $check (i32.const 18) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 4)))
                       (call $i2c.read (local.get $bus) (i32.const 0x76) (i64.const -1) (i32.const 16))
                       (call $check (i32.const 19) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 4)))
                       (call $i2c.transaction (local.get $bus) (i32.const 0x76) (i32.const 512) (i32.const 43) (i32.const 16))
                       (call $check (i32.const 20) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 4)))
                       (call $i2c.read (local.get $bus) (i32.const 0x76) (i64.const 8192) (i32.const 16))
                       (call $check (i32.const 21) (i32.eqz (i32.load8_u (i32.const 16))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: i2c(Some(1), None),
            ..run(
                "a_device_that_is_pulled_out_is_an_error_from_then_on_and_nothing_else",
                i2c_guest!(
                    "(func $run (result i32) (local $bus i32)
                       (local.set $bus (call $bus))
                       (call $ask (i32.const 3) (local.get $bus) (i32.const 0x14) (i32.const 0) (i64.const 1))
                       (call $check (i32.const 4) (i32.eq (i32.load8_u (i32.load (i32.const 20))) (i32.const 42)))
                       (call $ask (i32.const 5) (local.get $bus) (i32.const 0x14) (i32.const 0) (i64.const 1))
                       (call $fails (i32.const 6) (local.get $bus) (i32.const 0x14) (i32.const 2) (i32.const 0))
                       (call $fails (i32.const 9) (local.get $bus) (i32.const 0x14) (i32.const 2) (i32.const 0))
                       (call $ask (i32.const 12) (local.get $bus) (i32.const 0x76) (i32.const 0xd0) (i64.const 1))
                       (i32.const 0))"
                ),
                passed,
            )
        },
    ]
}

fn i2c_refusals() -> Vec<Run> {
    vec![
        Run {
            grants: i2c(Some(1), Some(0x48)),
            ..run(
                "at_an_address_that_is_not_declared_nobody_acknowledges",
                i2c_guest!(
                    "(func $run (result i32) (local $bus i32)
                       (local.set $bus (call $bus))
                       (call $ask (i32.const 3) (local.get $bus) (i32.const 0x48) (i32.const 0x00) (i64.const 2))
                       (call $fails (i32.const 4) (local.get $bus) (i32.const 0x76) (i32.const 2) (i32.const 0))
                       (call $fails (i32.const 7) (local.get $bus) (i32.const 0x148) (i32.const 2) (i32.const 0))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: i2c(Some(1), None),
            ..run(
                "an_i2c_bus_goes_by_number_or_label_and_is_opened_once_at_a_time",
                i2c_guest!(
                    "(func $run (result i32) (local $bus i32)
                       (local.set $bus (call $bus))
                       (call $refused (i32.const 3) (i32.const 257) (i32.const 7) (i32.const 2))
                       (call $i2c.drop (local.get $bus))
                       (call $buses.open-i2c (i32.const 257) (i32.const 7) (i32.const 16))
                       (call $check (i32.const 5) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $refused (i32.const 6) (i32.const 264) (i32.const 1) (i32.const 0))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: i2c(Some(2), None),
            ..run(
                "an_i2c_bus_that_the_board_lacks_is_no_such_device",
                i2c_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 264) (i32.const 1) (i32.const 3))
                       (call $refused (i32.const 4) (i32.const 256) (i32.const 1) (i32.const 0)) (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: i2c(None, None),
            bench: Bench::Taken,
            ..run(
                "an_i2c_bus_that_another_app_has_is_already_in_use",
                i2c_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 1) (i32.const 2)) (i32.const 0))"
                ),
                passed,
            )
        },
        run(
            "without_the_capability_no_i2c_bus_is_allowed",
            i2c_guest!(
                "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 1) (i32.const 0)) (i32.const 0))"
            ),
            passed,
        ),
        Run {
            grants: i2c(None, None),
            bench: Bench::Bare,
            ..run(
                "on_a_platform_without_i2c_opening_a_bus_is_not_supported",
                i2c_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 1) (i32.const 1)) (i32.const 0))"
                ),
                passed,
            )
        },
    ]
}

fn spi_cases() -> Vec<Run> {
    vec![
        Run {
            grants: spi(Some(0), None),
            ..run(
                "what_goes_into_a_loopback_comes_back",
                spi_guest!(
                    "(func $run (result i32) (local $device i32)
                       (local.set $device (call $device (i32.const 2) (i32.const 256) (i32.const 4)))
                       (call $spi-device.transfer (local.get $device) (i32.const 307) (i32.const 4) (i32.const 16))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $check (i32.const 4) (i32.eq (i32.load (i32.load (i32.const 20))) (i32.const 0xefbeadde)))
                       (call $check (i32.const 5) (i32.eq (i32.load (i32.const 24)) (i32.const 4)))
                       (call $spi-device.read (local.get $device) (i64.const 3) (i32.const 16))
                       (call $check (i32.const 6) (i32.eqz (i32.load8_u (i32.load (i32.const 20)))))
                       (call $spi-device.write (local.get $device) (i32.const 307) (i32.const 4) (i32.const 16))
                       (call $check (i32.const 7) (i32.eqz (i32.load8_u (i32.const 16))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: spi(None, None),
            ..run(
                "a_converter_on_spi_is_read_in_one_transfer_and_in_a_transaction_of_parts",
                spi_guest!(
                    "(func $run (result i32) (local $device i32) (local $results i32)
                       (local.set $device (call $device (i32.const 2) (i32.const 260) (i32.const 3)))
                       ;; Start, single-ended, channel 4: 640 of 1023.
                       (call $spi-device.transfer (local.get $device) (i32.const 304) (i32.const 3) (i32.const 16))
                       (call $check (i32.const 3) (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 20))) (i32.const 2)))
                       (call $check (i32.const 4) (i32.eq (i32.load8_u offset=2 (i32.load (i32.const 20))) (i32.const 0x80)))
                       ;; The same: write one byte, wait, transfer one, read one.
                       (call $operation (i32.const 0) (i32.const 1) (i32.const 304) (i32.const 1))
                       (call $operation (i32.const 1) (i32.const 3) (i32.const 1000) (i32.const 0))
                       (call $operation (i32.const 2) (i32.const 2) (i32.const 305) (i32.const 1))
                       (call $operation (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 0))
                       (call $spi-device.transaction (local.get $device) (i32.const 512) (i32.const 4) (i32.const 16))
                       (call $check (i32.const 5) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $check (i32.const 6) (i32.eq (i32.load (i32.const 24)) (i32.const 4)))
                       (local.set $results (i32.load (i32.const 20)))
                       (call $check (i32.const 7) (i32.eq (i32.load8_u (local.get $results)) (i32.const 1)))
                       (call $check (i32.const 8) (i32.eq (i32.load8_u offset=12 (local.get $results)) (i32.const 3)))
                       (call $check (i32.const 9) (i32.eq (i32.load8_u offset=24 (local.get $results)) (i32.const 2)))
                       (call $check (i32.const 10) (i32.eq (i32.load8_u (i32.load offset=28 (local.get $results))) (i32.const 2)))
                       (call $check (i32.const 11) (i32.eqz (i32.load8_u offset=36 (local.get $results))))
                       (call $check (i32.const 12) (i32.eq (i32.load8_u (i32.load offset=40 (local.get $results))) (i32.const 0x80)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: Grants {
                stdio: true,
                ..spi(None, None)
            },
            ..run(
                "an_spi_device_that_fails_and_one_that_gets_too_much_say_so",
                spi_guest!(
                    "(func $say (call $print (i32.load (i32.const 24)) (i32.load (i32.const 28))))
                     (func $run (result i32) (local $device i32)
                       (local.set $device (call $device (i32.const 2) (i32.const 263) (i32.const 4)))
                       (call $spi-device.read (local.get $device) (i64.const 3) (i32.const 16))
                       (call $check (i32.const 3) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 4)))
                       (call $say)
                       (local.set $device (call $device (i32.const 4) (i32.const 256) (i32.const 4)))
                       (call $spi-device.read (local.get $device) (i64.const 4097) (i32.const 16))
                       (call $check (i32.const 5) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 4)))
                       (call $say)
                       (call $spi-device.transaction (local.get $device) (i32.const 512) (i32.const 65) (i32.const 16))
                       (call $check (i32.const 6) (i32.load8_u (i32.const 16)))
                       (call $operation (i32.const 0) (i32.const 0) (i32.const -1) (i32.const -1))
                       (call $operation (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0))
                       (call $spi-device.transaction (local.get $device) (i32.const 512) (i32.const 2) (i32.const 16))
                       (call $check (i32.const 7) (i32.load8_u (i32.const 16)))
                       (call $spi-device.read (local.get $device) (i64.const 4096) (i32.const 16))
                       (i32.load8_u (i32.const 16)))"
                ),
                |o| {
                    passed(o)
                        && o.stdout
                            == *b"the device does not answerat most 64 operations and 4096 bytes in a transaction"
                },
            )
        },
    ]
}

fn spi_refusals() -> Vec<Run> {
    vec![
        Run {
            grants: Grants {
                stdio: true,
                ..spi(Some(0), Some(0))
            },
            ..run(
                "an_spi_device_that_is_not_declared_is_not_allowed_by_either_way_to_open_it",
                spi_guest!(
                    "(func $run (result i32)
                       (call $refused (i32.const 2) (i32.const 260) (i32.const 3) (i32.const 0))
                       (call $refused (i32.const 4) (i32.const 267) (i32.const 3) (i32.const 0))
                       (call $spi.open (i32.const 267) (i32.const 3) (i32.const 16))
                       (call $check (i32.const 6) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 4)))
                       (call $print (i32.load (i32.const 24)) (i32.load (i32.const 28)))
                       (call $spi.open (i32.const 256) (i32.const 4) (i32.const 16))
                       (call $check (i32.const 7) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $refused (i32.const 8) (i32.const 256) (i32.const 4) (i32.const 2))
                       (i32.const 0))"
                ),
                |o| passed(o) && o.stdout == b"not-allowed",
            )
        },
        Run {
            grants: spi(Some(0), Some(9)),
            ..run(
                "an_spi_device_that_the_board_lacks_is_no_such_device",
                spi_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 270) (i32.const 3) (i32.const 3)) (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: spi(None, None),
            bench: Bench::Taken,
            ..run(
                "an_spi_device_that_another_app_has_is_already_in_use",
                spi_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 4) (i32.const 2)) (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: spi(None, None),
            bench: Bench::Bare,
            ..run(
                "on_a_platform_without_spi_opening_a_device_is_not_supported",
                spi_guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 4) (i32.const 1)) (i32.const 0))"
                ),
                passed,
            )
        },
        run(
            "without_the_capability_no_spi_device_is_allowed",
            spi_guest!(
                "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 4) (i32.const 0)) (i32.const 0))"
            ),
            passed,
        ),
    ]
}
