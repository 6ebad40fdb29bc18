//! A DHCP client as a state machine: what happened and the time go in, what to do comes out. No socket, no clock.
//!
//! ```text
//!            link up              OFFER               ACK
//!   Idle ------------> Selecting -------> Requesting -----> Bound ---T1---> Renewing ---T2---> Rebinding
//!    ^                   ^  ^                 |               ^                |                  |
//!    |                   |  +--NAK, no answer-+               +------ACK-------+-------ACK--------+
//!    +----link down------+---------------------------- NAK, lease expired ----------------------------
//! ```
//!
//! It does not probe for conflicts (the kernel answers ARP) and keeps no lease over a reboot. RFC 2131, section 4.4.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::message::{self, Ask, Identity, Lease, Reply, Times};

/// First wait for an answer; doubled each time. RFC 2131 says 4 s, from days of slow networks; a boot that lost one
/// packet should not.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// Longest wait between two questions: a server that comes back is found within about a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(64);
/// Times an offer is asked for before another is looked for.
const MAX_REQUESTS: u32 = 3;
/// Shortest time between two questions for a lease that we hold (RFC 2131, 4.4.5).
const RENEW_WAIT: Duration = Duration::from_mins(1);

/// Times of a lease without an end: nothing ever wakes up for them, and sums with them can't overflow.
const FOREVER: Times = Times {
    renew: Duration::from_secs(1 << 40),
    rebind: Duration::from_secs(1 << 41),
    expire: Duration::from_secs(1 << 42),
};

