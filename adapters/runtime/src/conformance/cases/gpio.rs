//! Pins of the simulated board (boards/simulated.toml): LED and RELAY are outputs, BUTTON is high, OUT is wired to IN, STUCK
//! never changes, BROKEN can't be reached.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::manifest::{Direction, Gpio, Pin};
use vyoma_capabilities::resolve::Grants;

use super::run;
use crate::conformance::devices::Bench;
use crate::conformance::{Outcome, Run};

/// Whatever the board labels.
fn all() -> Grants {
    grants(&[], None)
}

fn grants(labels: &[&str], direction: Option<Direction>) -> Grants {
    let pins = labels.iter().map(|label| Pin::Label((*label).to_owned()));
    Grants {
        stdio: true,
        gpio: Some(Gpio {
            pins: pins.collect(),
            direction,
        }),
        ..Grants::default()
    }
}

fn passed(outcome: &Outcome) -> bool {
    outcome.ended(&Ending::Exited(0))
}

/// A guest with the names of pins, and `$in`, `$out` and `$both`: they open one, end with `step` unless that is well, and
/// give the handle. `$refused` ends with `step` unless opening one for input gives the error `case`.
macro_rules! guest {
    ($($body:literal),+ $(,)?) => {
        concat!(
            "(data (i32.const 256) \"LEDBUTTONOUTINSTUCKBROKENRELAYNOPE11SENSE\")
             (func $ok (param $step i32) (result i32)
               (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.load (i32.const 20)))
             (func $in (param $step i32) (param $at i32) (param $length i32) (param $flags i32) (result i32)
               (call $gpio.get-digital-in (local.get $at) (local.get $length) (local.get $flags) (i32.const 16))
               (call $ok (local.get $step)))
             (func $out (param $step i32) (param $at i32) (param $length i32) (param $flags i32) (result i32)
               (call $gpio.get-digital-out (local.get $at) (local.get $length) (local.get $flags) (i32.const 16))
               (call $ok (local.get $step)))
             (func $refused (param $step i32) (param $at i32) (param $length i32) (param $case i32)
               (call $gpio.get-digital-in (local.get $at) (local.get $length) (i32.const 0) (i32.const 16))
               (call $check (local.get $step) (i32.load8_u (i32.const 16)))
               (call $check (i32.add (local.get $step) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 20)) (local.get $case))))
             (func $level (param $step i32) (param $pin i32) (result i32)
               (call $digital-in-pin.read (local.get $pin) (i32.const 16))
               (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.load8_u (i32.const 20)))
            ",
            $($body),+
        )
    };
}

pub(super) fn cases() -> Vec<Run> {
    let mut cases = levels();
    cases.extend(edges());
    cases.extend(refusals());
    cases
}

