//! What we change in wasm3 0.9.0, each with its reason. A pattern that is not found exactly as often as expected stops
//! the build: the source is then another one, and every change has to be looked at again.

/// Replaces text in one file.
pub(crate) struct Patch {
    /// Name of the file.
    pub(crate) file: &'static str,
    /// How often `find` has to occur.
    pub(crate) count: usize,
    /// What is replaced. With `until`, everything from here up to that.
    pub(crate) find: &'static str,
    /// See `find`.
    pub(crate) until: Option<&'static str>,
    /// What comes in its place.
    pub(crate) replace: &'static str,
}

impl Patch {
    /// The patched text.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        let found = text.matches(self.find).count();
        if found != self.count {
            return Err(format!(
                "{}: `{}` found {found} times, expected {}; expected wasm3 0.9.0",
                self.file,
                self.find.escape_debug(),
                self.count
            ));
        }
        let Some(until) = self.until else {
            return Ok(text.replace(self.find, self.replace));
        };
        text.split_once(self.find)
            .and_then(|(before, rest)| {
                let end = rest.find(until)?;
                Some(format!("{before}{}{}", self.replace, &rest[end..]))
            })
            .ok_or_else(|| format!("{}: no `{until}` after `{}`", self.file, self.find))
    }
}

const fn patch(
    file: &'static str,
    count: usize,
    find: &'static str,
    replace: &'static str,
) -> Patch {
    Patch {
        file,
        count,
        find,
        until: None,
        replace,
    }
}

