//! The host functions against the WIT of WASI 0.2 and of capabilities/wit: names and core signatures, worked out by wit-parser, in both directions.

use std::collections::BTreeMap;
use std::path::Path;

use vyoma_component::host::{self, Platform};
use vyoma_component::program::{CoreType, Signature};
use vyoma_services::Linux;
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{FunctionKind, Resolve, TypeDefKind};

/// Files of packages, each after those that it uses.
const PACKAGES: [&str; 12] = [
    "capabilities/wit/deps/io",
    "adapters/runtime/src/conformance/wit/clocks",
    "adapters/runtime/src/conformance/wit/filesystem",
    "adapters/runtime/src/conformance/wit/random",
    "adapters/runtime/src/conformance/wit/sockets",
    "adapters/runtime/src/conformance/wit/cli",
    "capabilities/wit/deps/gpio",
    "capabilities/wit/deps/i2c",
    "capabilities/wit/deps/spi",
    "capabilities/wit/deps/device",
    "capabilities/wit/deps/uart",
    "capabilities/wit/deps/adc",
];

/// What a guest exports.
const RUN: &str = "wasi:cli/run";

/// `wasi:io/streams` and the function's or resource's name, and what it is.
type Names = BTreeMap<(String, String), Signature>;

fn core_type(wit: WasmType) -> CoreType {
    match wit {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => CoreType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => CoreType::I64,
        WasmType::F32 => CoreType::F32,
        WasmType::F64 => CoreType::F64,
    }
}

fn read() -> Resolve {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Without what is marked as unstable, as wasmtime-wasi links it.
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        let path = folder.join(package).with_extension("wit");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        resolve.push_str(&path, &text).unwrap();
    }
    resolve
}

/// Functions, and resources by their name with the signature of their drop.
fn written() -> (Names, Names) {
    let resolve = read();
    let (mut functions, mut resources) = (Names::new(), Names::new());
    for (id, interface) in &resolve.interfaces {
        let versioned = resolve.id_of(id).unwrap();
        let name = versioned.split('@').next().unwrap().to_owned();
        if name == RUN {
            continue;
        }
        for (function_name, function) in &interface.functions {
            assert!(!matches!(function.kind, FunctionKind::AsyncFreestanding));
            let wit = resolve.wasm_signature(AbiVariant::GuestImport, function);
            let signature = Signature {
                params: wit.params.iter().copied().map(core_type).collect(),
                result: wit.results.first().copied().map(core_type),
            };
            functions.insert((name.clone(), function_name.clone()), signature);
        }
        for (type_name, id) in &interface.types {
            if matches!(resolve.types[*id].kind, TypeDefKind::Resource) {
                resources.insert((name.clone(), type_name.clone()), Signature::default());
            }
        }
    }
    (functions, resources)
}

/// The same of what is implemented.
fn provided() -> (Names, Names) {
    let (mut functions, mut resources) = (Names::new(), Names::new());
    for interface in Linux::interfaces() {
        let name = interface.name.split('@').next().unwrap();
        for function in interface.functions {
            let key = (name.to_owned(), function.name.to_owned());
            let twice = functions.insert(key, (function.signature)().signature());
            assert_eq!(twice, None, "{} {}", interface.name, function.name);
        }
        for resource in interface.resources {
            let key = (name.to_owned(), resource.name.to_owned());
            let twice = resources.insert(key, Signature::default());
            assert_eq!(twice, None, "{} {}", interface.name, resource.name);
        }
    }
    (functions, resources)
}

#[test]
fn every_function_of_the_wit_is_there_with_its_core_signature_and_no_other() {
    let (written, provided) = (written().0, provided().0);
    assert!(written.len() > 180, "{} functions read", written.len());
    for (name, signature) in &written {
        let found = provided
            .get(name)
            .unwrap_or_else(|| panic!("{} {} is missing", name.0, name.1));
        assert_eq!(found, signature, "{} {}", name.0, name.1);
    }
    for name in provided.keys() {
        assert!(written.contains_key(name), "{} {}", name.0, name.1);
    }
}

#[test]
fn every_resource_of_the_wit_can_be_dropped_and_no_other() {
    let (written, provided) = (written().1, provided().1);
    assert_eq!(
        written.keys().collect::<Vec<_>>(),
        provided.keys().collect::<Vec<_>>()
    );
}

#[test]
fn every_interface_of_the_wit_is_found_under_its_own_version_and_no_other_is_there() {
    let resolve = read();
    let mut written: Vec<String> = resolve
        .interfaces
        .iter()
        .map(|(id, _)| resolve.id_of(id).unwrap())
        .filter(|name| !name.starts_with(RUN))
        .collect();
    for name in &written {
        assert!(host::interface::<Linux>(name).is_some(), "{name}");
    }
    let strip = |name: &str| name.split('@').next().unwrap().to_owned();
    let mut provided: Vec<String> = Linux::interfaces().map(|it| strip(it.name)).collect();
    written = written.iter().map(|name| strip(name)).collect();
    written.sort();
    provided.sort();
    assert_eq!(written, provided);
}
