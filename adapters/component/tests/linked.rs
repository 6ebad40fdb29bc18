//! Several core modules of a component made into one.

mod fixtures;

use fixtures::{command, lowered, main};
use vyoma_component::guest::Realloc;
use vyoma_component::program::{Program, Target};
use wasmparser::{ExternalKind, Operator, Parser, Payload, Validator, WasmFeatures};

/// What every engine of the project has (`ADMITTED` of vyoma-runtime), for core modules.
const ADMITTED: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::FLOATS);

/// The program of a component of the linked shape, whose module is valid and has what a program's module must have.
#[track_caller]
fn merged(component: &[u8]) -> Program<'_> {
    let program = Program::of(component).unwrap();
    let range = component.as_ptr_range();
    assert!(!range.contains(&program.module.as_ptr()), "was not merged");
    let module = &program.module;
    Validator::new_with_features(ADMITTED)
        .validate_all(module)
        .unwrap();
    let mut imports = Vec::new();
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    assert!(matches!(import.ty, wasmparser::TypeRef::Func(_)));
                    imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.unwrap();
                    exports.push((export.name.to_owned(), export.kind));
                }
            }
            _ => {}
        }
    }
    let expected: Vec<_> = program
        .imports
        .iter()
        .map(|import| (import.module.to_string(), import.field.to_string()))
        .collect();
    assert_eq!(imports, expected);
    assert!(exports.contains(&("memory".to_owned(), ExternalKind::Memory)));
    assert!(exports.contains(&(program.run.to_string(), ExternalKind::Func)));
    for realloc in &program.reallocs {
        assert!(exports.contains(&(realloc.to_string(), ExternalKind::Func)));
    }
    // Names are unique, since an engine may link by them.
    imports.sort();
    let count = imports.len();
    imports.dedup();
    assert_eq!(imports.len(), count);
    program
}

