//! Guests of the suite from text: a body of core items, put into either shape.
//!
//! A body defines `$run` with no parameter and one i32 result: 0 for success, 1 for failure. Bytes 0 to 255 of its memory
//! are scratch space for results, data may go from 256 to 4095, and what the host hands over goes from 4096 up. It may
//! call functions of WASI by short name ([`plain::expand`]), and helpers ([`HELPERS`]).

use super::{linked, plain};

/// Helpers by name; each may use those after it. A body that defines one by itself keeps its own.
const HELPERS: [(&str, &str); 6] = [
    // Prints bytes to stdout.
    (
        "print",
        "(func $print (param $at i32) (param $length i32)
           (call $print-to (call $stdout.get-stdout) (local.get $at) (local.get $length)))",
    ),
    // Prints bytes to a stream, in parts of what a stream takes at once; no success, no way on.
    (
        "print-to",
        "(func $print-to (param $stream i32) (param $at i32) (param $length i32)
           (local $part i32)
           (loop $more
             (local.set $part (select (i32.const 4096) (local.get $length) (i32.gt_u (local.get $length) (i32.const 4096))))
             (call $output-stream.blocking-write-and-flush (local.get $stream) (local.get $at) (local.get $part) (i32.const 32))
             (if (i32.load8_u (i32.const 32)) (then unreachable))
             (local.set $at (i32.add (local.get $at) (local.get $part)))
             (local.set $length (i32.sub (local.get $length) (local.get $part)))
             (br_if $more (local.get $length))))",
    ),
    // Ends with the code `step` unless `ok`: a failed case says where.
    (
        "check",
        "(func $check (param $step i32) (param $ok i32)
           (if (i32.eqz (local.get $ok)) (then (call $exit.exit-with-code (local.get $step)) unreachable)))",
    ),
    // The indices in the list whose pointer and length are at 16, as bits: their order is the host's.
    (
        "told",
        "(func $told (result i32) (local $at i32) (local $n i32) (local $bits i32)
           (local.set $at (i32.load (i32.const 16)))
           (loop $more
             (local.set $bits (i32.or (local.get $bits) (i32.shl (i32.const 1) (i32.load (local.get $at)))))
             (local.set $at (i32.add (local.get $at) (i32.const 4)))
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br_if $more (i32.lt_u (local.get $n) (i32.load (i32.const 20)))))
           (local.get $bits))",
    ),
    ("memory", "(memory $memory 1)"),
    // An allocator that only ever takes, from 4 KiB up.
    (
        "cabi_realloc",
        "(global $next (mut i32) (i32.const 4096))
         (func $cabi_realloc (param i32 i32) (param $align i32) (param $size i32) (result i32)
           (local $at i32)
           (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
             (i32.sub (i32.const 0) (local.get $align))))
           (global.set $next (i32.add (local.get $at) (local.get $size)))
           (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
             (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))
               (i32.const -1)) (then unreachable))))
           (local.get $at))",
    ),
];

/// The names by which bodies of both shapes call WASI, and what they are in the plain shape.
const NAMES: [(&str, &str); 19] = [
    ("arguments", "environment.get-arguments"),
    ("environment", "environment.get-environment"),
    ("exit", "exit.exit"),
    ("exit-with-code", "exit.exit-with-code"),
    ("stdin", "stdin.get-stdin"),
    ("stdout", "stdout.get-stdout"),
    ("stderr", "stderr.get-stderr"),
    ("read", "input-stream.blocking-read"),
    ("check-write", "output-stream.check-write"),
    ("write", "output-stream.blocking-write-and-flush"),
    ("now", "monotonic-clock.now"),
    ("after", "monotonic-clock.subscribe-duration"),
    ("block", "pollable.block"),
    ("random", "random.get-random-u64"),
    ("folders", "preopens.get-directories"),
    ("network", "instance-network.instance-network"),
    ("tcp", "tcp-create-socket.create-tcp-socket"),
    ("udp", "udp-create-socket.create-udp-socket"),
    ("look-up", "ip-name-lookup.resolve-addresses"),
];

/// How a component is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Memory and allocator in a module of their own, as the preview-1 adapter makes it.
    Linked,
    /// One module beside wit-component's shim and fixups.
    Plain,
}

/// The component whose program is `body`.
pub(super) fn command(body: &str, shape: Shape) -> Result<Vec<u8>, String> {
    match shape {
        Shape::Linked => linked::command(body),
        Shape::Plain => plain::component(&binary(&module(body))?),
    }
}

/// Text to binary.
pub(super) fn binary(text: &str) -> Result<Vec<u8>, String> {
    wat::parse_str(text).map_err(|error| format!("the suite's own text is wrong: {error}"))
}

/// The core module of a body in the plain shape.
fn module(body: &str) -> String {
    let mut items = long_names(body);
    for (name, definition) in HELPERS {
        let always = matches!(name, "memory" | "cabi_realloc");
        let own = [format!("(func ${name} "), format!("({name} ${name} ")]
            .iter()
            .any(|definition| items.contains(definition));
        if !own && (always || plain::mentions(&items, name)) {
            items.push_str(definition);
        }
        items.push('\n');
    }
    format!(
        "(module {}\n{items}
         (export \"memory\" (memory $memory))
         (export \"cabi_realloc\" (func $cabi_realloc))
         (export \"{}\" (func $run)))",
        plain::expand(&items),
        plain::RUN
    )
}

/// `body` with the names of the plain shape.
fn long_names(body: &str) -> String {
    let mut text = String::with_capacity(body.len() * 2);
    let mut parts = body.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
            .unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let long = NAMES
            .iter()
            .find_map(|&(short, long)| (short == name).then_some(long));
        text.push('$');
        text.push_str(long.unwrap_or(name));
        text.push_str(rest);
    }
    text
}
