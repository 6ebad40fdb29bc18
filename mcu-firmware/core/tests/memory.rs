//! What the session takes of the heap, counted: during everything that a client can make it do, good and bad.
#![allow(clippy::unwrap_used, reason = "tests: a panic is the report")]

#[path = "it/flash.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod flash;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vyoma_capabilities::control::{AppStatus, ControlError, DeviceInfo, PROTOCOL, Request};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::link::{Caller, Kind, MAX_BODY, MAX_FRAME, encode_request};
use vyoma_capabilities::manifest::{Manifest, compact, parse};
use vyoma_mcu_core::flash::Place;
use vyoma_mcu_core::ring::Ring;
use vyoma_mcu_core::session::{Device, Operation, Power, Session};
use vyoma_mcu_core::store::Store;

/// Counts what is in use of this thread, and the most of it: the test harness has a thread of its own.
struct Counting;

thread_local! {
    static USED: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no counters any more.
    let _ = USED.try_with(|used| {
        used.set(used.get() + bytes);
        MOST.with(|most| most.set(most.get().max(used.get())));
    });
}

// SAFETY: every call is the system allocator's, with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A device that takes no memory itself, except for what it says.
struct Bare {
    store: Store<flash::Stm32l4>,
    logs: Ring,
    events: Ring,
}

impl Device for Bare {
    type Flash = flash::Stm32l4;

    fn store(&mut self) -> &mut Store<flash::Stm32l4> {
        &mut self.store
    }

    fn version(&self) -> &'static str {
        "0.1.0"
    }

    fn platform(&self) -> &'static str {
        "mcu-minimal"
    }

    fn info(&mut self) -> DeviceInfo {
        unreachable!("not asked here")
    }

    fn status(&mut self, index: usize) -> AppStatus {
        let entry = self.store.apps().nth(index).unwrap();
        AppStatus {
            name: entry.name().into(),
            version: "1".into(),
            sha256: hex::encode(&entry.sha256()),
            phase: Phase::Running,
            last_ending: None,
            restarts: 0,
            pid: None,
            uptime_ms: None,
            pss_kb: None,
            cpu_ms: None,
            host_calls: 0,
            dropped_lines: 0,
            unavailable: Vec::new(),
            execution: None,
            versions: None,
        }
    }

    fn logs(&self) -> &Ring {
        &self.logs
    }

    fn events(&self) -> &Ring {
        &self.events
    }

    fn begin(&mut self, _: Operation, _: &str) -> Result<(), ControlError> {
        Ok(())
    }

    fn settled(&mut self, _: &str) -> bool {
        true
    }

    fn send(&mut self, _: &str, _: &str, _: bool) -> Result<(), ControlError> {
        Ok(())
    }

    fn admit(&mut self, _: &Manifest, _: Place) -> Result<Vec<String>, ControlError> {
        Ok(Vec::new())
    }

    fn installed(&mut self, _: &str) {}

    fn removed(&mut self, _: &str) {}

    fn end(&mut self, _: Power) -> Result<(), ControlError> {
        Ok(())
    }
}

struct Client {
    session: Session,
    device: Bare,
    caller: Caller,
    /// Bytes that calls of the session took and have not given back.
    kept: isize,
    /// The most that it had at once.
    most: isize,
}

impl Client {
    fn receive(&mut self, bytes: &[u8]) {
        let before = USED.get();
        MOST.set(before);
        self.session.receive(0, bytes, &mut self.device);
        self.most = self.most.max(self.kept + MOST.get() - before);
        self.kept += USED.get() - before;
    }

    fn open(&mut self) {
        self.caller = Caller::new(1);
        let mut buffer = [0; MAX_FRAME];
        let frame = self.caller.open(&mut buffer).to_vec();
        self.receive(&frame);
        self.ask(&encode_request(&Request::Hello { protocol: PROTOCOL }));
    }

    fn send(&mut self, kind: Kind, body: &[u8]) {
        let mut buffer = [0; MAX_FRAME];
        let frame = self.caller.next(kind, body, &mut buffer).to_vec();
        self.receive(&frame);
    }

    fn ask(&mut self, request: &[u8]) {
        for part in request.chunks(MAX_BODY) {
            self.send(Kind::Part, part);
        }
        self.send(Kind::Last, &[]);
        for _ in 0..20 {
            self.send(Kind::Next, &[]);
        }
    }
}

/// A manifest as long as one may be.
fn longest_manifest(name: &str) -> Vec<u8> {
    let words = vec!["x".repeat(60); 15];
    let text =
        format!("[app]\nname = {name:?}\nversion = \"1\"\nwasm = \"a.wasm\"\nargs = {words:?}\n");
    let bytes = compact::encode(&parse("vyoma.toml", &text).unwrap()).unwrap();
    assert!(bytes.len() > 900);
    bytes
}

#[test]
fn a_session_takes_less_than_four_kilobytes_whatever_comes() {
    // The rings are the firmware's, and as large as it likes.
    let ring = || Ring::new(vec![0; 2048].leak());
    let device = Bare {
        store: Store::open(flash::Stm32l4::new(64 * 1024)),
        logs: ring(),
        events: ring(),
    };
    let mut client = Client {
        session: Session::new(),
        device,
        caller: Caller::new(1),
        kept: 0,
        most: 0,
    };
    client.open();
    // Eight apps with the longest manifests.
    for index in 0..8 {
        let component = [index; 700];
        let install = Request::InstallCompact {
            manifest: longest_manifest(&format!("app-{index}")),
            component_size: 700,
            sha256: hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(component).into()),
        };
        client.ask(&encode_request(&install));
        client.send(Kind::Upload, &component[..500]);
        client.send(Kind::Upload, &component[500..]);
    }
    assert_eq!(client.device.store.apps().count(), 8);
    client.ask(&encode_request(&Request::Ps));
    client.ask(&encode_request(&Request::Stop {
        app: "app-0".into(),
    }));
    // Requests without end, frames without sense, noise without frames.
    client.open();
    for _ in 0..500 {
        client.send(Kind::Part, &[0xff; MAX_BODY]);
    }
    client.send(Kind::Last, &[]);
    // An installation that claims endless lists.
    client.ask(&[13, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    client.ask(&[13, 6, 1, 1, b'a', 1, b'1', 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    let mut random = 1_u64;
    let noise: Vec<u8> = (0..100_000)
        .map(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 56) as u8
        })
        .collect();
    client.receive(&noise);
    client.open();
    client.ask(&encode_request(&Request::Ps));
    assert_eq!(client.kept, 0, "bytes were kept");
    let all = client.most as usize + size_of::<Session>();
    assert!(
        all < 4096,
        "session {} bytes, heap at most {}",
        size_of::<Session>(),
        client.most
    );
}
