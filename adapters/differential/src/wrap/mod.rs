//! The program around a random module: calls each of its functions in turn and prints 8 bytes after each, a hash of all that
//! was returned so far; at the end hashes of the globals and of memory. Between a function and the host is another one that
//! adds which import was called, with what, and what came of it, and prints as well: the trace of host calls.
//!
//! It becomes part of the module, as the shape of a component demands. While it prints, the bytes of memory that it uses are
//! put aside, so that it leaves no trace.

mod bodies;

use vyoma_runtime::conformance::plain;
use wasm_encoder::reencode::{Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, GlobalType, ImportSection, MemorySection,
    Module, StartSection, TableSection, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload, TypeRef};

use self::bodies::{print_body, realloc_body, run_body, tracer_body};
use crate::generate::Numbers;

/// What the wrapper imports by itself, after the imports of the module.
const OWN: [&str; 2] = [
    "stdout.get-stdout",
    "output-stream.blocking-write-and-flush",
];

/// Its start value.
const BASIS: i64 = 0xcbf2_9ce4_8422_2325_u64.cast_signed();

/// Moves the functions of the module up, behind the added imports, and puts a tracer in place of each import.
struct Moved {
    imported: u32,
    added: u32,
    /// The first of the tracers, which are in the order of the imports.
    tracers: u32,
}

impl Reencode for Moved {
    type Error = std::convert::Infallible;

    fn function_index(
        &mut self,
        index: u32,
    ) -> Result<u32, wasm_encoder::reencode::Error<Self::Error>> {
        Ok(if index < self.imported {
            self.tracers + index
        } else {
            index + self.added
        })
    }
}

/// What the wrapper has to know of the module.
#[derive(Default)]
struct Known {
    types: Vec<FuncType>,
    imports: Vec<(String, String)>,
    /// Type of each of those.
    import_types: Vec<u32>,
    /// Type of each function that it defines.
    functions: Vec<u32>,
    globals: Vec<wasmparser::GlobalType>,
}

/// The module and the wrapper. `fuel` is the global that bounds its steps; it is filled up before every call.
pub(crate) fn wrap(
    module: &[u8],
    fuel: u32,
    full: u32,
    numbers: &mut Numbers,
) -> Result<Vec<u8>, String> {
    let known = read(module).map_err(|error| format!("wasm-smith's module: {error}"))?;
    put_together(module, &known, fuel, full, numbers).map_err(|error| format!("wrapper: {error}"))
}

fn read(module: &[u8]) -> Result<Known, wasmparser::BinaryReaderError> {
    let mut known = Known::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.types() {
                        known.types.push(match &ty.composite_type.inner {
                            CompositeInnerType::Func(func) => func.clone(),
                            _ => FuncType::new([], []),
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(ty) = import.ty {
                        known
                            .imports
                            .push((import.module.to_owned(), import.name.to_owned()));
                        known.import_types.push(ty);
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    known.functions.push(ty?);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    known.globals.push(global?.ty);
                }
            }
            _ => {}
        }
    }
    Ok(known)
}

type Failure = wasm_encoder::reencode::Error<std::convert::Infallible>;

