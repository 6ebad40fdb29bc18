//! Reading a component without running it: what it imports, what it needs, and whether this project admits it.
//!
//! The rules are the same for every engine ("same bytes, same result"), so they stand here and not in an adapter:
//! a feature that one engine lacks is admitted on none. It deliberately compiles nothing and changes nothing. Called by
//! the adapters' `validate` (in `vyomad admit`) and by `vyomactl inspect`.

use serde::Serialize;
use vyoma_component::host;
use vyoma_component::program::Program;
use vyoma_component::wasi::known::Known;
use wasmparser::{
    ComponentExternalKind, ConstExpr, ExternalKind, Operator, Parser, Payload, Validator,
    WasmFeatures,
};

use crate::sizes::{FunctionSize, Sizes};
use crate::{EngineError, sha256_hex};

/// What a component says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentInfo {
    /// Lower-case hex SHA-256 of the bytes: the app's identity.
    pub sha256: String,
    /// Bytes of the component.
    pub size: u64,
    /// Imported interfaces with their versions, in the component's order: `wasi:cli/stdout@0.2.6`
    pub imports: Vec<String>,
    /// Exported interfaces with their versions.
    pub exports: Vec<String>,
    /// Core modules in it, nested components included. `wasm32-wasip2` makes three: the program, a shim and its fixups.
    pub core_modules: u32,
    /// Pages (64 KiB) of linear memory at start, of the first core module that defines a memory.
    pub memory_pages: u64,
    /// Most pages of that memory, when the module declares a limit.
    pub memory_max_pages: Option<u64>,
    /// First free byte after that module's own data and stack, when it exports the constant `__heap_base`.
    pub heap_base: Option<u32>,
    /// The most that any of its functions holds and nests.
    pub largest_function: FunctionSize,
    /// WebAssembly features in use beyond the first version, by name.
    pub features: Vec<String>,
}

/// What every engine of the project has: WebAssembly 2.0 without SIMD and without host references. An adapter
/// configures its engine with exactly these.
pub const ADMITTED: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Features by the names that people know them by. A feature comes after those that it builds on.
const NAMES: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::MUTABLE_GLOBAL, "mutable globals"),
    (
        WasmFeatures::SATURATING_FLOAT_TO_INT,
        "saturating float-to-int",
    ),
    (WasmFeatures::SIGN_EXTENSION, "sign extension"),
    (WasmFeatures::MULTI_VALUE, "multi-value"),
    (WasmFeatures::BULK_MEMORY, "bulk memory"),
    (WasmFeatures::REFERENCE_TYPES, "reference types"),
    (
        WasmFeatures::EXTENDED_CONST,
        "extended constant expressions",
    ),
    (WasmFeatures::SIMD, "SIMD"),
    (WasmFeatures::RELAXED_SIMD, "relaxed SIMD"),
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::TAIL_CALL, "tail calls"),
    (WasmFeatures::MULTI_MEMORY, "multiple memories"),
    (WasmFeatures::MEMORY64, "64-bit memory"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exceptions"),
    (WasmFeatures::GC_TYPES, "externref"),
    (
        WasmFeatures::FUNCTION_REFERENCES,
        "typed function references",
    ),
    (WasmFeatures::GC, "garbage collection"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything threads",
    ),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
    (WasmFeatures::CM_ASYNC, "component-model async"),
    (
        WasmFeatures::CM_ERROR_CONTEXT,
        "component-model error context",
    ),
    (WasmFeatures::CM_THREADING, "component-model threads"),
    (WasmFeatures::CM_GC, "component-model garbage collection"),
    (WasmFeatures::CM_VALUES, "component-model values"),
    (
        WasmFeatures::CM_NESTED_NAMES,
        "component-model nested names",
    ),
    (
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "component-model fixed-length lists",
    ),
];

/// Reads a component: well-formed or refused. It need not be one that [`check`] admits.
pub fn inspect(bytes: &[u8]) -> Result<ComponentInfo, EngineError> {
    shape(bytes)?;
    let sizes = Sizes::validate(bytes, WasmFeatures::all()).map_err(|error| malformed(&error))?;
    let mut info = read(bytes, sizes.function())?;
    info.features = used_features(bytes)
        .map(|(_, name)| name.to_owned())
        .collect();
    Ok(info)
}

/// Whether this project runs it: well-formed, a command of WASI 0.2, only admitted features and imports.
pub fn check(bytes: &[u8]) -> Result<(), EngineError> {
    shape(bytes)?;
    let sizes = Sizes::validate(bytes, ADMITTED).map_err(|error| {
        // Which kind of error it is decides what helps: with every feature on, a malformed component still fails.
        match validate(bytes, WasmFeatures::all()) {
            Err(malformation) => malformed(&malformation),
            Ok(()) => unadmitted(bytes, &error),
        }
    })?;
    sizes.admitted().map_err(EngineError::Refused)?;
    let info = read(bytes, sizes.function())?;
    for import in &info.imports {
        if host::interface::<Known>(import).is_none() {
            return Err(EngineError::Refused(format!(
                "imports `{import}`, which no host here provides; expected interfaces of wasi:cli, clocks, filesystem, io, random and sockets at 0.2.x, wasi:gpio at 0.2.x, wasi:i2c and wasi:spi at 0.2.0-draft, vyoma:device, uart and adc at 0.1.x"
            )));
        }
    }
    if !info
        .exports
        .iter()
        .any(|export| export.strip_prefix("wasi:cli/run@").is_some_and(is_0_2))
    {
        return Err(EngineError::Refused(
            "exports no `wasi:cli/run@0.2.x`: a library, not a command; build a binary with a `main`".to_owned(),
        ));
    }
    // What the engines without a component model could not link is refused for all.
    for import in &program(bytes)?.imports {
        host::link::<Known>(import).map_err(|why| EngineError::Refused(why.to_string()))?;
    }
    Ok(())
}

