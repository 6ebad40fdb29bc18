//! The lifecycle machine, rule by rule. What holds under any order of events is `lifecycle_simulation`.

use vyoma_capabilities::lifecycle::{
    Action, BACKOFF_CAP_MS, BACKOFF_FIRST_MS, Config, Ending, Event, HEALTHY_MS, Machine, Phase,
    QUICK_FAILURES,
};
use vyoma_capabilities::manifest::RestartPolicy;

const GRACE: u64 = 2_000;

fn machine(restart: RestartPolicy, watchdog_ms: Option<u64>) -> Machine {
    Machine::new(Config {
        restart,
        watchdog_ms,
        grace_ms: GRACE,
    })
}

fn trap() -> Ending {
    Ending::Trapped(String::from("unreachable executed"))
}

/// A machine whose app runs since `now`.
fn running(restart: RestartPolicy, watchdog_ms: Option<u64>, now: u64) -> Machine {
    let mut machine = machine(restart, watchdog_ms);
    assert_eq!(machine.handle(now, Event::Start), [Action::Spawn]);
    assert_eq!(machine.phase(), Phase::Starting);
    assert_eq!(machine.handle(now, Event::Spawned), []);
    assert_eq!(
        (machine.phase(), machine.running_since()),
        (Phase::Running, Some(now))
    );
    machine
}

/// Waits out the backoff and reports how long it was.
fn respawn(machine: &mut Machine, now: &mut u64) -> u64 {
    let wake = machine.wake_at().expect("a wait ends some time");
    assert_eq!(
        machine.handle(wake - 1, Event::Tick),
        [],
        "not a millisecond early"
    );
    let wait = wake - *now;
    *now = wake;
    assert_eq!(machine.handle(wake, Event::Tick), [Action::Spawn]);
    assert_eq!(machine.handle(wake, Event::Spawned), []);
    wait
}

#[test]
fn a_new_machine_is_stopped_and_wants_nothing() {
    let machine = machine(RestartPolicy::Always, Some(5));
    assert_eq!(
        (machine.phase(), machine.wake_at(), machine.restarts()),
        (Phase::Stopped, None, 0)
    );
    assert_eq!(
        (machine.last_ending(), machine.running_since()),
        (None, None)
    );
}

#[test]
fn restart_follows_the_policy() {
    use RestartPolicy::{Always, Never, OnFailure};
    for (policy, ending, phase) in [
        (Never, Ending::Exited(0), Phase::Exited),
        (Never, trap(), Phase::Exited),
        (OnFailure, Ending::Exited(0), Phase::Exited),
        (OnFailure, Ending::Exited(3), Phase::Backoff),
        (OnFailure, trap(), Phase::Backoff),
        (OnFailure, Ending::OutOfMemory, Phase::Backoff),
        (OnFailure, Ending::Signal(11), Phase::Backoff),
        (
            OnFailure,
            Ending::NotStarted(String::from("no engine")),
            Phase::Backoff,
        ),
        (Always, Ending::Exited(0), Phase::Backoff),
        (Always, trap(), Phase::Backoff),
    ] {
        let mut machine = running(policy, None, 0);
        assert_eq!(
            machine.handle(5, Event::Ended(ending.clone())),
            [Action::Epitaph(ending.clone())]
        );
        assert_eq!(machine.phase(), phase, "{policy:?} after {ending}");
        assert_eq!(machine.last_ending(), Some(&ending));
        assert_eq!(machine.running_since(), None);
    }
}

#[test]
fn waits_double_up_to_the_cap_and_a_clean_spinner_is_never_quarantined() {
    let mut now = 0;
    let mut machine = running(RestartPolicy::Always, None, now);
    let mut waits = Vec::new();
    for count in 0..12 {
        assert_eq!(machine.restarts(), count);
        machine.handle(now, Event::Ended(Ending::Exited(0)));
        waits.push(respawn(&mut machine, &mut now));
    }
    assert_eq!(
        waits[..8],
        [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, BACKOFF_CAP_MS]
    );
    assert!(waits[8..].iter().all(|wait| *wait == BACKOFF_CAP_MS));
}

#[test]
fn a_healthy_run_forgets_what_was_before() {
    let mut now = 0;
    let mut machine = running(RestartPolicy::OnFailure, None, now);
    for _ in 1..QUICK_FAILURES {
        machine.handle(now, Event::Ended(trap()));
        respawn(&mut machine, &mut now);
    }
    now += HEALTHY_MS;
    machine.handle(now, Event::Ended(trap()));
    assert_eq!(machine.phase(), Phase::Backoff);
    assert_eq!(respawn(&mut machine, &mut now), BACKOFF_FIRST_MS);
}

