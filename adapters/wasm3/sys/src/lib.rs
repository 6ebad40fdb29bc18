//! wasm3 0.9.0, built from source by `build/`, and declarations of the few functions that the adapter calls.
//!
//! `no_std`. On Linux it is built with 64-bit slots and needs the C library of the target only. On bare metal it is built for
//! little memory, and the program has to bring `calloc`, `realloc`, `free`, `abort`, `strcmp`, `strlen`, the `mem` functions
//! and the rounding functions of C (`ceil`, `floor`, `trunc`, `rint`, `sqrt`, each also with `f`). What is changed in wasm3
//! stands in `build/patches.rs`. Nothing here is safe; called by `vyoma-adapter-wasm3` only.

#![no_std]

use core::ffi::{c_char, c_void};

/// The wasm3 that is built.
pub const VERSION: &str = "0.9.0";

/// Bytes of a slot of the value stack.
pub const SLOT: usize = if cfg!(target_os = "none") { 4 } else { 8 };

/// Function types and free code pages, shared by runtimes.
#[derive(Debug)]
#[repr(C)]
pub struct Environment {
    opaque: [u8; 0],
}

/// One guest: value stack, linear memory, compiled code.
#[derive(Debug)]
#[repr(C)]
pub struct Runtime {
    opaque: [u8; 0],
}

/// A parsed module.
#[derive(Debug)]
#[repr(C)]
pub struct Module {
    opaque: [u8; 0],
}

/// A function of a module.
#[derive(Debug)]
#[repr(C)]
pub struct Function {
    opaque: [u8; 0],
}

/// What a host function is called with besides its arguments.
#[derive(Debug)]
#[repr(C)]
pub struct ImportContext {
    /// What [`vyoma_wasm3_link`] was given.
    pub userdata: *mut c_void,
    /// The import.
    pub function: *mut Function,
}

/// Null, or a text that lives for ever: why it failed.
pub type Outcome = *const c_char;

/// A host function: (runtime, context, slots, memory). Slots are 8 bytes each, results first and arguments after them,
/// aligned to a slot of the value stack only. What it returns ends the guest unless it is null.
pub type RawCall = unsafe extern "C" fn(
    *mut Runtime,
    *mut ImportContext,
    *mut c_void,
    *mut c_void,
) -> *const c_void;

unsafe extern "C" {
    /// Null when there is no memory.
    pub fn m3_NewEnvironment() -> *mut Environment;
    /// After its runtimes.
    pub fn m3_FreeEnvironment(environment: *mut Environment);
    /// With a value stack of so many bytes; null when there is no memory.
    pub fn m3_NewRuntime(
        environment: *mut Environment,
        stack_bytes: u32,
        userdata: *mut c_void,
    ) -> *mut Runtime;
    /// Frees the modules loaded into it, too.
    pub fn m3_FreeRuntime(runtime: *mut Runtime);
    /// What it was made with, or what [`vyoma_wasm3_set_userdata`] set.
    pub fn m3_GetUserData(runtime: *mut Runtime) -> *mut c_void;
    /// The bytes must outlive the module.
    pub fn m3_ParseModule(
        environment: *mut Environment,
        module: *mut *mut Module,
        bytes: *const u8,
        length: u32,
    ) -> Outcome;
    /// Only for a module that is not loaded.
    pub fn m3_FreeModule(module: *mut Module);
    /// Makes memory, globals, tables. The runtime then owns the module, unless it failed.
    pub fn m3_LoadModule(runtime: *mut Runtime, module: *mut Module) -> Outcome;
    /// Compiles every function that is not compiled.
    pub fn m3_CompileModule(module: *mut Module) -> Outcome;
    /// Runs the start function before the first call. Each argument is a pointer to its value.
    pub fn m3_Call(function: *mut Function, count: u32, arguments: *const *const c_void)
    -> Outcome;
    /// Of the last call, which must have been of this function.
    pub fn m3_GetResults(
        function: *mut Function,
        count: u32,
        results: *const *const c_void,
    ) -> Outcome;
    /// Parameters of a function.
    pub fn m3_GetArgCount(function: *mut Function) -> u32;
    /// Results of a function.
    pub fn m3_GetRetCount(function: *mut Function) -> u32;
    /// 1: i32, 2: i64, 3: f32, 4: f64
    pub fn m3_GetArgType(function: *mut Function, index: u32) -> u32;
    /// See [`m3_GetArgType`].
    pub fn m3_GetRetType(function: *mut Function, index: u32) -> u32;

    /// Before loading: most pages of the memory.
    pub fn vyoma_wasm3_limit_pages(module: *mut Module, pages: u32);
    /// Before loading: bytes that the memory really has, fewer than its pages say.
    pub fn vyoma_wasm3_limit_bytes(runtime: *mut Runtime, bytes: u32);
    /// A wasm call traps when the native stack is below this address.
    pub fn vyoma_wasm3_limit_stack(runtime: *mut Runtime, lowest: *mut c_void);
    /// After compiling: gives back what that needed. Only where `realloc` makes a block smaller without moving it.
    pub fn vyoma_wasm3_forget_compiler(runtime: *mut Runtime);
    /// 1 when the last `memory.grow` was refused.
    pub fn vyoma_wasm3_grow_refused(runtime: *mut Runtime) -> u32;
    /// Replaces the runtime's pointer.
    pub fn vyoma_wasm3_set_userdata(runtime: *mut Runtime, userdata: *mut c_void);
    /// The linear memory and its bytes. Both change when it grows.
    pub fn vyoma_wasm3_memory(runtime: *mut Runtime, bytes: *mut usize) -> *mut u8;
    /// Pages of the memory at start.
    pub fn vyoma_wasm3_pages(module: *mut Module) -> u32;
    /// Functions, imported ones included.
    pub fn vyoma_wasm3_functions(module: *mut Module) -> u32;
    /// Imported functions.
    pub fn vyoma_wasm3_imports(module: *mut Module) -> u32;
    /// After loading: makes an import a host function.
    pub fn vyoma_wasm3_link(
        module: *mut Module,
        index: u32,
        call: RawCall,
        userdata: *const c_void,
    ) -> Outcome;
    /// A function by its index, which must be below [`vyoma_wasm3_functions`].
    pub fn vyoma_wasm3_function(module: *mut Module, index: u32) -> *mut Function;
    /// The module that a function is of.
    pub fn vyoma_wasm3_module(function: *mut Function) -> *mut Module;
    /// Bytes of the structure of an environment (0), a runtime (1), a module (2), a function (3), a global (4).
    pub fn vyoma_wasm3_size(structure: u32) -> u32;
    /// Bytes of compiled code, with the free rest of its pages.
    pub fn vyoma_wasm3_code_bytes(runtime: *mut Runtime) -> u32;
    /// The value stack and its bytes.
    pub fn vyoma_wasm3_stack(runtime: *mut Runtime, bytes: *mut u32) -> *mut c_void;
}
