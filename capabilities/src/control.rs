//! The messages between `vyomactl` and a device. The same types travel as JSON frames on Linux (Unix socket, later
//! SSH) and as postcard on the microcontroller's serial line, so they stay externally tagged and free of maps.
//!
//! A connection starts with [`Request::Hello`]; then each request gets one [`Response`], except that
//! [`Request::Logs`] and [`Request::Events`] with `follow` stream [`Response::LogLine`] / [`Response::Event`] until
//! the client hangs up. Streams end with [`Response::Done`]. An upload is [`Request::Install`], then exactly
//! `component_size` bytes in binary frames, then as many bytes of machine code as its `ahead_of_time` announces, then one
//! [`Response`]; less what the device has kept of an upload that was cut ([`Request::Kept`]).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::lifecycle::{Ending, Phase};

pub mod sim;

/// Version of this protocol; a device answers [`ErrorKind::Protocol`] to a client of another one.
pub const PROTOCOL: u32 = 1;
/// Most bytes in one frame, either way.
pub const MAX_FRAME: usize = 256 * 1024;
/// Most bytes of a component that a Linux device takes.
pub const MAX_COMPONENT: u64 = 64 * 1024 * 1024;
/// Most bytes of machine code that a device takes with a component: at most 3 times the component, measured.
pub const MAX_ARTEFACT: u64 = 4 * MAX_COMPONENT;
/// Most bytes that an app's standard input takes at once: what its queue holds.
pub const MAX_SEND: usize = 64 * 1024;
/// Most bytes of a `vyoma.toml`.
pub const MAX_MANIFEST: usize = 64 * 1024;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// First message of a connection.
    Hello {
        /// [`PROTOCOL`] of the client.
        protocol: u32,
    },
    /// All apps with their state.
    Ps,
    /// Logged lines of one app, of several, or of all.
    Logs {
        /// One name, or several with commas between them (see [`names`]); absent: all apps.
        app: Option<String>,
        /// Go on until the client hangs up.
        follow: bool,
        /// Only lines of the last so many milliseconds.
        since_ms: Option<u64>,
        /// From before the last boot of the daemon.
        previous: bool,
        /// Only the last so many lines.
        tail: Option<u32>,
    },
    /// Install or replace an app; the component follows in binary frames.
    Install {
        /// Text of `vyoma.toml`.
        #[cfg(not(target_os = "none"))]
        manifest: String,
        /// Bytes that follow.
        #[cfg(not(target_os = "none"))]
        component_size: u64,
        /// Lower-case hex SHA-256 of the component.
        #[cfg(not(target_os = "none"))]
        sha256: String,
        /// Machine code for this device, made of the component elsewhere, that follows the component.
        #[cfg(not(target_os = "none"))]
        #[serde(default)]
        ahead_of_time: Option<Upload>,
        /// What else is said about it.
        #[cfg(not(target_os = "none"))]
        #[serde(default)]
        options: InstallOptions,
    },
    /// Write to an app's standard input.
    Send {
        /// The app; it has to be running and to have `stdio`.
        app: String,
        /// At most [`MAX_SEND`] bytes.
        text: String,
        /// Nothing comes after this: the app reads the end of its input, until it is started anew.
        end: bool,
    },
    /// Stop an app and forget it, its data too unless `keep_data`.
    Remove {
        /// The app.
        app: String,
        /// Leave the app's data folder.
        keep_data: bool,
    },
    /// Start a stopped or quarantined app.
    Start {
        /// The app.
        app: String,
    },
    /// Stop an app and keep it stopped.
    Stop {
        /// The app.
        app: String,
    },
    /// Stop, then start.
    Restart {
        /// The app.
        app: String,
    },
    /// What happened on the device.
    Events {
        /// Go on until the client hangs up.
        follow: bool,
    },
    /// The device itself.
    Info,
    /// Ordered shutdown and power off (hosted: the daemon ends).
    Shutdown,
    /// Ordered shutdown and restart (hosted: the daemon ends).
    Reboot,
    /// [`Request::Install`] for a device that reads no TOML.
    InstallCompact {
        /// Compact form of `vyoma.toml`: see [`compact`](crate::manifest::compact).
        manifest: Vec<u8>,
        /// Bytes that follow.
        component_size: u64,
        /// Lower-case hex SHA-256 of the component.
        sha256: String,
    },
    /// What an app may use, and what it used.
    #[cfg(not(target_os = "none"))]
    Caps {
        /// The app.
        app: String,
    },
    /// What helps to find a fault: a stream of [`Response::Diagnosis`], then [`Response::Done`].
    #[cfg(not(target_os = "none"))]
    Diagnose {
        /// Everything for a bug report; false: only what the device itself tells.
        logs: bool,
    },
    /// How much of interrupted uploads the device has kept.
    #[cfg(not(target_os = "none"))]
    Kept {
        /// Lower-case hex SHA-256 of each whole file; at most [`MAX_KEPT`].
        sha256s: Vec<String>,
    },
    /// Go back to the version before the current one.
    #[cfg(not(target_os = "none"))]
    Rollback {
        /// The app.
        app: String,
    },
    /// Whose signatures the device trusts, and whether it needs one.
    #[cfg(not(target_os = "none"))]
    Keys,
    /// Trust a key.
    #[cfg(not(target_os = "none"))]
    Trust {
        /// What it is called here: 1 to 32 characters of `a-z 0-9 -`.
        name: String,
        /// The public key, as [`key_text`](crate::signature::key_text) writes it.
        key: String,
    },
    /// Trust a key no longer, one of the image included.
    #[cfg(not(target_os = "none"))]
    Untrust {
        /// The key's name, or the key.
        key: String,
    },
    /// Take only what a trusted key has signed, or anything.
    #[cfg(not(target_os = "none"))]
    RequireSignatures {
        /// Whether.
        on: bool,
    },
    /// Something of the simulated board: [`ErrorKind::State`] where there is none.
    #[cfg(not(target_os = "none"))]
    Sim(sim::SimRequest),
}

