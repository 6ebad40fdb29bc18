//! What the dashboard knows and what keys do: without a terminal and without a device, so that tests need neither.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vyoma_capabilities::control::{AppStatus, CapabilityUse, DeviceInfo, LogLine};

/// Most lines of a device that are kept to be looked at again.
const LINES: usize = 2000;
/// Most characters of a filter.
const FILTER: usize = 80;

/// An app, with what can only be told from two looks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) status: AppStatus,
    /// Percent of one core.
    pub(crate) cpu_percent: Option<f64>,
    /// Host calls a second.
    pub(crate) calls_per_second: Option<f64>,
}

/// What is known of one device.
#[derive(Debug, Default)]
pub(crate) struct Device {
    /// As the operator calls it.
    pub(crate) name: String,
    /// Absent until it has answered once.
    pub(crate) info: Option<DeviceInfo>,
    pub(crate) apps: Vec<Row>,
    /// Capabilities of the app that they were asked for.
    pub(crate) caps: Option<(String, Vec<CapabilityUse>)>,
    pub(crate) lines: VecDeque<LogLine>,
    /// Why it does not answer, when it does not.
    pub(crate) lost: Option<String>,
    /// Name of the selected app: names stay when apps come and go.
    selected: Option<String>,
}

/// What a device's threads tell.
#[derive(Debug)]
pub(crate) enum Update {
    /// It was looked at.
    Look {
        info: Box<DeviceInfo>,
        apps: Vec<Row>,
    },
    /// Capabilities of an app.
    Caps(String, Vec<CapabilityUse>),
    /// An app printed something.
    Line(LogLine),
    /// It does not answer; another try follows.
    Lost(String),
    /// What came of something that was asked.
    Done(String),
}

/// What is to be asked of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Show the capabilities of this app from now on.
    Watch(Option<String>),
    Start(String),
    Stop(String),
    Restart(String),
}

/// What a key comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing that others need to know.
    Stay,
    /// Ask the device of that number.
    Ask(usize, Ask),
    /// The end.
    Quit,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) devices: Vec<Device>,
    /// Number of the device that is shown.
    pub(crate) device: usize,
    /// Only lines that contain this, in upper or lower case.
    pub(crate) filter: String,
    /// The filter is being written.
    pub(crate) editing: bool,
    /// Lines of the selected app only.
    pub(crate) only_selected: bool,
    /// Lines from the newest one up; 0: they are followed.
    pub(crate) scrolled: usize,
    /// The last word about what was asked.
    pub(crate) message: String,
    /// Keys are explained.
    pub(crate) help: bool,
}

impl Device {
    /// Place of the selected app in the list.
    pub(crate) fn place(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.apps.iter().position(|app| app.status.name == selected)
    }

    /// Name of the selected app.
    pub(crate) fn app(&self) -> Option<&str> {
        self.place()
            .map(|place| self.apps[place].status.name.as_str())
    }

    fn look(&mut self, info: DeviceInfo, apps: Vec<Row>) {
        let before = self.place();
        self.info = Some(info);
        self.apps = apps;
        self.lost = None;
        // An app that is gone leaves its place to the next one.
        if self.place().is_none() {
            let last = self.apps.len().checked_sub(1);
            let place = last.map(|last| before.unwrap_or(0).min(last));
            self.selected = place.map(|place| self.apps[place].status.name.clone());
        }
    }

    fn select(&mut self, step: isize) {
        let Some(last) = self.apps.len().checked_sub(1) else {
            return;
        };
        let place = self
            .place()
            .unwrap_or(0)
            .saturating_add_signed(step)
            .min(last);
        self.selected = Some(self.apps[place].status.name.clone());
    }
}

