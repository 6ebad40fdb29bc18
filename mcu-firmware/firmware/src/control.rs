//! The control line: the session of `vyoma_mcu_core` with an operator, over the board's second UART, and what it needs to
//! know and to do here. A session's calls return without waiting, so while one is under way no other task runs, and what
//! tasks share is its own.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefMut;

use cortex_m::peripheral::SCB;
use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use static_cell::StaticCell;
use vyoma_capabilities::control::{AppStatus, ControlError, DeviceInfo, ErrorKind, Execution};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::resolve::resolve;
use vyoma_mcu_core::flash::Place;
use vyoma_mcu_core::ring::Ring;
use vyoma_mcu_core::session::{Device, Operation, Power, Session};
use vyoma_mcu_core::stdin::QUEUE_BYTES;
use vyoma_mcu_core::store::Mark;

use crate::apps::{self, Order, Records, now_ms};
use crate::board;
use crate::board::Region;
use crate::constants::MAX_APPS;
use crate::executor;
use crate::store::{self, Apps};

/// Bytes that are taken from the line at once.
const TAKEN: usize = 64;

/// Milliseconds from the order to restart to the restart: the answer is a short frame.
const LAST_ANSWER_MS: u64 = 200;

/// Milliseconds that apps get to be gone before a shutdown goes on without them: each ends at its task's next turn, and prints
/// a line.
const PATIENCE_MS: u64 = 2000;
/// Milliseconds between two looks at whether they are.
const LOOK_MS: u64 = 50;

/// Serves the line for ever.
#[embassy_executor::task]
pub(crate) async fn serve(device: &'static apps::Device) {
    static SESSION: StaticCell<Session> = StaticCell::new();
    let session = SESSION.init_with(Session::new);
    let mut end: Option<(Power, u64)> = None;
    let mut bytes = [0; TAKEN];
    loop {
        let wake_at = [session.wake_at(), end.map(|(_, at)| at)]
            .into_iter()
            .flatten()
            .min();
        let time = async {
            match wake_at {
                Some(ms) => Timer::at(Instant::from_millis(ms)).await,
                None => core::future::pending().await,
            }
        };
        let come = select(board::CONTROL.receive(&mut bytes), time).await;
        let mut control = Control::new(device);
        let answer = match come {
            Either::First(count) => session.receive(now_ms(), &bytes[..count], &mut control),
            Either::Second(()) => {
                session.tick(now_ms(), &mut control);
                &[]
            }
        };
        if let Some(power) = control.end {
            end.get_or_insert((power, now_ms() + LAST_ANSWER_MS));
        }
        drop(control);
        board::CONTROL.send(answer, board::control_start).await;
        match end {
            Some((power, at)) if at <= now_ms() => finish(device, power).await,
            _ => {}
        }
    }
}

/// The answer has left: ends the device.
async fn finish(device: &'static apps::Device, power: Power) {
    if power == Power::Reboot {
        SCB::sys_reset();
    }
    let deadline = now_ms() + PATIENCE_MS;
    while device.running() > 0 && now_ms() < deadline {
        Timer::after_millis(LOOK_MS).await;
    }
    let text = match device.running() {
        0 => "all apps are stopped; a reset starts the device again",
        _ => "not all apps would end; a reset starts the device again",
    };
    device.event(None, "shutdown", text).await;
    // What the console has is on its way.
    Timer::after_millis(LAST_ANSWER_MS).await;
    executor::off()
}

/// The firmware, for the length of one call of the session's.
struct Control {
    device: &'static apps::Device,
    store: RefMut<'static, Apps>,
    records: RefMut<'static, Records>,
    end: Option<Power>,
}

impl Control {
    fn new(device: &'static apps::Device) -> Self {
        Self {
            device,
            store: device.store.borrow_mut(),
            records: device.records.borrow_mut(),
            end: None,
        }
    }

    /// Makes an app of what the store has under that name.
    fn adopt(&mut self, name: &str) -> Result<alloc::rc::Rc<apps::App>, ControlError> {
        let entry = self.store.find(name).cloned();
        let entry = entry.ok_or_else(|| error(ErrorKind::NoSuchApp, "no app of that name"))?;
        self.device.adopt(&self.store, &entry).map_err(|cause| {
            // Found out anew at every boot, should this fail.
            let _ = self.store.mark(name, Mark::Quarantined(cause));
            error(ErrorKind::HashMismatch, &format!("{name}: {cause}"))
        })
    }
}

