//! Core modules to components of the *plain shape*, with the encoder that `wasm32-wasip2` toolchains use.
//!
//! A module imports functions of WASI 0.2 and of capabilities/wit under their WIT names (`wasi:io/streams@0.2.6`, `[method]output-stream.write`) and
//! exports `memory`, `cabi_realloc` and `wasi:cli/run@0.2.6#run`. [`expand`] spares text the import declarations: what is
//! called `$output-stream.write` is imported. Used by the suite's cases and by the differential fuzzer.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{FunctionKind, Resolve, TypeDefKind, WorldId, WorldItem};

/// Version under which guests import, as today's Rust does. The WIT text at hand is of a later patch version, which
/// semver calls the same interfaces.
const VERSION: &str = "0.2.6";
/// Version of the WIT text.
const TEXT_VERSION: &str = "0.2.12";

/// The packages, each after those that it uses.
const PACKAGES: [(&str, &str); 14] = [
    (
        "io.wit",
        include_str!("../../../../capabilities/wit/deps/io.wit"),
    ),
    ("clocks.wit", include_str!("wit/clocks.wit")),
    ("random.wit", include_str!("wit/random.wit")),
    ("filesystem.wit", include_str!("wit/filesystem.wit")),
    ("sockets.wit", include_str!("wit/sockets.wit")),
    ("cli.wit", include_str!("wit/cli.wit")),
    (
        "gpio.wit",
        include_str!("../../../../capabilities/wit/deps/gpio.wit"),
    ),
    (
        "i2c.wit",
        include_str!("../../../../capabilities/wit/deps/i2c.wit"),
    ),
    (
        "spi.wit",
        include_str!("../../../../capabilities/wit/deps/spi.wit"),
    ),
    (
        "device.wit",
        include_str!("../../../../capabilities/wit/deps/device.wit"),
    ),
    (
        "uart.wit",
        include_str!("../../../../capabilities/wit/deps/uart.wit"),
    ),
    (
        "adc.wit",
        include_str!("../../../../capabilities/wit/deps/adc.wit"),
    ),
    (
        "world.wit",
        include_str!("../../../../capabilities/wit/world.wit"),
    ),
    ("suite.wit", SUITE),
];

/// What a guest of the suite can import.
const SUITE: &str = "package vyoma:suite;
    world guest { include wasi:cli/command@0.2.12; include vyoma:peripherals/imports@0.1.0; }";

/// The export that is the program.
pub const RUN: &str = "wasi:cli/run@0.2.6#run";

/// A function of WASI 0.2 as a core module imports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Module name of the import: the interface.
    pub module: String,
    /// Field name of the import.
    pub field: String,
    /// Core parameters: `i32`, `i64`, `f32`, `f64`.
    pub params: Vec<&'static str>,
    /// Core result.
    pub result: Option<&'static str>,
}

struct Wasi {
    resolve: Resolve,
    world: WorldId,
    /// By short name: `output-stream.write`, `output-stream.drop`, `poll.poll`.
    imports: BTreeMap<String, Import>,
}

fn wasi() -> &'static Wasi {
    static WASI: OnceLock<Wasi> = OnceLock::new();
    WASI.get_or_init(|| read().expect("the WIT in the tree is right"))
}

fn read() -> Result<Wasi, Box<dyn std::error::Error>> {
    let mut resolve = Resolve::default();
    let mut suite = None;
    for (name, text) in PACKAGES {
        suite = Some(resolve.push_source(name, &text.replace(TEXT_VERSION, VERSION))?);
    }
    let suite = suite.ok_or("no package")?;
    let world = resolve.select_world(&[suite], Some("guest"))?;
    let mut imports = BTreeMap::new();
    for (key, item) in &resolve.worlds[world].imports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let module = resolve.name_world_key(key);
        let interface = &resolve.interfaces[*id];
        for function in interface.functions.values() {
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
            let short = match function.kind {
                FunctionKind::Freestanding => format!(
                    "{}.{}",
                    interface.name.as_deref().unwrap_or_default(),
                    function.name
                ),
                // `[method]output-stream.write`
                _ => function
                    .name
                    .split_once(']')
                    .map_or(function.name.as_str(), |(_, name)| name)
                    .to_owned(),
            };
            let import = Import {
                module: module.clone(),
                field: function.name.clone(),
                params: signature.params.iter().copied().map(core_type).collect(),
                result: signature.results.first().copied().map(core_type),
            };
            if imports.insert(short.clone(), import).is_some() {
                return Err(format!("two functions have the short name {short}").into());
            }
        }
        for (name, &ty) in &interface.types {
            if matches!(resolve.types[ty].kind, TypeDefKind::Resource) {
                let import = Import {
                    module: module.clone(),
                    field: format!("[resource-drop]{name}"),
                    params: vec!["i32"],
                    result: None,
                };
                imports.insert(format!("{name}.drop"), import);
            }
        }
    }
    Ok(Wasi {
        resolve,
        world,
        imports,
    })
}

fn core_type(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// Every function that a guest can import and every `resource.drop`, by short name.
pub fn imports() -> &'static BTreeMap<String, Import> {
    &wasi().imports
}

/// A component of the plain shape from a core module.
pub fn component(core: &[u8]) -> Result<Vec<u8>, String> {
    let wasi = wasi();
    let mut core = core.to_vec();
    embed_component_metadata(&mut core, &wasi.resolve, wasi.world, StringEncoding::UTF8)
        .and_then(|()| ComponentEncoder::default().validate(true).module(&core))
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("wit-component: {error:#}"))
}

/// What `body` calls by short names, as import declarations in text form.
pub fn expand(body: &str) -> String {
    let mut declarations = String::new();
    for (short, import) in imports() {
        if mentions(body, short) {
            declarations.push_str(&import.declaration(short));
        }
    }
    declarations
}

/// Whether `$name` is in `text`, as a whole.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        text[at + 1..].strip_prefix(name).is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        })
    })
}

impl Import {
    fn declaration(&self, id: &str) -> String {
        let params = if self.params.is_empty() {
            String::new()
        } else {
            format!(" (param {})", self.params.join(" "))
        };
        let result = self
            .result
            .map_or_else(String::new, |ty| format!(" (result {ty})"));
        format!(
            "(import \"{}\" \"{}\" (func ${id}{params}{result}))\n",
            self.module, self.field
        )
    }
}
