//! A device without a microcontroller: the real store and session over simulated flash, and apps that run in name only.
//! `vyomactl`'s tests put it behind a pseudo-terminal.

use std::collections::BTreeMap;

use vyoma_capabilities::control::{
    AppStatus, ControlError, DeviceInfo, ErrorKind, Execution, Stream,
};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::profile;
use vyoma_capabilities::resolve::resolve;
use vyoma_component::program::Program;
use vyoma_mcu_core::flash::{Flash as _, Place};
use vyoma_mcu_core::ring::{Event, Line, Ring};
use vyoma_mcu_core::session::{Device, Operation, Power, no_memory};
use vyoma_mcu_core::store::{Mark, Store};

use crate::flash::Stm32l4;

/// Bytes that apps have for themselves on this device.
pub(crate) const MEMORY: u64 = 100 * 1024;
/// Native stack of an app: the profile's.
const STACK: u64 = 4096;

/// What is said of a component: warnings, or why it is refused.
type Admits = fn(&[u8]) -> Result<Vec<String>, ControlError>;

/// The device.
pub(crate) struct Played {
    pub(crate) store: Store<Stm32l4>,
    pub(crate) phases: BTreeMap<String, Phase>,
    /// How often each app was started.
    pub(crate) starts: BTreeMap<String, u32>,
    /// How often it is asked whether an app has ended before it has.
    pub(crate) slowness: u32,
    pub(crate) input: BTreeMap<String, String>,
    pub(crate) logs: Ring,
    pub(crate) events: Ring,
    pub(crate) power: Option<Power>,
    /// What is said of components; `Program::of` and what it needs, when nothing is set.
    pub(crate) admits: Option<Admits>,
    pub(crate) now_ms: u64,
    waiting: u32,
}

impl Played {
    /// A device whose flash holds `size` bytes and nothing.
    pub(crate) fn new(size: usize) -> Self {
        Self::with(Store::open(Stm32l4::new(size)))
    }

    /// A device that boots from this store.
    pub(crate) fn with(store: Store<Stm32l4>) -> Self {
        let mut device = Self {
            store,
            phases: BTreeMap::new(),
            starts: BTreeMap::new(),
            slowness: 0,
            input: BTreeMap::new(),
            logs: Ring::new(vec![0; 2048].leak()),
            events: Ring::new(vec![0; 512].leak()),
            power: None,
            admits: None,
            now_ms: 0,
            waiting: 0,
        };
        let apps: Vec<(String, Mark)> = device
            .store
            .apps()
            .map(|entry| (entry.name().to_owned(), entry.mark()))
            .collect();
        for (app, mark) in apps {
            match mark {
                Mark::None => device.start(&app),
                Mark::Stopped => drop(device.phases.insert(app, Phase::Stopped)),
                Mark::Quarantined(_) => drop(device.phases.insert(app, Phase::Quarantined)),
            }
        }
        device
    }

    /// An app prints a line.
    pub(crate) fn prints(&mut self, app: &str, text: &str) {
        let line = Line {
            app,
            time_ms: self.now_ms,
            stream: Stream::Out,
            text,
        };
        self.logs.line(&line, |_| {});
    }

    fn start(&mut self, app: &str) {
        self.phases.insert(app.to_owned(), Phase::Running);
        *self.starts.entry(app.to_owned()).or_default() += 1;
        self.events.event(&Event {
            time_ms: self.now_ms,
            app: Some(app),
            kind: "app-started",
            detail: "by hand",
        });
    }
}

impl Device for Played {
    type Flash = Stm32l4;

    fn store(&mut self) -> &mut Store<Stm32l4> {
        &mut self.store
    }

