//! Guests of the linked shape: components in text form, made from a body and a frame around it.
//!
//! The frame imports a good part of WASI 0.2, lowers it under short names, and keeps memory and allocator in a core module
//! of their own. What it can't do is in the plain shape only.

use super::guest::binary;

/// Host functions as the core module sees them, with the canonical ABI's core signatures, and two helpers.
const PRELUDE: &str = r#"
    (import "libc" "memory" (memory 1))
    (import "host" "arguments" (func $arguments (param i32)))
    (import "host" "environment" (func $environment (param i32)))
    (import "host" "exit" (func $exit (param i32)))
    (import "host" "exit-with-code" (func $exit-with-code (param i32)))
    (import "host" "stdin" (func $stdin (result i32)))
    (import "host" "stdout" (func $stdout (result i32)))
    (import "host" "stderr" (func $stderr (result i32)))
    (import "host" "read" (func $read (param i32 i64 i32)))
    (import "host" "check-write" (func $check-write (param i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "now" (func $now (result i64)))
    (import "host" "after" (func $after (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (import "host" "random" (func $random (result i64)))
    (import "host" "folders" (func $folders (param i32)))
    (import "host" "network" (func $network (result i32)))
    (import "host" "tcp" (func $tcp (param i32 i32)))
    (import "host" "udp" (func $udp (param i32 i32)))
    (import "host" "look-up" (func $look-up (param i32 i32 i32 i32)))
    (func $print-to (param $stream i32) (param $at i32) (param $length i32)
      (local $part i32)
      (loop $more
        (local.set $part (select (i32.const 4096) (local.get $length) (i32.gt_u (local.get $length) (i32.const 4096))))
        (call $write (local.get $stream) (local.get $at) (local.get $part) (i32.const 32))
        (if (i32.load8_u (i32.const 32)) (then unreachable))
        (local.set $at (i32.add (local.get $at) (local.get $part)))
        (local.set $length (i32.sub (local.get $length) (local.get $part)))
        (br_if $more (local.get $length))))
    (func $print (param $at i32) (param $length i32)
      (call $print-to (call $stdout) (local.get $at) (local.get $length)))
"#;

const FRAME: &str = r#"(component
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-arguments" (func (result (list string))))
    (export "get-environment" (func (result (list (tuple string string)))))))
  (import "wasi:cli/exit@0.2.6" (instance $exit
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))))
  (import "wasi:io/error@0.2.0" (instance $io-error (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $error))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "input-stream" (type $input (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (alias outer 1 $error (type $error))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $input)) (param "len" u64) (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.check-write"
      (func (param "self" (borrow $output)) (result (result u64 (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $t)) (export "get-stdin" (func (result (own $t))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $t)) (export "get-stdout" (func (result (own $t))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output (type $t)) (export "get-stderr" (func (result (own $t))))))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $t))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $t))))))
  (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
  (import "wasi:filesystem/types@0.2.0" (instance $files (export "descriptor" (type (sub resource)))))
  (alias export $files "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $descriptor (type $t))
    (export "get-directories" (func (result (list (tuple (own $t) string)))))))
  (import "wasi:sockets/network@0.2.0" (instance $net
    (export "network" (type (sub resource)))
    (type $code (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
      "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type (eq $code)))
    (type $family (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $family)))))
  (alias export $net "network" (type $network))
  (alias export $net "error-code" (type $code))
  (alias export $net "ip-address-family" (type $family))
  (import "wasi:sockets/instance-network@0.2.0" (instance $instance-network
    (alias outer 1 $network (type $t)) (export "instance-network" (func (result (own $t))))))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create-tcp
    (alias outer 1 $tcp-socket (type $socket))
    (alias outer 1 $code (type $code')) (export "error-code" (type $code (eq $code')))
    (alias outer 1 $family (type $family')) (export "ip-address-family" (type $family (eq $family')))
    (export "create-tcp-socket" (func (param "address-family" $family) (result (result (own $socket) (error $code)))))))
  (import "wasi:sockets/udp@0.2.0" (instance $udp (export "udp-socket" (type (sub resource)))))
  (alias export $udp "udp-socket" (type $udp-socket))
  (import "wasi:sockets/udp-create-socket@0.2.0" (instance $create-udp
    (alias outer 1 $udp-socket (type $socket))
    (alias outer 1 $code (type $code')) (export "error-code" (type $code (eq $code')))
    (alias outer 1 $family (type $family')) (export "ip-address-family" (type $family (eq $family')))
    (export "create-udp-socket" (func (param "address-family" $family) (result (result (own $socket) (error $code)))))))
  (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $look-up
    (export "resolve-address-stream" (type $stream (sub resource)))
    (alias outer 1 $network (type $network))
    (alias outer 1 $code (type $code')) (export "error-code" (type $code (eq $code')))
    (export "resolve-addresses"
      (func (param "network" (borrow $network)) (param "name" string) (result (result (own $stream) (error $code)))))))

  ;; Memory, and an allocator that only ever takes: what the host hands over goes there, from 4 KiB up.
  (core module $libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))
          (i32.const -1)) (then unreachable))))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $l-arguments (canon lower (func $environment "get-arguments") (memory $memory) (realloc $realloc)))
  (core func $l-environment (canon lower (func $environment "get-environment") (memory $memory) (realloc $realloc)))
  (core func $l-exit (canon lower (func $exit "exit")))
  (core func $l-exit-with-code (canon lower (func $exit "exit-with-code")))
  (core func $l-stdin (canon lower (func $stdin "get-stdin")))
  (core func $l-stdout (canon lower (func $stdout "get-stdout")))
  (core func $l-stderr (canon lower (func $stderr "get-stderr")))
  (core func $l-read (canon lower (func $streams "[method]input-stream.blocking-read") (memory $memory) (realloc $realloc)))
  (core func $l-check-write (canon lower (func $streams "[method]output-stream.check-write") (memory $memory)))
  (core func $l-write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
  (core func $l-now (canon lower (func $clock "now")))
  (core func $l-after (canon lower (func $clock "subscribe-duration")))
  (core func $l-block (canon lower (func $poll "[method]pollable.block")))
  (core func $l-random (canon lower (func $random "get-random-u64")))
  (core func $l-folders (canon lower (func $preopens "get-directories") (memory $memory) (realloc $realloc)))
  (core func $l-network (canon lower (func $instance-network "instance-network")))
  (core func $l-tcp (canon lower (func $create-tcp "create-tcp-socket") (memory $memory)))
  (core func $l-udp (canon lower (func $create-udp "create-udp-socket") (memory $memory)))
  (core func $l-look-up (canon lower (func $look-up "resolve-addresses") (memory $memory)))
  (core module $main MAIN)
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "arguments" (func $l-arguments)) (export "environment" (func $l-environment))
      (export "exit" (func $l-exit)) (export "exit-with-code" (func $l-exit-with-code))
      (export "stdin" (func $l-stdin)) (export "stdout" (func $l-stdout)) (export "stderr" (func $l-stderr))
      (export "read" (func $l-read)) (export "check-write" (func $l-check-write)) (export "write" (func $l-write))
      (export "now" (func $l-now)) (export "after" (func $l-after)) (export "block" (func $l-block))
      (export "random" (func $l-random)) (export "folders" (func $l-folders))
      (export "network" (func $l-network)) (export "tcp" (func $l-tcp)) (export "udp" (func $l-udp))
      (export "look-up" (func $l-look-up))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (component $shape (import "run" (func $f (result (result)))) (export "run" (func $f)))
  (instance $run (instantiate $shape (with "run" (func $run))))
  (export "wasi:cli/run@0.2.0" (instance $run)))
"#;

/// The component whose program is `body`. See [`super::guest`].
pub(super) fn command(body: &str) -> Result<Vec<u8>, String> {
    let main = format!("{PRELUDE}\n{body}\n(export \"run\" (func $run))");
    binary(&FRAME.replace("MAIN", &main))
}