/// The component as one core module with its host functions, as the engines without a component model run it.
pub fn program(bytes: &[u8]) -> Result<Program<'_>, EngineError> {
    Program::of(bytes).map_err(|why| EngineError::Refused(why.to_string()))
}

/// `0.2.6`; not `0.2.0-rc-2023-11-10`, which was another interface.
fn is_0_2(version: &str) -> bool {
    version
        .strip_prefix("0.2.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Tells apart what people put in place of a component.
fn shape(bytes: &[u8]) -> Result<(), EngineError> {
    if Parser::is_component(bytes) {
        return Ok(());
    }
    Err(EngineError::Refused(if Parser::is_core_wasm(bytes) {
        "a core module, not a component; build with `--target wasm32-wasip2`".to_owned()
    } else if bytes.is_empty() {
        "an empty file, not a component".to_owned()
    } else {
        let start: Vec<String> = bytes
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(
            "not a component: starts with {}, expected 00 61 73 6d 0d 00 01 00",
            start.join(" ")
        )
    }))
}

fn validate(bytes: &[u8], features: WasmFeatures) -> Result<(), wasmparser::BinaryReaderError> {
    Validator::new_with_features(features)
        .validate_all(bytes)
        .map(|_| ())
}

pub(crate) fn malformed(error: &wasmparser::BinaryReaderError) -> EngineError {
    EngineError::Refused(format!(
        "malformed at offset {:#x}: {}",
        error.offset(),
        one_line(error.message())
    ))
}

/// Names the feature behind `error`, which came of validating with the admitted ones only.
fn unadmitted(bytes: &[u8], error: &wasmparser::BinaryReaderError) -> EngineError {
    let used: Vec<&str> = used_features(bytes)
        .filter(|(feature, _)| !ADMITTED.contains(*feature))
        .map(|(_, name)| name)
        .collect();
    let what = if used.is_empty() {
        one_line(error.message())
    } else {
        used.join(", ")
    };
    EngineError::Refused(format!(
        "uses {what} (first at offset {:#x}), which not every engine here has; build for plain `wasm32-wasip2` without `-C target-feature`",
        error.offset()
    ))
}

/// The features without which the component would not be valid. The bytes are valid with all of them.
fn used_features(bytes: &[u8]) -> impl Iterator<Item = (WasmFeatures, &'static str)> {
    NAMES
        .iter()
        .copied()
        .filter(|(feature, _)| validate(bytes, WasmFeatures::all().difference(*feature)).is_err())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything but the features.
fn read(bytes: &[u8], largest_function: FunctionSize) -> Result<ComponentInfo, EngineError> {
    let mut info = ComponentInfo {
        sha256: sha256_hex(bytes),
        size: bytes.len() as u64,
        imports: Vec::new(),
        exports: Vec::new(),
        core_modules: 0,
        memory_pages: 0,
        memory_max_pages: None,
        heap_base: None,
        largest_function,
        features: Vec::new(),
    };
    read_sections(bytes, &mut info).map_err(|error| malformed(&error))?;
    Ok(info)
}

fn read_sections(
    bytes: &[u8],
    info: &mut ComponentInfo,
) -> Result<(), wasmparser::BinaryReaderError> {
    // Components still open around the one being read: only the outermost one's imports and exports are the app's.
    let mut depth = 0_u32;
    let mut in_module = false;
    let mut module = Module::default();
    let mut found = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ComponentSection { .. } => depth += 1,
            Payload::ModuleSection { .. } => {
                info.core_modules += 1;
                in_module = true;
                module = Module::default();
            }
            Payload::End(_) if in_module => {
                in_module = false;
                if !found && let Some((initial, maximum)) = module.memory {
                    found = true;
                    info.memory_pages = initial;
                    info.memory_max_pages = maximum;
                    info.heap_base = module.heap_base();
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    info.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export?;
                    if export.kind != ComponentExternalKind::Type {
                        info.exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if matches!(import?.ty, wasmparser::TypeRef::Global(_)) {
                        module.globals.push(None);
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    module
                        .memory
                        .get_or_insert((memory.initial, memory.maximum));
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    module.globals.push(constant(&global?.init_expr));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Global && export.name == "__heap_base" {
                        module.heap_base_global = Some(export.index as usize);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is kept of the core module being read.
#[derive(Default)]
struct Module {
    memory: Option<(u64, Option<u64>)>,
    globals: Vec<Option<u32>>,
    heap_base_global: Option<usize>,
}

impl Module {
    fn heap_base(&self) -> Option<u32> {
        self.globals.get(self.heap_base_global?).copied().flatten()
    }
}

/// The value of `i32.const N end`; none for any other expression.
fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value.cast_unsigned()),
        _ => None,
    }
}