    fn version(&self) -> &'static str {
        "0.1.0"
    }

    fn platform(&self) -> &'static str {
        "mcu-minimal"
    }

    fn info(&mut self) -> DeviceInfo {
        let room = self.store.room();
        DeviceInfo {
            platform: "mcu-minimal".into(),
            version: "0.1.0".into(),
            engine: "wasm3 0.9".into(),
            arch: "armv7m".into(),
            hostname: "played".into(),
            kernel: "none".into(),
            mode: "firmware".into(),
            uptime_ms: self.now_ms,
            time_ms: self.now_ms,
            apps: self.store.apps().count() as u32,
            running: self
                .phases
                .values()
                .filter(|phase| **phase == Phase::Running)
                .count() as u32,
            max_apps: 3,
            daemon_pss_kb: None,
            memory_total_kb: 128,
            memory_available_kb: MEMORY / 1024,
            data: format!("flash: {} of {} bytes free", room.free, room.total),
            last_epitaph: None,
            addresses: Vec::new(),
            ahead_of_time: None,
        }
    }

    fn status(&mut self, index: usize) -> AppStatus {
        let entry = self.store.apps().nth(index).unwrap();
        let name = entry.name().to_owned();
        AppStatus {
            version: self.store.manifest(entry).unwrap().app.version,
            sha256: hex::encode(&entry.sha256()),
            phase: *self.phases.get(&name).unwrap_or(&Phase::Stopped),
            last_ending: None,
            restarts: 0,
            pid: None,
            uptime_ms: Some(self.now_ms),
            pss_kb: None,
            cpu_ms: None,
            host_calls: 0,
            dropped_lines: 0,
            unavailable: Vec::new(),
            execution: Some(Execution::Interpreted),
            versions: None,
            name,
        }
    }

    fn logs(&self) -> &Ring {
        &self.logs
    }

    fn events(&self) -> &Ring {
        &self.events
    }

    fn begin(&mut self, operation: Operation, app: &str) -> Result<(), ControlError> {
        let runs = self.phases.get(app) == Some(&Phase::Running);
        match operation {
            Operation::Start if runs => {
                return Err(ControlError {
                    kind: ErrorKind::State,
                    message: format!("{app} runs already"),
                });
            }
            Operation::Start | Operation::Restart => self.start(app),
            Operation::Stop if runs => {
                self.phases.insert(app.to_owned(), Phase::Stopping);
                self.waiting = self.slowness;
            }
            Operation::Stop => {}
        }
        Ok(())
    }

    fn settled(&mut self, app: &str) -> bool {
        if self.waiting > 0 {
            self.waiting -= 1;
            return false;
        }
        if let Some(phase) = self.phases.get_mut(app) {
            *phase = Phase::Stopped;
        }
        true
    }

    fn send(&mut self, app: &str, text: &str, _end: bool) -> Result<(), ControlError> {
        self.input.entry(app.to_owned()).or_default().push_str(text);
        Ok(())
    }

    fn admit(
        &mut self,
        manifest: &Manifest,
        component: Place,
    ) -> Result<Vec<String>, ControlError> {
        let app = &manifest.app.name;
        let flash = self.store.flash();
        let bytes = flash.view(component.offset, component.length).unwrap();
        if let Some(admits) = self.admits {
            return admits(bytes);
        }
        let program = Program::of(bytes).map_err(|why| ControlError {
            kind: ErrorKind::Invalid,
            message: format!("{app}: {why}"),
        })?;
        let needs = program.needs.microcontroller_bytes(STACK);
        if needs > MEMORY {
            return Err(no_memory(app, needs, MEMORY));
        }
        let text = profile::builtin("mcu-minimal").unwrap();
        let profile = profile::parse("mcu-minimal.toml", text).unwrap();
        let warnings = resolve(manifest, &profile).warnings;
        Ok(warnings.iter().map(ToString::to_string).collect())
    }

    fn installed(&mut self, app: &str) {
        self.start(app);
    }

    fn removed(&mut self, app: &str) {
        self.phases.remove(app);
    }

    fn end(&mut self, power: Power) -> Result<(), ControlError> {
        self.power = Some(power);
        Ok(())
    }
}