/// The names in [`Request::Logs`]; no name of an app has a comma in it.
pub fn names(names: &str) -> impl Iterator<Item = &str> {
    names.split(',')
}

/// Most files that [`Request::Kept`] may ask for.
pub const MAX_KEPT: usize = 8;

/// What an installation says beside its bytes. Each field's absence is what an older client means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InstallOptions {
    /// Bytes of the component that the device has already, as it said to [`Request::Kept`]: they are not sent.
    #[serde(default)]
    pub component_kept: u64,
    /// The same of the machine code.
    #[serde(default)]
    pub code_kept: u64,
    /// Text of a [`vyoma.sig`](crate::signature).
    #[serde(default)]
    pub signature: Option<String>,
    /// Take it even if a newer version has run on the device. Counts for nothing where signatures are required.
    #[serde(default)]
    pub allow_downgrade: bool,
}

/// Bytes that are announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// How many follow.
    pub size: u64,
    /// Their SHA-256 in lower-case hex.
    pub sha256: String,
}

/// What machine code made ahead of time has to be made for; the words of an artefact's key.
#[cfg(not(target_os = "none"))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AheadOfTime {
    /// Engine and version, e.g. `wamr 2.4.3`.
    pub engine: String,
    /// Architecture and CPU level.
    pub target: String,
    /// Everything else that changes the code.
    pub flags: String,
    /// The profile's `optimization_level`.
    pub optimization_level: crate::profile::OptimizationLevel,
}

/// A microcontroller takes no machine code: there is never one.
#[cfg(target_os = "none")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AheadOfTime {}

/// What runs of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Execution {
    /// Machine code that was made on this device, or by its own engine for its image.
    Compiled,
    /// Machine code that was made ahead of time, off the device.
    AheadOfTime,
    /// The engine's interpreter.
    Interpreted,
}

impl core::fmt::Display for Execution {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Compiled => "compiled",
            Self::AheadOfTime => "ahead-of-time",
            Self::Interpreted => "interpreted",
        })
    }
}

/// What the device answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, written out at once; a box would only add an allocation"
)]
pub enum Response {
    /// To [`Request::Hello`].
    Hello {
        /// [`PROTOCOL`] of the device.
        protocol: u32,
        /// Version of the daemon.
        version: String,
        /// Name of the profile.
        platform: String,
    },
    /// To [`Request::Ps`].
    Apps(Vec<AppStatus>),
    /// One logged line.
    LogLine(LogLine),
    /// Something that happened.
    Event(DeviceEvent),
    /// To [`Request::Info`].
    Info(DeviceInfo),
    /// To [`Request::Install`] once the app is in place.
    Installed {
        /// The app.
        app: String,
        /// Hash as the device computed it.
        sha256: String,
        /// True when an older version was replaced.
        replaced: bool,
        /// Capability warnings and the like, one line each.
        warnings: Vec<String>,
    },
    /// Done; nothing more to say.
    Done,
    /// Not done.
    Error(ControlError),
    /// To [`Request::Caps`]: those that the manifest declares, and those that the app called for without.
    #[cfg(not(target_os = "none"))]
    Caps(Vec<CapabilityUse>),
    /// To [`Request::Diagnose`].
    #[cfg(not(target_os = "none"))]
    Diagnosis(Diagnosis),
    /// To [`Request::Kept`]: bytes of each file, in the order of the question; 0 of one that is not known.
    #[cfg(not(target_os = "none"))]
    Kept(Vec<u64>),
    /// To [`Request::Rollback`] once the earlier version is in place.
    #[cfg(not(target_os = "none"))]
    RolledBack {
        /// The app.
        app: String,
        /// Version that is current now.
        version: String,
        /// Version that was current before.
        from: String,
    },
    /// To [`Request::Keys`].
    #[cfg(not(target_os = "none"))]
    Keys(TrustStore),
    /// To [`Request::Sim`].
    #[cfg(not(target_os = "none"))]
    Sim(sim::SimAnswer),
}

