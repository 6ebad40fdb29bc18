//! A guest without an engine: memory, an allocator, and typed calls of host functions through the canonical ABI.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vyoma_capabilities::resolve::{Grants, Network};
use vyoma_component::abi::{Bytes, Lift, Lifting, Slots};
use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::handles::Handles;
use vyoma_component::host::{self, Platform};
use vyoma_component::program::{Import, Target};
use vyoma_component::trap::Trap;
use vyoma_component::wasi::sockets::{ErrorCode, IpSocketAddress};
use vyoma_runtime::{RunConfig, Unwatched};
use vyoma_services::Linux;

/// Arguments of a call are put at the start of memory, results from here on.
const RESULTS: u32 = 1 << 20;

struct Memory {
    bytes: Vec<u8>,
    next: u32,
}

impl Guest for Memory {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn realloc(
        &mut self,
        _: Realloc,
        _: u32,
        _: u32,
        alignment: u32,
        size: u32,
    ) -> Result<u32, Trap> {
        let at = self.next.next_multiple_of(alignment);
        self.next = at + size;
        Ok(at)
    }
}

/// What `result<T, error-code>` is here.
pub(crate) type Outcome<T> = Result<T, ErrorCode>;

/// The app of one test. Fields in the order in which a run drops them.
pub(crate) struct App {
    services: Linux,
    handles: Handles,
    memory: Memory,
}

impl App {
    /// May use the network; any unprivileged port.
    pub(crate) fn new() -> Self {
        Self::with(Some(Network { port: None }))
    }

    pub(crate) fn with(network: Option<Network>) -> Self {
        let config = RunConfig {
            name: "test".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            grants: Grants {
                network,
                ..Grants::default()
            },
            memory_bytes: None,
            data: None,
            devices: vyoma_runtime::devices::Devices::default(),
            activity: Arc::new(Unwatched),
        };
        Self {
            services: Linux::new(config).unwrap(),
            handles: Handles::new(8192),
            memory: Memory {
                bytes: vec![0; 8 << 20],
                next: RESULTS,
            },
        }
    }

    /// Calls a function by the name of its interface in wasi:sockets or wasi:io, and its own.
    pub(crate) fn call<R: Lift>(
        &mut self,
        interface: &'static str,
        name: &'static str,
        arguments: &[u64],
    ) -> Result<R, Trap> {
        let function = Linux::interfaces()
            .find(|known| known.name == interface)
            .and_then(|known| known.functions.iter().find(|known| known.name == name))
            .unwrap_or_else(|| panic!("no function {name} of {interface}"));
        let linked = host::link::<Linux>(&Import {
            module: interface.into(),
            field: name.into(),
            signature: (function.signature)().signature(),
            target: Target::Function {
                interface: format!("{interface}@0.2.12").into(),
                function: name.into(),
            },
            realloc: Some(Realloc(0)),
        })
        .unwrap();
        self.memory.next = RESULTS + 1024;
        let mut slots = arguments.to_vec();
        let indirect = R::FLAT > 1;
        if indirect {
            slots.push(RESULTS.into());
        }
        slots.resize(slots.len().max(1), 0);
        assert_eq!(slots.len(), linked.slots, "arguments of {name}");
        let App {
            services,
            handles,
            memory,
        } = self;
        host::call(&linked, services, handles, memory, &mut slots)?;
        let mut nothing = Handles::new(0);
        let mut lifting = Lifting {
            guest: memory,
            handles: &mut nothing,
        };
        if indirect {
            R::load(&mut lifting, RESULTS)
        } else {
            R::lift(&mut lifting, &mut Slots::new(&slots))
        }
    }

    /// A method of a socket, stream or look-up; `name` as `tcp-socket.accept`.
    pub(crate) fn method<R: Lift>(
        &mut self,
        name: &str,
        this: u32,
        arguments: &[u64],
    ) -> Result<R, Trap> {
        let all = [&[this.into()], arguments].concat();
        let (interface, name) = find(&format!("[method]{name}"));
        self.call(interface, name, &all)
    }

