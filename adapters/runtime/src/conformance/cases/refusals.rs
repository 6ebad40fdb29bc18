//! Components that no adapter admits.

use super::{ENOUGH, sizes};
use crate::conformance::Refusal;
use crate::conformance::guest::{Shape, binary, command};
use crate::sizes::ADMITTED;

fn linked(body: &str) -> Result<Vec<u8>, String> {
    command(body, Shape::Linked)
}

pub(in crate::conformance) fn refusals() -> Vec<Refusal> {
    vec![
        Refusal {
            name: "a_core_module_is_refused_with_the_target_to_build_for",
            bytes: || binary("(module)"),
            words: &["core module", "wasm32-wasip2"],
        },
        Refusal {
            name: "what_is_no_wasm_is_refused_with_what_was_found",
            bytes: || Ok(b"#!/bin/sh\n".to_vec()),
            words: &["not a component", "23 21 2f", "expected 00 61 73 6d"],
        },
        Refusal {
            name: "an_empty_file_is_refused",
            bytes: || Ok(Vec::new()),
            words: &["empty"],
        },
        Refusal {
            name: "a_truncated_component_is_refused_with_an_offset",
            bytes: || {
                linked(ENOUGH).map(|mut bytes| {
                    bytes.truncate(bytes.len() - 9);
                    bytes
                })
            },
            words: &["malformed at offset 0x"],
        },
        Refusal {
            name: "simd_is_refused_by_name",
            bytes: || {
                linked("(func $run (result i32) (i32x4.extract_lane 0 (v128.const i32x4 0 0 0 0)))")
            },
            words: &["uses SIMD", "offset 0x"],
        },
        Refusal {
            name: "tail_calls_are_refused_by_name",
            bytes: || {
                linked(
                    "(func $f (result i32) (i32.const 0)) (func $run (result i32) (return_call $f))",
                )
            },
            words: &["uses tail calls"],
        },
        Refusal {
            name: "threads_are_refused_by_name",
            bytes: || {
                linked(
                    "(memory $m 1 1 shared) (func $run (result i32) (i32.atomic.load $m (i32.const 0)))",
                )
            },
            words: &["threads", "multiple memories"],
        },
        Refusal {
            name: "exceptions_are_refused_by_name",
            bytes: || linked("(tag $t) (func $run (result i32) (throw $t))"),
            words: &["uses exceptions"],
        },
        Refusal {
            name: "sixty_four_bit_memory_is_refused_by_name",
            bytes: || binary("(component (core module (memory i64 1)))"),
            words: &["uses 64-bit memory"],
        },
        Refusal {
            name: "host_references_are_refused_by_name",
            bytes: || binary("(component (core module (func (param externref))))"),
            words: &["uses externref"],
        },
        Refusal {
            name: "garbage_collected_types_are_refused_by_name",
            bytes: || binary("(component (core module (type (struct (field i32)))))"),
            words: &["garbage collection"],
        },
        Refusal {
            name: "extended_constants_are_refused_by_name",
            bytes: || {
                binary(
                    "(component (core module (global i32 (i32.add (i32.const 1) (i32.const 2)))))",
                )
            },
            words: &["extended constant expressions"],
        },
        Refusal {
            name: "a_function_that_holds_more_values_than_every_engine_takes_is_refused_by_name",
            bytes: || command(&sizes::held(ADMITTED.values + 1), Shape::Plain),
            words: &["has 8001 values at once", "at most 8000", "offset 0x"],
        },
        Refusal {
            name: "a_function_that_nests_more_blocks_than_every_engine_takes_is_refused_by_name",
            bytes: || command(&sizes::blocks(ADMITTED.nesting + 1), Shape::Plain),
            words: &["has 2001 blocks in each other", "at most 2000", "offset 0x"],
        },
        Refusal {
            name: "an_interface_that_no_host_has_is_refused_by_name",
            bytes: || {
                binary("(component (import \"wasi:http/outgoing-handler@0.2.0\" (instance)))")
            },
            words: &["`wasi:http/outgoing-handler@0.2.0`"],
        },
        Refusal {
            name: "another_version_of_wasi_is_refused_by_name",
            bytes: || binary("(component (import \"wasi:cli/stdin@0.3.0\" (instance)))"),
            words: &["`wasi:cli/stdin@0.3.0`", "0.2.x"],
        },
        Refusal {
            name: "a_library_is_refused",
            bytes: || binary("(component)"),
            words: &["wasi:cli/run", "main"],
        },
    ]
}