/// Something that helps to find a fault. The values of the apps' environments are taken out of every text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Diagnosis {
    /// Where the state directory is.
    Disk {
        /// Size in KiB.
        total_kb: u64,
        /// What may still be written, in KiB.
        free_kb: u64,
    },
    /// The hardware watchdog, for people; absent: there is none.
    Watchdog(Option<String>),
    /// An event.
    Event(DeviceEvent),
    /// How an app last ended.
    Epitaph {
        /// The app.
        app: String,
        /// The JSON document that the device keeps.
        document: String,
    },
    /// A logged line.
    Log {
        /// It is from before the daemon last started.
        previous: bool,
        /// The line.
        line: LogLine,
    },
    /// A message of the kernel, with its time since boot.
    Kernel(String),
}

/// One capability of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityUse {
    /// Which.
    pub capability: Capability,
    /// The manifest asks for it.
    pub declared: bool,
    /// It is granted here: declared, and the platform has it.
    pub granted: bool,
    /// How far it goes, for people: `port 8080`, `pins 3, 4 as output`; empty when nothing bounds it.
    pub terms: String,
    /// Calls since the daemon started that were not refused. Counted by the app's own process: for people to look at, not to
    /// be relied on.
    pub used: u64,
    /// Calls that were refused.
    pub denied: u64,
}

/// Whether a device needs signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignaturePolicy {
    /// Unsigned apps are taken. A signature that is there has to be right.
    #[default]
    Off,
    /// Only what a trusted key has signed.
    Required,
    /// Only what a key of the image has signed; no other key can be added.
    Image,
}

impl SignaturePolicy {
    /// Reads what [`Display`](core::fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Required, Self::Image]
            .into_iter()
            .find(|policy| policy.name() == text)
    }

    /// As it is written on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Required => "required",
            Self::Image => "image",
        }
    }
}

impl core::fmt::Display for SignaturePolicy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose signatures a device trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrustStore {
    /// Whether it needs one.
    pub policy: SignaturePolicy,
    /// How the device was started says so: a client can't change it.
    pub fixed: bool,
    /// The keys.
    pub keys: Vec<TrustedKey>,
}

/// A key in a trust store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// What it is called.
    pub name: String,
    /// As [`key_text`](crate::signature::key_text) writes it.
    pub key: String,
    /// It came with the image.
    pub image: bool,
    /// Signatures of it count; not so of a key of the image that an operator no longer trusts.
    pub trusted: bool,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlError {
    /// For programs, and for the client's exit code.
    pub kind: ErrorKind,
    /// One line for people: what was wrong, where, what was expected, what to do.
    pub message: String,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// Another protocol version, or a frame that makes no sense.
    Protocol,
    /// No app of that name.
    NoSuchApp,
    /// The manifest, component or an argument can't be used.
    Invalid,
    /// The bytes don't have the hash that was announced or pinned.
    HashMismatch,
    /// A limit of the profile or the device.
    Limit,
    /// It makes no sense in the app's present state.
    State,
    /// The device failed (disk full, I/O error).
    Device,
    /// No signature, where one is required.
    Unsigned,
    /// The signature is not of these bytes, or no signature at all.
    BadSignature,
    /// Signed with a key that the device does not trust.
    UnknownKey,
    /// A newer version has run on the device.
    OlderVersion,
}

/// One line of `vyomactl ps` and `top`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Name.
    pub name: String,
    /// Version from the manifest.
    pub version: String,
    /// SHA-256 of the component as the device computed it.
    pub sha256: String,
    /// Where in its life the app is.
    pub phase: Phase,
    /// How it last ended.
    pub last_ending: Option<Ending>,
    /// Times it was restarted since it was last started by hand or boot.
    pub restarts: u32,
    /// Process, when there is one.
    pub pid: Option<u32>,
    /// Milliseconds since this run started.
    pub uptime_ms: Option<u64>,
    /// Proportional set size in KiB.
    pub pss_kb: Option<u64>,
    /// Processor time of this run, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Host calls of this run.
    pub host_calls: u64,
    /// Log lines lost to a full ring or a slow reader.
    pub dropped_lines: u64,
    /// Capabilities declared but not available here.
    pub unavailable: Vec<String>,
    /// What runs, or ran last.
    #[serde(default)]
    pub execution: Option<Execution>,
    /// Its versions, where a device keeps more than one and there is something to tell.
    #[serde(default)]
    pub versions: Option<Versions>,
}

