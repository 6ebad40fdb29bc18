//! The print macros of the crate `vyoma`: format strings as `std` has them, taken apart while compiling.
//!
//! Text, integers, `bool` and `char` are then printed by a few hundred bytes of code. What needs `core::fmt` (`{:?}`, floats, types
//! that only have `Display`) gets it, for that argument alone, so an app pays for what it prints. Nothing here is called but
//! through `vyoma`, which documents the macros.

mod expand;
mod template;

use proc_macro::TokenStream;

/// See `vyoma::print`.
#[proc_macro]
pub fn print(input: TokenStream) -> TokenStream {
    expand::stream(input, "Out", false)
}

/// See `vyoma::println`.
#[proc_macro]
pub fn println(input: TokenStream) -> TokenStream {
    expand::stream(input, "Out", true)
}

/// See `vyoma::eprint`.
#[proc_macro]
pub fn eprint(input: TokenStream) -> TokenStream {
    expand::stream(input, "Err", false)
}

/// See `vyoma::eprintln`.
#[proc_macro]
pub fn eprintln(input: TokenStream) -> TokenStream {
    expand::stream(input, "Err", true)
}

/// See `vyoma::log`.
#[proc_macro]
pub fn log(input: TokenStream) -> TokenStream {
    expand::log(input)
}

/// See `vyoma::send`.
#[proc_macro]
pub fn send(input: TokenStream) -> TokenStream {
    expand::send(input)
}

/// See `vyoma::broadcast`.
#[proc_macro]
pub fn broadcast(input: TokenStream) -> TokenStream {
    expand::message("\"broadcast\"", input)
}

/// See `vyoma::reply`.
#[proc_macro]
pub fn reply(input: TokenStream) -> TokenStream {
    expand::message("\"reply\"", input)
}

/// See `vyoma::write`.
#[proc_macro]
pub fn write(input: TokenStream) -> TokenStream {
    expand::write(input)
}
