//! The program around a random module: calls each of its functions in turn and prints 8 bytes after each, a hash of what
//! was returned; at the end hashes of the globals and of memory.
//!
//! It becomes part of the module, as the shape of a component demands. While it prints, the bytes of memory that it uses are
//! put aside, so that it leaves no trace.

use vyoma_runtime::conformance::plain;
use wasm_encoder::reencode::{Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    Instruction, MemArg, MemorySection, Module, StartSection, TableSection, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload, TypeRef};

use crate::generate::Numbers;

/// What the wrapper imports by itself, after the imports of the module.
const OWN: [&str; 2] = [
    "stdout.get-stdout",
    "output-stream.blocking-write-and-flush",
];

/// Prime of the 64-bit FNV-1a hash.
const PRIME: i64 = 0x0100_0000_01b3;
/// Its start value.
const BASIS: i64 = 0xcbf2_9ce4_8422_2325_u64.cast_signed();

/// How often each function is called, each time with other arguments.
const CALLS: usize = 2;

/// Moves the functions of the module up, behind the added imports.
struct Moved {
    imported: u32,
    added: u32,
}

impl Reencode for Moved {
    type Error = std::convert::Infallible;

    fn function_index(
        &mut self,
        index: u32,
    ) -> Result<u32, wasm_encoder::reencode::Error<Self::Error>> {
        Ok(if index < self.imported {
            index
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
                    if matches!(import.ty, TypeRef::Func(_)) {
                        known
                            .imports
                            .push((import.module.to_owned(), import.name.to_owned()));
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
    let mut moved = Moved {
        imported,
        added: added.len() as u32,
    };
    let first = imported + moved.added;
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
    let count = known.functions.len() as u32;
    let (realloc, print, run) = (first + count, first + count + 1, first + count + 2);
    for (params, results) in [
        (vec![ValType::I32; 4], vec![ValType::I32]),
        (vec![], vec![]),
        (vec![], vec![ValType::I32]),
    ] {
        functions.function(types.len());
        types.ty().function(params, results);
    }
    debug_assert!(types.len() > types_before);
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

fn at(offset: u64) -> MemArg {
    MemArg {
        offset,
        align: 0,
        memory_index: 0,
    }
}

/// Takes from 1 KiB up and begins anew at 32 KiB: results overwrite each other, alike everywhere. What is too large for
/// that gets address 1024 all the same, which may be out of bounds: a trap, alike everywhere.
fn realloc_body(next: u32) -> Function {
    let mut body = Function::new([(1, ValType::I32)]);
    for instruction in [
        // (next + 7) & -8
        Instruction::GlobalGet(next),
        Instruction::I32Const(7),
        Instruction::I32Add,
        Instruction::I32Const(-8),
        Instruction::I32And,
        Instruction::LocalTee(4),
        Instruction::LocalGet(3),
        Instruction::I32Add,
        Instruction::GlobalSet(next),
        Instruction::GlobalGet(next),
        Instruction::I32Const(32768),
        Instruction::I32GtU,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::I32Const(1024),
        Instruction::LocalSet(4),
        Instruction::I32Const(1024),
        Instruction::GlobalSet(next),
        Instruction::End,
        Instruction::LocalGet(4),
        Instruction::End,
    ] {
        body.instruction(&instruction);
    }
    body
}

/// Prints the hash, through bytes 0 to 23 of memory, which are as before when it is done. Prints nothing when there is not
/// that much memory.
fn print_body(hash: u32, stdout: u32, write: u32) -> Function {
    let mut body = Function::new([(3, ValType::I64)]);
    let mut put = |instructions: &[Instruction<'_>]| {
        for instruction in instructions {
            body.instruction(instruction);
        }
    };
    put(&[
        Instruction::MemorySize(0),
        Instruction::I32Eqz,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::Return,
        Instruction::End,
    ]);
    for word in 0..3 {
        put(&[
            Instruction::I32Const(0),
            Instruction::I64Load(at(u64::from(word) * 8)),
            Instruction::LocalSet(word),
        ]);
    }
    put(&[
        Instruction::I32Const(0),
        Instruction::GlobalGet(hash),
        Instruction::I64Store(at(0)),
        Instruction::Call(stdout),
        Instruction::I32Const(0),
        Instruction::I32Const(8),
        Instruction::I32Const(8),
        Instruction::Call(write),
    ]);
    for word in 0..3 {
        put(&[
            Instruction::I32Const(0),
            Instruction::LocalGet(word),
            Instruction::I64Store(at(u64::from(word) * 8)),
        ]);
    }
    put(&[Instruction::End]);
    body
}

/// Values that are at the edges of something.
const EDGES: [u64; 22] = [
    0,
    1,
    2,
    7,
    8,
    16,
    0xff,
    0x100,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    65535,
    65536,
    1 << 53,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
    0x7ff0_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0xfff8_0000_0000_0123,
    0x7fa0_0001_ffa0_0001,
    0x3ff0_0000_3f80_0000,
];

fn argument(ty: wasmparser::ValType, numbers: &mut Numbers) -> Instruction<'static> {
    let value = if numbers.below(4) == 0 {
        numbers.next()
    } else {
        EDGES[numbers.below(EDGES.len())]
    };
    match ty {
        wasmparser::ValType::I64 => Instruction::I64Const(value.cast_signed()),
        wasmparser::ValType::F32 => {
            Instruction::F32Const(f32::from_bits((value >> (value & 32)) as u32).into())
        }
        wasmparser::ValType::F64 => Instruction::F64Const(f64::from_bits(value).into()),
        // Admission refuses what has these; the module is valid all the same.
        wasmparser::ValType::Ref(ty) if ty.is_extern_ref() => {
            Instruction::RefNull(wasm_encoder::HeapType::EXTERN)
        }
        wasmparser::ValType::Ref(_) => Instruction::RefNull(wasm_encoder::HeapType::FUNC),
        _ => Instruction::I32Const((value as u32).cast_signed()),
    }
}

/// Takes a value from the stack into the hash.
fn mix(body: &mut Function, ty: wasmparser::ValType, hash: u32) {
    match ty {
        wasmparser::ValType::I64 => {}
        wasmparser::ValType::F32 => {
            body.instruction(&Instruction::I32ReinterpretF32)
                .instruction(&Instruction::I64ExtendI32U);
        }
        wasmparser::ValType::F64 => {
            body.instruction(&Instruction::I64ReinterpretF64);
        }
        wasmparser::ValType::Ref(_) => {
            body.instruction(&Instruction::RefIsNull)
                .instruction(&Instruction::I64ExtendI32U);
        }
        _ => {
            body.instruction(&Instruction::I64ExtendI32U);
        }
    }
    for instruction in [
        Instruction::GlobalGet(hash),
        Instruction::I64Xor,
        Instruction::I64Const(PRIME),
        Instruction::I64Mul,
        Instruction::GlobalSet(hash),
    ] {
        body.instruction(&instruction);
    }
}

fn run_body(
    known: &Known,
    first: u32,
    (fuel, full): (u32, u32),
    (hash, print): (u32, u32),
    numbers: &mut Numbers,
) -> Function {
    let mut body = Function::new([(2, ValType::I32)]);
    // From another function on each time: the first trap ends it all.
    let count = known.functions.len();
    let from = numbers.below(count.max(1));
    for step in 0..count * CALLS {
        let function = (from + step) % count;
        let ty = &known.types[known.functions[function] as usize];
        body.instruction(&Instruction::I32Const(full.cast_signed()));
        body.instruction(&Instruction::GlobalSet(fuel));
        for &param in ty.params() {
            body.instruction(&argument(param, numbers));
        }
        body.instruction(&Instruction::Call(first + function as u32));
        for &result in ty.results().iter().rev() {
            mix(&mut body, result, hash);
        }
        body.instruction(&Instruction::Call(print));
    }
    for (index, global) in known.globals.iter().enumerate() {
        if index as u32 != fuel {
            body.instruction(&Instruction::GlobalGet(index as u32));
            mix(&mut body, global.content_type, hash);
        }
    }
    body.instruction(&Instruction::Call(print));
    // Memory, 8 bytes a step: local 0 is the address, local 1 the end.
    for instruction in [
        Instruction::MemorySize(0),
        Instruction::I32Const(16),
        Instruction::I32Shl,
        Instruction::LocalSet(1),
        Instruction::Block(wasm_encoder::BlockType::Empty),
        Instruction::Loop(wasm_encoder::BlockType::Empty),
        Instruction::LocalGet(0),
        Instruction::LocalGet(1),
        Instruction::I32GeU,
        Instruction::BrIf(1),
        Instruction::LocalGet(0),
        Instruction::I64Load(at(0)),
        Instruction::GlobalGet(hash),
        Instruction::I64Xor,
        Instruction::I64Const(PRIME),
        Instruction::I64Mul,
        Instruction::GlobalSet(hash),
        Instruction::LocalGet(0),
        Instruction::I32Const(8),
        Instruction::I32Add,
        Instruction::LocalSet(0),
        Instruction::Br(0),
        Instruction::End,
        Instruction::End,
        Instruction::Call(print),
        Instruction::I32Const(0),
        Instruction::End,
    ] {
        body.instruction(&instruction);
    }
    body
}
