//! Modules that are about control flow: blocks with parameters and results, branches that take values along over others,
//! jump tables, locals that change while their old value is an operand, and after each branch code that can't be reached.
//! wasm-smith makes little of that; it is where engines without a compiler behind them go wrong.
//!
//! A function is written down while its operand stack is known, so it is valid, and hardly any instruction can trap, so that
//! all of it runs. Steps are counted in a global; when they are used up, functions return.

mod writer;

use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, FunctionSection, GlobalSection, GlobalType,
    MemorySection, MemoryType, Module, RefType, TableSection, TableType, TypeSection, ValType,
};

use self::writer::Writer;
use crate::generate::Numbers;

/// Functions of a module.
const FUNCTIONS: std::ops::Range<usize> = 3..9;

const TYPES: [ValType; 4] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];

/// The global that counts the steps that are left.
pub(crate) const FUEL: u32 = 0;

/// The first of the other globals, one of each of [`TYPES`].
const GLOBALS: u32 = 1;

#[derive(Clone, PartialEq, Eq)]
struct Signature {
    params: Vec<ValType>,
    results: Vec<ValType>,
}

/// A module of these numbers.
pub(crate) fn module(numbers: &mut Numbers) -> Vec<u8> {
    let count = FUNCTIONS.start + numbers.below(FUNCTIONS.len());
    let mut signatures: Vec<Signature> = (0..count)
        .map(|_| Signature {
            params: types(numbers, 6),
            results: types(numbers, 4),
        })
        .collect();
    // Two functions of one type, for calls through the table.
    signatures[1] = signatures[0].clone();

    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    for (index, signature) in signatures.iter().enumerate() {
        types
            .ty()
            .function(signature.params.clone(), signature.results.clone());
        functions.function(if index == 1 { 0 } else { index as u32 });
    }
    let mut code = CodeSection::new();
    for index in 0..count {
        let mut writer = Writer::new(&signatures, index, numbers, &mut types);
        writer.function();
        code.function(&writer.finished());
    }
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: count as u64,
        maximum: Some(count as u64),
        shared: false,
    });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut globals = GlobalSection::new();
    let global = |val_type| GlobalType {
        val_type,
        mutable: true,
        shared: false,
    };
    globals
        .global(global(ValType::I32), &ConstExpr::i32_const(0))
        .global(global(ValType::I32), &ConstExpr::i32_const(-7))
        .global(global(ValType::I64), &ConstExpr::i64_const(1 << 40))
        .global(global(ValType::F32), &ConstExpr::f32_const(1.5.into()))
        .global(global(ValType::F64), &ConstExpr::f64_const((-0.0).into()));
    let mut elements = ElementSection::new();
    let all: Vec<u32> = (0..count as u32).collect();
    elements.active(
        None,
        &ConstExpr::i32_const(0),
        Elements::Functions(all.into()),
    );
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&tables)
        .section(&memories)
        .section(&globals)
        .section(&elements)
        .section(&code);
    module.finish()
}

/// Fewer than `bound` types.
fn types(numbers: &mut Numbers, bound: usize) -> Vec<ValType> {
    (0..numbers.below(bound))
        .map(|_| TYPES[numbers.below(TYPES.len())])
        .collect()
}

/// The global of that type.
fn global(ty: ValType) -> u32 {
    GLOBALS
        + TYPES
            .iter()
            .position(|&other| other == ty)
            .unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_number_gives_a_valid_module_and_some_have_dead_code_and_blocks_with_parameters() {
        let mut text = String::new();
        for number in 0..200 {
            let module = module(&mut Numbers::new(number));
            wasmparser::validate(&module)
                .unwrap_or_else(|error| panic!("number {number}: {error}"));
            for payload in wasmparser::Parser::new(0).parse_all(&module) {
                if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
                    for operator in body.get_operators_reader().unwrap() {
                        writeln!(text, "{:?}", operator.unwrap()).unwrap();
                    }
                }
            }
        }
        for instruction in [
            "BrTable",
            "Return",
            "Loop { blockty: FuncType",
            "CallIndirect",
        ] {
            assert!(text.contains(instruction), "{instruction}");
        }
        assert!(text.contains("Br { relative_depth: 1 }\nI"), "dead code");
    }
}
