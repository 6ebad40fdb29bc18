//! The machine of `lifecycle`: who decides what happens next to an app. It never makes, kills or waits for anything
//! itself, and asks no clock.

use alloc::vec::Vec;

use super::{Action, Ending, Event, Phase};
use crate::manifest::RestartPolicy;

/// First wait before a restart. Short, because most failures are single; long enough that even a profile's full
/// set of apps failing together (200 on server-headless) leaves the processor to others.
pub const BACKOFF_FIRST_MS: u64 = 250;
/// Longest wait; each wait is twice the one before. At most two restarts a minute of a hopeless app cost nothing,
/// and what it waits for (a network, a sensor) is noticed within half a minute of coming back.
pub const BACKOFF_CAP_MS: u64 = 30_000;
/// A run of this length forgets the failures before it. Longer than any app needs to start and touch all that it
/// depends on, shorter than the cap, so that an app that runs for the cap's time is never taken for a crash loop.
pub const HEALTHY_MS: u64 = 10_000;
/// So many quick failures in a row are no accident: the app is quarantined. With the waits between them (250, 500,
/// 1000, 2000 ms) something outside that comes back within four seconds doesn't condemn an app.
pub const QUICK_FAILURES: u32 = 5;

/// What the machine needs to know of its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// From the manifest.
    pub restart: RestartPolicy,
    /// Milliseconds of silence that kill; absent: none.
    pub watchdog_ms: Option<u64>,
    /// Milliseconds from [`Action::Terminate`] to [`Action::Kill`].
    pub grace_ms: u64,
}

/// What is to be done, in this order; at most two at once.
pub type Actions = Vec<Action>;

/// What follows when the process that there is has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// What the restart policy says.
    Policy,
    /// Nothing: an operator stopped it.
    Stay,
    /// A new run: an operator restarted it.
    Again,
}

/// One app's life. At most one process, or attempt to make one, exists from an [`Action::Spawn`] to the next
/// [`Event::Ended`]; events that don't fit (late, twice, from a run before) change nothing.
#[derive(Debug, Clone)]
pub struct Machine {
    config: Config,
    phase: Phase,
    then: Then,
    /// The latest time seen: time that goes backwards stands still instead.
    now: u64,
    /// A Spawn was asked for and has not ended yet.
    attempt: bool,
    /// That attempt has become a process.
    process: bool,
    /// It was told to die at once; asking again would change nothing.
    killed: bool,
    /// Known before the process says it: it was killed for this.
    cause: Option<Ending>,
    /// When the process was made.
    started: u64,
    /// When it last showed life.
    alive: u64,
    /// End of the grace (Stopping) or of the wait (Backoff).
    deadline: u64,
    /// Quick runs in a row, clean or not: what the next wait doubles with.
    quick: u32,
    /// Quick failures in a row: what quarantine counts.
    failures: u32,
    restarts: u32,
    last_ending: Option<Ending>,
}

