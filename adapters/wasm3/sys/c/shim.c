// What we need of wasm3 beyond its public interface: limits, linking by index, and sizes.

#include "m3_env.h"
#include "m3_compile.h"

// m3_bind.c and m3_compile.c define it; no header declares it.
M3Result  CompileRawFunction  (IM3Module io_module, IM3Function io_function, const void * i_function, const void * i_userdata);

// Before m3_LoadModule: the memory never gets more than this many pages.
void  vyoma_wasm3_limit_pages  (IM3Module io_module, uint32_t i_pages)
{
    M3MemoryInfo * memory = & io_module->memoryInfo;
    memory->maxPages = M3_MIN (memory->maxPages, i_pages);
}

// Before m3_LoadModule: bytes that the memory really has, however many pages it claims. For modules that never touch what
// is past their data and stack.
void  vyoma_wasm3_limit_bytes  (IM3Runtime io_runtime, uint32_t i_bytes)
{
    io_runtime->memoryLimit = i_bytes;
}

// A call traps when the native stack is below this address.
void  vyoma_wasm3_limit_stack  (IM3Runtime io_runtime, void * i_lowest)
{
    io_runtime->stackLimit = i_lowest;
}

// After everything was compiled: gives back what compiling needed, which lies at the end of the runtime (build/patches/runtime.rs).
// Only where `realloc` makes a block smaller without moving it: everything points to the runtime.
void  vyoma_wasm3_forget_compiler  (IM3Runtime io_runtime)
{
    void * same = realloc (io_runtime, offsetof (M3Runtime, compilation));
    (void) same;
}

uint32_t  vyoma_wasm3_grow_refused  (IM3Runtime i_runtime)          { return i_runtime->growRefused; }

void  vyoma_wasm3_set_userdata  (IM3Runtime io_runtime, void * i_userdata)
{
    io_runtime->userdata = i_userdata;
}

// The linear memory. (m3_GetMemory gives the length of 4 GiB as 0.)
uint8_t *  vyoma_wasm3_memory  (IM3Runtime i_runtime, size_t * o_bytes)
{
    * o_bytes = i_runtime->memory.mallocated->length;
    return m3MemData (i_runtime->memory.mallocated);
}

uint32_t  vyoma_wasm3_pages  (IM3Module i_module)                   { return i_module->memoryInfo.initPages; }
uint32_t  vyoma_wasm3_functions  (IM3Module i_module)               { return i_module->numFunctions; }
uint32_t  vyoma_wasm3_imports  (IM3Module i_module)                 { return i_module->numFuncImports; }

// Makes import number i_index (below vyoma_wasm3_imports) the host function i_call.
M3Result  vyoma_wasm3_link  (IM3Module io_module, uint32_t i_index, M3RawCall i_call, const void * i_userdata)
{
    return CompileRawFunction (io_module, & io_module->functions [i_index], (const void *) i_call, i_userdata);
}

// Function number i_index (below vyoma_wasm3_functions).
IM3Function  vyoma_wasm3_function  (IM3Module i_module, uint32_t i_index)
{
    return & i_module->functions [i_index];
}

IM3Module  vyoma_wasm3_module  (IM3Function i_function)             { return i_function->module; }

// Bytes of the structure of an environment (0), a runtime (1), a module (2), a function (3), a global (4).
uint32_t  vyoma_wasm3_size  (uint32_t i_structure)
{
    switch (i_structure)
    {
        case 0: return sizeof (M3Environment);
        case 1: return sizeof (M3Runtime);
        case 2: return sizeof (M3Module);
        case 3: return sizeof (M3Function);
        case 4: return sizeof (M3Global);
        default: return 0;
    }
}

// Bytes of compiled code, with the free rest of its pages.
uint32_t  vyoma_wasm3_code_bytes  (IM3Runtime i_runtime)
{
    uint32_t bytes = 0;
    IM3CodePage lists [2] = { i_runtime->pagesOpen, i_runtime->pagesFull };

    for (int i = 0; i < 2; ++i)
        for (IM3CodePage page = lists [i]; page; page = page->info.next)
            bytes += sizeof (M3CodePageHeader) + page->info.numLines * sizeof (code_t);

    return bytes;
}

// The value stack and its bytes: painted before and looked at after a run, it tells how much was used.
void *  vyoma_wasm3_stack  (IM3Runtime i_runtime, uint32_t * o_bytes)
{
    * o_bytes = i_runtime->numStackSlots * sizeof (m3slot_t);
    return i_runtime->originStack;
}