/// What stands in the store about an app that can't be run.
fn unusable(name: &str, mark: Mark, sha256: String) -> AppStatus {
    let last_ending = match mark {
        Mark::Quarantined(cause) => Some(Ending::NotStarted(cause.to_string())),
        _ => None,
    };
    AppStatus {
        name: name.into(),
        version: String::new(),
        sha256,
        phase: Phase::Quarantined,
        last_ending,
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

fn error(kind: ErrorKind, message: &str) -> ControlError {
    ControlError {
        kind,
        message: message.into(),
    }
}

impl Device for Control {
    type Flash = Region;

    fn store(&mut self) -> &mut Apps {
        &mut self.store
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn platform(&self) -> &str {
        &self.device.profile.name
    }

    fn info(&mut self) -> DeviceInfo {
        let device = self.device;
        // The high-water marks of this moment, for who asks for events next.
        let line = device.memory_line();
        self.records.event(None, "memory", &line);
        for entry in self.store.apps() {
            if let Some(app) = device.app(entry.name())
                && app.machine.borrow().running_since().is_some()
            {
                let line = app.figures().line();
                self.records.event(Some(app.name()), "memory", &line);
            }
        }
        let room = self.store.room();
        DeviceInfo {
            platform: device.profile.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            engine: format!("wasm3 {}", vyoma_adapter_wasm3::VERSION),
            arch: board::ARCHITECTURE.into(),
            hostname: board::NAME.into(),
            kernel: "none".into(),
            mode: "firmware".into(),
            uptime_ms: now_ms(),
            time_ms: now_ms(),
            apps: self.store.apps().count() as u32,
            running: device.running() as u32,
            max_apps: MAX_APPS as u32,
            daemon_pss_kb: Some(device.profile.ram_kb - u64::from(device.pool_bytes() / 1024)),
            memory_total_kb: device.profile.ram_kb,
            memory_available_kb: u64::from(device.free_bytes() / 1024),
            data: format!("flash, {} of {} bytes free", room.free, room.total),
            last_epitaph: device.epitaph.clone(),
            addresses: Vec::new(),
            ahead_of_time: None,
        }
    }

    fn status(&mut self, index: usize) -> AppStatus {
        let Some(entry) = self.store.apps().nth(index) else {
            // The session asks for those that are there.
            return unusable("", Mark::None, String::new());
        };
        let Some(app) = self.device.app(entry.name()) else {
            let sha256 = hex::encode(&self.store.hash(entry));
            return unusable(entry.name(), entry.mark(), sha256);
        };
        let machine = app.machine.borrow();
        let figures = app.figures();
        let running_since = machine.running_since();
        let mut phase = machine.phase();
        let mut last_ending = machine.last_ending().cloned();
        if let (Phase::Stopped, Mark::Quarantined(cause)) = (phase, entry.mark()) {
            phase = Phase::Quarantined;
            last_ending.get_or_insert(Ending::NotStarted(cause.to_string()));
        }
        AppStatus {
            name: app.name().into(),
            version: app.manifest.app.version.clone(),
            sha256: hex::encode(&app.sha256),
            phase,
            last_ending,
            restarts: machine.restarts(),
            pid: None,
            uptime_ms: running_since.map(|since| now_ms().saturating_sub(since)),
            pss_kb: running_since.map(|_| u64::from(figures.arena.div_ceil(1024))),
            cpu_ms: Some(figures.ran_us / 1000),
            host_calls: figures.host_calls,
            dropped_lines: app.dropped_lines(),
            unavailable: app.unavailable(),
            execution: Some(Execution::Interpreted),
            versions: None,
        }
    }

    fn logs(&self) -> &Ring {
        &self.records.log
    }

    fn events(&self) -> &Ring {
        &self.records.events
    }

    fn begin(&mut self, operation: Operation, name: &str) -> Result<(), ControlError> {
        let app = match self.device.app(name) {
            Some(app) => app,
            // Nobody could use it at boot: perhaps now.
            None if operation == Operation::Stop => return Ok(()),
            None => self.adopt(name)?,
        };
        self.device
            .order(&app, Order::from(operation))
            .map_err(|_| error(ErrorKind::Limit, &self.device.too_many()))
    }

    fn settled(&mut self, name: &str) -> bool {
        self.device.app(name).is_none_or(|app| app.is_settled())
    }

    fn send(&mut self, name: &str, text: &str, end: bool) -> Result<(), ControlError> {
        let app = self.device.app(name).filter(|app| app.listens());
        let Some(app) = app else {
            let text = format!("{name} does not run, or has no stdio; nothing was sent");
            return Err(error(ErrorKind::State, &text));
        };
        if app.send(text, end) {
            return Ok(());
        }
        let text = format!(
            "{name} has not read what was sent before, or its input has ended: {} bytes do not fit into {QUEUE_BYTES}; nothing was sent",
            text.len()
        );
        Err(error(ErrorKind::Limit, &text))
    }

    fn admit(
        &mut self,
        manifest: &Manifest,
        component: Place,
    ) -> Result<Vec<String>, ControlError> {
        apps::inspect(self.device, store::bytes(component), &manifest.app.name)?;
        let warnings = resolve(manifest, &self.device.profile).warnings;
        Ok(warnings
            .iter()
            .map(|warning| format!("{warning}"))
            .collect())
    }

    fn installed(&mut self, name: &str) {
        let started = self.adopt(name).and_then(|app| {
            for warning in app.warnings() {
                self.records.event(Some(name), "warning", &warning);
            }
            self.device
                .order(&app, Order::Start)
                .map_err(|_| error(ErrorKind::Limit, &self.device.too_many()))
        });
        if let Err(why) = started {
            self.records.event(Some(name), "app-refused", &why.message);
        }
    }

    fn removed(&mut self, name: &str) {
        self.device.forget(name);
    }

    fn end(&mut self, power: Power) -> Result<(), ControlError> {
        if power == Power::Off {
            self.device.stop_all();
        }
        self.end = Some(power);
        Ok(())
    }
}
