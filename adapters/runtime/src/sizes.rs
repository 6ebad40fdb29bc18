//! How large the parts of a component may be: above all, how much one function may hold and nest. WebAssembly knows no bounds
//! for that, but engines do, each other ones. Admission has one set for all of them, which all are built and tested to hold.

use serde::Serialize;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, FuncValidator, FuncValidatorAllocations, FunctionBody,
    ModuleArity as _, Operator, Parser, Payload, ValidPayload, Validator, WasmFeatures,
    WasmModuleResources,
};

use crate::{EngineError, component};

/// The size of a function, or a bound on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FunctionSize {
    /// Most values at any place in it: parameters, locals, operands, and for every open block its parameters and results once
    /// more (wasm3 keeps places for them).
    pub values: u32,
    /// Blocks, loops and ifs in each other.
    pub nesting: u32,
    /// Loops among them.
    pub loops: u32,
}

/// What is admitted, on every platform. wasm3, as built for Linux, takes exactly that (`HOSTED` in
/// adapters/wasm3/sys/build/main.rs); a `match` nests as many blocks as it has arms.
pub const ADMITTED: FunctionSize = FunctionSize {
    values: 8000,
    nesting: 2000,
    loops: 2000,
};

/// What wasm3 takes as built for a microcontroller (`SMALL`, there).
pub const MICROCONTROLLER: FunctionSize = FunctionSize {
    values: 192,
    nesting: 63,
    loops: 63,
};

/// Most parameters and results of a function type, together (d_m3MaxSaneFunctionArgRetCount of wasm3; `CALLS` in
/// adapters/wamr/sys/patches.rs).
pub const SIGNATURE: u32 = 1000;
/// Most types of a module, and most exports. wasm3 takes more, but what WAMR does to compare each with each takes long.
pub const TYPES: u32 = 10_000;
/// See [`TYPES`].
pub const EXPORTS: u32 = 10_000;
/// Most bytes of an export's name (d_m3MaxSaneUtf8Length of wasm3).
pub const NAME: u32 = 10_000;

/// A figure of a part, and where in the file that part is.
#[derive(Debug, Clone, Copy, Default)]
struct Largest {
    found: u32,
    offset: usize,
}

impl Largest {
    fn take(&mut self, found: u32, offset: usize) {
        if found > self.found {
            *self = Self { found, offset };
        }
    }
}

/// The largest figures of all parts of a component.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    values: Largest,
    nesting: Largest,
    loops: Largest,
    signature: Largest,
    types: Largest,
    exports: Largest,
    name: Largest,
}

/// The most that any function of a component or module holds and nests. Errors: it is not valid.
pub fn largest_function(bytes: &[u8]) -> Result<FunctionSize, EngineError> {
    Sizes::validate(bytes, WasmFeatures::all())
        .map(|sizes| sizes.function())
        .map_err(|error| component::malformed(&error))
}

