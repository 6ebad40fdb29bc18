//! What wasm3 calls of the C library besides memory (`memory.rs`) and what the compiler brings (`memcpy` and its like).

use core::ffi::{CStr, c_char};

/// wasm3 aborts when an internal check fails; in an app that ends the app.
#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    panic!("wasm3 aborted")
}

/// # Safety
/// Both are C strings.
#[unsafe(no_mangle)]
unsafe extern "C" fn strcmp(one: *const c_char, other: *const c_char) -> i32 {
    // SAFETY: as the caller promises.
    let (one, other) = unsafe { (CStr::from_ptr(one), CStr::from_ptr(other)) };
    one.cmp(other) as i32
}

/// The functions of `math.h` that WebAssembly's instructions are.
macro_rules! mathematics {
    ($($name:ident $type:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(value: $type) -> $type {
            libm::$name(value)
        }
    )*};
}

mathematics! {
    ceil f64 ceilf f32 floor f64 floorf f32 trunc f64 truncf f32 rint f64 rintf f32 sqrt f64 sqrtf f32
}
