//! Which engine runs here: by profile, as far as this binary carries it (engines are Cargo features, so that an image
//! holds only its own). Called by the other roles; the daemon asks for keys and names only and never runs an engine.

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

/// Name in the store of the artefact of the component with this SHA-256, on this machine. Cheap: starts no engine.
/// Empty when this binary has not got the profile's engine: such a name is in no store.
pub(crate) fn key(profile: &Profile, sha256: &str) -> String {
    runtime(profile)
        .map(|engine| engine.key(sha256, level(profile)).file_name())
        .unwrap_or_default()
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

    #[test]
    fn an_engine_that_is_not_in_this_binary_is_named() {
        let error = runtime(&profile("robotics-rt")).err().unwrap();
        assert!(
            error.contains("wamr") && error.contains("feature"),
            "{error}"
        );
        assert_eq!(
            describe(&profile("robotics-rt")),
            "wamr (not in this vyomad)"
        );
        assert_eq!(key(&profile("robotics-rt"), "00"), "");
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
        assert_eq!(key(&profile, "00").len(), 64);
        assert_ne!(key(&profile, "00"), key(&profile, "01"));
    }
}