fn put_together(
    module: &[u8],
    known: &Known,
    fuel: u32,
    full: u32,
    numbers: &mut Numbers,
) -> Result<Vec<u8>, Failure> {
    // An import that the module has already is used as it is: a name may be imported once only.
    let mut own = Vec::new();
    let mut added: Vec<&plain::Import> = Vec::new();
    let imported = known.imports.len() as u32;
    for name in OWN {
        let import = &plain::imports()[name];
        let index = known
            .imports
            .iter()
            .position(|(module, field)| *module == import.module && *field == import.field)
            .map_or_else(
                || {
                    added.push(import);
                    imported + added.len() as u32 - 1
                },
                |index| index as u32,
            );
        own.push(index);
    }
    let first = imported + added.len() as u32;
    let count = known.functions.len() as u32;
    let (realloc, print, run) = (first + count, first + count + 1, first + count + 2);
    let mut moved = Moved {
        imported,
        added: added.len() as u32,
        tracers: run + 1,
    };
    let (types_before, globals_before) = (known.types.len() as u32, known.globals.len() as u32);

    let mut types = TypeSection::new();
    let mut imports = ImportSection::new();
    let mut functions = FunctionSection::new();
    let mut tables = TableSection::new();
    let mut memories = MemorySection::new();
    let mut globals = GlobalSection::new();
    let mut elements = ElementSection::new();
    let mut code = CodeSection::new();
    let mut data = DataSection::new();
    let (mut start, mut data_count) = (None, None);
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                utils::parse_type_section(&mut moved, &mut types, section)?;
            }
            Payload::ImportSection(section) => {
                utils::parse_import_section(&mut moved, &mut imports, section)?;
            }
            Payload::FunctionSection(section) => {
                utils::parse_function_section(&mut moved, &mut functions, section)?;
            }
            Payload::TableSection(section) => {
                utils::parse_table_section(&mut moved, &mut tables, section)?;
            }
            Payload::MemorySection(section) => {
                utils::parse_memory_section(&mut moved, &mut memories, section)?;
            }
            Payload::GlobalSection(section) => {
                utils::parse_global_section(&mut moved, &mut globals, section)?;
            }
            Payload::ElementSection(section) => {
                utils::parse_element_section(&mut moved, &mut elements, section)?;
            }
            Payload::DataSection(section) => {
                utils::parse_data_section(&mut moved, &mut data, section)?;
            }
            Payload::DataCountSection { count, .. } => data_count = Some(count),
            Payload::StartSection { func, .. } => start = Some(moved.function_index(func)?),
            Payload::CodeSectionEntry(body) => {
                utils::parse_function_body(&mut moved, &mut code, body)?;
            }
            _ => {}
        }
    }
    // Types: those of the added imports, of `cabi_realloc`, of the helper that prints and of `run`.
    for import in &added {
        let ty = types.len();
        types.ty().function(
            import.params.iter().map(|ty| value_type(ty)),
            import.result.map(value_type),
        );
        imports.import(&import.module, &import.field, EntityType::Function(ty));
    }
    for (params, results) in [
        (vec![ValType::I32; 4], vec![ValType::I32]),
        (vec![], vec![]),
        (vec![], vec![ValType::I32]),
    ] {
        functions.function(types.len());
        types.ty().function(params, results);
    }
    debug_assert!(types.len() > types_before);
    for &ty in &known.import_types {
        functions.function(ty);
    }
    let (hash, next) = (globals_before, globals_before + 1);
    globals.global(global(ValType::I64), &ConstExpr::i64_const(BASIS));
    globals.global(global(ValType::I32), &ConstExpr::i32_const(1024));
    code.function(&realloc_body(next));
    code.function(&print_body(hash, own[0], own[1]));
    code.function(&run_body(
        known,
        first,
        (fuel, full),
        (hash, print),
        numbers,
    ));

    for (import, &ty) in known.import_types.iter().enumerate() {
        let ty = &known.types[ty as usize];
        code.function(&tracer_body(import as u32, ty, hash, print));
    }

    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports.export("cabi_realloc", ExportKind::Func, realloc);
    exports.export(plain::RUN, ExportKind::Func, run);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    if !tables.is_empty() {
        module.section(&tables);
    }
    module
        .section(&memories)
        .section(&globals)
        .section(&exports);
    if let Some(function_index) = start {
        module.section(&StartSection { function_index });
    }
    if !elements.is_empty() {
        module.section(&elements);
    }
    if let Some(count) = data_count {
        module.section(&DataCountSection { count });
    }
    module.section(&code);
    if !data.is_empty() {
        module.section(&data);
    }
    Ok(module.finish())
}

fn value_type(name: &str) -> ValType {
    match name {
        "i64" => ValType::I64,
        "f32" => ValType::F32,
        "f64" => ValType::F64,
        _ => ValType::I32,
    }
}

fn global(val_type: ValType) -> GlobalType {
    GlobalType {
        val_type,
        mutable: true,
        shared: false,
    }
}