/// The operators of the start function.
fn start(module: &[u8]) -> Vec<String> {
    let mut start = None;
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::ImportSection(section) => imported = section.into_imports().count(),
            Payload::StartSection { func, .. } => start = Some(func as usize),
            Payload::CodeSectionEntry(body) => bodies.push(body),
            _ => {}
        }
    }
    let body = &bodies[start.expect("a start function") - imported];
    let operators = body.get_operators_reader().unwrap();
    operators
        .into_iter()
        .map(|operator| match operator.unwrap() {
            Operator::Call { .. } => "call".to_owned(),
            Operator::I32Const { value } => format!("{value}"),
            Operator::MemoryInit { .. } => "memory.init".to_owned(),
            Operator::DataDrop { .. } => "data.drop".to_owned(),
            Operator::TableInit { .. } => "table.init".to_owned(),
            Operator::ElemDrop { .. } => "elem.drop".to_owned(),
            Operator::End => "end".to_owned(),
            Operator::Unreachable => "unreachable".to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

const LIBC: &str = r#"(core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $libc (instantiate $libc))"#;

#[test]
fn a_preview_1_module_and_its_adapter_become_one_module() {
    let component = fixtures::preview1();
    let program = merged(&component);
    let has = |interface: &str, name: &str, realloc: Option<Realloc>| {
        let expected = Target::Function {
            interface: interface.into(),
            function: name.into(),
        };
        program
            .imports
            .iter()
            .any(|import| import.target == expected && import.realloc == realloc)
    };
    assert!(has("wasi:cli/exit@0.2.12", "exit", None));
    assert!(has(
        "wasi:filesystem/preopens@0.2.12",
        "get-directories",
        Some(Realloc(0))
    ));
    assert!(program.imports.iter().any(|import| import.target
        == Target::Drop {
            interface: "wasi:io/streams@0.2.12".into(),
            resource: "output-stream".into(),
        }));
    assert_eq!(program.needs.memory_pages, 1);
    // The module's own table; the shim's is gone.
    assert_eq!(program.needs.table_entries, 2);
}

#[test]
fn the_same_component_makes_the_same_bytes() {
    let component = fixtures::preview1();
    assert_eq!(Program::of(&component), Program::of(&component));
}

#[test]
fn a_module_that_imports_memory_and_lowered_functions_is_merged_with_its_libc() {
    let component = command(&format!(
        "{LIBC} {} {}",
        lowered(r#"(memory $libc "memory") (realloc (func $libc "realloc"))"#),
        main(r#"(import "host" "exit" (func (param i32)))"#),
    ));
    let program = merged(&component);
    assert_eq!(program.imports.len(), 1);
    assert_eq!(program.imports[0].module, "wasi:cli/exit@0.2.6");
    assert_eq!(program.imports[0].field, "exit");
    assert_eq!(program.imports[0].realloc, Some(Realloc(0)));
    assert_eq!(program.needs.functions, 3);
}

#[test]
fn a_function_that_is_lowered_in_two_ways_is_two_imports_with_two_names() {
    let component = command(&format!(
        r#"{LIBC} {}
           (core func $again (canon lower (func $exit "exit") (memory $libc "memory") (realloc (func $libc "realloc"))))
           (core func $thrice (canon lower (func $exit "exit")))
           (core module $m
             (import "host" "a" (func (param i32)))
             (import "host" "b" (func (param i32)))
             (import "host" "c" (func (param i32)))
             (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m (with "host" (instance
             (export "a" (func $lowered)) (export "b" (func $again)) (export "c" (func $thrice))))))"#,
        lowered("")
    ));
    let program = merged(&component);
    let names: Vec<_> = program
        .imports
        .iter()
        .map(|import| (&*import.field, import.realloc))
        .collect();
    assert_eq!(names, [("exit", None), ("exit#2", Some(Realloc(0)))]);
}

#[test]
fn globals_and_tables_of_another_module_are_used_in_place() {
    // The values of imported globals stand in constant expressions, where a module may not name its own.
    let component = command(
        r#"(core module $env
             (memory (export "memory") 1)
             (table (export "table") 4 funcref)
             (global (export "base") i32 (i32.const 256))
             (global (export "stack") (mut i32) (i32.const 4096)))
           (core instance $env (instantiate $env))
           (core module $m
             (import "env" "base" (global $base i32))
             (import "env" "memory" (memory 1))
             (import "env" "table" (table 4 funcref))
             (import "env" "stack" (global $stack (mut i32)))
             (global $copy i32 (global.get $base))
             (data (global.get $base) "text")
             (elem (i32.const 1) func $run)
             (func $run (export "run") (result i32)
               (global.set $stack (global.get $copy))
               (call_indirect (result i32) (i32.load (global.get $base)))))
           (core instance $main (instantiate $m (with "env" (instance $env))))"#,
    );
    let program = merged(&component);
    assert_eq!(program.needs.table_entries, 4);
    assert_eq!(program.needs.globals, 3);
}

#[test]
fn start_functions_and_segments_keep_their_order() {
    let component = command(
        r#"(core module $first
             (memory (export "memory") 1)
             (table (export "table") 4 funcref)
             (data (i32.const 8) "before")
             (func $start unreachable)
             (start $start))
           (core instance $first (instantiate $first))
           (core module $m
             (import "first" "memory" (memory 1))
             (import "first" "table" (table 4 funcref))
             (data (i32.const 16) "after")
             (data $passive "passive")
             (elem (i32.const 2) func $run)
             (func $start (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7)))
             (start $start)
             (func $run (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m (with "first" (instance $first))))"#,
    );
    let program = merged(&component);
    let expected = "call 2 0 1 table.init elem.drop 16 0 5 memory.init data.drop call end";
    assert_eq!(start(&program.module).join(" "), expected);
}

#[test]
fn a_start_function_that_calls_what_is_not_connected_yet_still_traps() {
    // Calls its import through the shim before the fixups have run.
    let text = |body: &str| {
        command(&format!(
            r#"{} (core module $shim
                 (table (export "$imports") 1 1 funcref)
                 (func (export "0") (param i32) local.get 0 i32.const 0 call_indirect (param i32)))
               (core module $fixups
                 (import "" "0" (func (param i32)))
                 (import "" "$imports" (table 1 1 funcref))
                 (elem (i32.const 0) func 0))
               (core instance $shim (instantiate $shim))
               (core module $m (import "host" "exit" (func $exit (param i32)))
                 (memory (export "memory") 1)
                 (func $start {body})
                 (start $start)
                 (func (export "run") (result i32) (call $exit (i32.const 0)) (i32.const 0)))
               (core instance $main (instantiate $m
                 (with "host" (instance (export "exit" (func $shim "0"))))))
               (core instance (instantiate $fixups (with "" (instance
                 (export "0" (func $lowered)) (export "$imports" (table $shim "$imports"))))))"#,
            lowered("")
        ))
    };
    let calls = text("(call $exit (i32.const 1))");
    let program = merged(&calls);
    assert_eq!(program.needs.table_entries, 1, "the shim stays");
    assert_eq!(start(&program.module)[0], "call");
    assert!(start(&program.module).contains(&"table.init".to_owned()));
    let does_not = text("(unreachable)");
    let program = merged(&does_not);
    assert_eq!(program.needs.table_entries, 0, "the shim is seen through");
    assert_eq!(start(&program.module), ["unreachable", "end"]);
}

#[test]
fn two_modules_with_a_memory_each_are_refused() {
    let component = command(&format!(
        "{LIBC} {} {}",
        lowered(r#"(memory $libc "memory")"#),
        main(r#"(import "host" "exit" (func (param i32))) (memory 1)"#),
    ));
    let refusal = Program::of(&component).unwrap_err().to_string();
    assert!(refusal.contains("several memories"), "{refusal}");
}
