//! What the daemon tells a role process (`vyomad app`, `vyomad admit`) and what that answers: the only words that
//! pass between them besides the app's own stdio. JSON over the inherited descriptor [`fd::CONTROL`], one document
//! each way; both sides treat the other as possibly broken.

use serde::{Deserialize, Serialize};
use vyoma_capabilities::board::Device;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::manifest::Realtime;
use vyoma_capabilities::profile::{Engine, OptimizationLevel, Peripherals, Profile};
use vyoma_capabilities::resolve::Grants;

/// Descriptor numbers in a role process. 0, 1 and 2 are the app's stdin, stdout and stderr pipes
/// (for an app without `stdio` they are `/dev/null`).
pub(crate) mod fd {
    /// Socket pair to the daemon: spec in, report out.
    pub(crate) const CONTROL: i32 = 3;
    /// `app`: the compiled artefact, read-only. `admit`: the component, read-only.
    pub(crate) const CODE: i32 = 4;
    /// `app`: the heartbeat page (see [`super::Heartbeat`]). `admit`: the empty file that takes the artefact.
    pub(crate) const SHARED: i32 = 5;
    /// `app`: the data folder (`O_PATH | O_DIRECTORY`); only there when `filesystem` is granted. `admit`: machine code that
    /// came with the component, read-only; only there when some did.
    pub(crate) const DATA: i32 = 6;
    /// `app`: the first device's; how many there are is the role's second argument.
    pub(crate) const DEVICES: i32 = 7;
    /// `ssh`: the client's connected socket; only there when there is a client.
    pub(crate) const CLIENT: i32 = 4;
    /// `ssh`: a connection to the control protocol; only there when there is a client.
    pub(crate) const DAEMON: i32 = 5;
}

/// Everything that `vyomad app` needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppSpec {
    /// Name of the app, for messages and as `argv[0]` of the guest.
    pub(crate) name: String,
    /// Arguments after `argv[0]`.
    pub(crate) args: Vec<String>,
    /// The guest's whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// What it may do.
    pub(crate) grants: Grants,
    /// User and group to become; absent in a hosted daemon that is not root.
    pub(crate) uid: Option<u32>,
    /// The sandbox must hold in full (device) or as far as this kernel can (hosted).
    pub(crate) sandbox_required: bool,
    /// Most bytes of linear memory; absent: 4 GiB.
    pub(crate) memory_bytes: Option<u64>,
    /// The engine that made the artefact: the profile's.
    pub(crate) engine: Engine,
    /// The exact key under which the artefact was stored; the engine refuses one that does not fit itself.
    pub(crate) artefact_key: String,
    /// The devices of the grants.
    #[serde(default)]
    pub(crate) devices: DeviceSpec,
    /// SCHED_FIFO and locked memory, where the kernel is a real-time one.
    pub(crate) realtime: Option<Realtime>,
}

/// The devices of an app, whose descriptors come after [`fd::DATA`]: one for each that can be opened, in the list's order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DeviceSpec {
    /// What the platform has.
    pub(crate) peripherals: Peripherals,
    /// What the grants come to.
    pub(crate) list: Vec<Device>,
    /// The descriptors are a simulated board's.
    pub(crate) simulated: bool,
}

/// What `vyomad app` reports on [`fd::CONTROL`] before it exits; nothing when it was killed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppReport {
    /// `Exited`, `Trapped`, `OutOfMemory` or `NotStarted`.
    pub(crate) ending: Ending,
    /// Parts of the sandbox that this kernel could not give, one line each; always empty where the sandbox is required.
    #[serde(default)]
    pub(crate) sandbox_notes: Vec<String>,
}

/// The page that an app process and the daemon share (a memfd of 4096 bytes): little-endian u64 counters.
/// An app that lies in it can only fool its own watchdog, and who asks what it uses.
pub(crate) struct Heartbeat;

impl Heartbeat {
    /// Byte offset of the count of host calls begun.
    pub(crate) const CALLS: usize = 0;
    /// Byte offset of the flag "inside a host call now" (0 or 1): then the app is waiting, not silent.
    pub(crate) const IN_HOST: usize = 8;
    /// Byte offset of the first of two counters for each capability: calls, and refusals among them. A cache line further, so
    /// that a watchdog's look does not take turns with them.
    const USES: usize = 64;
    /// Size of the page.
    pub(crate) const SIZE: usize = 4096;

    /// Byte offset of the count of calls of the capability with that [`index`](vyoma_capabilities::capability::Capability::index).
    pub(crate) const fn used(index: usize) -> usize {
        Self::USES + 16 * index
    }

    /// Byte offset of the count of refusals.
    pub(crate) const fn refused(index: usize) -> usize {
        Self::used(index) + 8
    }
}

/// Everything that `vyomad admit` needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdmitSpec {
    /// For messages.
    pub(crate) name: String,
    /// The profile: decides optimisation and what the component may import.
    pub(crate) profile: Profile,
    /// The SHA-256 that the bytes must have (lower-case hex); absent: only computed.
    pub(crate) expected_sha256: Option<String>,
    /// User and group to become; absent in a hosted daemon that is not root.
    pub(crate) uid: Option<u32>,
    /// As in [`AppSpec`].
    pub(crate) sandbox_required: bool,
    /// False: only verify and validate, write no artefact (profile with `jit = false`, or artefact already there).
    pub(crate) compile: bool,
    /// Machine code came with the component, as [`fd::DATA`].
    pub(crate) machine_code: bool,
}

/// What `vyomad admit` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum AdmitReport {
    /// The component is sound.
    Admitted {
        /// As computed.
        sha256: String,
        /// Store key of the artefact, whether or not it was written.
        artefact_key: String,
        /// Bytes written to [`fd::SHARED`].
        artefact_size: u64,
    },
    /// The bytes have another hash than expected.
    HashMismatch {
        /// What was expected.
        expected: String,
        /// What they have.
        found: String,
    },
    /// Not a component that runs here; one line.
    Refused(String),
}

/// Everything that `vyomad ssh` needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SshSpec {
    /// Seed of the device's ed25519 host key.
    pub(crate) host_key: [u8; 32],
    /// Who may log in.
    pub(crate) authorized: Vec<KeyFile>,
    /// User and group to become; absent in a hosted daemon that is not root.
    pub(crate) uid: Option<u32>,
    /// As in [`AppSpec`].
    pub(crate) sandbox_required: bool,
    /// False: there is no client; only report [`SshReport::Keys`].
    pub(crate) serve: bool,
}

/// A file of authorised keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyFile {
    /// Where it is, for messages.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
}

/// What `vyomad ssh` reports on [`fd::CONTROL`], a line each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum SshReport {
    /// Which keys it would use.
    Keys {
        /// The public part of the host key, as it stands in `known_hosts` after the host's name.
        host_key: String,
        /// Its fingerprint, `SHA256:...`.
        fingerprint: String,
        /// How many keys may log in.
        authorized: usize,
        /// What is wrong with other lines of those files, one line each.
        problems: Vec<String>,
    },
    /// The client has shown an authorised key.
    LoggedIn {
        /// The name that it used; the key is what counts.
        user: String,
        /// Fingerprint and comment of the key.
        key: String,
    },
}

/// How the profile's level is passed to an engine (kept here so that both roles agree).
pub(crate) fn level(profile: &Profile) -> OptimizationLevel {
    profile.runtime.optimization_level
}
