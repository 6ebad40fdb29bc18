;; A guest that sets a pin again and again, of a host in which nothing happens: `set` has the shape of wasi:gpio's set-state.
(component
  (import "host" (instance $host
    (export "pin" (type $pin (sub resource)))
    (type $state' (enum "active" "inactive"))
    (export "pin-state" (type $state (eq $state')))
    (type $error' (variant (case "other" string)))
    (export "gpio-error" (type $error (eq $error')))
    (export "open" (func (result (own $pin))))
    (export "set" (func (param "pin" (borrow $pin)) (param "state" $state) (result (result (error $error)))))))
  (alias export $host "open" (func $open))
  (alias export $host "set" (func $set))
  (core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))
  (core instance $libc (instantiate $libc))
  (core func $open (canon lower (func $open)))
  (core func $set (canon lower (func $set) (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core module $guest
    (import "host" "open" (func $open (result i32)))
    (import "host" "set" (func $set (param i32 i32 i32)))
    (func (export "run") (param $rounds i32) (local $pin i32)
      (local.set $pin (call $open))
      (loop $again
        (call $set (local.get $pin) (i32.and (local.get $rounds) (i32.const 1)) (i32.const 1024))
        (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "open" (func $open)) (export "set" (func $set))))))
  (func (export "run") (param "rounds" u32) (canon lift (core func $guest "run"))))
