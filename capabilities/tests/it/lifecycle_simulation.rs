//! The lifecycle machine among random events and a process that behaves at random, over many seeds.
//!
//! `VYOMA_SEED=n cargo test -p vyoma-capabilities simulation` replays one seed; `VYOMA_SEEDS=n` runs that many.

use vyoma_capabilities::lifecycle::{
    Action, BACKOFF_CAP_MS, BACKOFF_FIRST_MS, Config, Ending, Event, HEALTHY_MS, Machine, Phase,
    QUICK_FAILURES,
};
use vyoma_capabilities::manifest::RestartPolicy;

/// Seeds in an ordinary run.
const SEEDS: u64 = 10_000;
/// Events from outside per seed; the process adds its own.
const STEPS: u32 = 300;

/// splitmix64 (Steele, Lea, Flood 2014): enough for dice.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// What the world knows of the process; the machine only hears of it through events.
#[derive(Debug, Clone, Copy, PartialEq)]
enum World {
    Nothing,
    /// A Spawn was asked for; it becomes a process, or fails, at this time.
    Making {
        at: u64,
    },
    /// Runs; ends by itself at this time; heeds SIGTERM or not.
    Alive {
        ends: u64,
        heeds: bool,
    },
}

struct Simulation {
    dice: Dice,
    now: u64,
    machine: Machine,
    config: Config,
    world: World,
    /// Last time the process existed and showed life (its making counts).
    last_life: u64,
    /// The time from which the operator's stop was the last word; absent: a start came after it.
    stopped_at: Option<u64>,
    /// Time at which Terminate was sent to the present process.
    terminated_at: Option<u64>,
    killed: bool,
    silent_kill: bool,
    starts: u64,
    spawns: u64,
    epitaphs: u64,
    endings: u64,
    /// Quick failures in a row as the world counts them.
    failures: u32,
    born: u64,
    /// When the last run ended.
    ended: u64,
    trace: Vec<String>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let config = Config {
            restart: dice.pick(&[
                RestartPolicy::Never,
                RestartPolicy::OnFailure,
                RestartPolicy::Always,
            ]),
            watchdog_ms: dice.pick(&[None, Some(1), Some(500), Some(5_000), Some(60_000)]),
            grace_ms: dice.pick(&[0, 100, 2_000]),
        };
        Self {
            dice,
            now: 0,
            machine: Machine::new(config),
            config,
            world: World::Nothing,
            last_life: 0,
            stopped_at: None,
            terminated_at: None,
            killed: false,
            silent_kill: false,
            starts: 0,
            spawns: 0,
            epitaphs: 0,
            endings: 0,
            failures: 0,
            born: 0,
            ended: 0,
            trace: Vec::new(),
        }
    }

    /// Hands an event to the machine, does what it says, and checks what must hold.
    fn send(&mut self, event: &Event) {
        let before = self.machine.phase();
        self.trace
            .push(format!("{:>8} {before:?} <- {event:?}", self.now));
        // Only the last few tell the story.
        if self.trace.len() > 40 {
            self.trace.remove(0);
        }
        let ended = matches!(event, Event::Ended(_)) && self.endings > self.epitaphs;
        let actions = self.machine.handle(self.now, event.clone());
        assert!(actions.len() <= 2, "more than two actions: {actions:?}");
        let quarantine = actions.contains(&Action::Quarantine);
        for action in actions {
            self.act(&action, before, event);
        }
        assert!(
            !ended || self.epitaphs == self.endings,
            "an ending without an epitaph"
        );
        assert_eq!(
            quarantine,
            before != Phase::Quarantined && self.machine.phase() == Phase::Quarantined
        );
        self.check_state();
    }

    fn act(&mut self, action: &Action, before: Phase, event: &Event) {
        match action {
            Action::Spawn => {
                assert_eq!(self.world, World::Nothing, "a second process");
                let by_hand = matches!(event, Event::Start | Event::Restart | Event::Ended(_));
                assert!(
                    by_hand || before == Phase::Backoff,
                    "spawned out of {before:?} by {event:?}"
                );
                assert!(
                    before != Phase::Quarantined || by_hand,
                    "a quarantined app was spawned"
                );
                if before == Phase::Backoff && !by_hand {
                    assert!(self.now >= self.ended + BACKOFF_FIRST_MS, "spins");
                }
                self.spawns += 1;
                if self.config.restart == RestartPolicy::Never {
                    assert!(
                        self.spawns <= self.starts,
                        "policy never: spawned more often than started"
                    );
                }
                self.world = World::Making {
                    at: self.now + self.dice.pick(&[0, 0, 5, 300, 20_000]),
                };
                self.terminated_at = None;
                self.killed = false;
                self.silent_kill = false;
            }
            Action::Terminate => {
                assert!(
                    matches!(self.world, World::Alive { .. }),
                    "Terminate without a process"
                );
                assert!(self.terminated_at.is_none() && !self.killed, "told twice");
                self.terminated_at = Some(self.now);
                if let World::Alive { ends, heeds: true } = self.world {
                    let soon = self.now + self.dice.below(200);
                    self.world = World::Alive {
                        ends: ends.min(soon),
                        heeds: true,
                    };
                }
            }
            Action::Kill => {
                assert!(
                    matches!(self.world, World::Alive { .. }),
                    "Kill without a process"
                );
                assert!(!self.killed, "killed twice");
                if let Some(at) = self.terminated_at {
                    assert!(
                        self.now >= at + self.config.grace_ms,
                        "killed within its grace"
                    );
                } else {
                    let limit = self
                        .config
                        .watchdog_ms
                        .expect("killed without a watchdog or a stop");
                    assert!(
                        self.now >= self.last_life + limit,
                        "killed though it showed life"
                    );
                    self.silent_kill = true;
                }
                self.killed = true;
                // The kernel takes a moment.
                self.world = World::Alive {
                    ends: self.now + self.dice.below(50),
                    heeds: true,
                };
            }
            Action::Epitaph(ending) => {
                self.epitaphs += 1;
                assert_eq!(self.epitaphs, self.endings, "an epitaph for nothing");
                let expected = match event {
                    _ if self.silent_kill => Ending::Watchdog,
                    _ if before == Phase::Stopping => Ending::Stopped,
                    Event::Ended(said) => said.clone(),
                    other => panic!("an epitaph because of {other:?}"),
                };
                assert_eq!(*ending, expected);
                assert_eq!(self.machine.last_ending(), Some(&expected));
            }
            Action::Quarantine => {
                assert!(
                    self.failures >= QUICK_FAILURES,
                    "quarantined after {} failures",
                    self.failures
                );
                assert_ne!(self.config.restart, RestartPolicy::Never);
            }
        }
    }

    fn check_state(&self) {
        let phase = self.machine.phase();
        let fits = match self.world {
            World::Nothing => {
                matches!(
                    phase,
                    Phase::Backoff | Phase::Exited | Phase::Stopped | Phase::Quarantined
                )
            }
            World::Making { .. } => matches!(phase, Phase::Starting | Phase::Stopping),
            World::Alive { .. } => matches!(phase, Phase::Running | Phase::Stopping),
        };
        assert!(fits, "{phase:?} while the world has {:?}", self.world);
        assert_eq!(
            self.machine.running_since().is_some(),
            matches!(self.world, World::Alive { .. })
        );
        if let Some(wake) = self.machine.wake_at() {
            let longest = BACKOFF_CAP_MS
                .max(self.config.grace_ms)
                .max(self.config.watchdog_ms.unwrap_or(0));
            assert!(
                wake <= self.now + longest,
                "wakes at {wake}, now is {}",
                self.now
            );
        }
        if phase == Phase::Quarantined {
            assert_eq!(self.machine.wake_at(), None);
        }
        if self.stopped_at.is_some() {
            assert!(
                matches!(phase, Phase::Stopping | Phase::Stopped),
                "{phase:?} after a stop"
            );
        }
    }

    /// The process (or the attempt) ends.
    fn end(&mut self, mut ending: Ending) {
        let made = matches!(self.world, World::Alive { .. });
        if self.killed {
            ending = Ending::Signal(9);
        }
        let lived = if self.silent_kill {
            self.last_life
        } else {
            self.now
        } - self.born;
        let quick = !made || lived < HEALTHY_MS;
        let failed = self.silent_kill || ending.is_failure();
        let by_itself = self.machine.phase() != Phase::Stopping;
        self.failures = if by_itself && failed && quick {
            self.failures + 1
        } else {
            0
        };
        self.world = World::Nothing;
        self.endings += 1;
        self.ended = self.now;
        self.send(&Event::Ended(ending));
        if by_itself {
            let condemned =
                self.failures >= QUICK_FAILURES && self.config.restart != RestartPolicy::Never;
            assert_eq!(self.machine.phase() == Phase::Quarantined, condemned);
        }
    }

    fn random_ending(&mut self) -> Ending {
        self.dice.pick(&[
            Ending::Exited(0),
            Ending::Exited(0),
            Ending::Exited(3),
            Ending::Trapped(String::from("unreachable executed")),
            Ending::OutOfMemory,
            Ending::Signal(11),
            Ending::NotStarted(String::from("engine refused")),
        ])
    }

    /// Lets time pass to `until`, with everything that falls due on the way in its order.
    fn pass(&mut self, until: u64) {
        let mut same_time = 0;
        loop {
            let world_at = match self.world {
                World::Nothing => u64::MAX,
                World::Making { at } => at,
                World::Alive { ends, .. } => ends,
            };
            let wake = self.machine.wake_at().unwrap_or(u64::MAX);
            let next = world_at.min(wake);
            if next > until {
                break;
            }
            same_time = if next > self.now { 0 } else { same_time + 1 };
            assert!(same_time < 20, "spins at {}", self.now);
            self.now = self.now.max(next);
            if wake < world_at || (wake == world_at && self.dice.one_in(2)) {
                // A tick may be late, as everything may on a busy device.
                let late = if self.dice.one_in(8) {
                    self.dice.below(20)
                } else {
                    0
                };
                self.now = (self.now + late).min(until);
                self.send(&Event::Tick);
                assert!(
                    self.machine
                        .wake_at()
                        .is_none_or(|again| again > wake || again >= self.now),
                    "a tick in time did not move wake_at"
                );
            } else {
                self.world_moves();
            }
        }
        self.now = until;
    }

    fn world_moves(&mut self) {
        match self.world {
            World::Making { .. } if self.dice.one_in(4) => {
                self.end(Ending::NotStarted(String::from("no memory")));
            }
            World::Making { .. } => {
                let life = self
                    .dice
                    .pick(&[0, 10, 400, 9_999, 10_000, 50_000, 1 << 40]);
                self.world = World::Alive {
                    ends: self.now + life,
                    heeds: !self.dice.one_in(4),
                };
                self.born = self.now;
                self.last_life = self.now;
                let was_stopping = self.machine.phase() == Phase::Stopping;
                self.send(&Event::Spawned);
                assert_eq!(was_stopping, self.terminated_at.is_some());
            }
            World::Alive { .. } => {
                let ending = self.random_ending();
                self.end(ending);
            }
            World::Nothing => {}
        }
    }

    /// One event from outside.
    fn disturb(&mut self) {
        match self.dice.below(16) {
            0 | 1 => {
                self.starts += 1;
                self.stopped_at = None;
                if !matches!(self.world, World::Alive { .. } | World::Making { .. }) {
                    self.failures = 0;
                }
                self.send(&Event::Start);
            }
            2 => {
                self.stopped_at = Some(self.now);
                self.send(&Event::Stop);
            }
            3 => {
                self.starts += 1;
                self.stopped_at = None;
                if self.world == World::Nothing {
                    self.failures = 0;
                }
                self.send(&Event::Restart);
            }
            4..=8 => {
                if matches!(self.world, World::Alive { .. }) {
                    self.last_life = self.now;
                }
                self.send(&Event::Alive);
            }
            9 => self.send(&Event::Tick),
            // What must not happen and does: the late, the double, the invented.
            10 if !matches!(self.world, World::Making { .. }) => self.send(&Event::Spawned),
            11 if self.world == World::Nothing => {
                let ending = self.random_ending();
                self.send(&Event::Ended(ending));
            }
            _ => {}
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.disturb();
            let step = self.dice.pick(&[0, 0, 1, 50, 300, 2_000, 15_000]);
            let until = self.now + if step == 0 { 0 } else { self.dice.below(step) };
            self.pass(until);
            self.check_silence();
        }
        // Whatever state it is in: stopped, it stays so within the grace and the time that dying and making take.
        self.stopped_at = Some(self.now);
        self.send(&Event::Stop);
        self.pass(self.now + 20_000 + self.config.grace_ms + 50);
        assert_eq!(self.machine.phase(), Phase::Stopped, "did not stop");
        assert_eq!(self.world, World::Nothing);
        assert_eq!(self.machine.wake_at(), None);
        self.pass(self.now + 1_000_000);
        assert_eq!(self.machine.phase(), Phase::Stopped, "came back by itself");
    }

    /// A process that is silent for longer than allowed is dead, or at least killed.
    fn check_silence(&self) {
        let Some(limit) = self.config.watchdog_ms else {
            return;
        };
        if matches!(self.world, World::Alive { .. }) && self.machine.phase() == Phase::Running {
            assert!(
                self.killed || self.now <= self.last_life + limit + 20,
                "silent and not killed"
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: expected a number"))
    })
}

#[test]
fn simulation_holds_over_all_seeds() {
    let seeds = match number("VYOMA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("VYOMA_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let mut simulation = Simulation::new(seed);
        let run = std::panic::AssertUnwindSafe(|| simulation.run());
        let held = std::panic::catch_unwind(run).is_ok();
        assert!(
            held,
            "seed {seed} fails; replay it with VYOMA_SEED={seed}. {:?}\n{}",
            simulation.config,
            simulation.trace.join("\n")
        );
    }
}