/// All of them, in the order in which they are applied.
pub(crate) const PATCHES: &[Patch] = &[
    // wasm3 keeps an f32 in its float register as a double. The two conversions quiet a signalling NaN, so a mere load and
    // store would change bits. vyoma_float.h keeps the bits; every read and write of the register goes through it.
    patch(
        "m3_exec.h",
        1,
        "#include \"m3_exec_defs.h\"\n",
        "#include \"m3_exec_defs.h\"\n#include \"vyoma_float.h\"\n",
    ),
    patch(
        "m3_exec.h",
        1,
        "OP((RES), operand, ((TYPE) REG), ##__VA_ARGS__);",
        "OP((RES), operand, m3_RegGet (TYPE, REG), ##__VA_ARGS__);",
    ),
    patch(
        "m3_exec.h",
        1,
        "OP((RES), ((TYPE) REG), operand, ##__VA_ARGS__);",
        "OP((RES), m3_RegGet (TYPE, REG), operand, ##__VA_ARGS__);",
    ),
    patch(
        "m3_exec.h",
        1,
        "OP((RES), (TYPE) REG, ##__VA_ARGS__);",
        "OP((RES), m3_RegGet (TYPE, REG), ##__VA_ARGS__);",
    ),
    patch(
        "m3_exec.h",
        1,
        "#define M3_FUNC(RES, A, B, OP)  (RES) = OP((A), (B))",
        "#define M3_FUNC(RES, A, B, OP)  m3_RegSet (RES, OP((A), (B)))",
    ),
    patch(
        "m3_exec.h",
        1,
        "#define M3_UNARY(RES, X, OP) (RES) = OP(X)",
        "#define M3_UNARY(RES, X, OP) m3_RegSet (RES, OP(X))",
    ),
    patch(
        "m3_exec.h",
        1,
        "OP((DEST), (FROM) SRC, ##__VA_ARGS__);",
        "OP((DEST), m3_RegGet (FROM, SRC), ##__VA_ARGS__);",
    ),
    patch(
        "m3_exec.h",
        1,
        "OP((* dest), (FROM) SRC, ##__VA_ARGS__);",
        "OP((* dest), m3_RegGet (FROM, SRC), ##__VA_ARGS__);",
    ),
    patch(
        "m3_exec.h",
        2,
        "u.c = (FROM) SRC;",
        "u.c = m3_RegGet (FROM, SRC);",
    ),
    patch("m3_exec.h", 2, "REG = u.t;", "m3_RegSet (REG, u.t);"),
    patch(
        "m3_exec.h",
        1,
        "    REG = slot (TYPE);",
        "    m3_RegSet (REG, slot (TYPE));",
    ),
    patch(
        "m3_exec.h",
        1,
        "slot (TYPE) = (TYPE) REG;",
        "slot (TYPE) = m3_RegGet (TYPE, REG);",
    ),
    patch(
        "m3_exec.h",
        1,
        "* stack = (TYPE) REG;",
        "* stack = m3_RegGet (TYPE, REG);",
    ),
    patch(
        "m3_exec.h",
        7,
        "REG = (condition) ? operand1 : operand2;",
        "m3_RegSet (REG, (condition) ? operand1 : operand2);",
    ),
    patch(
        "m3_exec.h",
        2,
        "TYPE operand1 = (TYPE) REG;",
        "TYPE operand1 = m3_RegGet (TYPE, REG);",
    ),
    patch(
        "m3_exec.h",
        2,
        "TYPE operand2 = (TYPE) REG;",
        "TYPE operand2 = m3_RegGet (TYPE, REG);",
    ),
    patch(
        "m3_exec.h",
        1,
        "f32 * global = immediate (f32 *);\n    * global = _fp0;",
        "f32 * global = immediate (f32 *);\n    * global = m3_RegGet (f32, _fp0);",
    ),
    patch(
        "m3_exec.h",
        2,
        "REG = (DEST_TYPE)value;",
        "m3_RegSet (REG, (DEST_TYPE)value);",
    ),
    patch(
        "m3_exec.h",
        1,
        "DEST_TYPE val = (DEST_TYPE) REG;",
        "DEST_TYPE val = m3_RegGet (DEST_TYPE, REG);",
    ),
    patch(
        "m3_exec.h",
        1,
        "TYPE val = (TYPE) REG;",
        "TYPE val = m3_RegGet (TYPE, REG);",
    ),
    // Same bytes, same result: a NaN that arithmetic makes has the canonical bits, as Cranelift's
    // enable_nan_canonicalization has it. (Rounding and square root: vyoma_float.h.)
    patch(
        "m3_exec.h",
        1,
        "#define M3_OPER(RES, A, B, OP)  (RES) = ((A) OP (B))",
        "#define M3_OPER(RES, A, B, OP)  (RES) = ((A) OP (B))\n\
         #define M3_OPER_F(RES, A, B, OP)  m3_RegSet (RES, m3_Canonical ((A) OP (B)))",
    ),
    patch(
        "m3_exec.h",
        1,
        "d_m3CommutativeOpMacro_f    (TYPE, NAME, M3_OPER, OP)",
        "d_m3CommutativeOpMacro_f    (TYPE, NAME, M3_OPER_F, OP)",
    ),
    patch(
        "m3_exec.h",
        1,
        "d_m3OpMacro_f               (TYPE, NAME, M3_OPER, OP)",
        "d_m3OpMacro_f               (TYPE, NAME, M3_OPER_F, OP)",
    ),
    patch(
        "m3_exec.h",
        2,
        "REG_TO = (TO) ((FROM) REG_FROM);",
        "m3_RegSet (REG_TO, m3_Canonical ((TO) m3_RegGet (FROM, REG_FROM)));",
    ),
    patch(
        "m3_exec.h",
        2,
        "REG_TO = (TO) (from);",
        "m3_RegSet (REG_TO, m3_Canonical ((TO) (from)));",
    ),
    patch(
        "m3_math_utils.h",
        1,
        "u.i |= 0x00400000;",
        "u.i = 0x7fc00000;",
    ),
    patch(
        "m3_math_utils.h",
        1,
        "u.i |= 0x0008000000000000ULL;",
        "u.i = 0x7ff8000000000000ULL;",
    ),
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
    // Code that can't be reached is stepped over, not compiled (vyoma_skip.h).
    patch(
        "m3_compile.c",
        1,
        "M3Result  CompileBlockStatements  (IM3Compilation o)\n{\n",
        "#include \"vyoma_skip.h\"\n\nM3Result  CompileBlockStatements  (IM3Compilation o)\n{\n",
    ),
    patch(
        "m3_compile.c",
        1,
        "        m3opcode_t opcode;\n        o->lastOpcodeStart = o->wasm;\n",
        "        if (IsStackPolymorphic (o))\n        {\n_           (SkipUnreachable (o));\n        }\n\n        \
         m3opcode_t opcode;\n        o->lastOpcodeStart = o->wasm;\n",
    ),
    // An opcode after the prefix 0xfc is a LEB128 number. The compiler read one byte, and the validator, built without
    // cascaded opcodes, took such an instruction for one without immediates, operands and results.
    patch(
        "m3_core.c",
        1,
        "            if (ptr < i_end)\n            {\n                opcode = (opcode << 8) | (* ptr++);\n            }\n            \
         else return m3Err_wasmUnderrun;\n",
        "            u32 extended;\n            M3Result result = ReadLEB_u32 (& extended, & ptr, i_end);\n            \
         if (result) return result;\n            opcode = (opcode << 8) | M3_MIN (extended, 0xff);\n",
    ),
    patch(
        "m3_validate.c",
        1,
        "        switch (opcode)\n        {\n        // ---- Control ----\n",
        "        u32 sub = opcode & 0xff;\n        if (opcode > 0xff) opcode >>= 8;\n\n        \
         switch (opcode)\n        {\n        // ---- Control ----\n",
    ),
    patch(
        "m3_validate.c",
        1,
        "            u32 sub;\n            r = ReadLEB_u32(&sub, &v->wasm, v->wasmEnd);\n            if (r) return r;\n            \
         switch (sub) {\n",
        "            switch (sub) {\n",
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
