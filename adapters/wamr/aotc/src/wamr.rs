//! WAMR's compiler: a core module in, machine code out. The only unsafe code of this program.
//!
//! What it declares of WAMR is written down by hand from `aot_export.h` and `aot_comp_option.h`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;

use vyoma_capabilities::profile::OptimizationLevel;

use crate::key;
use vyoma_runtime::CpuLevel;

/// Room for what WAMR says about a module that it can't load.
const ERROR: usize = 256;

/// AOT_FORMAT_FILE of `aot_export.h`.
const AOT_FILE: u32 = 0;

/// The tightest of WAMR's code models: calls and data within reach of one instruction. Level 1 aborts on aarch64.
const SIZE_LEVEL: u32 = 3;

/// `AOTCompOption`. What is zero is off.
#[repr(C)]
struct Options {
    is_jit_mode: bool,
    is_indirect_mode: bool,
    target_arch: *const c_char,
    target_abi: *const c_char,
    target_cpu: *const c_char,
    cpu_features: *const c_char,
    is_sgx_platform: bool,
    enable_bulk_memory: bool,
    enable_bulk_memory_opt: bool,
    enable_thread_mgr: bool,
    enable_tail_call: bool,
    enable_simd: bool,
    enable_ref_types: bool,
    enable_call_indirect_overlong: bool,
    enable_gc: bool,
    enable_aux_stack_check: bool,
    enable_extended_const: bool,
    enable_lime1: bool,
    aux_stack_frame_type: u32,
    call_stack_features: [bool; 6],
    enable_perf_profiling: bool,
    enable_memory_profiling: bool,
    disable_llvm_intrinsics: bool,
    disable_llvm_jump_tables: bool,
    disable_llvm_lto: bool,
    enable_llvm_pgo: bool,
    enable_stack_estimation: bool,
    quick_invoke_c_api_import: bool,
    enable_shared_heap: bool,
    enable_shared_chain: bool,
    use_prof_file: *const c_char,
    opt_level: u32,
    size_level: u32,
    output_format: u32,
    bounds_checks: u32,
    stack_bounds_checks: u32,
    segue_flags: u32,
    custom_sections: *const *const c_char,
    custom_sections_count: u32,
    stack_usage_file: *const c_char,
    llvm_passes: *const c_char,
    builtin_intrinsics: *const c_char,
}

unsafe extern "C" {
    fn wasm_runtime_init() -> bool;
    fn wasm_runtime_load(
        buf: *mut u8,
        size: u32,
        error_buf: *mut c_char,
        error_buf_size: u32,
    ) -> *mut c_void;
    fn aot_create_comp_data(
        module: *mut c_void,
        target_arch: *const c_char,
        gc_enabled: bool,
    ) -> *mut c_void;
    fn aot_compiler_init() -> bool;
    fn aot_create_comp_context(comp_data: *mut c_void, option: *const Options) -> *mut c_void;
    fn aot_compile_wasm(context: *mut c_void) -> bool;
    fn aot_emit_aot_file_buf(
        context: *mut c_void,
        comp_data: *mut c_void,
        size: *mut u32,
    ) -> *mut u8;
    fn aot_get_last_error() -> *const c_char;
}

/// Machine code of `module`. `folder` is for WAMR's notes on stack sizes, which it reads back from a file. Once per process.
pub(crate) fn compile(
    module: &[u8],
    cpu: CpuLevel,
    level: OptimizationLevel,
    folder: &Path,
) -> Result<Vec<u8>, String> {
    let notes = text(folder.join("stack-usage").as_os_str().as_encoded_bytes())?;
    let arch = text(cpu.arch().as_bytes())?;
    let processor = text(match cpu {
        CpuLevel::V1 => b"x86-64",
        CpuLevel::V2 => b"x86-64-v2",
        // The first and still the most frugal of the 64-bit Arm cores: code for it runs on all, scheduled for its pipeline.
        CpuLevel::V8 => b"cortex-a53",
    })?;
    // The generic features of Armv8.0-A: cortex-a53 adds CRC and cryptography, which are optional there.
    let features = match cpu {
        CpuLevel::V1 | CpuLevel::V2 => None,
        CpuLevel::V8 => Some(text(b"-crc,-crypto,-aes,-sha2")?),
    };
    // SAFETY: every field may be zero: numbers, flags and pointers that may be null.
    let mut options: Options = unsafe { std::mem::zeroed() };
    options.target_arch = arch.as_ptr();
    options.target_abi = c"gnu".as_ptr();
    options.target_cpu = processor.as_ptr();
    options.cpu_features = features
        .as_ref()
        .map_or(std::ptr::null(), |features| features.as_ptr());
    options.enable_bulk_memory = true;
    options.enable_bulk_memory_opt = true;
    options.enable_ref_types = true;
    options.enable_call_indirect_overlong = true;
    options.opt_level = key::opt_level(level);
    options.size_level = SIZE_LEVEL;
    options.output_format = AOT_FILE;
    // Without these, code reads and writes outside of its memory and stack. There is no way to ask for that here.
    options.bounds_checks = 1;
    options.stack_bounds_checks = 1;
    options.stack_usage_file = notes.as_ptr();

    let mut buffer = module.to_vec();
    let size = u32::try_from(buffer.len()).map_err(|_| "a module of over 4 GiB".to_owned())?;
    let mut error = [0_u8; ERROR];
    // SAFETY: WAMR is started once, before anything else. `buffer`, `options` and what they point to live until the end of
    // this function, and so does their last use: what WAMR holds is never given back, the process ends soon.
    unsafe {
        if !wasm_runtime_init() {
            return Err("the engine does not start".to_owned());
        }
        let loaded = wasm_runtime_load(
            buffer.as_mut_ptr(),
            size,
            error.as_mut_ptr().cast(),
            ERROR as u32,
        );
        if loaded.is_null() {
            let message = CStr::from_bytes_until_nul(&error).unwrap_or_default();
            return Err(message.to_string_lossy().into_owned());
        }
        let data = aot_create_comp_data(loaded, arch.as_ptr(), false);
        if data.is_null() || !aot_compiler_init() {
            return Err(last_error());
        }
        let context = aot_create_comp_context(data, &raw const options);
        if context.is_null() || !aot_compile_wasm(context) {
            return Err(last_error());
        }
        let mut length = 0;
        let code = aot_emit_aot_file_buf(context, data, &raw mut length);
        if code.is_null() {
            return Err(last_error());
        }
        Ok(std::slice::from_raw_parts(code, length as usize).to_vec())
    }
}

fn text(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| "a name with a zero byte".to_owned())
}

fn last_error() -> String {
    // SAFETY: the function gives a string that is valid until WAMR's next error, which is not before it is copied here.
    let message = unsafe { CStr::from_ptr(aot_get_last_error()) };
    message.to_string_lossy().replace('\n', " ")
}
