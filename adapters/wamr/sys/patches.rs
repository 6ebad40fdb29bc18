//! What is changed in WAMR's source before it is compiled, and why. Each change names how often its text occurs: another
//! source, for which that is not so, fails the build instead of silently losing a change.

use std::fs;
use std::path::Path;

struct Patch {
    file: &'static str,
    find: &'static str,
    /// How often `find` occurs.
    times: usize,
    replace: &'static str,
}

const LOADER_FILE: &str = "core/iwasm/interpreter/wasm_loader.c";
const INTERPRETER: &str = "core/iwasm/interpreter/wasm_interp_fast.c";
const ARITHMETIC: &str = "core/iwasm/compilation/aot_emit_numberic.c";
const CONVERSION: &str = "core/iwasm/compilation/aot_emit_conversion.c";

/// Changes the copy of the source in `root`.
pub(crate) fn apply(root: &Path) {
    for patch in NAMES
        .iter()
        .chain(HOST)
        .chain(LOADER)
        .chain(CALLS)
        .chain(HOST_CALLS)
        .chain(NANS)
    {
        let path = root.join(patch.file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = text.matches(patch.find).count();
        assert_eq!(
            found, patch.times,
            "{}: found {found} times, expected {}: {:?}; this WAMR needs other patches",
            patch.file, patch.times, patch.find
        );
        fs::write(&path, text.replace(patch.find, patch.replace))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A name means nothing to WebAssembly. WAMR takes some for conventions of C compilers and acts on them.
const NAMES: &[Patch] = &[
    // With `__heap_base` and `__data_end` exported it guesses which global is the stack pointer and traps on values that it
    // finds wrong for one.
    Patch {
        file: LOADER_FILE,
        find: "if (!strcmp(export->name, \"__heap_base\"))",
        times: 1,
        replace: "if (false)",
    },
    // It calls `__post_instantiate` and `__wasm_call_ctors` when they are exported.
    Patch {
        file: "core/iwasm/interpreter/wasm_runtime.c",
        find: "    if (!(func = wasm_lookup_function(module_inst, func_name)))\n        /* Not found */",
        times: 1,
        replace: "    if (true)",
    },
    Patch {
        file: "core/iwasm/aot/aot_runtime.c",
        find: "    if (!(func = aot_lookup_function(module_inst, func_name)))\n        /* Not found */",
        times: 1,
        replace: "    if (true)",
    },
];

/// How WAMR uses the process that it is in.
const HOST: &[Patch] = &[
    // Belongs to an API that is not compiled (wasm_c_api.c), by which no function is ever called.
    Patch {
        file: "core/iwasm/common/wasm_runtime_common.c",
        find: "wasm_trap_delete(trap);",
        times: 2,
        replace: "(void)trap;",
    },
    // stdout belongs to the guest, and to the artefact that the compiler writes.
    Patch {
        file: "core/shared/platform/linux/platform_init.c",
        find: "vprintf(format, ap);",
        times: 2,
        replace: "0;",
    },
    // The embedder says where the native stack ends: musl knows of the main thread's only what is mapped so far.
    Patch {
        file: "core/shared/platform/common/posix/posix_thread.c",
        find: "uint8 *\nos_thread_get_stack_boundary()\n",
        times: 1,
        replace: "void\nvyoma_wamr_set_stack_boundary(uint8 *lowest)\n{\n    thread_stack_boundary = lowest;\n}\n\n\
                  uint8 *\nos_thread_get_stack_boundary()\n",
    },
    // What machine code was loaded from is given back, so its data segments have to be copied: WAMR looks at the wish for that
    // before it has noted it.
    Patch {
        file: "core/iwasm/aot/aot_loader.c",
        find: "    if (!load(buf, size, module, args->wasm_binary_freeable, args->no_resolve,",
        times: 1,
        replace: "    module->is_binary_freeable = args->wasm_binary_freeable;\n    \
                  if (!load(buf, size, module, args->wasm_binary_freeable, args->no_resolve,",
    },
    // The interpreter's stack comes from fresh pages; filling it with zeros would make all of them resident.
    Patch {
        file: "core/iwasm/common/wasm_exec_env.c",
        find: "memset(exec_env, 0, (uint32)total_size);",
        times: 1,
        replace: "memset(exec_env, 0, offsetof(WASMExecEnv, wasm_stack_u.bottom));",
    },
];

/// What the interpreter would not have of a valid module, or ran in another way.
const LOADER: &[Patch] = &[
    // An operand that is read from a local before that is set gets a place of its own. The loader took a new one each time,
    // of 32767 for a function, and the frame grew with each; it takes the first that no operand is in now.
    Patch {
        file: LOADER_FILE,
        find: "static bool\npreserve_referenced_local(",
        times: 1,
        replace: "static int32\n\
            vyoma_free_place(WASMLoaderContext *ctx, uint32 cells)\n\
            {\n\
                int32 place = ctx->max_dynamic_offset;\n\
                bool taken = true;\n\
                if (!ctx->p_code_compiled)\n\
                    return ctx->preserved_local_offset;\n\
                while (taken) {\n\
                    uint32 i = 0;\n\
                    taken = false;\n\
                    while (i < ctx->stack_cell_num) {\n\
                        uint32 size = wasm_value_type_cell_num(ctx->frame_ref_bottom[i]);\n\
                        int32 offset = ctx->frame_offset_bottom[i];\n\
                        if (offset < place + (int32)cells && place < offset + (int32)size) {\n\
                            place = offset + (int32)size;\n\
                            taken = true;\n\
                        }\n\
                        i += size;\n\
                    }\n\
                }\n\
                return place;\n\
            }\n\
            \n\
            static bool\npreserve_referenced_local(",
    },
    Patch {
        file: LOADER_FILE,
        find: "                preserved_offset = loader_ctx->preserved_local_offset;\n",
        times: 1,
        replace: "                uint32 cells = wasm_value_type_cell_num(local_type);\n\
            int32 place = vyoma_free_place(loader_ctx, cells);\n\
            if (place > INT16_MAX - (int32)cells && loader_ctx->p_code_compiled) {\n\
                set_error_buf(error_buf, error_buf_size, \"fast interpreter offset overflow\");\n\
                return false;\n\
            }\n\
            preserved_offset = (int16)place;\n\
            if (loader_ctx->p_code_compiled\n\
                && place + (int32)cells > loader_ctx->preserved_local_offset)\n\
                loader_ctx->preserved_local_offset = (int16)(place + (int32)cells);\n",
    },
    Patch {
        file: LOADER_FILE,
        find: "                    /* Only increase preserve offset in the second traversal */\n                    \
               if (loader_ctx->p_code_compiled)\n                        loader_ctx->preserved_local_offset++;\n",
        times: 1,
        replace: "",
    },
    Patch {
        file: LOADER_FILE,
        find: "                    if (loader_ctx->p_code_compiled)\n                        \
               loader_ctx->preserved_local_offset += 2;\n",
        times: 1,
        replace: "",
    },
    // Where operands go after a block: above its results. After a branch further out, the loader took the place of that block
    // for it, and what came next was written over operands.
    Patch {
        file: LOADER_FILE,
        find: "                apply_label_patch(loader_ctx, 0, PATCH_END);\n                \
               free_label_patch_list(loader_ctx->frame_csp);\n                \
               if (loader_ctx->frame_csp->label_type == LABEL_TYPE_FUNCTION) {\n",
        times: 1,
        replace: "                {\n\
            uint8 *result_types = NULL;\n\
            uint32 result_count = block_type_get_result_types(\n\
                &loader_ctx->frame_csp->block_type, &result_types);\n\
            loader_ctx->dynamic_offset = loader_ctx->frame_csp->dynamic_offset\n\
                + (int16)wasm_get_cell_num(result_types, result_count);\n\
            if (loader_ctx->dynamic_offset > loader_ctx->max_dynamic_offset)\n\
                loader_ctx->max_dynamic_offset = loader_ctx->dynamic_offset;\n\
            }\n\
            apply_label_patch(loader_ctx, 0, PATCH_END);\n\
            free_label_patch_list(loader_ctx->frame_csp);\n\
            if (loader_ctx->frame_csp->label_type == LABEL_TYPE_FUNCTION) {\n",
    },
    // The specification initialises tables before memories: which trap it is depends on it.
    Patch {
        file: "core/iwasm/interpreter/wasm_runtime.c",
        find: "    /* Initialize the memory data with data segment section */\n",
        times: 1,
        replace: "    for (i = 0; module_inst->table_count > 0 && i < module->table_seg_count; i++) {\n\
            WASMTableSeg *segment = module->table_segments + i;\n\
            WASMValue offset;\n\
            if (!wasm_elem_is_active(segment->mode))\n\
                continue;\n\
            if (!get_init_value_recursive(module, &segment->base_offset, globals,\n\
                                          &offset, error_buf, error_buf_size))\n\
                goto fail;\n\
            if ((uint64)(uint32)offset.i32 + segment->value_count\n\
                > module_inst->tables[segment->table_index]->cur_size) {\n\
                set_error_buf(error_buf, error_buf_size, \"out of bounds table access\");\n\
                goto fail;\n\
            }\n\
        }\n\
        \n\
        /* Initialize the memory data with data segment section */\n",
    },
];

/// Room for what calls pass in memory, in cells of 32 bits: parameters of indirect calls, and results but for the first. As much as
/// a function type that is admitted has at most, instead of 64.
const CALLS: &[Patch] = &[
    Patch {
        file: "core/iwasm/common/wasm_exec_env.c",
        find: "wasm_runtime_malloc(sizeof(uint32) * 64)",
        times: 1,
        replace: "wasm_runtime_malloc(sizeof(uint32) * 2000)",
    },
    Patch {
        file: "core/iwasm/compilation/aot_emit_function.c",
        find: "_num > 64) {",
        times: 5,
        replace: "_num > 2000) {",
    },
];

/// What a call of a host function costs: the way from a guest to a device, which apps with a pin or a bus go all the time.
const HOST_CALLS: &[Patch] = &[
    // A raw native gets the cells as the guest has them and answers whether it succeeded. WAMR would widen each one by its type
    // into a buffer that it fills with zeros, and look for an exception afterwards.
    Patch {
        file: "core/iwasm/common/wasm_runtime_common.c",
        find: "    typedef void (*NativeRawFuncPtr)(WASMExecEnv *, uint64 *);\n",
        times: 1,
        replace: "    typedef bool (*VyomaHost)(WASMExecEnv *, void *, uint32 *, uint32 *);\n    \
                  if (true)\n        \
                  return ((VyomaHost)func_ptr)(exec_env, attachment, argv, argv_ret);\n    \
                  typedef void (*NativeRawFuncPtr)(WASMExecEnv *, uint64 *);\n",
    },
    // From machine code it is called at once.
    Patch {
        file: "core/iwasm/aot/aot_runtime.c",
        find: "aot_invoke_native(WASMExecEnv *exec_env, uint32 func_idx, uint32 argc,\n                  uint32 *argv)\n{\n",
        times: 1,
        replace: "vyoma_invoke_other(WASMExecEnv *exec_env, uint32 func_idx, uint32 argc,\n                  uint32 *argv);\n\
            \n\
            bool\n\
            aot_invoke_native(WASMExecEnv *exec_env, uint32 func_idx, uint32 argc,\n                  uint32 *argv)\n{\n    \
                typedef bool (*VyomaHost)(WASMExecEnv *, void *, uint32 *, uint32 *);\n    \
                AOTModuleInstance *inst = (AOTModuleInstance *)exec_env->module_inst;\n    \
                AOTImportFunc *called = ((AOTModule *)inst->module)->import_funcs + func_idx;\n    \
                VyomaHost host = (VyomaHost)inst->func_ptrs[func_idx];\n    \
                if (host && called->call_conv_raw)\n        \
                    return host(exec_env, called->attachment, argv, argv);\n    \
                return vyoma_invoke_other(exec_env, func_idx, argc, argv);\n\
            }\n\
            \n\
            __attribute__((noinline)) bool\n\
            vyoma_invoke_other(WASMExecEnv *exec_env, uint32 func_idx, uint32 argc,\n                  uint32 *argv)\n{\n",
    },
    // Where linear memory is now, in one call; and the guest's allocator, called inside of a host function by its address: the
    // limits of the stack are set there already.
    Patch {
        file: "core/iwasm/common/wasm_runtime_common.c",
        find: "bool\nwasm_runtime_call_wasm(WASMExecEnv *exec_env,\n",
        times: 1,
        replace: "uint8 *\n\
            vyoma_wamr_memory(WASMExecEnv *exec_env, uint64 *length)\n\
            {\n    \
                WASMModuleInstance *inst = (WASMModuleInstance *)exec_env->module_inst;\n    \
                WASMMemoryInstance *memory = inst->memory_count ? inst->memories[0] : NULL;\n    \
                *length = memory ? (uint64)memory->cur_page_count * memory->num_bytes_per_page : 0;\n    \
                return memory ? memory->memory_data : NULL;\n\
            }\n\
            \n\
            bool\n\
            vyoma_wamr_call_allocator(WASMExecEnv *exec_env,\n        \
                                      WASMFunctionInstanceCommon *function, uint32 argv[])\n\
            {\n    \
                AOTFunctionInstance *made = (AOTFunctionInstance *)function;\n    \
                if (exec_env->module_inst->module_type == Wasm_Module_AoT && !made->is_import_func) {\n        \
                    typedef uint32 (*Allocator)(WASMExecEnv *, uint32, uint32, uint32, uint32);\n        \
                    argv[0] = ((Allocator)made->u.func.func_ptr)(exec_env, argv[0], argv[1], argv[2], argv[3]);\n        \
                    return !wasm_runtime_get_exception(exec_env->module_inst);\n    \
                }\n    \
                return wasm_runtime_call_wasm(exec_env, function, 4, argv);\n\
            }\n\
            \n\
            bool\nwasm_runtime_call_wasm(WASMExecEnv *exec_env,\n",
    },
];

/// Same bytes, same result: every NaN that arithmetic makes is the canonical one, as Wasmtime's compiler can be told to.
/// (Processors differ in the bits.) `neg`, `abs`, `copysign`, loads and reinterpretations only move bits.
const NANS: &[Patch] = &[
    Patch {
        file: INTERPRETER,
        find: "#define DEF_OP_NUMERIC_64 DEF_OP_NUMERIC\n",
        times: 1,
        replace: "#define DEF_OP_NUMERIC_64 DEF_OP_NUMERIC\n\
            static inline float32 canonical_f32(float32 value)\n\
            { return value != value ? __builtin_nanf(\"\") : value; }\n\
            static inline float64 canonical_f64(float64 value)\n\
            { return value != value ? __builtin_nan(\"\") : value; }\n\
            #define DEF_OP_FLOAT_NUMERIC(type, op_type, canonical, operation) \\\n\
            do { \\\n\
            SET_OPERAND(op_type, 4, canonical(GET_OPERAND(type, op_type, 2) operation GET_OPERAND(type, op_type, 0))); \\\n\
            frame_ip += 6; \\\n\
            } while (0)\n\
            #define DEF_OP_FLOAT_MATH(type, op_type, canonical, method) \\\n\
            do { \\\n\
            SET_OPERAND(op_type, 2, canonical((type)method(GET_OPERAND(type, op_type, 0)))); \\\n\
            frame_ip += 4; \\\n\
            } while (0)\n\
            #define DEF_OP_FLOAT_CONVERT(dst_type, dst_op_type, src_op_type, canonical) \\\n\
            do { \\\n\
            dst_type value = canonical((dst_type)POP_##src_op_type()); \\\n\
            PUSH_##dst_op_type(value); \\\n\
            } while (0)\n",
    },
    // add, sub, mul, div
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_NUMERIC(float32, float32, F32, ",
        times: 4,
        replace: "DEF_OP_FLOAT_NUMERIC(float32, F32, canonical_f32, ",
    },
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_NUMERIC_64(float64, float64, F64, ",
        times: 4,
        replace: "DEF_OP_FLOAT_NUMERIC(float64, F64, canonical_f64, ",
    },
    // abs, ceil, floor, trunc, nearest, sqrt; min and max give the canonical NaN by themselves.
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_MATH(float32, F32, ",
        times: 6,
        replace: "DEF_OP_FLOAT_MATH(float32, F32, canonical_f32, ",
    },
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_MATH(float64, F64, ",
        times: 6,
        replace: "DEF_OP_FLOAT_MATH(float64, F64, canonical_f64, ",
    },
    // Not abs after all.
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_FLOAT_MATH(float32, F32, canonical_f32, fabsf)",
        times: 1,
        replace: "DEF_OP_MATH(float32, F32, fabsf)",
    },
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_FLOAT_MATH(float64, F64, canonical_f64, fabs)",
        times: 1,
        replace: "DEF_OP_MATH(float64, F64, fabs)",
    },
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_CONVERT(float32, F32, float64, F64);",
        times: 1,
        replace: "DEF_OP_FLOAT_CONVERT(float32, F32, F64, canonical_f32);",
    },
    Patch {
        file: INTERPRETER,
        find: "DEF_OP_CONVERT(float64, F64, float32, F32);",
        times: 1,
        replace: "DEF_OP_FLOAT_CONVERT(float64, F64, F32, canonical_f64);",
    },
    // The compiler: what an operation left on the stack of values is replaced. The choice is made between integers, whose bits
    // no optimisation may change.
    Patch {
        file: ARITHMETIC,
        find: "static bool\ncompile_float_copysign(",
        times: 1,
        replace: "static bool\n\
            canonical_nan(AOTCompContext *comp_ctx, AOTFuncContext *func_ctx,\n\
                          bool wanted, bool is_f32)\n\
            {\n\
                LLVMBuilderRef builder = comp_ctx->builder;\n\
                LLVMTypeRef int_type = is_f32 ? I32_TYPE : I64_TYPE;\n\
                LLVMTypeRef float_type = is_f32 ? F32_TYPE : F64_TYPE;\n\
                uint8 wasm_type = is_f32 ? VALUE_TYPE_F32 : VALUE_TYPE_F64;\n\
                LLVMValueRef value, is_nan, bits, nan;\n\
                if (!wanted)\n\
                    return true;\n\
                POP(value, wasm_type);\n\
                nan = LLVMConstInt(int_type, is_f32 ? 0x7fc00000ULL : 0x7ff8000000000000ULL, false);\n\
                if (!nan\n\
                    || !(is_nan = LLVMBuildFCmp(builder, LLVMRealUNO, value, value, \"is_nan\"))\n\
                    || !(bits = LLVMBuildBitCast(builder, value, int_type, \"bits\"))\n\
                    || !(bits = LLVMBuildSelect(builder, is_nan, nan, bits, \"canonical\"))\n\
                    || !(value = LLVMBuildBitCast(builder, bits, float_type, \"value\"))) {\n\
                    aot_set_last_error(\"llvm build canonical nan fail.\");\n\
                    return false;\n\
                }\n\
                PUSH(value, wasm_type);\n\
                return true;\n\
            fail:\n\
                return false;\n\
            }\n\
            \n\
            static bool\ncompile_float_copysign(",
    },
    Patch {
        file: ARITHMETIC,
        find: "return compile_op_float_math(comp_ctx, func_ctx, math_op, true);",
        times: 1,
        replace: "return compile_op_float_math(comp_ctx, func_ctx, math_op, true)\n\
            && canonical_nan(comp_ctx, func_ctx, math_op != FLOAT_ABS && math_op != FLOAT_NEG, true);",
    },
    Patch {
        file: ARITHMETIC,
        find: "return compile_op_float_math(comp_ctx, func_ctx, math_op, false);",
        times: 1,
        replace: "return compile_op_float_math(comp_ctx, func_ctx, math_op, false)\n\
            && canonical_nan(comp_ctx, func_ctx, math_op != FLOAT_ABS && math_op != FLOAT_NEG, false);",
    },
    Patch {
        file: ARITHMETIC,
        find: "return compile_op_float_arithmetic(comp_ctx, func_ctx, arith_op, true);",
        times: 1,
        replace: "return compile_op_float_arithmetic(comp_ctx, func_ctx, arith_op, true)\n\
            && canonical_nan(comp_ctx, func_ctx, true, true);",
    },
    Patch {
        file: ARITHMETIC,
        find: "return compile_op_float_arithmetic(comp_ctx, func_ctx, arith_op, false);",
        times: 1,
        replace: "return compile_op_float_arithmetic(comp_ctx, func_ctx, arith_op, false)\n\
            && canonical_nan(comp_ctx, func_ctx, true, false);",
    },
    // A promotion ends with a multiplication by one, which is arithmetic. A demotion gets the same ending.
    Patch {
        file: CONVERSION,
        find: "                               \"f32_demote_f64\");\n    }\n\n    if (!res) {\n        \
               aot_set_last_error(\"llvm build conversion failed.\");\n        return false;\n    }\n\n    \
               PUSH_F32(res);\n    return true;\n",
        times: 1,
        replace: "                               \"f32_demote_f64\");\n    }\n\n    if (!res) {\n        \
               aot_set_last_error(\"llvm build conversion failed.\");\n        return false;\n    }\n\n    \
               PUSH_F32(res);\n    PUSH_F32(F32_CONST(1.0f));\n    \
               return aot_compile_op_f32_arithmetic(comp_ctx, func_ctx, FLOAT_MUL);\n",
    },
];