#[test]
fn five_quick_failures_in_a_row_are_quarantine_until_an_operator_starts_it() {
    let mut now = 0;
    let mut machine = running(RestartPolicy::OnFailure, None, now);
    for _ in 1..QUICK_FAILURES {
        now += HEALTHY_MS - 1;
        machine.handle(now, Event::Ended(trap()));
        respawn(&mut machine, &mut now);
    }
    assert_eq!(
        machine.handle(now, Event::Ended(trap())),
        [Action::Epitaph(trap()), Action::Quarantine]
    );
    assert_eq!(
        (machine.phase(), machine.wake_at()),
        (Phase::Quarantined, None)
    );
    assert_eq!(machine.handle(now + 1_000_000, Event::Tick), []);
    assert_eq!(machine.restarts(), QUICK_FAILURES - 1);
    assert_eq!(machine.handle(now, Event::Start), [Action::Spawn]);
    assert_eq!(machine.restarts(), 0);
    machine.handle(now, Event::Spawned);
    machine.handle(now, Event::Ended(trap()));
    assert_eq!(machine.phase(), Phase::Backoff, "the count begins anew");
}

#[test]
fn attempts_that_never_become_a_process_count_as_failures() {
    let mut machine = machine(RestartPolicy::OnFailure, None);
    let ending = Ending::NotStarted(String::from("no memory"));
    assert_eq!(machine.handle(0, Event::Start), [Action::Spawn]);
    for _ in 1..QUICK_FAILURES {
        // However long the attempt took: a process that never was is never healthy.
        let now = machine.wake_at().unwrap_or_default() + 2 * HEALTHY_MS;
        machine.handle(now, Event::Ended(ending.clone()));
        assert_eq!(
            machine.handle(machine.wake_at().unwrap(), Event::Tick),
            [Action::Spawn]
        );
    }
    machine.handle(u64::MAX / 2, Event::Ended(ending));
    assert_eq!(machine.phase(), Phase::Quarantined);
}

#[test]
fn a_silent_app_is_killed_and_the_watchdog_is_the_cause_whatever_the_process_says() {
    let mut machine = running(RestartPolicy::OnFailure, Some(5_000), 100);
    assert_eq!(machine.wake_at(), Some(5_100));
    machine.handle(4_000, Event::Alive);
    assert_eq!(machine.wake_at(), Some(9_000));
    assert_eq!(machine.handle(8_999, Event::Tick), []);
    assert_eq!(machine.handle(9_000, Event::Tick), [Action::Kill]);
    assert_eq!((machine.phase(), machine.wake_at()), (Phase::Running, None));
    assert_eq!(machine.handle(20_000, Event::Tick), [], "killed once");
    assert_eq!(
        machine.handle(20_000, Event::Ended(Ending::Signal(9))),
        [Action::Epitaph(Ending::Watchdog)]
    );
    assert_eq!(machine.phase(), Phase::Backoff);
}

#[test]
fn an_app_that_hangs_at_every_start_is_quarantined_even_if_its_watchdog_is_slow() {
    let mut machine = running(RestartPolicy::OnFailure, Some(60_000), 0);
    for _ in 1..QUICK_FAILURES {
        let dead = machine.wake_at().unwrap();
        assert_eq!(machine.handle(dead, Event::Tick), [Action::Kill]);
        machine.handle(dead, Event::Ended(Ending::Signal(9)));
        let mut now = dead;
        respawn(&mut machine, &mut now);
    }
    let dead = machine.wake_at().unwrap();
    machine.handle(dead, Event::Tick);
    machine.handle(dead, Event::Ended(Ending::Signal(9)));
    assert_eq!(machine.phase(), Phase::Quarantined);
}

#[test]
fn stop_asks_then_kills_after_the_grace_and_the_ending_is_stopped() {
    let mut machine = running(RestartPolicy::Always, Some(5_000), 0);
    assert_eq!(machine.handle(1_000, Event::Stop), [Action::Terminate]);
    assert_eq!(
        (machine.phase(), machine.wake_at()),
        (Phase::Stopping, Some(1_000 + GRACE))
    );
    assert_eq!(
        machine.handle(1_500, Event::Stop),
        [],
        "a second stop does not prolong the grace"
    );
    assert_eq!(machine.handle(1_000 + GRACE, Event::Tick), [Action::Kill]);
    assert_eq!(machine.wake_at(), None);
    assert_eq!(
        machine.handle(9_000, Event::Ended(Ending::Signal(9))),
        [Action::Epitaph(Ending::Stopped)]
    );
    assert_eq!(
        (machine.phase(), machine.last_ending()),
        (Phase::Stopped, Some(&Ending::Stopped))
    );
}

#[test]
fn a_stop_after_the_watchdogs_kill_keeps_the_cause_and_ends_stopped() {
    let mut machine = running(RestartPolicy::Always, Some(5_000), 0);
    assert_eq!(machine.handle(5_000, Event::Tick), [Action::Kill]);
    assert_eq!(machine.handle(5_001, Event::Stop), []);
    assert_eq!(
        machine.handle(5_002, Event::Ended(Ending::Signal(9))),
        [Action::Epitaph(Ending::Watchdog)]
    );
    assert_eq!(machine.phase(), Phase::Stopped);
}

