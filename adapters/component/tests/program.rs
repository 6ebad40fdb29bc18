//! Reading a component in place: what becomes of one of the plain shape, and what is refused by name.

mod fixtures;

use fixtures::{command, lowered, main};
use vyoma_component::guest::Realloc;
use vyoma_component::program::{CoreType, Needs, Program, Refusal, Signature, Target};

fn refusal(component: &[u8]) -> String {
    match Program::of(component) {
        Ok(program) => panic!("not refused: {program:?}"),
        Err(refusal) => refusal.to_string(),
    }
}

/// That `text` is a component, which is refused with all these words.
#[track_caller]
fn refused(component: &[u8], words: &[&str]) {
    let refusal = refusal(component);
    for word in words {
        assert!(refusal.contains(word), "{refusal:?} lacks {word:?}");
    }
    assert!(!refusal.contains('\n'), "{refusal:?}");
}

/// The words that a component of several core modules is refused with, when being merged is what finds them.
fn linked_words(words: &'static [&str]) -> &'static [&'static str] {
    if cfg!(feature = "merge") {
        words
    } else {
        &["several core modules", "must be merged"]
    }
}

fn function<'a>(interface: &'a str, function: &'a str) -> Target<'a> {
    Target::Function {
        interface: interface.into(),
        function: function.into(),
    }
}

fn dropped<'a>(interface: &'a str, resource: &'a str) -> Target<'a> {
    Target::Drop {
        interface: interface.into(),
        resource: resource.into(),
    }
}

#[test]
fn a_component_of_wit_component_is_seen_through_its_shim_and_fixups() {
    let component = fixtures::plain();
    let program = Program::of(&component).unwrap();
    let found: Vec<_> = program
        .imports
        .iter()
        .map(|import| {
            let name = (&*import.module, &*import.field);
            let signature = import.signature.to_string();
            (name, signature, import.target.clone(), import.realloc)
        })
        .collect();
    let write = "[method]output-stream.blocking-write-and-flush";
    let subscribe = "[method]output-stream.subscribe";
    let [environment, stdout, streams, poll] = [
        "wasi:cli/environment@0.2.6",
        "wasi:cli/stdout@0.2.6",
        "wasi:io/streams@0.2.6",
        "wasi:io/poll@0.2.6",
    ];
    let expected = [
        (
            (environment, "get-arguments"),
            "(i32)".to_owned(),
            function(environment, "get-arguments"),
            Some(Realloc(0)),
        ),
        (
            (stdout, "get-stdout"),
            "() -> i32".to_owned(),
            function(stdout, "get-stdout"),
            None,
        ),
        (
            (streams, write),
            "(i32, i32, i32, i32)".to_owned(),
            function(streams, write),
            None,
        ),
        (
            (streams, subscribe),
            "(i32) -> i32".to_owned(),
            function(streams, subscribe),
            None,
        ),
        (
            (streams, "[resource-drop]output-stream"),
            "(i32)".to_owned(),
            dropped(streams, "output-stream"),
            None,
        ),
        (
            (poll, "[resource-drop]pollable"),
            "(i32)".to_owned(),
            dropped(poll, "pollable"),
            None,
        ),
    ];
    assert_eq!(found, expected);
    assert_eq!(program.run, "wasi:cli/run@0.2.6#run");
    assert_eq!(program.reallocs, ["cabi_realloc"]);
}

#[test]
fn the_module_stays_where_it_is_in_the_component() {
    let component = fixtures::plain();
    let program = Program::of(&component).unwrap();
    let range = component.as_ptr_range();
    assert!(range.contains(&program.module.as_ptr()));
    assert_eq!(program.module[..8], *b"\0asm\x01\0\0\0");
}

#[test]
fn what_the_module_needs_is_read_from_it() {
    let component = fixtures::plain();
    let needs = Program::of(&component).unwrap().needs;
    let expected = Needs {
        memory_pages: 2,
        memory_max_pages: Some(5),
        heap_base: Some(4096),
        table_entries: 3,
        functions: 8,
        code_bytes: needs.code_bytes,
        globals: 2,
    };
    assert_eq!(needs, expected);
    assert!((20..60).contains(&needs.code_bytes), "{needs:?}");
}

#[test]
fn a_module_may_do_without_memory_and_imports() {
    let program = command(
        r#"(core module $m (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m))"#,
    );
    let program = Program::of(&program).unwrap();
    assert!(program.imports.is_empty());
    assert_eq!(program.needs.memory_pages, 0);
}

#[test]
fn a_resource_that_interfaces_hand_on_is_dropped_where_it_is_defined() {
    let component = command(
        r#"(import "wasi:io/streams@0.2.6" (instance $streams
             (export "stream" (type $s (sub resource)))
             (export "output-stream" (type (eq $s)))))
           (alias export $streams "output-stream" (type $stream))
           (import "wasi:cli/stdout@0.2.6" (instance $stdout
             (alias outer 1 $stream (type $t))
             (export "renamed" (type (eq $t)))))
           (alias export $stdout "renamed" (type $renamed))
           (core func $lowered (canon resource.drop $renamed))
           (core module $m (import "host" "exit" (func (param i32)))
             (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m (with "host" (instance (export "exit" (func $lowered))))))"#,
    );
    let program = Program::of(&component).unwrap();
    let expected = dropped("wasi:io/streams@0.2.6", "stream");
    assert_eq!(program.imports[0].target, expected);
    let expected = Signature {
        params: vec![CoreType::I32],
        result: None,
    };
    assert_eq!(program.imports[0].signature, expected);
}

