//! Who may connect now: how many connections there are, how many of them have not logged in, and which addresses failed to,
//! lately. Pure: addresses and times in, decisions out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Failures that cost nothing: a wrong key in an agent, a scan for host keys.
const FREE: u32 = 4;
/// The wait after the next one, which doubles with each further one.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait: long enough that guessing is no use, short enough that an operator waits for it.
const LONGEST_WAIT_MS: u64 = 64_000;
/// An address is forgotten after so long without a failure.
const FORGIVEN_MS: u64 = 10 * 60 * 1_000;
/// Addresses that are remembered; of more, the one that failed longest ago is forgotten.
const ADDRESSES: usize = 256;

/// Why somebody may not connect now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// All places are taken.
    Full(usize),
    /// Too many clients have not logged in yet.
    Crowded(usize),
    /// The address has failed to log in, and has to wait so many more milliseconds.
    Waiting(u64),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(most) => write!(f, "all {most} places for SSH are taken; try again"),
            Self::Crowded(most) => write!(
                f,
                "{most} clients have not logged in yet, which is the most at once; try again"
            ),
            Self::Waiting(ms) => write!(
                f,
                "this address failed to log in too often; try again in {} s",
                ms.div_ceil(1000)
            ),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: u64,
    until_ms: u64,
}

/// The state of the door.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    most_waiting: usize,
    open: usize,
    waiting: usize,
    failures: BTreeMap<IpAddr, Failures>,
}

