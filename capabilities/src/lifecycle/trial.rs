//! Whether a new version of an app is healthy: it is on trial until it has stayed up for its window and was not silent in
//! it. Events and the time go in, a verdict comes out; what follows (the earlier version is released, or comes back) is
//! the caller's. No I/O, no clock.
//!
//! ```text
//!            Started            window over, alive
//!   waiting ---------> window ----------------------> Healthy
//!      ^                  |---- silent, or failed ---> Failed(why)
//!      +---- stopped -----+---- ended as it should --> Healthy
//! ```

use alloc::format;
use alloc::string::String;

use super::Ending;
use crate::manifest::RestartPolicy;

/// The window of an app whose manifest names none: as long as a run that forgets the failures before it.
pub const DEFAULT_WINDOW_MS: u64 = super::HEALTHY_MS;
/// An app is looked at so often in its window. It has to show life in one of the looks after the first, which is for what every
/// program does when it starts.
const LOOKS: u64 = 4;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Healthy,
    /// It does not; one line says why.
    Failed(String),
}

/// A version on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    window_ms: u64,
    /// When the run began that is looked at, and what was seen of it; absent: it does not run.
    run: Option<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    started: u64,
    /// Looks that were taken.
    looks: u64,
    /// One after the first saw life.
    alive: bool,
}

impl Trial {
    /// A trial whose window is so long; 0: it is over with the first start.
    pub fn new(window_ms: u64) -> Self {
        Self {
            window_ms,
            run: None,
        }
    }

    /// The app's process runs, since `now_ms`. The window begins anew with each run.
    pub fn started(&mut self, now_ms: u64) {
        self.run = Some(Run {
            started: now_ms,
            looks: 0,
            alive: false,
        });
    }

    /// When the next [`Trial::look`] is due; absent while the app does not run.
    pub fn look_at(&self) -> Option<u64> {
        let run = self.run.as_ref()?;
        Some(
            run.started
                .saturating_add(self.window_ms * (run.looks + 1) / LOOKS),
        )
    }

    /// A look at the app, at or after [`Trial::look_at`]. `alive`: since the look before it printed, made a host call, or waits
    /// inside one.
    pub fn look(&mut self, now_ms: u64, alive: bool) -> Option<Verdict> {
        let due = self.look_at()?;
        let run = self.run.as_mut()?;
        if now_ms < due {
            return None;
        }
        run.alive |= alive && (run.looks > 0 || self.window_ms == 0);
        run.looks += 1;
        if now_ms < run.started.saturating_add(self.window_ms) {
            return None;
        }
        if run.alive || self.window_ms == 0 {
            return Some(Verdict::Healthy);
        }
        let window = seconds(self.window_ms);
        Some(Verdict::Failed(format!(
            "it was silent: within {window} it neither printed nor made a host call"
        )))
    }

    /// The run is over.
    pub fn ended(
        &mut self,
        now_ms: u64,
        ending: &Ending,
        policy: RestartPolicy,
    ) -> Option<Verdict> {
        let run = self.run.take();
        match ending {
            // It has done what it is there for.
            Ending::Exited(0) if policy != RestartPolicy::Always => Some(Verdict::Healthy),
            // An operator's or a shutdown's doing says nothing about the app; and one that ends well and is started again and
            // again does what its manifest says.
            Ending::Stopped | Ending::Exited(0) => None,
            failure => {
                let after = run.map_or_else(String::new, |run| {
                    format!(" after {}", seconds(now_ms.saturating_sub(run.started)))
                });
                Some(Verdict::Failed(format!("{failure}{after}")))
            }
        }
    }
}

/// `1.5 s`
fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at it when it is due, until there is a verdict; `alive` is told the number of the look.
    fn watched(trial: &mut Trial, alive: impl Fn(u64) -> bool) -> Verdict {
        let mut looks = 0;
        loop {
            let due = trial.look_at().expect("it runs");
            looks += 1;
            if let Some(verdict) = trial.look(due, alive(looks)) {
                return verdict;
            }
            assert!(looks < 10);
        }
    }

    #[test]
    fn an_app_that_stays_up_and_shows_life_is_healthy_when_its_window_is_over() {
        let mut trial = Trial::new(10_000);
        assert_eq!(trial.look_at(), None);
        trial.started(500);
        assert_eq!(trial.look_at(), Some(3_000));
        assert_eq!(
            trial.look(2_999, true),
            None,
            "too early counts for nothing"
        );
        assert_eq!(watched(&mut trial, |look| look == 3), Verdict::Healthy);
    }

    #[test]
    fn an_app_that_only_starts_and_then_says_nothing_is_silent() {
        let mut trial = Trial::new(10_000);
        trial.started(0);
        let Verdict::Failed(why) = watched(&mut trial, |look| look == 1) else {
            panic!("it passed");
        };
        assert!(why.contains("silent") && why.contains("10 s"), "{why}");
    }

    #[test]
    fn a_failure_within_the_window_ends_the_trial_with_what_it_was() {
        for (ending, said) in [
            (Ending::Exited(3), "exited with code 3 after 1.5 s"),
            (
                Ending::Trapped("unreachable executed".into()),
                "trapped: unreachable executed after 1.5 s",
            ),
            (Ending::Watchdog, "killed by the watchdog after 1.5 s"),
            (Ending::OutOfMemory, "out of memory after 1.5 s"),
        ] {
            let mut trial = Trial::new(10_000);
            trial.started(1_000);
            let verdict = trial.ended(2_500, &ending, RestartPolicy::Always);
            assert_eq!(verdict, Some(Verdict::Failed(said.into())));
        }
        let mut trial = Trial::new(10_000);
        let never = Ending::NotStarted("no engine".into());
        assert_eq!(
            trial.ended(0, &never, RestartPolicy::Never),
            Some(Verdict::Failed("could not start: no engine".into()))
        );
    }

    #[test]
    fn an_app_that_ends_as_it_should_is_healthy_and_one_that_is_stopped_stays_on_trial() {
        let mut trial = Trial::new(10_000);
        trial.started(0);
        assert_eq!(trial.ended(1, &Ending::Stopped, RestartPolicy::Never), None);
        assert_eq!(trial.look_at(), None);
        trial.started(100);
        assert_eq!(
            trial.ended(101, &Ending::Exited(0), RestartPolicy::Always),
            None
        );
        trial.started(200);
        assert_eq!(
            trial.ended(201, &Ending::Exited(0), RestartPolicy::OnFailure),
            Some(Verdict::Healthy)
        );
    }

    #[test]
    fn a_window_of_nothing_is_over_with_the_first_start() {
        let mut trial = Trial::new(0);
        trial.started(7);
        assert_eq!(trial.look_at(), Some(7));
        assert_eq!(trial.look(7, false), Some(Verdict::Healthy));
    }
}