/// What is known of an app's versions beside the current one.
#[cfg(not(target_os = "none"))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Versions {
    /// The version that [`Request::Rollback`] goes back to.
    pub previous: Option<String>,
    /// The current version has yet to prove that it is healthy.
    pub on_trial: bool,
    /// The last time that the device itself went back to an earlier version.
    pub rolled_back: Option<RolledBack>,
}

/// A microcontroller keeps one version: there is nothing to tell.
#[cfg(target_os = "none")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versions {}

/// An update that the device took back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The version that did not prove healthy.
    pub version: String,
    /// Why, on one line.
    pub reason: String,
    /// Unix time in milliseconds, by the device's clock.
    pub time_ms: u64,
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The daemon about the app.
    System,
}

/// One logged line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The app.
    pub app: String,
    /// Unix time in milliseconds, by the device's clock.
    pub time_ms: u64,
    /// Which stream.
    pub stream: Stream,
    /// The line without its end; invalid UTF-8 is replaced.
    pub text: String,
}

/// Something that happened on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceEvent {
    /// Unix time in milliseconds, by the device's clock.
    pub time_ms: u64,
    /// The app it is about, if any.
    pub app: Option<String>,
    /// Short machine-readable name such as `app-started`, `app-ended`, `app-quarantined`, `warning`.
    pub kind: String,
    /// One line for people.
    pub detail: String,
}

/// The device itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Name of the profile.
    pub platform: String,
    /// Version of the daemon.
    pub version: String,
    /// Engine and its version, e.g. `wasmtime 48.0.8`.
    pub engine: String,
    /// Architecture of the running daemon, e.g. `aarch64`.
    pub arch: String,
    /// Host name.
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// `pid1` or `hosted`.
    pub mode: String,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// Unix time in milliseconds by the device's clock.
    pub time_ms: u64,
    /// Apps known / running / allowed at once.
    pub apps: u32,
    /// Running now.
    pub running: u32,
    /// `max_apps` of the profile.
    pub max_apps: u32,
    /// Proportional set size of the daemon in KiB.
    pub daemon_pss_kb: Option<u64>,
    /// Memory in KiB: total and available.
    pub memory_total_kb: u64,
    /// Available.
    pub memory_available_kb: u64,
    /// `disk`, `tmpfs` (a disk could not be used: see events) or `directory` (hosted).
    pub data: String,
    /// What the last boot left behind: panic, watchdog; absent after an orderly end.
    pub last_epitaph: Option<String>,
    /// Addresses, e.g. `eth0 10.0.2.15/24`.
    pub addresses: Vec<String>,
    /// What machine code that comes with an installation has to be made for; absent where none is taken.
    #[serde(default)]
    pub ahead_of_time: Option<AheadOfTime>,
}

impl core::fmt::Display for ControlError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for ControlError {}

/// What the body of a frame on the Unix socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// One [`Request`] or [`Response`] as JSON.
    Json,
    /// Raw bytes of an upload.
    Bytes,
}

/// Bytes of a frame's header: `u32` little-endian length of what follows it, then the kind, which is counted in it.
pub const FRAME_HEADER: usize = 5;
/// Most bytes in the body of one frame.
pub const MAX_FRAME_BODY: usize = MAX_FRAME - 1;

/// Header of a frame with a body of `body` bytes; `None` when that is more than [`MAX_FRAME_BODY`].
pub fn encode_header(kind: FrameKind, body: usize) -> Option<[u8; FRAME_HEADER]> {
    if body > MAX_FRAME_BODY {
        return None;
    }
    let [a, b, c, d] = (body as u32 + 1).to_le_bytes();
    Some([a, b, c, d, u8::from(kind == FrameKind::Bytes)])
}

/// Kind and size of the body that follows. After an error the stream can't be followed any more: hang up.
pub fn decode_header(header: [u8; FRAME_HEADER]) -> Result<(FrameKind, usize), ControlError> {
    let [a, b, c, d, kind] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if !(1..=MAX_FRAME).contains(&length) {
        let message = format!("frame length: found {length}; expected 1 to {MAX_FRAME}");
        return Err(ControlError {
            kind: ErrorKind::Protocol,
            message,
        });
    }
    let kind = match kind {
        0 => FrameKind::Json,
        1 => FrameKind::Bytes,
        other => {
            let message = format!("frame kind: found {other}; expected 0 (JSON) or 1 (bytes)");
            return Err(ControlError {
                kind: ErrorKind::Protocol,
                message,
            });
        }
    };
    Ok((kind, length - 1))
}