    /// Drops a handle.
    pub(crate) fn drop(&mut self, resource: &str, handle: u32) -> Result<(), Trap> {
        let resource = Linux::interfaces()
            .flat_map(|known| known.resources)
            .find(|known| known.name == resource)
            .unwrap_or_else(|| panic!("no resource {resource}"));
        let mut context = host::Context {
            services: &mut self.services,
            handles: &mut self.handles,
            guest: &mut self.memory,
        };
        (resource.drop)(&mut context, handle)
    }

    /// Puts bytes at the start of memory; `at` is a multiple of 8 and below 1 MiB.
    pub(crate) fn put(&mut self, at: u32, bytes: &[u8]) -> [u64; 2] {
        let start = at as usize;
        self.memory.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        [at.into(), bytes.len() as u64]
    }

    pub(crate) fn bytes(&mut self, bytes: Bytes) -> Vec<u8> {
        bytes.get(&mut self.memory).unwrap().to_vec()
    }

    pub(crate) fn network(&mut self) -> u64 {
        self.call::<u32>("wasi:sockets/instance-network", "instance-network", &[])
            .unwrap()
            .into()
    }

    pub(crate) fn create(&mut self, kind: &str, family: u64) -> Outcome<u32> {
        let (interface, name) = match kind {
            "tcp" => ("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
            _ => ("wasi:sockets/udp-create-socket", "create-udp-socket"),
        };
        self.call(interface, name, &[family]).unwrap()
    }

    pub(crate) fn tcp(&mut self) -> u32 {
        self.create("tcp", IPV4).unwrap()
    }

    /// A method without a payload in its result.
    pub(crate) fn try_do(&mut self, name: &str, this: u32, arguments: &[u64]) -> Outcome<()> {
        self.method(name, this, arguments).unwrap()
    }

    /// A method that takes the network and an address.
    pub(crate) fn try_address(&mut self, name: &str, this: u32, address: &str) -> Outcome<()> {
        let network = self.network();
        let arguments = [&[network][..], &flat(address.parse().unwrap())].concat();
        self.try_do(name, this, &arguments)
    }

    pub(crate) fn address(&mut self, name: &str, this: u32) -> Outcome<SocketAddr> {
        let address: Outcome<IpSocketAddress> = self.method(name, this, &[]).unwrap();
        address.map(Into::into)
    }

    /// A TCP socket that listens on a free port of `host`.
    pub(crate) fn listener(&mut self, family: u64, host: &str) -> (u32, SocketAddr) {
        let socket = self.create("tcp", family).unwrap();
        self.try_address("tcp-socket.start-bind", socket, &format!("{host}:0"))
            .unwrap();
        self.try_do("tcp-socket.finish-bind", socket, &[]).unwrap();
        self.try_do("tcp-socket.start-listen", socket, &[]).unwrap();
        self.try_do("tcp-socket.finish-listen", socket, &[])
            .unwrap();
        let address = self.address("tcp-socket.local-address", socket).unwrap();
        (socket, address)
    }

    /// A bound UDP socket and its address.
    pub(crate) fn udp(&mut self, family: u64, address: &str) -> (u32, SocketAddr) {
        let socket = self.create("udp", family).unwrap();
        self.try_address("udp-socket.start-bind", socket, address)
            .unwrap();
        self.try_do("udp-socket.finish-bind", socket, &[]).unwrap();
        let address = self.address("udp-socket.local-address", socket).unwrap();
        (socket, address)
    }

    /// Subscribes, waits, drops the pollable.
    pub(crate) fn wait(&mut self, name: &str, this: u32) {
        let pollable: u32 = self.method(name, this, &[]).unwrap();
        self.block(pollable);
        self.drop("pollable", pollable).unwrap();
    }

    pub(crate) fn block(&mut self, pollable: u32) {
        self.method::<()>("pollable.block", pollable, &[]).unwrap();
    }

    pub(crate) fn is_ready(&mut self, pollable: u32) -> bool {
        self.method("pollable.ready", pollable, &[]).unwrap()
    }

    /// Connects a new socket: (socket, input, output).
    pub(crate) fn connect(&mut self, address: SocketAddr) -> Outcome<(u32, u32, u32)> {
        let family = if address.is_ipv4() { IPV4 } else { IPV6 };
        let socket = self.create("tcp", family).unwrap();
        self.try_address("tcp-socket.start-connect", socket, &address.to_string())?;
        self.wait("tcp-socket.subscribe", socket);
        let (input, output): (u32, u32) = self
            .method::<Outcome<_>>("tcp-socket.finish-connect", socket, &[])
            .unwrap()?;
        Ok((socket, input, output))
    }

    /// Accepts, waiting: (socket, input, output).
    pub(crate) fn accept(&mut self, listener: u32) -> (u32, u32, u32) {
        self.wait("tcp-socket.subscribe", listener);
        self.method::<Outcome<_>>("tcp-socket.accept", listener, &[])
            .unwrap()
            .unwrap()
    }

    /// Reads, waiting; `Err`: closed or failed.
    pub(crate) fn read(&mut self, input: u32) -> Result<Vec<u8>, Failed> {
        let bytes: Result<Bytes, Failed> = self
            .method("input-stream.blocking-read", input, &[65536])
            .unwrap();
        bytes.map(|bytes| self.bytes(bytes))
    }

    pub(crate) fn check_write(&mut self, output: u32) -> Result<u64, Failed> {
        self.method("output-stream.check-write", output, &[])
            .unwrap()
    }

    /// Writes without waiting.
    pub(crate) fn write(&mut self, output: u32, bytes: &[u8]) -> Result<(), Failed> {
        let list = self.put(0, bytes);
        self.method("output-stream.write", output, &list).unwrap()
    }

    /// Writes at most 4096 bytes, waiting.
    pub(crate) fn send(&mut self, output: u32, bytes: &[u8]) -> Result<(), Failed> {
        let list = self.put(0, bytes);
        self.method("output-stream.blocking-write-and-flush", output, &list)
            .unwrap()
    }

    /// What an `error` says.
    pub(crate) fn words(&mut self, error: u32) -> String {
        let words: Bytes = self.method_bytes("error.to-debug-string", error);
        String::from_utf8(self.bytes(words)).unwrap()
    }

    fn method_bytes(&mut self, name: &str, this: u32) -> Bytes {
        self.method(name, this, &[]).unwrap()
    }
}

/// `stream-error`
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    With(u32),
    Closed,
}

vyoma_component::variant!(Failed { 0 With(u32), 1 Closed });

pub(crate) const IPV4: u64 = 0;
pub(crate) const IPV6: u64 = 1;

/// An address as core values.
pub(crate) fn flat(address: SocketAddr) -> Vec<u64> {
    let mut values = match address {
        SocketAddr::V4(v4) => [0, v4.port().into()]
            .into_iter()
            .chain(v4.ip().octets().map(Into::into))
            .collect::<Vec<u64>>(),
        SocketAddr::V6(v6) => [1, v6.port().into(), v6.flowinfo().into()]
            .into_iter()
            .chain(v6.ip().segments().map(Into::into))
            .chain([v6.scope_id().into()])
            .collect(),
    };
    values.resize(12, 0);
    values
}

fn find(method: &str) -> (&'static str, &'static str) {
    Linux::interfaces()
        .find_map(|interface| {
            let known = interface.functions.iter().find(|f| f.name == method)?;
            Some((interface.name, known.name))
        })
        .unwrap_or_else(|| panic!("no method {method}"))
}

/// Fails when `condition` does not hold in time.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "not in 10 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