impl Gate {
    /// At most `most` connections; at most half of them may be on their way to log in.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            most_waiting: (most / 2).clamp(1, 16),
            open: 0,
            waiting: 0,
            failures: BTreeMap::new(),
        }
    }

    /// Somebody connects. If it is let in, [`Gate::ended`] follows once, and before it [`Gate::logged_in`] at most once.
    pub(super) fn connects(&mut self, from: IpAddr, now_ms: u64) -> Result<(), Refused> {
        let until = self.failures.get(&whose(from)).map_or(0, |of| of.until_ms);
        if until > now_ms {
            return Err(Refused::Waiting(until - now_ms));
        }
        if self.open >= self.most {
            return Err(Refused::Full(self.most));
        }
        if self.waiting >= self.most_waiting {
            return Err(Refused::Crowded(self.most_waiting));
        }
        self.open += 1;
        self.waiting += 1;
        Ok(())
    }

    /// It has logged in.
    pub(super) fn logged_in(&mut self, from: IpAddr) {
        self.waiting = self.waiting.saturating_sub(1);
        self.failures.remove(&whose(from));
    }

    /// Its connection has ended. Of one that never logged in, how often its address has failed by now.
    pub(super) fn ended(&mut self, from: IpAddr, logged_in: bool, now_ms: u64) -> Option<u32> {
        self.open = self.open.saturating_sub(1);
        if logged_in {
            return None;
        }
        self.waiting = self.waiting.saturating_sub(1);
        let from = whose(from);
        self.failures
            .retain(|_, of| now_ms.saturating_sub(of.last_ms) < FORGIVEN_MS);
        if self.failures.len() >= ADDRESSES && !self.failures.contains_key(&from) {
            let oldest = self.failures.iter().min_by_key(|(_, of)| of.last_ms);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.failures.remove(&oldest);
            }
        }
        let of = self.failures.entry(from).or_insert(Failures {
            count: 0,
            last_ms: now_ms,
            until_ms: 0,
        });
        of.count = of.count.saturating_add(1);
        of.last_ms = now_ms;
        if of.count > FREE {
            let doublings = (of.count - FREE - 1).min(16);
            let wait = (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
            of.until_ms = now_ms.saturating_add(wait);
        }
        Some(of.count)
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Fails to log in so many times, at one moment.
    fn fail(gate: &mut Gate, from: IpAddr, times: u32, now_ms: u64) {
        for _ in 0..times {
            gate.failures
                .entry(whose(from))
                .and_modify(|of| of.until_ms = 0);
            assert_eq!(gate.connects(from, now_ms), Ok(()));
            gate.ended(from, false, now_ms);
        }
    }

    #[test]
    fn clients_that_do_not_log_in_leave_room_for_those_that_have() {
        let mut gate = Gate::new(8);
        for _ in 0..4 {
            assert_eq!(gate.connects(address(1), 0), Ok(()));
        }
        assert_eq!(gate.connects(address(2), 0), Err(Refused::Crowded(4)));
        gate.logged_in(address(1));
        assert_eq!(gate.connects(address(2), 0), Ok(()));
        for _ in 0..4 {
            gate.logged_in(address(1));
            let _ = gate.connects(address(2), 0);
        }
        assert_eq!(gate.connects(address(2), 0), Err(Refused::Full(8)));
        gate.ended(address(1), true, 0);
        assert_eq!(gate.connects(address(2), 0), Ok(()));
    }

    #[test]
    fn an_address_that_fails_waits_twice_as_long_each_time_and_no_other_one_does() {
        let mut gate = Gate::new(8);
        fail(&mut gate, address(1), FREE, 1_000);
        assert_eq!(gate.connects(address(1), 1_000), Ok(()));
        assert_eq!(gate.ended(address(1), false, 1_000), Some(FREE + 1));
        assert_eq!(gate.connects(address(1), 1_001), Err(Refused::Waiting(999)));
        assert_eq!(gate.connects(address(2), 1_001), Ok(()));
        assert_eq!(gate.connects(address(1), 2_000), Ok(()));
        gate.ended(address(1), false, 2_000);
        assert_eq!(
            gate.connects(address(1), 2_000),
            Err(Refused::Waiting(2_000))
        );
        fail(&mut gate, address(1), 40, 10_000);
        assert_eq!(
            gate.connects(address(1), 10_000),
            Err(Refused::Waiting(LONGEST_WAIT_MS))
        );
    }

    #[test]
    fn a_log_in_or_time_makes_good_for_failures() {
        let mut gate = Gate::new(8);
        fail(&mut gate, address(1), FREE, 0);
        assert_eq!(gate.connects(address(1), 0), Ok(()));
        gate.logged_in(address(1));
        gate.ended(address(1), true, 0);
        fail(&mut gate, address(1), FREE, 0);
        assert_eq!(gate.connects(address(1), FORGIVEN_MS), Ok(()));
        assert_eq!(gate.ended(address(1), false, FORGIVEN_MS), Some(1));
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let mut gate = Gate::new(8);
        let from = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        for number in 0..=FREE {
            assert_eq!(gate.connects(from(number as u16), 0), Ok(()));
            gate.ended(from(number as u16), false, 0);
        }
        assert!(matches!(
            gate.connects(from(99), 0),
            Err(Refused::Waiting(_))
        ));
    }

    proptest! {
        #[test]
        fn counts_and_memory_stay_within_their_bounds(steps in proptest::collection::vec((any::<u16>(), 0u8..3, 0u64..5_000), 1..2_000)) {
            let mut gate = Gate::new(8);
            let mut inside: Vec<(IpAddr, bool)> = Vec::new();
            let mut now = 0;
            for (who, what, later) in steps {
                now += later;
                let from = IpAddr::from([10, 0, (who >> 8) as u8, who as u8]);
                match what {
                    0 => if gate.connects(from, now).is_ok() { inside.push((from, false)); },
                    1 => if let Some(of) = inside.iter_mut().find(|of| !of.1) { of.1 = true; gate.logged_in(of.0); },
                    _ => if let Some((from, logged_in)) = inside.pop() { gate.ended(from, logged_in, now); },
                }
                prop_assert_eq!(gate.open, inside.len());
                prop_assert_eq!(gate.waiting, inside.iter().filter(|of| !of.1).count());
                prop_assert!(gate.open <= 8 && gate.waiting <= 4 && gate.failures.len() <= ADDRESSES);
            }
        }
    }
}
