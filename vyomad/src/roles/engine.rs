//! Which engine runs here: by profile, as far as this binary carries it (engines are Cargo features, so that an image
//! holds only its own). Called by the other roles; the daemon asks for keys and names only and never runs an engine.

use vyoma_capabilities::control::{AheadOfTime, Execution};
use vyoma_capabilities::profile::{Engine, Profile};
use vyoma_runtime::WasmRuntime;

use crate::spec::level;

/// The engine of `profile`.
pub(crate) fn runtime(profile: &Profile) -> Result<Box<dyn WasmRuntime>, String> {
    of(profile.engine)
}

/// An engine by name, for this machine's processor.
pub(super) fn of(engine: Engine) -> Result<Box<dyn WasmRuntime>, String> {
    for_cpu(engine, None)
}

/// An engine by name, whose artefacts are for processors of the level `cpu` (absent: of this machine).
pub(super) fn for_cpu(engine: Engine, cpu: Option<&str>) -> Result<Box<dyn WasmRuntime>, String> {
    match engine {
        #[cfg(feature = "wasmtime")]
        Engine::Wasmtime => {
            use vyoma_adapter_wasmtime::{CpuLevel, Wasmtime};
            let level = cpu
                .map_or_else(|| Ok(CpuLevel::detect()), CpuLevel::parse)
                .map_err(|error| error.to_string())?;
            Ok(Box::new(Wasmtime::new(level)))
        }
        #[cfg(feature = "wamr")]
        Engine::Wamr => {
            use vyoma_adapter_wamr::{CpuLevel, Wamr};
            let level = cpu
                .map_or_else(|| Ok(CpuLevel::detect()), CpuLevel::parse)
                .map_err(|error| error.to_string())?;
            Ok(Box::new(Wamr::new(level)))
        }
        #[cfg(feature = "wasm3")]
        Engine::Wasm3 => {
            // An interpreter: the processor's level changes nothing.
            let _ = cpu;
            Ok(Box::new(vyoma_adapter_wasm3::Wasm3::new()))
        }
        #[allow(
            unreachable_patterns,
            reason = "reached when an engine's feature is off"
        )]
        missing => {
            let _ = cpu;
            Err(format!(
                "this vyomad was built without the engine {}; expected the Cargo feature of that name",
                name(missing)
            ))
        }
    }
}

/// Names in the store of what can run of one component, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Machine code that was made ahead of time, off the device; only where the profile has it (runtime.aot).
    pub(crate) ahead_of_time: Option<String>,
    /// What `vyomad admit` makes here.
    pub(crate) own: String,
}

/// The keys of the component with this SHA-256. Cheap: starts no engine. Without any when this binary has not got the
/// profile's engine: the empty name is in no store.
pub(crate) fn keys(profile: &Profile, sha256: &str) -> Keys {
    let Ok(engine) = runtime(profile) else {
        return Keys {
            ahead_of_time: None,
            own: String::new(),
        };
    };
    let level = level(profile);
    Keys {
        ahead_of_time: engine
            .ahead_of_time_key(sha256, level)
            .filter(|_| profile.runtime.aot)
            .map(|key| key.file_name()),
        own: engine.key(sha256, level).file_name(),
    }
}

/// What machine code made ahead of time must be made for; `None` where the profile or the engine has none.
pub(crate) fn ahead_of_time(profile: &Profile) -> Option<AheadOfTime> {
    let engine = runtime(profile).ok().filter(|_| profile.runtime.aot)?;
    let key = engine.ahead_of_time_key("", level(profile))?;
    Some(AheadOfTime {
        engine: key.engine,
        target: key.target,
        flags: key.flags,
        optimization_level: level(profile),
    })
}

/// Whether `vyomad admit` may make what runs: an interpreter makes no code, so `runtime.jit` says nothing about it.
pub(crate) fn may_make(profile: &Profile) -> bool {
    profile.runtime.jit || own_execution(profile.engine) == Execution::Interpreted
}