impl State {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let devices = names.into_iter().map(|name| Device {
            name,
            ..Device::default()
        });
        Self {
            devices: devices.collect(),
            ..Self::default()
        }
    }

    /// The device that is shown.
    pub(crate) fn current(&self) -> Option<&Device> {
        self.devices.get(self.device)
    }

    /// The lines that the filter lets through, newest first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &LogLine> {
        let device = self.current();
        let only = device.filter(|_| self.only_selected).and_then(Device::app);
        let filter = self.filter.to_lowercase();
        device
            .into_iter()
            .flat_map(|device| device.lines.iter().rev())
            .filter(move |line| {
                only.is_none_or(|only| line.app == only)
                    && (filter.is_empty()
                        || line.text.to_lowercase().contains(&filter)
                        || line.app.contains(&filter))
            })
    }

    /// Takes what the device of that number told. Something is to be asked when the selected app is another one now.
    pub(crate) fn update(&mut self, number: usize, update: Update) -> Outcome {
        let Some(device) = self.devices.get_mut(number) else {
            return Outcome::Stay;
        };
        let before = device.app().map(str::to_owned);
        match update {
            Update::Look { info, apps } => device.look(*info, apps),
            Update::Caps(app, caps) => device.caps = Some((app, caps)),
            Update::Line(line) => {
                if device.lines.len() == LINES {
                    device.lines.pop_front();
                }
                device.lines.push_back(line);
                // Who reads older lines goes on reading them.
                if self.scrolled > 0 && number == self.device {
                    self.scrolled += 1;
                }
            }
            Update::Lost(why) => device.lost = Some(why),
            Update::Done(message) => self.message = message,
        }
        let now = self.devices[number].app();
        if now == before.as_deref() {
            Outcome::Stay
        } else {
            Outcome::Ask(number, Ask::Watch(now.map(str::to_owned)))
        }
    }

    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Outcome {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Outcome::Quit,
                _ => Outcome::Stay,
            };
        }
        if self.editing {
            self.edit(key.code);
            return Outcome::Stay;
        }
        if std::mem::take(&mut self.help) {
            return Outcome::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Outcome::Quit,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Up | KeyCode::Char('k') => return self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => return self.select(1),
            KeyCode::Right | KeyCode::Tab => self.turn(1),
            KeyCode::Left | KeyCode::BackTab => self.turn(-1),
            KeyCode::Char('/') => self.editing = true,
            KeyCode::Char('a') => {
                self.only_selected = !self.only_selected;
                self.scrolled = 0;
            }
            KeyCode::PageUp => self.scrolled = (self.scrolled + 10).min(LINES),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_sub(10),
            KeyCode::End => self.scrolled = 0,
            KeyCode::Esc => {
                self.filter.clear();
                self.message.clear();
                self.scrolled = 0;
            }
            KeyCode::Char('r') => return self.ask(Ask::Restart),
            KeyCode::Char('s') => return self.ask(Ask::Start),
            KeyCode::Char('x') => return self.ask(Ask::Stop),
            _ => {}
        }
        Outcome::Stay
    }

    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.editing = false,
            KeyCode::Esc => {
                self.editing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.chars().count() < FILTER => self.filter.push(c),
            _ => {}
        }
        self.scrolled = 0;
    }

    fn select(&mut self, step: isize) -> Outcome {
        let number = self.device;
        let Some(device) = self.devices.get_mut(number) else {
            return Outcome::Stay;
        };
        let before = device.place();
        device.select(step);
        if device.place() == before {
            return Outcome::Stay;
        }
        if self.only_selected {
            self.scrolled = 0;
        }
        Outcome::Ask(number, Ask::Watch(device.app().map(str::to_owned)))
    }

    fn turn(&mut self, step: isize) {
        let count = self.devices.len().max(1);
        self.device = self
            .device
            .wrapping_add(count)
            .wrapping_add_signed(step)
            .rem_euclid(count);
        self.scrolled = 0;
    }

    fn ask(&mut self, ask: fn(String) -> Ask) -> Outcome {
        let Some(device) = self.current() else {
            return Outcome::Stay;
        };
        if device.lost.is_some() {
            self.message = String::from("the device does not answer");
            return Outcome::Stay;
        }
        match device.app().map(str::to_owned) {
            Some(app) => {
                self.message = format!("{app}: asked ...");
                Outcome::Ask(self.device, ask(app))
            }
            None => Outcome::Stay,
        }
    }
}
