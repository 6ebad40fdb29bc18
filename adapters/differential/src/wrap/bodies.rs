//! The functions that the wrapper adds.

use wasm_encoder::{Function, Instruction, MemArg, ValType};
use wasmparser::FuncType;

use super::Known;
use crate::generate::Numbers;

/// Prime of the 64-bit FNV-1a hash.
const PRIME: i64 = 0x0100_0000_01b3;

/// How often each function is called, each time with other arguments.
const CALLS: usize = 2;

/// Bytes of a result in memory that are looked at.
const RESULT: u32 = 32;

fn at(offset: u64) -> MemArg {
    MemArg {
        offset,
        align: 0,
        memory_index: 0,
    }
}

/// Takes from 1 KiB up and begins anew at 32 KiB: results overwrite each other, alike everywhere. What is too large for
/// that gets address 1024 all the same, which may be out of bounds: a trap, alike everywhere.
pub(super) fn realloc_body(next: u32) -> Function {
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
pub(super) fn print_body(hash: u32, stdout: u32, write: u32) -> Function {
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

/// Calls an import, and takes its number, what it got and what came of it into the hash, which it prints.
pub(super) fn tracer_body(import: u32, ty: &FuncType, hash: u32, print: u32) -> Function {
    let params = ty.params().len() as u32;
    let results = ty.results().iter().map(|&ty| (1, core_type(ty)));
    let mut body = Function::new(results);
    body.instruction(&Instruction::I64Const(i64::from(import) + 1));
    mix(&mut body, wasmparser::ValType::I64, hash);
    for (param, &ty) in (0..).zip(ty.params()) {
        body.instruction(&Instruction::LocalGet(param));
        mix(&mut body, ty, hash);
    }
    for param in 0..params {
        body.instruction(&Instruction::LocalGet(param));
    }
    body.instruction(&Instruction::Call(import));
    for (result, &ty) in (params..).zip(ty.results()) {
        body.instruction(&Instruction::LocalTee(result));
        mix(&mut body, ty, hash);
    }
    // Where a result does not fit into one value, the last parameter says where it goes. Of other parameters the same is
    // read: it is there on every engine.
    if ty.params().last() == Some(&wasmparser::ValType::I32) {
        for instruction in [
            Instruction::LocalGet(params - 1),
            Instruction::I64ExtendI32U,
            Instruction::I64Const(i64::from(RESULT)),
            Instruction::I64Add,
            Instruction::MemorySize(0),
            Instruction::I64ExtendI32U,
            Instruction::I64Const(16),
            Instruction::I64Shl,
            Instruction::I64LeU,
            Instruction::If(wasm_encoder::BlockType::Empty),
        ] {
            body.instruction(&instruction);
        }
        for word in 0..RESULT / 8 {
            body.instruction(&Instruction::LocalGet(params - 1));
            body.instruction(&Instruction::I64Load(at(u64::from(word) * 8)));
            mix(&mut body, wasmparser::ValType::I64, hash);
        }
        body.instruction(&Instruction::End);
    }
    body.instruction(&Instruction::Call(print));
    for result in params..params + ty.results().len() as u32 {
        body.instruction(&Instruction::LocalGet(result));
    }
    body.instruction(&Instruction::End);
    body
}

fn core_type(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        _ => ValType::I32,
    }
}

pub(super) fn run_body(
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
