//! Loading, memory, tables and calls.

use super::{Patch, patch};

pub(super) const PATCHES: &[Patch] = &[
    // Whether the guest's last request for memory was refused: an abort after that is for want of memory.
    patch(
        "m3_env.h",
        1,
        "    u32                     memoryLimit;\n",
        "    u32                     memoryLimit;\n    bool                    growRefused;\n",
    ),
    patch(
        "m3_exec.h",
        1,
        "            M3Result r = ResizeMemory (runtime, requiredPages);\n",
        "            M3Result r = ResizeMemory (runtime, requiredPages);\n            runtime->growRefused = r != NULL;\n",
    ),
    patch(
        "m3_exec.h",
        1,
        "    else\n    {\n        _r0 = -1;\n    }\n",
        "    else\n    {\n        _r0 = -1;\n        runtime->growRefused = true;\n    }\n",
    ),
    // What compiling needs lies at the end of a runtime, so that it can be given back when everything is compiled
    // (vyoma_wasm3_forget_compiler).
    patch(
        "m3_env.h",
        1,
        "    M3Compilation           compilation;\n\n    IM3Environment          environment;\n",
        "    IM3Environment          environment;\n",
    ),
    patch(
        "m3_env.h",
        1,
        "	u32						newCodePageSequence;\n}\nM3Runtime;",
        "	u32						newCodePageSequence;\n\n    M3Compilation           compilation;\n}\nM3Runtime;",
    ),
    // A memory that grows during a call from the host (`cabi_realloc`) computed the end of the value stack from where that
    // call began: the guest could then write past it.
    patch(
        "m3_env.c",
        1,
        "(m3slot_t *) io_runtime->stack + io_runtime->numStackSlots;",
        "(m3slot_t *) io_runtime->originStack + io_runtime->numStackSlots;",
    ),
    // A call from the host writes its arguments before the check of the callee's frame: room for the most that there are.
    patch(
        "m3_env.c",
        1,
        "i_stackSizeInBytes + 4*sizeof (m3slot_t)",
        "i_stackSizeInBytes + 20*sizeof (u64)",
    ),
    // A declared maximum of 0 is a maximum, not the lack of one.
    patch(
        "m3_parse.c",
        1,
        "o_memory->maxPages = 0;",
        "o_memory->maxPages = UINT32_MAX;",
    ),
    patch(
        "m3_env.c",
        1,
        "maxPages ? maxPages\n                                    : (u32) M3_MIN (pageLimit, 0xFFFFFFFFull);",
        "(u32) M3_MIN ((u64) maxPages, pageLimit);",
    ),
    patch(
        "m3_parse.c",
        1,
        "    u32 initSize = 0, maxSize = 0;\n",
        "    u32 initSize = 0, maxSize = UINT32_MAX;\n",
    ),
    patch(
        "m3_exec.h",
        1,
        "table->maxSize ? table->maxSize : d_m3MaxSaneTableSize;",
        "M3_MIN (table->maxSize, d_m3MaxSaneTableSize);",
    ),
    // A table may declare any maximum. What it may reach is the same on every engine: a million elements.
    patch(
        "m3_parse.c",
        1,
        "        _throwif (\"table overflow\", maxSize > d_m3MaxSaneTableSize);\n",
        "",
    ),
    patch(
        "m3_core.h",
        1,
        "d_m3MaxSaneTableSize                10000000\n",
        "d_m3MaxSaneTableSize                1000000\n",
    ),
    // The specification initialises tables before memories, and offsets are unsigned: which trap it is depends on it.
    patch(
        "m3_env.c",
        1,
        "_   (InitDataSegments (memory, io_module));\n_   (InitTableAndElements (io_module));\n",
        "_   (InitTableAndElements (io_module));\n_   (InitDataSegments (memory, io_module));\n",
    ),
    patch(
        "m3_env.c",
        1,
        "if (segmentOffset >= 0 && (size_t)(segmentOffset) + segment->size <= io_memory->mallocated->length)",
        "if ((u64) (u32) segmentOffset + segment->size <= io_memory->mallocated->length)",
    ),
    patch(
        "m3_env.c",
        1,
        "m3MemData (io_memory->mallocated) + segmentOffset;",
        "m3MemData (io_memory->mallocated) + (u32) segmentOffset;",
    ),
    // The first linear memory comes zeroed from the kernel; clearing it again would make every page of it resident.
    patch(
        "m3_core.c",
        1,
        "    void * newPtr = realloc (i_ptr, i_newSize);\n",
        "    if (not i_ptr) return m3_Malloc_Impl (i_newSize);\n    void * newPtr = realloc (i_ptr, i_newSize);\n",
    ),
    // Custom sections (names among them) cost memory and mean nothing here.
    patch(
        "m3_parse.c",
        1,
        "M3Result  ParseSection_Custom  (M3Module * io_module, bytes_t i_bytes, cbytes_t i_end)\n{\n",
        "M3Result  ParseSection_Custom  (M3Module * io_module, bytes_t i_bytes, cbytes_t i_end)\n{\n    return m3Err_none;\n",
    ),
    // Names of exports are known to be unique (components are validated), and finding that out again takes time that grows
    // with the square of their number.
    patch(
        "m3_parse.c",
        1,
        "    if (numExports > 1)\n",
        "    if (false)\n",
    ),
    // There is no profiler; its file is not built.
    patch("m3_env.c", 1, "        m3_PrintProfilerInfo ();\n", ""),
    // Not used, and the only caller of the C library's number parsing.
    Patch {
        file: "m3_env.c",
        count: 1,
        find: "M3Result  m3_CallArgv  (",
        until: Some("//u8 * AlignStackPointerTo64Bits"),
        replace: "",
    },
];
