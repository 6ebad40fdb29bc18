//! Sockets of Linux for `vyoma_component::wasi::sockets`, as the `network` grant allows. States, checks of addresses and
//! clamping of options are there; here are the system calls, what errors mean, and name look-up.
//!
//! Nothing here waits, except that a stream with unsent bytes is sent out before it is dropped. No thread is made
//! before the first look-up.

mod inet;
mod lookup;
mod stream;

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use vyoma_capabilities::capability::Capability;
use vyoma_component::services::Pollable;
use vyoma_component::wasi::sockets::{
    Background, ErrorCode, IpAddressFamily, Sockets, TcpReader, TcpWriter,
};
use vyoma_runtime::network::may_bind;

pub(crate) use self::inet::Inet;
pub(crate) use self::lookup::Lookup;
use super::clocks::Monotonic;
use super::poll::{self, Wait};
use super::{Input, Linux, Output};

/// What the sockets of one run share.
#[derive(Default)]
pub(crate) struct Net {
    meanwhile: Rc<Meanwhile>,
    resolver: lookup::Resolver,
}

/// What goes on while the guest waits for something else.
#[derive(Default)]
struct Meanwhile(RefCell<Vec<Background<Wait>>>);

impl Meanwhile {
    /// What is to be waited for beside the guest's own. Work that is done or that nobody waits for any more is forgotten.
    fn events(&self) -> Vec<Pollable<Wait>> {
        let mut events = Vec::new();
        self.0.borrow_mut().retain(|work| match work() {
            Some(event) => {
                events.push(Pollable::Event(event));
                true
            }
            None => false,
        });
        events
    }

    /// `Services::poll`.
    fn poll(&self, clock: &Monotonic, pollables: &[Pollable<Wait>]) -> Vec<u32> {
        loop {
            let events = self.events();
            if events.is_empty() {
                return poll::poll(clock, pollables);
            }
            let all = [pollables, &events].concat();
            let mut ready = poll::poll(clock, &all);
            ready.retain(|&index| (index as usize) < pollables.len());
            if !ready.is_empty() {
                return ready;
            }
        }
    }
}

impl Net {
    /// `Services::poll`.
    pub(crate) fn poll(&self, clock: &Monotonic, pollables: &[Pollable<Wait>]) -> Vec<u32> {
        self.meanwhile.poll(clock, pollables)
    }
}

impl Sockets for Linux {
    type Tcp = Inet;
    type Udp = Inet;
    type Lookup = Lookup;

    fn network_granted(&mut self) -> bool {
        let granted = self.config.grants.network.is_some();
        if !granted {
            self.config.activity.refused(Capability::Network);
        }
        granted
    }

    fn may_bind(&mut self, address: SocketAddr) -> bool {
        let network = self.config.grants.network;
        let may = network.is_some_and(|network| may_bind(network, address));
        if !may {
            self.config.activity.refused(Capability::Network);
        }
        may
    }

    fn create_tcp(&mut self, family: IpAddressFamily) -> Result<Inet, ErrorCode> {
        Inet::tcp(family)
    }

    fn create_udp(&mut self, family: IpAddressFamily) -> Result<Inet, ErrorCode> {
        Inet::udp(family)
    }

    fn streams(&mut self, reader: TcpReader<Inet>, writer: TcpWriter<Inet>) -> (Input, Output) {
        let sink = stream::TcpSink::new(writer, &self.net.meanwhile);
        (Input::new(stream::TcpSource(reader)), Output::new(sink))
    }

    fn background(&mut self, work: Background<Wait>) {
        self.net.meanwhile.0.borrow_mut().push(work);
    }

    fn resolve(&mut self, name: String) -> Result<Lookup, ErrorCode> {
        self.net.resolver.resolve(&name)
    }

    fn next_address(&mut self, lookup: &mut Lookup) -> Result<Option<IpAddr>, ErrorCode> {
        lookup.next()
    }

    fn lookup_ready(&mut self, lookup: &Lookup) -> Pollable<Wait> {
        lookup.ready()
    }
}
