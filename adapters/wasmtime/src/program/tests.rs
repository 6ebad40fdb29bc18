//! Which way a component goes, and what its artefact must be.

use std::io::Write;

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::conformance::plain;
use vyoma_runtime::{CpuLevel, EngineError, RunConfig, WasmRuntime, component};
use vyoma_services::artefact;
use wasmtime::{Engine, Precompiled};

use super::{has_devices, trailer};
use crate::Wasmtime;

/// A program that imports what is named by its short name, and succeeds without calling it.
fn program(imports: &str) -> Vec<u8> {
    let text = format!(
        "(module {} (memory (export \"memory\") 1)
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)
           (func (export \"{}\") (result i32) (i32.const 0)))",
        plain::expand(imports),
        plain::RUN
    );
    plain::component(&wat::parse_str(text).unwrap()).unwrap()
}

const DEVICE: &str = "$uart.open";
const NO_DEVICE: &str = "$stdout.get-stdout";

fn adapter() -> Wasmtime {
    Wasmtime::new(CpuLevel::detect())
}

fn made(by: Wasmtime, imports: &str) -> Vec<u8> {
    by.compile(&program(imports), OptimizationLevel::Size)
        .unwrap()
}

fn file(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// How a run of the artefact ends, or why there is none.
fn run(by: Wasmtime, bytes: &[u8]) -> Result<Ending, EngineError> {
    let instance = by.load(file(bytes), RunConfig::stdio_only("app", &[]))?;
    Ok(instance.run())
}

/// Asserts that it is no artefact, said in one line.
fn refused(bytes: &[u8], what: &str) {
    match run(adapter(), bytes) {
        Err(EngineError::Artefact(why)) => assert!(!why.contains('\n'), "{what}: {why:?}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn only_what_imports_devices_is_compiled_as_a_core_module() {
    for (imports, devices) in [(DEVICE, true), (NO_DEVICE, false)] {
        let component = program(imports);
        let program = component::program(&component).unwrap();
        assert_eq!(program.imports.len(), 1, "{imports}");
        assert_eq!(has_devices(&program), devices, "{imports}");
    }
    let kind = |by, imports| Engine::detect_precompiled(&made(by, imports));
    assert_eq!(kind(adapter(), DEVICE), Some(Precompiled::Module));
    assert_eq!(kind(adapter(), NO_DEVICE), Some(Precompiled::Component));
    let all = adapter().all_as_core_modules();
    assert_eq!(kind(all, NO_DEVICE), Some(Precompiled::Module));
}

#[test]
fn either_kind_of_artefact_runs() {
    for imports in [DEVICE, NO_DEVICE] {
        let ending = run(adapter(), &made(adapter(), imports));
        assert!(matches!(ending, Ok(Ending::Exited(0))), "{ending:?}");
    }
}

#[test]
fn the_description_is_the_program_without_its_code() {
    let component = program(DEVICE);
    let program = component::program(&component).unwrap();
    let read = trailer::read(&file(&made(adapter(), DEVICE))).unwrap();
    let description = read.expect("a description");
    let described = artefact::decode(&description).unwrap();
    assert_eq!(described.imports, program.imports);
    assert_eq!(described.run, program.run);
    assert_eq!(described.reallocs, program.reallocs);
    assert_eq!(described.needs, program.needs);
    assert_eq!(described.payload, b"");
    let sha256 = vyoma_runtime::sha256_hex(&component);
    assert_eq!(
        described.key,
        adapter().key(&sha256, OptimizationLevel::Size)
    );
    // A component describes itself.
    let without = trailer::read(&file(&made(adapter(), NO_DEVICE))).unwrap();
    assert_eq!(without, None);
}

#[test]
fn no_part_of_a_core_module_s_artefact_is_missed_without_a_refusal() {
    let whole = made(adapter(), DEVICE);
    let read = trailer::read(&file(&whole)).unwrap();
    let behind = read.expect("a description").len() + 16;
    for cut in (1..=behind).chain([whole.len() / 2, whole.len() - 10, whole.len()]) {
        refused(
            &whole[..whole.len() - cut],
            &format!("without its last {cut} bytes"),
        );
    }
}

#[test]
fn a_description_with_any_byte_changed_is_refused() {
    let whole = made(adapter(), DEVICE);
    let read = trailer::read(&file(&whole)).unwrap();
    let behind = read.expect("a description").len() + 16;
    for back in 1..=behind {
        for bit in [0x01, 0x80] {
            let mut changed = whole.clone();
            let at = whole.len() - back;
            changed[at] ^= bit;
            refused(&changed, &format!("byte {back} from the end"));
        }
    }
}

#[test]
fn code_that_was_made_for_another_way_of_running_is_refused_by_its_flags() {
    let made = made(adapter().all_as_core_modules(), DEVICE);
    let error = run(adapter(), &made).unwrap_err().to_string();
    assert!(error.contains("made for flags"), "{error}");
}
