//! The apps, as the firmware sees them: one Embassy task each while it runs or waits to run again, which drives the app's
//! life, runs it, serves its host calls and reads what it prints. Everything here is on one thread, between `await`s nobody
//! else runs, so shared state is plain cells.

mod access;
#[cfg(feature = "bench")]
mod bench;
mod devices;
mod inspect;
mod life;
mod output;
mod record;
mod requests;
mod run;
mod serve;

use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use static_cell::StaticCell;
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::{Config, Event, Machine, Phase};
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::profile::Profile;
use vyoma_capabilities::resolve::{Grants, Warning, resolve};
use vyoma_mcu_core::pool::Pool;
use vyoma_mcu_core::stdin::Stdin;
use vyoma_mcu_core::store::{Cause, Entry, Mark};

use crate::console::Console;
use crate::constants::MAX_APPS;
use crate::protection::Protection;
use crate::store::{self, Apps};
use crate::{board, control, epitaph, memory, pins};

pub(crate) use inspect::inspect;
pub(crate) use record::Records;

/// One for each app that runs, and one for looking at a component that is being installed.
const ARENAS: usize = MAX_APPS + 1;

/// What the firmware knows and shares between its tasks.
pub(crate) struct Device {
    pub(crate) profile: Profile,
    spawner: Spawner,
    console: Console,
    apps: RefCell<Vec<Rc<App>>>,
    pub(crate) store: RefCell<Apps>,
    pub(crate) records: RefCell<Records>,
    pool: RefCell<Pool<ARENAS>>,
    /// Held by whoever loads: there is one loader's stack.
    loader: Mutex<NoopRawMutex, ()>,
    /// Most bytes of the loader's stack that were ever used.
    loader_used: Cell<u32>,
    protection: RefCell<Protection>,
    /// Devices that apps have open.
    claims: RefCell<Vec<devices::Claim>>,
    /// The last words of a firmware that panicked before this start.
    pub(crate) epitaph: Option<String>,
    /// What an app put there for others.
    clipboard: RefCell<String>,
}

/// One app.
pub(crate) struct App {
    pub(crate) manifest: Manifest,
    grants: Grants,
    warnings: Vec<Warning>,
    component: &'static [u8],
    pub(crate) sha256: [u8; 32],
    pub(crate) machine: RefCell<Machine>,
    /// A task drives its life: it runs, or is between two runs.
    driven: Cell<bool>,
    /// What its task is to do.
    order: Signal<NoopRawMutex, Order>,
    /// Something that it may wait for has happened.
    event: Signal<NoopRawMutex, ()>,
    stdin: RefCell<Stdin>,
    /// Who wrote to it last, for `@reply:`.
    last_writer: RefCell<Weak<App>>,
    /// Bytes of the arena that it needed last time, which it will need next time, too.
    arena_bytes: Cell<Option<u32>>,
    /// Where its memory is, while it runs.
    placement: RefCell<Option<run::Placement>>,
    /// Lines of its log that had to make room.
    dropped_lines: Cell<u64>,
    figures: RefCell<Figures>,
}

/// What an operator, or another app in its name, wants of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Start it, unless it runs.
    Start,
    /// End it.
    Stop,
    /// End it, and start it again.
    Restart,
}

/// Why an app was not given an order: as many run as can.
#[derive(Debug)]
pub(crate) struct TooMany;

/// What is counted of a run, or of the last one. Bytes add up: arena = stack + heap, heap = used + free.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    pub(crate) host_calls: u64,
    /// Microseconds of processor time.
    pub(crate) ran_us: u64,
    /// Bytes of the arena, all in all.
    pub(crate) arena: u32,
    /// Bytes of the native stack.
    stack: u32,
    /// Bytes of it that were ever used.
    stack_used: u32,
    /// Bytes of the heap that are in use, with what stands around each block.
    heap_used: u32,
    /// Of these, wasm3's code.
    code: u32,
    /// Of these, linear memory.
    linear: u32,
}

impl Figures {
    /// As the event `memory` has it.
    pub(crate) fn line(&self) -> String {
        let metadata = self.heap_used.saturating_sub(self.code + self.linear);
        format!(
            "arena {} = stack {} (used {}) + metadata {metadata} + code {} + linear {} + free {}",
            self.arena,
            self.stack,
            self.stack_used,
            self.code,
            self.linear,
            self.arena.saturating_sub(self.stack + self.heap_used),
        )
    }
}

impl App {
    pub(crate) fn name(&self) -> &str {
        &self.manifest.app.name
    }

