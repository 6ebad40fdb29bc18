//! The apps, as the firmware sees them: one Embassy task each, which drives the app's life, runs it, serves its host calls
//! and reads what it prints. Everything here is on one thread, between `await`s nobody else runs, so shared state is plain
//! cells.

mod access;
mod life;
mod output;
mod requests;
mod run;
mod serve;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use static_cell::StaticCell;
use vyoma_capabilities::lifecycle::{Config, Machine, Phase};
use vyoma_capabilities::lines::sanitize;
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::profile::Profile;
use vyoma_capabilities::resolve::{Grants, resolve};
use vyoma_mcu_core::pool::Pool;
use vyoma_mcu_core::stdin::Stdin;

use crate::board;
use crate::console::Console;
use crate::constants::MAX_APPS;
use crate::memory;
use crate::protection::Protection;
use crate::store::{self, Slot};

/// What the firmware knows and shares between its tasks.
pub(crate) struct Device {
    profile: Profile,
    console: Console,
    apps: RefCell<Vec<Rc<App>>>,
    pool: RefCell<Pool<MAX_APPS>>,
    /// Held by whoever loads: there is one loader's stack.
    loader: Mutex<NoopRawMutex, ()>,
    protection: RefCell<Protection>,
    /// What an app put there for others.
    clipboard: RefCell<String>,
}

/// One app.
struct App {
    manifest: Manifest,
    grants: Grants,
    component: &'static [u8],
    sha256: [u8; 32],
    machine: RefCell<Machine>,
    /// What its task is to do.
    order: Signal<NoopRawMutex, Order>,
    /// Something that it may wait for has happened.
    event: Signal<NoopRawMutex, ()>,
    stdin: RefCell<Stdin>,
    /// Who wrote to it last, for `@reply:`.
    last_writer: RefCell<Option<Rc<App>>>,
    /// Bytes of the arena that it needed last time, which it will need next time, too.
    arena_bytes: Cell<Option<u32>>,
    figures: RefCell<Figures>,
}

/// What an operator, or another app in its name, wants of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Start,
    Stop,
    Restart,
}

/// What is counted of a run, or of the last one.
#[derive(Debug, Default, Clone)]
struct Figures {
    host_calls: u64,
    preemptions: u64,
    /// Microseconds of processor time.
    ran_us: u64,
    /// Bytes of the arena, all in all.
    arena: u32,
    /// Bytes of the heap that were in use at most.
    heap_peak: u32,
    /// Bytes of the native stack that were used at most.
    stack: u32,
    /// Bytes of the loader's stack that were used at most.
    loader_stack: u32,
}

impl App {
    fn name(&self) -> &str {
        &self.manifest.app.name
    }

    fn phase(&self) -> Phase {
        self.machine.borrow().phase()
    }
}

impl Device {
    fn app(&self, name: &str) -> Option<Rc<App>> {
        self.apps
            .borrow()
            .iter()
            .find(|app| app.name() == name)
            .cloned()
    }

    /// A line of an app, or about it.
    async fn log(&self, app: &App, text: &str) {
        self.console
            .line(&["[", app.name(), "] ", &sanitize(text)])
            .await;
    }

    /// Something that happened on the device.
    async fn event(&self, app: Option<&App>, kind: &str, detail: &str) {
        let detail = sanitize(detail);
        match app {
            Some(app) => {
                let parts = ["vyoma: ", kind, ": ", app.name(), ": ", &detail];
                self.console.line(&parts).await;
            }
            None => self.console.line(&["vyoma: ", kind, ": ", &detail]).await,
        }
    }
}

/// Milliseconds since the start.
fn now_ms() -> u64 {
    Instant::now().as_millis()
}

/// Spawns the first task.
pub(crate) fn start(spawner: Spawner, protection: Protection) {
    static DEVICE: StaticCell<Device> = StaticCell::new();
    // The build made it of a profile, with the same types.
    let profile = postcard::from_bytes(include_bytes!(concat!(env!("OUT_DIR"), "/profile.bin")));
    let device = DEVICE.init(Device {
        profile: profile.expect("a profile"),
        console: Console::new(),
        apps: RefCell::new(Vec::new()),
        pool: RefCell::new(Pool::new(memory::pool())),
        loader: Mutex::new(()),
        protection: RefCell::new(protection),
        clipboard: RefCell::new(String::new()),
    });
    if let Ok(task) = boot(spawner, device) {
        spawner.spawn(task);
    }
}

/// Says what is there, checks the apps, starts them.
#[embassy_executor::task]
async fn boot(spawner: Spawner, device: &'static Device) {
    let text = alloc::format!(
        "{} on {}, {} KiB of RAM, wasm3 {}",
        env!("CARGO_PKG_VERSION"),
        board::NAME,
        device.profile.ram_kb,
        vyoma_adapter_wasm3::VERSION,
    );
    device.event(None, "started", &text).await;
    for slot in store::slots() {
        add(spawner, device, slot).await;
    }
}

/// Makes an app of a slot.
async fn add(spawner: Spawner, device: &'static Device, slot: Slot) {
    let Slot {
        manifest,
        component,
        sha256,
    } = slot;
    let resolution = resolve(&manifest, &device.profile);
    let config = Config {
        restart: manifest.app.restart,
        watchdog_ms: resolution
            .grants
            .watchdog_secs
            .map(|secs| u64::from(secs) * 1000),
        // An app that is told to end is ended: there is no signal that it could catch.
        grace_ms: 0,
    };
    let app = Rc::new(App {
        manifest,
        grants: resolution.grants,
        component,
        sha256,
        machine: RefCell::new(Machine::new(config)),
        order: Signal::new(),
        event: Signal::new(),
        stdin: RefCell::default(),
        last_writer: RefCell::default(),
        arena_bytes: Cell::new(None),
        figures: RefCell::default(),
    });
    for warning in resolution.warnings {
        let text = alloc::format!("{warning}");
        device.event(Some(&app), "warning", &text).await;
    }
    device.apps.borrow_mut().push(Rc::clone(&app));
    match life::live(device, Rc::clone(&app)) {
        Ok(task) => spawner.spawn(task),
        Err(_) => {
            let text = alloc::format!("not started: at most {MAX_APPS} apps run at once");
            return device.event(Some(&app), "app-refused", &text).await;
        }
    }
    app.order.signal(Order::Start);
}
