//! The functions of WAMR that the adapter calls, written down by hand from `wasm_export.h`: few, and no libclang needed.
//!
//! Deliberately no safe layer: that is the adapter's. WAMR has one runtime per process, and natives are looked up when a
//! module is loaded.

#![no_std]
#![expect(
    non_camel_case_types,
    reason = "the names of the C header, so that its documentation is found"
)]

use core::ffi::{c_char, c_void};

/// A loaded module.
#[repr(C)]
pub struct wasm_module {
    _opaque: [u8; 0],
}

/// An instance of a module.
#[repr(C)]
pub struct wasm_module_inst {
    _opaque: [u8; 0],
}

/// What a thread needs to run an instance: its stack.
#[repr(C)]
pub struct wasm_exec_env {
    _opaque: [u8; 0],
}

/// A function of an instance.
#[repr(C)]
pub struct wasm_function_inst {
    _opaque: [u8; 0],
}

/// A memory of an instance.
#[repr(C)]
pub struct wasm_memory_inst {
    _opaque: [u8; 0],
}

mod cells;

pub use cells::{Cells, Words};

/// A host function of the raw convention (ours, see `patches.rs`): what was attached to it, its parameters in cells of 32 bits
/// (two for a type of 64), and where its result goes in such cells. False: an exception is set.
pub type raw_native = unsafe extern "C" fn(
    env: *mut wasm_exec_env,
    attachment: *mut c_void,
    cells: *const u32,
    result: *mut u32,
) -> bool;

/// A host function to be found by the loader.
#[repr(C)]
#[derive(Debug)]
pub struct NativeSymbol {
    /// Field name of the import.
    pub symbol: *const c_char,
    /// A [`raw_native`].
    pub func_ptr: *mut c_void,
    /// Null: no conversion of pointers, no check of types.
    pub signature: *const c_char,
    /// Handed to the function.
    pub attachment: *mut c_void,
}

/// How to load a module.
#[repr(C)]
#[derive(Debug)]
pub struct LoadArgs {
    /// For messages; may be empty, not null.
    pub name: *mut c_char,
    /// For another API.
    pub clone_wasm_binary: bool,
    /// Copy what is needed of the buffer, so that it can be given back.
    pub wasm_binary_freeable: bool,
    /// Look host functions up later.
    pub no_resolve: bool,
}

/// How to make an instance.
#[repr(C)]
#[derive(Debug)]
pub struct InstantiationArgs {
    /// Bytes of stack for a start function.
    pub default_stack_size: u32,
    /// Bytes of a heap of WAMR's own in linear memory; 0: none.
    pub host_managed_heap_size: u32,
    /// Most pages of linear memory; 0: as many as the module allows.
    pub max_memory_pages: u32,
}

/// Called when linear memory could not grow: pages wanted, bytes held, which memory, why, and what was registered.
pub type enlarge_memory_error_callback = unsafe extern "C" fn(
    inc_page_count: u32,
    current_memory_size: u64,
    memory_index: u32,
    failure_reason: u32,
    instance: *mut wasm_module_inst,
    exec_env: *mut wasm_exec_env,
    user_data: *mut c_void,
);

unsafe extern "C" {
    /// Starts the runtime, with the process's allocator. Once per process.
    pub fn wasm_runtime_init() -> bool;
    /// Version of WAMR.
    pub fn wasm_runtime_get_version(major: *mut u32, minor: *mut u32, patch: *mut u32);
    /// Makes host functions known under a module name. The names and the array must outlive the registration.
    pub fn wasm_runtime_register_natives_raw(
        module_name: *const c_char,
        native_symbols: *mut NativeSymbol,
        n_native_symbols: u32,
    ) -> bool;
    /// Takes them back. Modules that were loaded keep what they found.
    pub fn wasm_runtime_unregister_natives(
        module_name: *const c_char,
        native_symbols: *mut NativeSymbol,
    ) -> bool;
    /// Loads a core module or ahead-of-time code. Changes the buffer.
    pub fn wasm_runtime_load_ex(
        buf: *mut u8,
        size: u32,
        args: *const LoadArgs,
        error_buf: *mut c_char,
        error_buf_size: u32,
    ) -> *mut wasm_module;
    /// Whether the buffer that a module was loaded from is needed no more.
    pub fn wasm_runtime_is_underlying_binary_freeable(module: *mut wasm_module) -> bool;
    /// Gives a module back.
    pub fn wasm_runtime_unload(module: *mut wasm_module);
    /// Makes an instance, and runs its start function.
    pub fn wasm_runtime_instantiate_ex(
        module: *mut wasm_module,
        args: *const InstantiationArgs,
        error_buf: *mut c_char,
        error_buf_size: u32,
    ) -> *mut wasm_module_inst;
    /// Gives an instance back.
    pub fn wasm_runtime_deinstantiate(instance: *mut wasm_module_inst);
    /// Makes the means to run an instance.
    pub fn wasm_runtime_create_exec_env(
        instance: *mut wasm_module_inst,
        stack_size: u32,
    ) -> *mut wasm_exec_env;
    /// Gives them back.
    pub fn wasm_runtime_destroy_exec_env(env: *mut wasm_exec_env);
    /// The instance that runs.
    pub fn wasm_runtime_get_module_inst(env: *mut wasm_exec_env) -> *mut wasm_module_inst;
    /// Finds an exported function.
    pub fn wasm_runtime_lookup_function(
        instance: *mut wasm_module_inst,
        name: *const c_char,
    ) -> *mut wasm_function_inst;
    /// Calls one. Cells of 32 bits: parameters in, results out. False: an exception is set.
    pub fn wasm_runtime_call_wasm(
        env: *mut wasm_exec_env,
        function: *mut wasm_function_inst,
        argc: u32,
        argv: *mut u32,
    ) -> bool;
    /// Why the last call failed, or null.
    pub fn wasm_runtime_get_exception(instance: *mut wasm_module_inst) -> *const c_char;
    /// Makes the call that runs fail.
    pub fn wasm_runtime_set_exception(instance: *mut wasm_module_inst, exception: *const c_char);
    /// Has the embedder told of growths of linear memory that failed.
    pub fn wasm_runtime_set_enlarge_mem_error_callback(
        callback: Option<enlarge_memory_error_callback>,
        user_data: *mut c_void,
    );
    /// Says where the native stack of this thread ends (our addition to WAMR): code that would go below traps.
    pub fn vyoma_wamr_set_stack_boundary(lowest: *mut u8);
    /// Where memory 0 of the instance starts now (null: there is none) and how many bytes it has now (our addition to WAMR).
    pub fn vyoma_wamr_memory(env: *mut wasm_exec_env, length: *mut u64) -> *mut u8;
    /// Calls a function that takes four i32 and gives one, from inside of a host function that this instance called (our
    /// addition to WAMR). Cells and outcome as of [`wasm_runtime_call_wasm`].
    pub fn vyoma_wamr_call_allocator(
        env: *mut wasm_exec_env,
        function: *mut wasm_function_inst,
        argv: *mut u32,
    ) -> bool;
}