/// What happened. Time is since any fixed moment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event<'a> {
    /// The cable is in.
    LinkUp,
    /// The cable is out.
    LinkDown,
    /// A datagram came on port 68.
    Datagram(&'a [u8]),
    /// Time passed; send it at or after [`Client::wake_at`].
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Send from port 68 to port 67 of this address.
    Send {
        /// Server, or everybody.
        to: Ipv4Addr,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Use this lease now.
    Configure(Lease),
    /// The address is not ours any more.
    Deconfigure(&'static str),
}

#[derive(Debug)]
enum State {
    Idle,
    Selecting,
    Requesting(Lease),
    Bound(Held),
    Renewing(Held),
    Rebinding(Held),
}

/// A lease and the moment from which its times count.
#[derive(Debug, Clone)]
struct Held {
    lease: Lease,
    times: Times,
    since: Duration,
}

/// The client of one interface.
#[derive(Debug)]
pub(super) struct Client {
    identity: Identity,
    state: State,
    /// When to do something by itself; absent: never.
    wake: Option<Duration>,
    /// Number of this exchange: replies to others are not for us.
    xid: u32,
    /// Begin of this exchange, for the `secs` field.
    begun: Duration,
    /// Questions sent in this state.
    tries: u32,
    /// Source of numbers and of the spread between devices that boot together.
    random: u64,
}

impl Client {
    /// `seed`: any number that differs between devices and boots.
    pub(super) fn new(identity: Identity, seed: u64) -> Self {
        Self {
            identity,
            state: State::Idle,
            wake: None,
            xid: 0,
            begun: Duration::ZERO,
            tries: 0,
            random: seed | 1,
        }
    }

    /// When the next [`Event::Tick`] is due.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.wake
    }

    /// The one entrance.
    pub(super) fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        match event {
            Event::LinkUp => match self.state {
                State::Idle => self.select(now),
                _ => Vec::new(),
            },
            Event::LinkDown => self.lose("the cable was pulled", |client| {
                client.state = State::Idle;
                client.wake = None;
                Vec::new()
            }),
            Event::Datagram(bytes) => match message::read(bytes, self.identity.mac, self.xid) {
                Some(reply) => self.reply(now, reply),
                None => Vec::new(),
            },
            Event::Tick if self.wake.is_some_and(|wake| wake <= now) => self.due(now),
            Event::Tick => Vec::new(),
        }
    }

    fn reply(&mut self, now: Duration, reply: Reply) -> Vec<Action> {
        match (&self.state, reply) {
            // The first offer is as good as any.
            (State::Selecting, Reply::Offer(lease)) => {
                self.state = State::Requesting(lease);
                self.tries = 0;
                self.ask(now)
            }
            (State::Requesting(wanted), Reply::Ack(lease))
                if wanted.addr == lease.addr && wanted.server == lease.server =>
            {
                self.bind(now, lease)
            }
            (State::Renewing(held), Reply::Ack(lease))
                if held.lease.addr == lease.addr && held.lease.server == lease.server =>
            {
                self.bind(now, lease)
            }
            // Any server may take the lease over, with the same address.
            (State::Rebinding(held), Reply::Ack(lease)) if held.lease.addr == lease.addr => {
                self.bind(now, lease)
            }
            (
                State::Requesting(Lease { server: ours, .. })
                | State::Renewing(Held {
                    lease: Lease { server: ours, .. },
                    ..
                }),
                Reply::Nak { server },
            ) if server.is_none_or(|server| server == *ours) => self.refused(now),
            (State::Rebinding(_), Reply::Nak { .. }) => self.refused(now),
            _ => Vec::new(),
        }
    }

    /// After a refusal it waits as after a lost question: a server that always refuses must not get a storm.
    fn refused(&mut self, now: Duration) -> Vec<Action> {
        self.lose("the server refused it", |client| {
            client.state = State::Selecting;
            client.new_exchange(now);
            client.wait(now);
            Vec::new()
        })
    }

    /// Gives up the lease, if there is one, and goes on with `next`.
    fn lose(
        &mut self,
        why: &'static str,
        next: impl FnOnce(&mut Self) -> Vec<Action>,
    ) -> Vec<Action> {
        let had = matches!(
            self.state,
            State::Bound(_) | State::Renewing(_) | State::Rebinding(_)
        );
        let mut actions = if had {
            vec![Action::Deconfigure(why)]
        } else {
            Vec::new()
        };
        actions.append(&mut next(self));
        actions
    }

    fn due(&mut self, now: Duration) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {
                self.wake = None;
                Vec::new()
            }
            State::Selecting => {
                self.state = State::Selecting;
                self.ask(now)
            }
            State::Requesting(lease) if self.tries < MAX_REQUESTS => {
                self.state = State::Requesting(lease);
                self.ask(now)
            }
            State::Requesting(_) => self.select(now),
            State::Bound(held) | State::Renewing(held) | State::Rebinding(held) => {
                self.keep(now, held)
            }
        }
    }

    /// T1, T2 or the end of a lease may have come; after a sleep, more than one of them.
    fn keep(&mut self, now: Duration, held: Held) -> Vec<Action> {
        let Held { times, since, .. } = held;
        let age = now.saturating_sub(since);
        if age >= times.expire {
            self.state = State::Rebinding(held);
            return self.lose("the lease expired", |client| client.select(now));
        }
        // The first question of a lease's new age starts a new exchange.
        if self.begun < since + times.renew
            || (age >= times.rebind && self.begun < since + times.rebind)
        {
            self.new_exchange(now);
        }
        let next = if age >= times.rebind {
            times.expire
        } else {
            times.rebind
        };
        self.state = if age >= times.rebind {
            State::Rebinding(held)
        } else {
            State::Renewing(held)
        };
        let actions = self.ask(now);
        // Half of what is left, as the RFC says, but never in a hurry and never past the next age.
        let left = (since + next).saturating_sub(now);
        self.wake = Some(now + (left / 2).max(RENEW_WAIT).min(left));
        actions
    }

    fn bind(&mut self, now: Duration, lease: Lease) -> Vec<Action> {
        let (since, times) = match lease.times {
            Some(times) => (now, times),
            None => (Duration::ZERO, FOREVER),
        };
        self.wake = lease.times.map(|times| now + times.renew);
        let held = Held {
            lease: lease.clone(),
            times,
            since,
        };
        self.state = State::Bound(held);
        self.tries = 0;
        vec![Action::Configure(lease)]
    }

    fn select(&mut self, now: Duration) -> Vec<Action> {
        self.state = State::Selecting;
        self.new_exchange(now);
        self.ask(now)
    }

    fn new_exchange(&mut self, now: Duration) {
        self.xid = self.random() as u32;
        self.begun = now;
        self.tries = 0;
    }

    /// Sends the question of this state, and sets the wait for its answer.
    fn ask(&mut self, now: Duration) -> Vec<Action> {
        let everybody = Ipv4Addr::BROADCAST;
        let (to, ask) = match &self.state {
            State::Idle | State::Bound(_) => return Vec::new(),
            State::Selecting => (everybody, Ask::Discover),
            State::Requesting(lease) => (
                everybody,
                Ask::Request {
                    addr: lease.addr,
                    server: lease.server,
                },
            ),
            State::Renewing(held) => (
                held.lease.server,
                Ask::Keep {
                    addr: held.lease.addr,
                },
            ),
            State::Rebinding(held) => (
                everybody,
                Ask::Keep {
                    addr: held.lease.addr,
                },
            ),
        };
        let secs = u16::try_from(now.saturating_sub(self.begun).as_secs()).unwrap_or(u16::MAX);
        let bytes = message::write(&self.identity, self.xid, secs, ask);
        self.wait(now);
        vec![Action::Send { to, bytes }]
    }

    /// The wait after a question: doubled with each, and spread by up to a second either way.
    fn wait(&mut self, now: Duration) {
        let wait = FIRST_WAIT
            .saturating_mul(1 << self.tries.min(10))
            .min(LONGEST_WAIT);
        let spread = Duration::from_millis(self.random() % 2000);
        self.tries += 1;
        // The shortest wait is longer than the second that the spread takes back.
        self.wake = Some(now + (wait + spread).saturating_sub(Duration::from_secs(1)));
    }

    /// xorshift64: for spread and for numbers that tell exchanges apart, not for secrets.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{MAC, QEMU, server_says};
    use super::*;
    use proptest::prelude::*;

    const OFFER: u8 = 2;
    const ACK: u8 = 5;
    const NAK: u8 = 6;
    const OURS: [u8; 4] = [10, 0, 2, 15];

    fn client() -> Client {
        Client::new(
            Identity {
                mac: MAC,
                hostname: "vyoma".into(),
            },
            42,
        )
    }

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Message types sent, and to whom.
    fn sent(actions: &[Action]) -> Vec<(u8, Ipv4Addr)> {
        let one = |action: &Action| match action {
            Action::Send { to, bytes } => Some((bytes[242], *to)),
            _ => None,
        };
        actions.iter().filter_map(one).collect()
    }

    fn answer(client: &mut Client, now: Duration, kind: u8) -> Vec<Action> {
        let bytes = server_says(kind, client.xid, OURS, &QEMU);
        client.handle(now, Event::Datagram(&bytes))
    }

    fn bound() -> Client {
        let mut client = client();
        assert_eq!(
            sent(&client.handle(at(0), Event::LinkUp)),
            [(1, Ipv4Addr::BROADCAST)]
        );
        assert_eq!(
            sent(&answer(&mut client, at(0), OFFER)),
            [(3, Ipv4Addr::BROADCAST)]
        );
        assert!(
            matches!(&answer(&mut client, at(0), ACK)[..], [Action::Configure(lease)] if lease.addr == Ipv4Addr::from(OURS))
        );
        client
    }

    /// Lets time pass up to the client's own wish.
    fn tick(client: &mut Client) -> (Duration, Vec<Action>) {
        let now = client.wake_at().expect("it waits for something");
        (now, client.handle(now, Event::Tick))
    }

    #[test]
    fn an_address_comes_with_four_messages() {
        let client = bound();
        assert!(matches!(client.state, State::Bound(_)));
        assert_eq!(client.wake_at(), Some(at(43_200)));
    }

    #[test]
    fn without_a_server_it_asks_ever_more_seldom_and_never_stops() {
        let mut client = client();
        client.handle(at(0), Event::LinkUp);
        let mut last = at(0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let (now, actions) = tick(&mut client);
            assert_eq!(sent(&actions), [(1, Ipv4Addr::BROADCAST)]);
            waits.push(now.as_secs() - last.as_secs());
            last = now;
        }
        assert!(
            waits[0] <= 3 && waits[11] >= 63 && waits[11] <= 65,
            "{waits:?}"
        );
    }

    #[test]
    fn an_offer_that_is_never_confirmed_is_dropped_for_a_new_search() {
        let mut client = client();
        client.handle(at(0), Event::LinkUp);
        answer(&mut client, at(0), OFFER);
        let kinds: Vec<u8> = (0..3).map(|_| sent(&tick(&mut client).1)[0].0).collect();
        assert_eq!(kinds, [3, 3, 1]);
    }

    #[test]
    fn a_lease_is_renewed_at_t1_with_its_server() {
        let mut client = bound();
        let (now, actions) = tick(&mut client);
        assert_eq!(
            (now, sent(&actions)),
            (at(43_200), vec![(3, Ipv4Addr::new(10, 0, 2, 2))])
        );
        assert!(matches!(
            &answer(&mut client, now, ACK)[..],
            [Action::Configure(_)]
        ));
        assert_eq!(client.wake_at(), Some(now + at(43_200)));
    }

    #[test]
    fn a_silent_server_means_rebinding_at_t2_and_the_end_at_expiry() {
        let mut client = bound();
        let mut seen = Vec::new();
        let end = loop {
            let (now, actions) = tick(&mut client);
            if actions.contains(&Action::Deconfigure("the lease expired")) {
                assert_eq!(sent(&actions), [(1, Ipv4Addr::BROADCAST)]);
                break now;
            }
            seen.push((now, sent(&actions)[0].1));
        };
        assert_eq!(end, at(86_400));
        assert!(
            seen.iter()
                .all(|(now, to)| (*now < at(75_600)) == (*to != Ipv4Addr::BROADCAST)),
            "{seen:?}"
        );
        assert!(seen.iter().any(|(now, _)| *now == at(75_600)));
        assert!(
            seen.windows(2).all(|two| two[1].0 >= two[0].0 + at(1)) && seen.len() < 60,
            "{}",
            seen.len()
        );
    }

    #[test]
    fn a_refused_renewal_loses_the_address_and_waits_before_the_next_search() {
        let mut client = bound();
        let (now, _) = tick(&mut client);
        assert_eq!(
            answer(&mut client, now, NAK),
            [Action::Deconfigure("the server refused it")]
        );
        assert!(client.wake_at().unwrap() >= now + at(1));
    }

    #[test]
    fn a_pulled_cable_loses_the_address_and_a_new_one_is_asked_for() {
        let mut client = bound();
        assert_eq!(
            client.handle(at(5), Event::LinkDown),
            [Action::Deconfigure("the cable was pulled")]
        );
        assert_eq!(client.wake_at(), None);
        assert_eq!(client.handle(at(6), Event::LinkDown), []);
        assert_eq!(
            sent(&client.handle(at(7), Event::LinkUp)),
            [(1, Ipv4Addr::BROADCAST)]
        );
    }

    #[test]
    fn what_nobody_asked_for_changes_nothing() {
        let mut client = bound();
        let wake = client.wake_at();
        for kind in [OFFER, ACK, NAK] {
            assert_eq!(answer(&mut client, at(1), kind), []);
        }
        // Another server can't confirm, nor refuse, what ours offered.
        let mut other = self::client();
        other.handle(at(0), Event::LinkUp);
        answer(&mut other, at(0), OFFER);
        for kind in [ACK, NAK] {
            let mut options = QEMU;
            options[0] = (54, &[10, 0, 2, 66]);
            let forged = server_says(kind, other.xid, OURS, &options);
            assert_eq!(other.handle(at(0), Event::Datagram(&forged)), []);
        }
        assert_eq!(client.wake_at(), wake);
    }

    #[test]
    fn a_lease_for_ever_is_never_asked_for_again() {
        let mut client = client();
        client.handle(at(0), Event::LinkUp);
        answer(&mut client, at(0), OFFER);
        let mut options = QEMU;
        options[4] = (51, &[255; 4]);
        let bytes = server_says(ACK, client.xid, OURS, &options);
        assert!(matches!(
            &client.handle(at(0), Event::Datagram(&bytes))[..],
            [Action::Configure(_)]
        ));
        assert_eq!(client.wake_at(), None);
    }

    proptest! {
        /// Whatever happens, it sends at most about one message a second, and never configures twice without cause.
        #[test]
        fn no_sequence_of_events_makes_a_storm(seed: u64, steps in proptest::collection::vec((0u8..7, 0u64..200), 1..300)) {
            let mut client = Client::new(Identity { mac: MAC, hostname: String::new() }, seed);
            let (mut now, mut has_address, mut link) = (Duration::ZERO, false, false);
            for (what, secs) in steps {
                now += at(secs);
                let actions = match what {
                    0 => { link = true; client.handle(now, Event::LinkUp) }
                    1 if secs % 8 == 0 => { link = false; client.handle(now, Event::LinkDown) }
                    2 => answer(&mut client, now, OFFER),
                    3 => answer(&mut client, now, ACK),
                    4 => answer(&mut client, now, NAK),
                    5 => client.handle(now, Event::Datagram(&seed.to_le_bytes())),
                    _ => client.handle(now, Event::Tick),
                };
                prop_assert!(sent(&actions).len() <= 1);
                for action in &actions {
                    match action {
                        Action::Configure(_) => has_address = true,
                        Action::Deconfigure(_) => { prop_assert!(has_address); has_address = false; }
                        Action::Send { .. } => {}
                    }
                }
                // With the cable in, it is always going to do something by itself.
                if link {
                    prop_assert!(client.wake_at().is_some_and(|wake| wake > now || what < 6 || secs == 0));
                }
            }
        }
    }
}