impl Machine {
    /// An app that was never started.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            phase: Phase::Stopped,
            then: Then::Policy,
            now: 0,
            attempt: false,
            process: false,
            killed: false,
            cause: None,
            started: 0,
            alive: 0,
            deadline: 0,
            quick: 0,
            failures: 0,
            restarts: 0,
            last_ending: None,
        }
    }

    /// Changes what is known of the app (another manifest was installed); holds from now on.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// Takes an event at `now_ms`, milliseconds of any clock that doesn't go backwards.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Actions {
        self.now = self.now.max(now_ms);
        let mut actions = Actions::new();
        match event {
            Event::Start => self.start(&mut actions),
            Event::Stop => self.stop(Then::Stay, &mut actions),
            Event::Restart => self.stop(Then::Again, &mut actions),
            Event::Spawned => self.spawned(&mut actions),
            Event::Ended(ending) => self.ended(ending, &mut actions),
            Event::Alive => self.alive = self.now,
            Event::Tick => self.tick(&mut actions),
        }
        actions
    }

    /// Where in its life the app is. A process that the watchdog killed is `Running` until it is gone.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The time at which an [`Event::Tick`] is needed, if any.
    pub fn wake_at(&self) -> Option<u64> {
        match self.phase {
            Phase::Backoff => Some(self.deadline),
            Phase::Running if !self.killed => {
                Some(self.alive.saturating_add(self.config.watchdog_ms?))
            }
            Phase::Stopping if self.process && !self.killed => Some(self.deadline),
            _ => None,
        }
    }

    /// Times it was restarted by policy since it was last started by hand or boot.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How the last run ended.
    pub fn last_ending(&self) -> Option<&Ending> {
        self.last_ending.as_ref()
    }

    /// When the process that there is was made.
    pub fn running_since(&self) -> Option<u64> {
        self.process.then_some(self.started)
    }

    fn start(&mut self, actions: &mut Actions) {
        match self.phase {
            Phase::Starting | Phase::Running => {}
            // Whoever says start last wants it running.
            Phase::Stopping => self.then = Then::Again,
            Phase::Backoff | Phase::Exited | Phase::Stopped | Phase::Quarantined => {
                self.spawn_afresh(actions);
            }
        }
    }

    fn stop(&mut self, then: Then, actions: &mut Actions) {
        match self.phase {
            Phase::Starting | Phase::Running => {
                self.phase = Phase::Stopping;
                self.then = then;
                if !self.killed {
                    self.cause = Some(Ending::Stopped);
                    self.terminate(actions);
                }
            }
            Phase::Stopping => self.then = then,
            Phase::Backoff | Phase::Exited | Phase::Stopped | Phase::Quarantined => match then {
                Then::Again => self.spawn_afresh(actions),
                Then::Stay | Then::Policy => self.phase = Phase::Stopped,
            },
        }
    }

    fn spawned(&mut self, actions: &mut Actions) {
        if !self.attempt || self.process {
            return;
        }
        self.process = true;
        self.started = self.now;
        self.alive = self.now;
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
        } else {
            // Stopped while it was being made: only now is there something to tell.
            self.terminate(actions);
        }
    }

    fn ended(&mut self, said: Ending, actions: &mut Actions) {
        if !self.attempt {
            return;
        }
        let ending = self.cause.take().unwrap_or(said);
        // A run that hung was healthy only as long as it showed life.
        let until = if ending == Ending::Watchdog {
            self.alive
        } else {
            self.now
        };
        let healthy = self.process && until - self.started >= HEALTHY_MS;
        self.attempt = false;
        self.process = false;
        self.killed = false;
        actions.push(Action::Epitaph(ending.clone()));
        match self.then {
            Then::Stay => self.phase = Phase::Stopped,
            Then::Again => self.spawn_afresh(actions),
            Then::Policy => self.by_policy(&ending, healthy, actions),
        }
        self.last_ending = Some(ending);
    }

    /// A run is over by itself. A clean quick end under `always` waits like a failure, so that nothing spins, but it
    /// is what the manifest asked for, so it never leads to quarantine and ends a row of failures.
    fn by_policy(&mut self, ending: &Ending, healthy: bool, actions: &mut Actions) {
        let failure = ending.is_failure();
        let again = match self.config.restart {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => failure,
            RestartPolicy::Always => true,
        };
        if !again {
            self.phase = Phase::Exited;
            return;
        }
        if healthy {
            self.quick = 0;
        }
        self.failures = if failure && !healthy {
            self.failures + 1
        } else {
            0
        };
        if self.failures >= QUICK_FAILURES {
            self.phase = Phase::Quarantined;
            actions.push(Action::Quarantine);
            return;
        }
        // Shifted by at most 7: 250 ms * 2^7 is past the cap already.
        let wait = (BACKOFF_FIRST_MS << self.quick.min(7)).min(BACKOFF_CAP_MS);
        self.quick = self.quick.saturating_add(1);
        self.deadline = self.now.saturating_add(wait);
        self.phase = Phase::Backoff;
    }

    fn tick(&mut self, actions: &mut Actions) {
        if self.wake_at().is_none_or(|time| self.now < time) {
            return;
        }
        match self.phase {
            Phase::Backoff => {
                self.restarts = self.restarts.saturating_add(1);
                self.spawn(actions);
            }
            Phase::Running => {
                self.cause = Some(Ending::Watchdog);
                self.kill(actions);
            }
            _ => self.kill(actions),
        }
    }

    /// By hand or boot: what was before is forgotten.
    fn spawn_afresh(&mut self, actions: &mut Actions) {
        self.quick = 0;
        self.failures = 0;
        self.restarts = 0;
        self.spawn(actions);
    }

    fn spawn(&mut self, actions: &mut Actions) {
        self.phase = Phase::Starting;
        self.then = Then::Policy;
        self.attempt = true;
        self.cause = None;
        actions.push(Action::Spawn);
    }

    /// Asks the process to end, if there is one yet; the grace begins.
    fn terminate(&mut self, actions: &mut Actions) {
        if self.process {
            self.deadline = self.now.saturating_add(self.config.grace_ms);
            actions.push(Action::Terminate);
        }
    }

    fn kill(&mut self, actions: &mut Actions) {
        self.killed = true;
        actions.push(Action::Kill);
    }
}