    pub(crate) fn phase(&self) -> Phase {
        self.machine.borrow().phase()
    }

    /// Whether nothing of it runs, or is going to by itself.
    pub(crate) fn is_settled(&self) -> bool {
        !self.order.signaled() && self.phase() != Phase::Stopping
    }

    /// What it declared and does not have, by name.
    pub(crate) fn unavailable(&self) -> Vec<String> {
        let names = self.warnings.iter();
        names
            .map(|warning| format!("{}", warning.capability))
            .collect()
    }

    /// The warnings, one line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.iter();
        warnings.map(|warning| format!("{warning}")).collect()
    }

    /// Its figures, of this moment while it runs.
    pub(crate) fn figures(&self) -> Figures {
        self.measure();
        self.figures.borrow().clone()
    }

    fn measure(&self) {
        if let Some(placement) = &*self.placement.borrow() {
            placement.measure(&mut self.figures.borrow_mut());
        }
    }

    /// Lines of its log, and of its standard input, that had to make room.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.dropped_lines.get()
    }

    /// Appends to its standard input, and ends it; false, and nothing was done, when that has no room for it.
    pub(crate) fn send(&self, text: &str, end: bool) -> bool {
        let taken = self.stdin.borrow_mut().write(text, end);
        self.event.signal(());
        taken
    }

    /// Whether it runs, and hears what is sent to it.
    pub(crate) fn listens(&self) -> bool {
        self.grants.stdio && self.machine.borrow().running_since().is_some()
    }
}

impl Device {
    /// The app of that name.
    pub(crate) fn app(&self, name: &str) -> Option<Rc<App>> {
        self.apps
            .borrow()
            .iter()
            .find(|app| app.name() == name)
            .cloned()
    }

    /// Apps that run, or are between two runs.
    pub(crate) fn running(&self) -> usize {
        let apps = self.apps.borrow();
        apps.iter().filter(|app| app.driven.get()).count()
    }

    /// Ends all that runs.
    pub(crate) fn stop_all(&'static self) {
        let apps: Vec<Rc<App>> = self.apps.borrow().clone();
        for app in apps {
            // Stopping needs no place among those that run.
            let _ = self.order(&app, Order::Stop);
        }
    }

    /// Bytes that arenas are cut from.
    pub(crate) fn pool_bytes(&self) -> u32 {
        self.pool.borrow().size()
    }

    /// Bytes that no arena takes.
    pub(crate) fn free_bytes(&self) -> u32 {
        self.pool.borrow().free()
    }

    /// Gives an app an order, and a task to carry it out, if it has none and needs one.
    pub(crate) fn order(&'static self, app: &Rc<App>, order: Order) -> Result<(), TooMany> {
        if !app.driven.get() {
            if order == Order::Stop {
                app.machine.borrow_mut().handle(now_ms(), Event::Stop);
                return Ok(());
            }
            let task = life::live(self, Rc::clone(app)).map_err(|_| TooMany)?;
            app.driven.set(true);
            app.order.reset();
            self.spawner.spawn(task);
        }
        app.order.signal(order);
        Ok(())
    }

    /// Makes an app of what the store has, or says why that can't be used. `entry` is the store's own.
    pub(crate) fn adopt(&self, store: &Apps, entry: &Entry) -> Result<Rc<App>, Cause> {
        self.forget(entry.name());
        if store.hash(entry) != entry.sha256() {
            return Err(Cause::WrongHash);
        }
        let manifest = store.manifest(entry)?;
        let resolution = resolve(&manifest, &self.profile);
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
            warnings: resolution.warnings,
            component: store::bytes(entry.component()),
            sha256: entry.sha256(),
            machine: RefCell::new(Machine::new(config)),
            driven: Cell::new(false),
            order: Signal::new(),
            event: Signal::new(),
            stdin: RefCell::default(),
            last_writer: RefCell::default(),
            arena_bytes: Cell::new(None),
            placement: RefCell::default(),
            dropped_lines: Cell::new(0),
            figures: RefCell::default(),
        });
        self.apps.borrow_mut().push(Rc::clone(&app));
        Ok(app)
    }

    /// Forgets an app; it does not run.
    pub(crate) fn forget(&self, name: &str) {
        self.apps.borrow_mut().retain(|app| app.name() != name);
    }

    /// The firmware's own memory, as the event `memory` has it.
    pub(crate) fn memory_line(&self) -> String {
        let (used, reach, heap) = memory::firmware_heap_use();
        let stack = memory::firmware_stack();
        let loader = memory::loader();
        format!(
            "static {}, heap {reach} of {heap} ({used} now), stack {} of {}, loader {} of {}, pool {}, {} ms asleep",
            size(&memory::statics()),
            crate::stack::used(&stack),
            size(&stack),
            self.loader_used.get(),
            size(&loader),
            size(&memory::pool()),
            crate::executor::asleep_ms(),
        )
    }
}