impl Sizes {
    /// Validates a component or module with `features` and measures it on the way.
    pub(crate) fn validate(
        bytes: &[u8],
        features: WasmFeatures,
    ) -> Result<Self, BinaryReaderError> {
        let mut validator = Validator::new_with_features(features);
        let mut parser = Parser::new(0);
        parser.set_features(features);
        let mut bodies = Vec::new();
        let mut sizes = Self::default();
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
                bodies.push((function, body));
            }
            sizes.measure_section(&payload)?;
        }
        let mut allocations = FuncValidatorAllocations::default();
        for (function, body) in bodies {
            let mut validator = function.into_validator(allocations);
            sizes.measure_function(&body, &mut validator)?;
            allocations = validator.into_allocations();
        }
        Ok(sizes)
    }

    fn measure_section(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                self.types.take(section.count(), section.range().start);
                for group in section.clone().into_iter_with_offsets() {
                    let (offset, group) = group?;
                    for ty in group.types() {
                        if let CompositeInnerType::Func(ty) = &ty.composite_type.inner {
                            let count = ty.params().len() + ty.results().len();
                            self.signature.take(count as u32, offset);
                        }
                    }
                }
            }
            Payload::ExportSection(section) => {
                self.exports.take(section.count(), section.range().start);
                for export in section.clone().into_iter_with_offsets() {
                    let (offset, export) = export?;
                    self.name.take(export.name.len() as u32, offset);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn measure_function<T: WasmModuleResources>(
        &mut self,
        body: &FunctionBody<'_>,
        validator: &mut FuncValidator<T>,
    ) -> Result<(), BinaryReaderError> {
        let start = body.range().start;
        validator.read_locals(&mut body.get_binary_reader())?;
        let mut operators = body.get_operators_reader()?;
        let locals = validator.len_locals();
        // Parameters and results of each open block, and whether it is a loop.
        let mut blocks: Vec<(u32, bool)> = Vec::new();
        // The sums of those.
        let (mut kept, mut loops) = (0, 0);
        self.values.take(locals, start);
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            validator.op(offset, &operator)?;
            match operator {
                Operator::Block { blockty }
                | Operator::Loop { blockty }
                | Operator::If { blockty } => {
                    let (params, results) = validator.block_type_arity(blockty).unwrap_or_default();
                    let is_loop = matches!(operator, Operator::Loop { .. });
                    blocks.push((params + results, is_loop));
                    kept += params + results;
                    loops += u32::from(is_loop);
                    self.nesting.take(blocks.len() as u32, start);
                    self.loops.take(loops, start);
                }
                Operator::End => {
                    let (ends, is_loop) = blocks.pop().unwrap_or_default();
                    kept -= ends;
                    loops -= u32::from(is_loop);
                }
                _ => {}
            }
            let values = locals + kept + validator.operand_stack_height();
            self.values.take(values, start);
        }
        operators.finish()
    }

    /// What the largest functions need.
    pub(crate) fn function(&self) -> FunctionSize {
        FunctionSize {
            values: self.values.found,
            nesting: self.nesting.found,
            loops: self.loops.found,
        }
    }

    /// Whether that is admitted; else why not, for people.
    pub(crate) fn admitted(&self) -> Result<(), String> {
        let bounds: [(Largest, u32, &str, &str); 6] = [
            (
                self.values,
                ADMITTED.values,
                "function",
                "values at once (parameters, locals, operands, results of open blocks)",
            ),
            (
                self.nesting,
                ADMITTED.nesting,
                "function",
                "blocks in each other",
            ),
            (
                self.signature,
                SIGNATURE,
                "function type",
                "parameters and results",
            ),
            (self.types, TYPES, "type section", "types"),
            (self.exports, EXPORTS, "export section", "exports"),
            (self.name, NAME, "export", "bytes of name"),
        ];
        for (largest, bound, part, what) in bounds {
            if largest.found > bound {
                return Err(format!(
                    "the {part} at offset {:#x} has {} {what}, expected at most {bound}, which every engine here takes",
                    largest.offset, largest.found
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> (u32, u32) {
        let module = wat::parse_str(format!("(module {text})")).unwrap();
        let size = largest_function(&module).unwrap();
        (size.values, size.nesting)
    }

    #[test]
    fn a_function_is_as_large_as_at_its_largest_place() {
        assert_eq!(size(""), (0, 0));
        assert_eq!(size("(func (param i32) (local i64 f32))"), (3, 0));
        assert_eq!(size("(func i32.const 1 i32.const 2 drop drop)"), (2, 0));
        // Two locals, one operand outside; in the block its parameter, its three results, and the parameter's place.
        assert_eq!(
            size(
                "(func (param i32 i32) i32.const 1 i32.const 2
                   (block (param i32) (result i32 i32 i32) i32.const 3 i32.const 4) drop drop drop drop)"
            ),
            (2 + 1 + 3 + 3 + 1, 1)
        );
        // Closed blocks count no more, and the larger of two functions counts.
        assert_eq!(
            size("(func (block) (block (loop)) (if (i32.const 1) (then (block (block))) (else)))"),
            (1, 3)
        );
        assert_eq!(size("(func (block)) (func (local i32 i32))"), (2, 1));
    }

    #[test]
    fn loops_are_counted_among_the_other_blocks() {
        let module = wat::parse_str(
            "(module (func (loop (block (loop (if (i32.const 0) (then))))) (loop)))",
        )
        .unwrap();
        let size = largest_function(&module).unwrap();
        assert_eq!((size.nesting, size.loops), (4, 2));
    }

    #[test]
    fn code_that_cannot_be_reached_is_counted_as_far_as_it_says() {
        assert_eq!(
            size(
                "(func unreachable i32.add drop (block (block)) i32.const 1 i32.const 1 drop drop)"
            ),
            (2, 2)
        );
    }

    #[test]
    fn what_is_too_large_is_told_with_its_place_and_both_numbers() {
        let module = wat::parse_str(format!(
            "(module (func) (func {} {}))",
            "block ".repeat(2001),
            "end ".repeat(2001)
        ))
        .unwrap();
        let sizes = Sizes::validate(&module, component::ADMITTED).unwrap();
        let why = sizes.admitted().unwrap_err();
        assert!(
            why.contains("has 2001 blocks in each other") && why.contains("at most 2000"),
            "{why}"
        );
        assert!(!why.contains("offset 0x0 "), "{why}");
    }

    #[test]
    fn other_parts_have_bounds_too() {
        let refused = |text: &str| {
            let module = wat::parse_str(format!("(module {text})")).unwrap();
            Sizes::validate(&module, component::ADMITTED)
                .unwrap()
                .admitted()
                .err()
        };
        let signature = |params: usize| {
            format!(
                "(type (func (param {}) (result i64)))",
                "i32 ".repeat(params)
            )
        };
        let types = |count: usize| "(type (func))".repeat(count);
        let exports = |count: usize| {
            (0..count).fold("(func)".to_owned(), |text, number| {
                text + &format!("(export \"{number}\" (func 0))")
            })
        };
        let name = |length: usize| format!("(func (export \"{}\"))", "n".repeat(length));
        for (admitted, too_much, words) in [
            (
                signature(999),
                signature(1000),
                "has 1001 parameters and results, expected at most 1000",
            ),
            (
                types(10_000),
                types(10_001),
                "has 10001 types, expected at most 10000",
            ),
            (
                exports(10_000),
                exports(10_001),
                "has 10001 exports, expected at most 10000",
            ),
            (
                name(10_000),
                name(10_001),
                "has 10001 bytes of name, expected at most 10000",
            ),
        ] {
            assert_eq!(refused(&admitted), None);
            let why = refused(&too_much).unwrap();
            assert!(why.contains(words), "{why}");
        }
    }
}