fn levels() -> Vec<Run> {
    vec![
        Run {
            grants: all(),
            ..run(
                "a_pin_that_is_set_is_read_where_it_is_wired_to",
                guest!(
                    "(func $run (result i32) (local $out i32) (local $in i32)
                       (local.set $out (call $out (i32.const 2) (i32.const 265) (i32.const 3) (i32.const 0)))
                       (local.set $in (call $in (i32.const 3) (i32.const 268) (i32.const 2) (i32.const 0)))
                       (call $check (i32.const 5) (i32.eq (call $level (i32.const 4) (local.get $in)) (i32.const 1)))
                       (call $digital-out-pin.set-active (local.get $out) (i32.const 16))
                       (call $check (i32.const 6) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $check (i32.const 8) (i32.eqz (call $level (i32.const 7) (local.get $in))))
                       (call $digital-out-pin.toggle (local.get $out) (i32.const 16))
                       (call $check (i32.const 9) (i32.eq (call $level (i32.const 10) (local.get $in)) (i32.const 1)))
                       (call $digital-out-pin.set-state (local.get $out) (i32.const 0) (i32.const 16))
                       (call $digital-in-pin.is-active (local.get $in) (i32.const 16))
                       (call $check (i32.const 11) (i32.eq (i32.load16_u (i32.const 16)) (i32.const 0)))
                       (call $check (i32.const 12) (i32.load8_u (i32.const 20)))
                       (call $digital-in-pin.is-inactive (local.get $in) (i32.const 16))
                       (call $check (i32.const 13) (i32.eqz (i32.load8_u (i32.const 20))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "active_low_is_the_other_way_round_for_inputs_and_outputs",
                guest!(
                    "(func $run (result i32) (local $out i32) (local $in i32)
                       ;; BUTTON is high: inactive when active is low.
                       (call $check (i32.const 3) (i32.eq (i32.const 1)
                         (call $level (i32.const 2) (call $in (i32.const 4) (i32.const 259) (i32.const 6) (i32.const 2)))))
                       ;; An inactive output is high then.
                       (local.set $out (call $out (i32.const 5) (i32.const 265) (i32.const 3) (i32.const 2)))
                       (local.set $in (call $in (i32.const 6) (i32.const 268) (i32.const 2) (i32.const 1)))
                       (call $check (i32.const 8) (i32.eqz (call $level (i32.const 7) (local.get $in))))
                       (call $digital-out-pin.set-active (local.get $out) (i32.const 16))
                       (call $check (i32.const 10) (i32.eq (i32.const 1) (call $level (i32.const 9) (local.get $in))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "a_pin_tells_how_it_was_opened",
                guest!(
                    "(func $run (result i32)
                       (call $digital-in-pin.get-config
                         (call $in (i32.const 2) (i32.const 259) (i32.const 6) (i32.const 6)) (i32.const 16))
                       (call $print (i32.load (i32.const 16)) (i32.load (i32.const 20)))
                       ;; In, active low, with a resistor, the one up.
                       (call $check (i32.const 3) (i32.eq (i32.load (i32.const 24)) (i32.const 0x00010100)))
                       (call $pollable.block (call $digital-in-pin.watch-for-ready
                         (call $in (i32.const 4) (i32.const 268) (i32.const 2) (i32.const 0))))
                       (i32.const 0))"
                ),
                |o| passed(o) && o.stdout == b"BUTTON",
            )
        },
        Run {
            grants: all(),
            ..run(
                "a_pin_for_both_is_read_until_it_is_set_and_not_watched_while_it_is_driven",
                guest!(
                    "(func $run (result i32) (local $pin i32)
                       (call $gpio.get-digital-in-out (i32.const 259) (i32.const 6) (i32.const 0) (i32.const 16))
                       (local.set $pin (call $ok (i32.const 2)))
                       (call $digital-in-out-pin.read (local.get $pin) (i32.const 16))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 20))))
                       (call $digital-in-out-pin.watch-active (local.get $pin) (i32.const 16))
                       (call $pollable.block (call $ok (i32.const 4)))
                       (call $digital-in-out-pin.set-inactive (local.get $pin) (i32.const 16))
                       (call $digital-in-out-pin.read (local.get $pin) (i32.const 16))
                       (call $check (i32.const 5) (i32.load8_u (i32.const 20)))
                       (call $digital-in-out-pin.watch-active (local.get $pin) (i32.const 16))
                       (call $check (i32.const 6) (i32.load8_u (i32.const 16)))
                       (call $check (i32.const 7) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 7)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "a_stuck_line_stays_as_it_is_and_a_broken_one_is_a_hardware_fault",
                guest!(
                    "(func $run (result i32) (local $pin i32)
                       (local.set $pin (call $out (i32.const 2) (i32.const 270) (i32.const 5) (i32.const 0)))
                       (call $digital-out-pin.set-active (local.get $pin) (i32.const 16))
                       (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 16))))
                       (call $digital-out-pin.drop (local.get $pin))
                       (call $check (i32.const 5) (i32.eq (i32.const 1) (call $level (i32.const 4)
                         (call $in (i32.const 6) (i32.const 270) (i32.const 5) (i32.const 0)))))
                       (call $refused (i32.const 7) (i32.const 275) (i32.const 6) (i32.const 0))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "an_output_that_was_dropped_is_in_its_safe_state",
                guest!(
                    "(func $run (result i32) (local $pin i32) (local $sense i32)
                       ;; RELAY's is high, and SENSE is wired to it.
                       (local.set $sense (call $in (i32.const 3) (i32.const 292) (i32.const 5) (i32.const 0)))
                       (local.set $pin (call $out (i32.const 2) (i32.const 281) (i32.const 5) (i32.const 0)))
                       (call $check (i32.const 5) (i32.eq (i32.const 1) (call $level (i32.const 4) (local.get $sense))))
                       (call $digital-out-pin.drop (local.get $pin))
                       (call $check (i32.const 7) (i32.eqz (call $level (i32.const 6) (local.get $sense))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
    ]
}

fn edges() -> Vec<Run> {
    vec![
        Run {
            grants: all(),
            ..run(
                "an_edge_wakes_whoever_waits_for_it_and_an_edge_between_two_waits_is_not_missed",
                guest!(
                    "(func $run (result i32) (local $out i32) (local $in i32) (local $rising i32)
                       (local.set $out (call $out (i32.const 2) (i32.const 265) (i32.const 3) (i32.const 0)))
                       (local.set $in (call $in (i32.const 3) (i32.const 268) (i32.const 2) (i32.const 0)))
                       (call $digital-in-pin.watch-rising-edge (local.get $in) (i32.const 16))
                       (local.set $rising (call $ok (i32.const 4)))
                       (call $check (i32.const 5) (i32.eqz (call $pollable.ready (local.get $rising))))
                       (call $digital-out-pin.set-active (local.get $out) (i32.const 16))
                       (call $pollable.block (local.get $rising))
                       (call $check (i32.const 6) (call $pollable.ready (local.get $rising)))
                       (call $pollable.drop (local.get $rising))
                       ;; Told once, not again.
                       (call $digital-in-pin.watch-rising-edge (local.get $in) (i32.const 16))
                       (local.set $rising (call $ok (i32.const 7)))
                       (call $check (i32.const 8) (i32.eqz (call $pollable.ready (local.get $rising))))
                       (call $pollable.drop (local.get $rising))
                       ;; Nobody watches now.
                       (call $digital-out-pin.toggle (local.get $out) (i32.const 16))
                       (call $digital-out-pin.toggle (local.get $out) (i32.const 16))
                       (call $digital-in-pin.watch-rising-edge (local.get $in) (i32.const 16))
                       (call $pollable.block (call $ok (i32.const 9)))
                       (call $digital-in-pin.watch-falling-edge (local.get $in) (i32.const 16))
                       (call $pollable.block (call $ok (i32.const 10)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "a_state_is_told_at_once_when_it_holds_and_a_timer_beats_one_that_does_not_come",
                guest!(
                    "(func $run (result i32) (local $in i32)
                       (local.set $in (call $in (i32.const 2) (i32.const 268) (i32.const 2) (i32.const 0)))
                       (call $digital-in-pin.watch-inactive (local.get $in) (i32.const 16))
                       (call $check (i32.const 4) (call $pollable.ready (call $ok (i32.const 3))))
                       (call $digital-in-pin.watch-state (local.get $in) (i32.const 0) (i32.const 16))
                       (i32.store (i32.const 512) (call $ok (i32.const 5)))
                       (i32.store (i32.const 516) (call $monotonic-clock.subscribe-duration (i64.const 20000000)))
                       (call $poll.poll (i32.const 512) (i32.const 2) (i32.const 16))
                       (call $check (i32.const 6) (i32.eq (i32.load (i32.const 20)) (i32.const 1)))
                       (call $check (i32.const 7) (i32.eq (i32.load (i32.load (i32.const 16))) (i32.const 1)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "every_edge_is_told_in_order_with_its_time_and_those_that_were_too_many_are_counted",
                guest!(
                    "(func $edge (param $step i32) (param $in i32) (result i32)
                       (call $edges.next-edge (local.get $in) (i32.const 32))
                       (call $check (local.get $step) (i32.eqz (i32.load8_u (i32.const 32))))
                       (i32.load8_u (i32.const 40)))
                     (func $run (result i32) (local $out i32) (local $in i32) (local $n i32) (local $at i64)
                       (local.set $out (call $out (i32.const 2) (i32.const 265) (i32.const 3) (i32.const 0)))
                       (local.set $in (call $in (i32.const 3) (i32.const 268) (i32.const 2) (i32.const 0)))
                       (call $check (i32.const 5) (i32.eqz (call $edge (i32.const 4) (local.get $in))))
                       (call $digital-out-pin.set-active (local.get $out) (i32.const 16))
                       (call $digital-out-pin.set-inactive (local.get $out) (i32.const 16))
                       (call $check (i32.const 7) (call $edge (i32.const 6) (local.get $in)))
                       (call $check (i32.const 8) (i32.eqz (i32.load8_u (i32.const 48))))
                       (local.set $at (i64.load (i32.const 56)))
                       (call $check (i32.const 9) (i64.ne (local.get $at) (i64.const 0)))
                       (call $check (i32.const 10) (call $edge (i32.const 11) (local.get $in)))
                       (call $check (i32.const 12) (i32.eq (i32.load8_u (i32.const 48)) (i32.const 1)))
                       (call $check (i32.const 13) (i64.ge_u (i64.load (i32.const 56)) (local.get $at)))
                       (call $check (i32.const 14) (i64.ge_u (call $monotonic-clock.now) (i64.load (i32.const 56))))
                       (call $check (i32.const 16) (i32.eqz (call $edge (i32.const 15) (local.get $in))))
                       (call $check (i32.const 17) (i64.eqz (call $edges.lost-edges (local.get $in))))
                       ;; 64 are kept; what came before them is lost, and counted.
                       (local.set $n (i32.const 100))
                       (loop $more
                         (call $digital-out-pin.toggle (local.get $out) (i32.const 16))
                         (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                       (call $check (i32.const 18) (i64.eq (call $edges.lost-edges (local.get $in)) (i64.const 36)))
                       (loop $more
                         (local.set $n (i32.add (local.get $n) (i32.const 1)))
                         (br_if $more (call $edge (i32.const 19) (local.get $in))))
                       (call $check (i32.const 20) (i32.eq (local.get $n) (i32.const 65)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
    ]
}

fn refusals() -> Vec<Run> {
    vec![
        Run {
            grants: grants(&["LED", "NOPE"], None),
            ..run(
                "a_pin_that_is_not_declared_is_not_allowed_and_one_that_the_board_lacks_is_undefined",
                guest!(
                    "(func $run (result i32)
                       (call $refused (i32.const 2) (i32.const 259) (i32.const 6) (i32.const 2))
                       (call $refused (i32.const 4) (i32.const 286) (i32.const 4) (i32.const 4))
                       (call $refused (i32.const 6) (i32.const 256) (i32.const 0) (i32.const 2))
                       ;; The number of a pin that is not declared either; LED is pin 0.
                       (call $refused (i32.const 8) (i32.const 290) (i32.const 1) (i32.const 2))
                       (drop (call $in (i32.const 10) (i32.const 256) (i32.const 3) (i32.const 0)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "where_the_manifest_leaves_it_to_the_board_a_name_that_is_not_there_is_undefined",
                guest!(
                    "(func $run (result i32)
                       (call $refused (i32.const 2) (i32.const 286) (i32.const 4) (i32.const 4))
                       ;; Number 1 is BUTTON.
                       (call $check (i32.const 6) (i32.eqz (call $level (i32.const 5)
                         (call $in (i32.const 4) (i32.const 290) (i32.const 1) (i32.const 0)))))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: grants(&["IN"], Some(Direction::Input)),
            ..run(
                "a_pin_that_is_declared_for_input_can_not_be_driven",
                guest!(
                    "(func $run (result i32)
                       (call $gpio.get-digital-out (i32.const 268) (i32.const 2) (i32.const 0) (i32.const 16))
                       (call $check (i32.const 2) (i32.load8_u (i32.const 16)))
                       (call $check (i32.const 3) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 3)))
                       (call $gpio.get-digital-in-out (i32.const 268) (i32.const 2) (i32.const 0) (i32.const 16))
                       (call $check (i32.const 4) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 3)))
                       (drop (call $in (i32.const 5) (i32.const 268) (i32.const 2) (i32.const 0)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            ..run(
                "a_pin_is_opened_once_at_a_time_and_flags_that_contradict_each_other_open_none",
                guest!(
                    "(func $run (result i32) (local $pin i32)
                       (local.set $pin (call $in (i32.const 2) (i32.const 259) (i32.const 6) (i32.const 0)))
                       (call $refused (i32.const 3) (i32.const 259) (i32.const 6) (i32.const 1))
                       ;; By its number it is the same pin.
                       (call $refused (i32.const 5) (i32.const 290) (i32.const 1) (i32.const 1))
                       (call $digital-in-pin.drop (local.get $pin))
                       (call $gpio.get-digital-in (i32.const 259) (i32.const 6) (i32.const 3) (i32.const 16))
                       (call $check (i32.const 7) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 5)))
                       (call $gpio.get-digital-in (i32.const 259) (i32.const 6) (i32.const 12) (i32.const 16))
                       (call $check (i32.const 8) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 5)))
                       (drop (call $in (i32.const 9) (i32.const 259) (i32.const 6) (i32.const 8)))
                       (i32.const 0))"
                ),
                passed,
            )
        },
        Run {
            grants: all(),
            bench: Bench::Taken,
            ..run(
                "a_pin_that_another_app_has_is_already_in_use",
                guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 3) (i32.const 1)) (i32.const 0))"
                ),
                passed,
            )
        },
        run(
            "without_the_capability_no_pin_is_allowed",
            guest!(
                "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 3) (i32.const 2)) (i32.const 0))"
            ),
            passed,
        ),
        Run {
            grants: all(),
            bench: Bench::Bare,
            ..run(
                "on_a_platform_without_pins_opening_one_is_not_supported",
                guest!(
                    "(func $run (result i32) (call $refused (i32.const 2) (i32.const 256) (i32.const 3) (i32.const 7)) (i32.const 0))"
                ),
                passed,
            )
        },
        run(
            "delays_last_at_least_as_long_as_asked_for",
            "(func $run (result i32) (local $start i64)
               (local.set $start (call $monotonic-clock.now))
               (call $delay.delay-ms (i32.const 5))
               (call $delay.delay-us (i32.const 2000))
               (call $delay.delay-ns (i32.const 1000000))
               (i64.lt_u (i64.sub (call $monotonic-clock.now) (local.get $start)) (i64.const 8000000)))",
            passed,
        ),
    ]
}