#[test]
fn a_stop_while_the_process_is_being_made_waits_for_it() {
    let mut machine = machine(RestartPolicy::Always, None);
    machine.handle(0, Event::Start);
    assert_eq!(
        machine.handle(1, Event::Stop),
        [],
        "there is nothing to tell yet"
    );
    assert_eq!(
        (machine.phase(), machine.wake_at()),
        (Phase::Stopping, None)
    );
    assert_eq!(machine.handle(50, Event::Spawned), [Action::Terminate]);
    assert_eq!(machine.wake_at(), Some(50 + GRACE));
    machine.handle(60, Event::Ended(Ending::Exited(0)));
    assert_eq!(machine.phase(), Phase::Stopped);
}

#[test]
fn a_stop_while_waiting_just_stops() {
    let mut machine = running(RestartPolicy::OnFailure, None, 0);
    machine.handle(1, Event::Ended(trap()));
    assert_eq!(machine.handle(2, Event::Stop), []);
    assert_eq!((machine.phase(), machine.wake_at()), (Phase::Stopped, None));
    assert_eq!(
        machine.last_ending(),
        Some(&trap()),
        "no process, no new ending"
    );
}

#[test]
fn restart_is_stop_then_start_and_forgets_the_count() {
    let mut machine = running(RestartPolicy::Never, None, 0);
    assert_eq!(machine.handle(1, Event::Restart), [Action::Terminate]);
    assert_eq!(
        machine.handle(2, Event::Ended(Ending::Exited(0))),
        [Action::Epitaph(Ending::Stopped), Action::Spawn]
    );
    assert_eq!((machine.phase(), machine.restarts()), (Phase::Starting, 0));
}

#[test]
fn whoever_speaks_last_while_it_is_stopping_is_heard() {
    for (events, phase) in [
        (vec![Event::Stop, Event::Start], Phase::Starting),
        (vec![Event::Stop, Event::Restart], Phase::Starting),
        (vec![Event::Restart, Event::Stop], Phase::Stopped),
        (
            vec![Event::Restart, Event::Stop, Event::Start],
            Phase::Starting,
        ),
    ] {
        let mut machine = running(RestartPolicy::Never, None, 0);
        for event in events {
            machine.handle(1, event);
        }
        machine.handle(2, Event::Ended(Ending::Exited(0)));
        assert_eq!(machine.phase(), phase);
    }
}

#[test]
fn start_and_restart_wake_whatever_rests() {
    for event in [Event::Start, Event::Restart] {
        for (policy, ending) in [
            (RestartPolicy::OnFailure, trap()),
            (RestartPolicy::Never, trap()),
        ] {
            let mut machine = running(policy, None, 0);
            machine.handle(1, Event::Ended(ending));
            assert_eq!(
                machine.handle(2, event.clone()),
                [Action::Spawn],
                "{:?}",
                machine.phase()
            );
        }
        let mut machine = running(RestartPolicy::Never, None, 0);
        machine.handle(1, Event::Stop);
        machine.handle(1, Event::Ended(Ending::Exited(0)));
        assert_eq!(machine.handle(2, event), [Action::Spawn]);
    }
}

#[test]
fn start_while_running_changes_nothing() {
    let mut machine = running(RestartPolicy::Never, None, 0);
    assert_eq!(machine.handle(1, Event::Start), []);
    assert_eq!(machine.phase(), Phase::Running);
}

#[test]
fn late_and_double_events_change_nothing() {
    let mut machine = machine(RestartPolicy::Always, None);
    for event in [
        Event::Spawned,
        Event::Ended(trap()),
        Event::Alive,
        Event::Tick,
    ] {
        assert_eq!(machine.handle(1, event), []);
        assert_eq!(
            (machine.phase(), machine.last_ending()),
            (Phase::Stopped, None)
        );
    }
    let mut machine = running(RestartPolicy::Never, None, 2);
    assert_eq!(machine.handle(3, Event::Spawned), []);
    assert_eq!(machine.running_since(), Some(2));
    machine.handle(4, Event::Ended(Ending::Exited(0)));
    assert_eq!(machine.handle(5, Event::Ended(trap())), []);
    assert_eq!(machine.last_ending(), Some(&Ending::Exited(0)));
}

#[test]
fn time_that_goes_backwards_stands_still_and_the_end_of_time_is_survived() {
    let mut machine = running(RestartPolicy::Always, Some(1_000), 10_000);
    assert_eq!(machine.handle(0, Event::Tick), []);
    machine.handle(0, Event::Alive);
    assert_eq!(machine.wake_at(), Some(11_000));
    machine.handle(u64::MAX, Event::Alive);
    machine.handle(u64::MAX, Event::Ended(trap()));
    assert_eq!(machine.handle(u64::MAX, Event::Tick), [Action::Spawn]);
}

#[test]
fn a_new_configuration_holds_from_now_on() {
    let mut machine = running(RestartPolicy::Never, None, 0);
    machine.configure(Config {
        restart: RestartPolicy::Always,
        watchdog_ms: Some(7),
        grace_ms: 1,
    });
    assert_eq!(machine.wake_at(), Some(7));
    machine.handle(1, Event::Ended(Ending::Exited(0)));
    assert_eq!(machine.phase(), Phase::Backoff);
}