fn size(range: &Range<u32>) -> u32 {
    range.end - range.start
}

/// Milliseconds since the start.
pub(crate) fn now_ms() -> u64 {
    Instant::now().as_millis()
}

/// Spawns the first tasks.
pub(crate) fn start(spawner: Spawner, protection: Protection) {
    static DEVICE: StaticCell<Device> = StaticCell::new();
    // The build made it of a profile, with the same types.
    let profile = postcard::from_bytes(include_bytes!(concat!(env!("OUT_DIR"), "/profile.bin")));
    let device: &'static Device = DEVICE.init(Device {
        profile: profile.expect("a profile"),
        spawner,
        console: Console::new(),
        apps: RefCell::new(Vec::new()),
        store: RefCell::new(store::open()),
        records: RefCell::new(Records::new()),
        pool: RefCell::new(Pool::new(memory::pool())),
        loader: Mutex::new(()),
        loader_used: Cell::new(0),
        protection: RefCell::new(protection),
        claims: RefCell::default(),
        epitaph: epitaph::take(),
        clipboard: RefCell::new(String::new()),
    });
    let once = "each is spawned once";
    spawner.spawn(boot(device).expect(once));
    spawner.spawn(relay(device).expect(once));
    spawner.spawn(record::print(device).expect(once));
    spawner.spawn(control::serve(device).expect(once));
}

/// Says what is there, checks the apps, starts them.
#[embassy_executor::task]
async fn boot(device: &'static Device) {
    let text = format!(
        "{} on {}, {} KiB of RAM, wasm3 {}",
        env!("CARGO_PKG_VERSION"),
        board::NAME,
        device.profile.ram_kb,
        vyoma_adapter_wasm3::VERSION,
    );
    device.event(None, "started", &text).await;
    if let Some(words) = &device.epitaph {
        device.event(None, "epitaph", words).await;
    }
    #[cfg(feature = "bench")]
    alloc::boxed::Box::pin(bench::measure(device)).await;
    let entries: Vec<Entry> = device.store.borrow().apps().cloned().collect();
    for entry in entries {
        found(device, &entry).await;
    }
    device.event(None, "memory", &device.memory_line()).await;
}

/// An app of the store's, at boot: checks it, and starts it unless it is not to run.
async fn found(device: &'static Device, entry: &Entry) {
    let name = entry.name();
    let adopted = {
        let store = device.store.borrow();
        device.adopt(&store, entry)
    };
    let app = match adopted {
        Ok(app) => app,
        Err(cause) => {
            device.quarantine(name, cause);
            let text = format!("{cause}");
            return device.event(Some(name), "app-quarantined", &text).await;
        }
    };
    let text = format!(
        "sha256 {}, {} bytes",
        hex::encode(&app.sha256),
        app.component.len()
    );
    device.event(Some(name), "app-verified", &text).await;
    for warning in app.warnings() {
        device.event(Some(name), "warning", &warning).await;
    }
    match entry.mark() {
        Mark::None => device.start(&app).await,
        Mark::Stopped => {}
        Mark::Quarantined(cause) => {
            let text = format!("{cause}; vyomactl start brings it back");
            device.event(Some(name), "app-quarantined", &text).await;
        }
    }
}

impl Device {
    /// Starts an app, or says why not.
    pub(crate) async fn start(&'static self, app: &Rc<App>) {
        if self.order(app, Order::Start).is_err() {
            let text = self.too_many();
            self.event(Some(app.name()), "app-refused", &text).await;
        }
    }

    /// Why one more app is not started.
    pub(crate) fn too_many(&self) -> String {
        format!(
            "{} apps run and {} allows max_apps = {MAX_APPS}; stop or remove one first",
            self.running(),
            self.profile.name
        )
    }

    /// Remembers that an app is not to be started at boot. Should the flash fail, it will be found out again.
    fn quarantine(&self, name: &str, cause: Cause) {
        let _ = self.store.borrow_mut().mark(name, Mark::Quarantined(cause));
    }
}

/// Tells apps that wait that a device has something: which one has what is for them to look.
#[embassy_executor::task]
async fn relay(device: &'static Device) {
    loop {
        pins::HAPPENED.wait().await;
        for app in device.apps.borrow().iter() {
            app.event.signal(());
        }
    }
}