/// Whether `artefact` is machine code that was made of this component for this device; the error says what differs. It reads
/// bytes of unknown origin: not for the daemon.
pub(super) fn check_ahead_of_time(
    profile: &Profile,
    sha256: &str,
    artefact: &[u8],
) -> Result<(), String> {
    let engine = runtime(profile)?;
    let expected = engine
        .ahead_of_time_key(sha256, level(profile))
        .ok_or_else(|| format!("{} takes none", profile.name))?;
    #[cfg(feature = "wamr")]
    {
        use vyoma_services::artefact::{Kind, decode};
        let artefact = decode(artefact).map_err(|error| error.to_string())?;
        if artefact.kind != Kind::MachineCode {
            return Err(format!(
                "found a {}; expected {}",
                artefact.kind,
                Kind::MachineCode
            ));
        }
        artefact.check(&expected).map_err(|error| error.to_string())
    }
    #[cfg(not(feature = "wamr"))]
    {
        let _ = (expected, artefact);
        Err("this vyomad has no engine that takes it".into())
    }
}

/// What `vyomad admit` makes with this engine.
pub(crate) fn own_execution(engine: Engine) -> Execution {
    match engine {
        Engine::Wasmtime => Execution::Compiled,
        // WAMR's compiler is a tool of its own, off the device; wasm3 has none.
        Engine::Wamr | Engine::Wasm3 => Execution::Interpreted,
    }
}

/// Engine and version, e.g. `wasmtime 48.0.8`.
pub(crate) fn describe(profile: &Profile) -> String {
    runtime(profile).map_or_else(
        |_| format!("{} (not in this vyomad)", name(profile.engine)),
        |engine| format!("{} {}", engine.name(), engine.version()),
    )
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Wasmtime => "wasmtime",
        Engine::Wamr => "wamr",
        Engine::Wasm3 => "wasm3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vyoma_capabilities::profile::{builtin, parse};

    fn profile(name: &str) -> Profile {
        parse(name, builtin(name).unwrap()).unwrap()
    }

    #[cfg(not(feature = "wamr"))]
    #[test]
    fn an_engine_that_is_not_in_this_binary_is_named() {
        let profile = profile("robotics-rt");
        let error = runtime(&profile).err().unwrap();
        assert!(
            error.contains("wamr") && error.contains("feature"),
            "{error}"
        );
        assert_eq!(describe(&profile), "wamr (not in this vyomad)");
        assert_eq!(keys(&profile, "00").own, "");
    }

    #[cfg(feature = "wasmtime")]
    #[test]
    fn an_engine_that_is_says_what_it_is_and_names_artefacts() {
        let profile = profile("server-headless");
        assert!(
            describe(&profile).starts_with("wasmtime 4"),
            "{}",
            describe(&profile)
        );
        let keys_of = keys(&profile, "00");
        assert_eq!((keys_of.own.len(), keys_of.ahead_of_time), (64, None));
        assert_ne!(keys(&profile, "00").own, keys(&profile, "01").own);
        assert_eq!(ahead_of_time(&profile), None);
    }

    #[cfg(feature = "wamr")]
    #[test]
    fn wamr_takes_machine_code_made_elsewhere_and_has_a_key_of_its_own_for_it() {
        let profile = profile("iot-edge");
        let keys = keys(&profile, &"00".repeat(32));
        let ahead = keys.ahead_of_time.unwrap();
        assert_eq!((ahead.len(), keys.own.len()), (64, 64));
        assert_ne!(ahead, keys.own);
        let wanted = ahead_of_time(&profile).unwrap();
        assert!(wanted.engine.starts_with("wamr "), "{wanted:?}");
        assert_eq!(wanted.optimization_level, level(&profile));
    }

    #[cfg(feature = "wasm3")]
    #[test]
    fn wasm3_only_interprets() {
        let profile = profile("mcu-minimal");
        assert_eq!(ahead_of_time(&profile), None);
        assert_eq!(keys(&profile, "00").ahead_of_time, None);
        assert!(describe(&profile).starts_with("wasm3 "));
    }
}