#[test]
fn the_newest_run_of_several_is_run() {
    let component = wat::parse_str(
        r#"(component
          (core module $m
            (func (export "old") (result i32) (i32.const 0))
            (func (export "new") (result i32) (i32.const 0)))
          (core instance $m (instantiate $m))
          (func $old (result (result)) (canon lift (core func $m "old")))
          (func $new (result (result)) (canon lift (core func $m "new")))
          (instance $old (export "run" (func $old)))
          (instance $new (export "run" (func $new)))
          (export "wasi:cli/run@0.2.10" (instance $new))
          (export "wasi:cli/run@0.2.9" (instance $old)))"#,
    )
    .unwrap();
    assert_eq!(Program::of(&component).unwrap().run, "new");
}

#[test]
fn other_exports_are_ignored() {
    let component = command(
        r#"(core module $m (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m))
           (func $other (result u32) (canon lift (core func $main "run")))
           (export "other" (func $other))"#,
    );
    assert_eq!(Program::of(&component).unwrap().run, "run");
}

#[test]
fn what_is_no_component_is_refused() {
    refused(b"", &["offset 0x0", "a component"]);
    refused(b"\x7fELF\x02\x01\x01\0\0", &["offset 0x0", "0d 00 01 00"]);
    refused(b"\0asm\x01\0\0\0", &["a core module, not a component"]);
}

#[test]
fn bytes_that_end_too_early_are_refused_with_their_offset() {
    let component = fixtures::plain();
    for length in 0..component.len() {
        match Program::of(&component[..length]) {
            Err(Refusal::Malformed { offset, .. }) => assert!(offset <= length),
            // Between two sections it is a component without what follows.
            Err(Refusal::Shape(_)) => {}
            // What follows the export of `run` are custom sections, which mean nothing.
            Ok(_) => assert_eq!(component[length], 0, "{length}"),
        }
    }
}

