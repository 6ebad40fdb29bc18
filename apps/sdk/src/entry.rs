//! How an app without `std` begins and ends.

use core::panic::PanicInfo;

use crate::print::Show;
use crate::sys;

#[cfg(not(target_os = "wasi"))]
pub use std::process::ExitCode;

/// Success or failure: WASI 0.2 knows no other exit codes.
#[cfg(target_os = "wasi")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitCode(bool);

#[cfg(target_os = "wasi")]
impl ExitCode {
    /// The app did what it was there for.
    pub const SUCCESS: Self = Self(false);
    /// It didn't.
    pub const FAILURE: Self = Self(true);
}

/// What a main function may return.
pub trait Outcome {
    /// Reports it; true when the app has failed.
    fn failed(self) -> bool;
}

impl Outcome for () {
    #[inline]
    fn failed(self) -> bool {
        false
    }
}

#[cfg(target_os = "wasi")]
impl Outcome for ExitCode {
    #[inline]
    fn failed(self) -> bool {
        self.0
    }
}

/// An error is printed on standard error and is a failure.
impl<T: Outcome, E: Show> Outcome for Result<T, E> {
    #[inline]
    fn failed(self) -> bool {
        match self {
            Ok(outcome) => outcome.failed(),
            Err(error) => {
                crate::eprintln!("Error: {error}");
                true
            }
        }
    }
}

/// Ends the app at once. Codes other than 0 are one and the same to a supervisor: failure.
pub fn exit(code: i32) -> ! {
    sys::exit(code != 0)
}

/// Begins a program without `std` at a function, which takes nothing and returns an [`Outcome`].
///
/// The program is a binary whose file starts with `#![cfg_attr(target_os = "wasi", no_std, no_main)]`. This macro gives it the
/// exports of a component, a panic handler and a heap. Elsewhere than in a component the macro is nothing, and the main function
/// is `std`'s: the app's own tests run on any machine.
///
/// - `heap = N`: that many bytes of static memory are the heap. Without it there is none, and allocating fails.
/// - `panic = place`: a panic prints where it happened, and not why. A program that has panics whose messages are put together,
///   such as that of an index out of bounds, is about 1 KiB smaller for it, and takes 3 KiB less of a microcontroller's RAM.
///
/// ```no_run
/// #![cfg_attr(target_os = "wasi", no_std, no_main)]
///
/// use vyoma::println;
///
/// vyoma::main!(main, heap = 1024);
///
/// fn main() {
///     println!("hello");
/// }
/// ```
#[macro_export]
macro_rules! main {
    ($main:path $(, heap = $heap:expr)? $(,)?) => {
        $crate::__main!($main, { 0 $(+ $heap)? }, panicked);
    };
    ($main:path $(, heap = $heap:expr)?, panic = place $(,)?) => {
        $crate::__main!($main, { 0 $(+ $heap)? }, panicked_at);
    };
}

/// [`main!`], with everything given.
#[doc(hidden)]
#[macro_export]
macro_rules! __main {
    ($main:path, $heap:block, $panicked:ident) => {
        #[cfg(target_os = "wasi")]
        const _: () = {
            #[global_allocator]
            static HEAP: $crate::heap::Heap<$heap> = $crate::heap::Heap::new();

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::__private::$panicked(info)
            }

            // The start-up object of the target (crt1-command.o) exports `wasi:cli/run` and calls these three. An app without
            // `std` has no C library behind it, so there is nothing to set up or to take down.

            #[unsafe(no_mangle)]
            extern "C" fn __main_void() -> i32 {
                $crate::Outcome::failed($main()).into()
            }

            #[unsafe(no_mangle)]
            extern "C" fn __wasi_init_tp() {}

            #[unsafe(no_mangle)]
            extern "C" fn __wasm_call_dtors() {}

            /// Room for what the host hands over.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn cabi_realloc(
                old: *mut u8,
                old_length: usize,
                align: usize,
                length: usize,
            ) -> *mut u8 {
                // SAFETY: what the canonical ABI vouches for.
                unsafe { $crate::__private::realloc(old, old_length, align, length) }
            }
        };
    };
}

/// The panic handler: one line on standard error, then a trap. Of a message that is put together from parts only the place is
/// told: putting it together would bring `core::fmt` into every app.
#[doc(hidden)]
#[inline]
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    last_words(info, info.message().as_str().unwrap_or_default())
}

/// The panic handler that tells the place only.
#[doc(hidden)]
#[inline]
pub fn panicked_at(info: &PanicInfo<'_>) -> ! {
    last_words(info, "")
}

fn last_words(info: &PanicInfo<'_>, why: &str) -> ! {
    let colon = if why.is_empty() { "" } else { ": " };
    if let Some(place) = info.location() {
        let (file, line) = (place.file(), place.line());
        crate::eprintln!("panicked at {file}:{line}{colon}{why}");
    } else {
        crate::eprintln!("panicked{colon}{why}");
    }
    sys::trap()
}