#[test]
fn a_count_that_the_bytes_cannot_hold_is_refused() {
    // Sections of each kind with 2^32 - 1 items in five bytes.
    for section in 2..=11 {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend([section, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        if section == 3 || section == 4 {
            refused(&component, &["exports no `wasi:cli/run@0.2.x`"]);
        } else {
            refused(&component, &["offset 0xa", "a count"]);
        }
    }
}

#[test]
fn a_library_is_refused() {
    let component = wat::parse_str("(component)").unwrap();
    refused(&component, &["exports no `wasi:cli/run@0.2.x`"]);
    let draft = wat::parse_str(
        r#"(component (instance $i) (export "wasi:cli/run@0.2.0-rc-2023-11-10" (instance $i)))"#,
    )
    .unwrap();
    refused(&draft, &["exports no `wasi:cli/run@0.2.x`"]);
}

#[test]
fn a_component_without_core_modules_is_refused() {
    let component = command(&format!(
        r#"{} (core instance $main (export "run" (func $lowered)))"#,
        lowered("")
    ));
    refused(&component, &["instantiates no core module with code"]);
}

#[test]
fn a_nested_component_with_code_is_refused() {
    let component = command(
        r#"(component $inner (core module))
           (instance (instantiate $inner))
           (core module $m (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m))"#,
    );
    refused(&component, &["nested component", "with code of its own"]);
}

#[test]
fn functions_of_a_nested_component_are_refused() {
    let component = command(&format!(
        r#"(component $inner (import "f" (func $f (param "status" (result)))) (export "exit" (func $f)))
           (import "wasi:cli/exit@0.2.6" (instance $e (export "exit" (func (param "status" (result))))))
           (instance $inner (instantiate $inner (with "f" (func $e "exit"))))
           (core func $lowered (canon lower (func $inner "exit"))) {}"#,
        main(r#"(import "host" "exit" (func (param i32)))"#)
    ));
    refused(&component, &["`exit`", "nested component"]);
}

#[test]
fn an_exported_resource_is_refused() {
    for function in ["resource.new", "resource.rep"] {
        let component = command(&format!(
            r"(type $own (resource (rep i32))) (core func $lowered (canon {function} $own)) {}",
            main("")
        ));
        refused(&component, &["exports a resource"]);
    }
    let component = command(&format!(
        r"(type $own (resource (rep i32))) (core func $lowered (canon resource.drop $own)) {}",
        main(r#"(import "host" "exit" (func (param i32)))"#)
    ));
    refused(&component, &["drops a resource that it defines itself"]);
}

#[test]
fn async_is_refused() {
    let items = main(r#"(import "host" "exit" (func (param i32)))"#);
    let option = command(&format!("{} {items}", lowered("async")));
    refused(&option, &["`wasi:cli/exit@0.2.6` `exit`", "`async`"]);
    let builtin = command(&format!(
        "{} (core func (canon task.cancel)) {items}",
        lowered("")
    ));
    refused(&builtin, &["component-model async"]);
}

#[test]
fn text_in_another_encoding_than_utf8_is_refused() {
    for encoding in ["utf16", "latin1+utf16"] {
        let component = command(&format!(
            "{} {}",
            lowered(&format!("string-encoding={encoding}")),
            main(r#"(import "host" "exit" (func (param i32)))"#)
        ));
        let option = format!("string-encoding={encoding}");
        refused(&component, &["`exit`", &option, "UTF-8"]);
    }
}

#[test]
fn several_memories_are_refused() {
    let component = command(
        r#"(core module $m (memory 1) (memory 1) (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m))"#,
    );
    refused(&component, &["several memories"]);
}

#[test]
fn a_shared_or_64_bit_memory_is_refused() {
    for memory in ["(memory i64 1)", "(memory 1 2 shared)"] {
        let component = command(&format!(
            r#"(core module $m {memory} (func (export "run") (result i32) (i32.const 0)))
               (core instance $main (instantiate $m))"#
        ));
        refused(&component, &["malformed", "32-bit addresses"]);
    }
}

#[test]
fn imports_that_are_no_instances_are_refused() {
    let rest = r#"(core module $m (func (export "run") (result i32) (i32.const 0)))
        (core instance $main (instantiate $m))"#;
    for import in [
        r#"(import "bare" (func))"#,
        r#"(import "bare" (type (sub resource)))"#,
        r#"(import "bare" (component))"#,
        r#"(import "bare" (core module))"#,
    ] {
        refused(
            &command(&format!("{import} {rest}")),
            &["imports `bare`", "wasi:"],
        );
    }
}

#[test]
fn a_module_that_is_instantiated_twice_is_refused() {
    let component = command(
        r#"(core module $m (func (export "run") (result i32) (i32.const 0)))
           (core instance (instantiate $m))
           (core instance $main (instantiate $m))"#,
    );
    refused(&component, &["more than once"]);
}

#[test]
fn a_run_that_is_not_the_run_of_wasi_is_refused() {
    for (ty, core) in [
        ("(result u32)", "(result i32)"),
        (r#"(param "x" u32) (result (result))"#, "(result i32)"),
        ("(result (result u8))", "(result i32)"),
        ("", ""),
    ] {
        let component = wat::parse_str(format!(
            r#"(component
              (core module $m (memory (export "memory") 1) (func (export "run") {core} unreachable))
              (core instance $main (instantiate $m))
              (func $run {ty} (canon lift (core func $main "run") (memory $main "memory")))
              (instance $run (export "run" (func $run)))
              (export "wasi:cli/run@0.2.6" (instance $run)))"#
        ))
        .unwrap();
        refused(&component, &["`wasi:cli/run@0.2.6`", "func() -> result"]);
    }
    let component = wat::parse_str(
        r#"(component
          (core module $m (func (export "run") (result i32) unreachable) (func (export "after") (param i32)))
          (core instance $main (instantiate $m))
          (func $run (result (result)) (canon lift (core func $main "run") (post-return (func $main "after"))))
          (instance $run (export "run" (func $run)))
          (export "wasi:cli/run@0.2.6" (instance $run)))"#,
    )
    .unwrap();
    refused(&component, &["`run`", "post-return"]);
    let component = command(
        r#"(core module $m (func (export "run") (result i64) (i64.const 0)))
           (core instance $main (instantiate $m))"#,
    );
    refused(&component, &["`run`", "() -> i32"]);
}

#[test]
fn a_function_that_the_component_lifts_and_lowers_itself_is_refused() {
    let component = command(&format!(
        r#"(core module $other (func (export "f") (param i32)))
           (core instance $other (instantiate $other))
           (func $own (param "status" (result)) (canon lift (core func $other "f")))
           (core func $lowered (canon lower (func $own))) {}"#,
        main(r#"(import "host" "exit" (func (param i32)))"#)
    ));
    refused(&component, linked_words(&["lifts itself"]));
}

#[test]
fn a_realloc_of_another_type_is_refused() {
    let component = command(&format!(
        r#"(core module $libc (memory (export "memory") 1)
             (func (export "realloc") (param i32) (result i32) (i32.const 0)))
           (core instance $libc (instantiate $libc)) {} {}"#,
        lowered(r#"(memory $libc "memory") (realloc (func $libc "realloc"))"#),
        main(r#"(import "host" "exit" (func (param i32)))"#)
    ));
    let words = &[
        "`realloc` is used as realloc",
        "(i32, i32, i32, i32) -> i32",
    ];
    refused(&component, linked_words(words));
}

#[test]
fn a_signature_that_no_lowered_function_has_is_refused() {
    let eighteen = "i32 ".repeat(18);
    for ty in [
        "(param v128)".to_owned(),
        "(param externref)".to_owned(),
        "(result i32 i32)".to_owned(),
        format!("(param {eighteen})"),
    ] {
        let component = command(&format!(
            "{} {}",
            lowered(""),
            main(&format!(r#"(import "host" "exit" (func {ty}))"#))
        ));
        refused(&component, &["imports `exit`", "core signature"]);
    }
}

#[test]
fn too_many_imports_are_refused() {
    let imports = r#"(import "host" "exit" (func (param i32)))"#.repeat(1001);
    let component = command(&format!("{} {}", lowered(""), main(&imports)));
    refused(&component, &["imports 1001 functions", "at most 1000"]);
}

#[test]
fn an_import_that_nothing_is_given_for_is_refused() {
    let component = command(&format!(
        "{} {}",
        lowered(""),
        main(r#"(import "host" "other" (func))"#)
    ));
    refused(&component, &["`other`", "connected to nothing"]);
}

#[test]
fn an_index_that_is_not_yet_defined_is_refused() {
    // A core instance of module 0, where there is none.
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend([2, 4, 1, 0, 0, 0]);
    refused(
        &component,
        &["offset 0xc", "the index of an earlier module"],
    );
}

#[test]
fn a_shim_whose_entries_call_each_other_for_ever_is_refused() {
    let component = command(
        r#"(core module $shim
             (table (export "$imports") 1 1 funcref)
             (func (export "0") (param i32) local.get 0 i32.const 0 call_indirect (param i32)))
           (core module $fixups
             (import "" "0" (func (param i32)))
             (import "" "$imports" (table 1 1 funcref))
             (elem (i32.const 0) func 0))
           (core instance $shim (instantiate $shim))
           (core instance (instantiate $fixups (with "" (instance
             (export "0" (func $shim "0")) (export "$imports" (table $shim "$imports"))))))
           (core module $m (import "host" "exit" (func (param i32)))
             (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m
             (with "host" (instance (export "exit" (func $shim "0"))))))"#,
    );
    refused(&component, &["in a circle"]);
}

#[cfg(not(feature = "merge"))]
#[test]
fn without_the_feature_merge_the_linked_shape_is_refused() {
    refused(
        &fixtures::preview1(),
        &["several core modules", "must be merged"],
    );
}
