//! What the compiler makes of valid modules, and what it would not load.

use super::{Patch, patch};

pub(super) const PATCHES: &[Patch] = &[
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
    // An operand that is read from a local before that is set gets a slot, and operands of the same local share it. Both halves
    // of an i64 have to be counted, as often as there are operands.
    patch(
        "m3_compile.c",
        1,
        "M3Result  IncrementSlotUsageCount  (IM3Compilation o, u16 i_slot)\n",
        "M3Result  IncrementSlotUsageCount  (IM3Compilation o, u16 i_slot, m3type_t i_type)\n",
    ),
    patch(
        "m3_compile.c",
        1,
        "    if (o->m3Slots [i_slot] < 0xFF)\n    {\n        o->m3Slots [i_slot]++;\n    }\n    else result = \"slot usage count overflow\";\n",
        "    for (u16 i = 0; i < GetTypeNumSlots (i_type); ++i)\n        o->m3Slots [i_slot + i]++;\n",
    ),
    patch(
        "m3_compile.c",
        1,
        "_               (IncrementSlotUsageCount (o, * o_preservedSlotNumber));\n",
        "_               (IncrementSlotUsageCount (o, * o_preservedSlotNumber, GetStackTypeFromBottom (o, i)));\n",
    ),
    patch(
        "m3_compile.h",
        1,
        "    u8                  m3Slots                     [d_m3MaxFunctionSlots];\n",
        "#if d_m3MaxFunctionStackHeight > 255\n    u16                 m3Slots                     [d_m3MaxFunctionSlots];\n#else\n    \
         u8                  m3Slots                     [d_m3MaxFunctionSlots];\n#endif\n",
    ),
    // Parameters of a block may share a slot, with each other or with an operand outside the block.
    patch(
        "m3_compile.c",
        1,
        "        if (slot >= o->slotFirstDynamicIndex && slot != c_slotUnused)\n_           (MarkSlotsAllocatedByType (o, slot, type));\n",
        "        if (slot >= o->slotFirstDynamicIndex && slot != c_slotUnused)\n        {\n            if (IsSlotAllocated (o, slot))\n\
         _               (IncrementSlotUsageCount (o, slot, type))\n            else\n\
         _               (MarkSlotsAllocatedByType (o, slot, type))\n        }\n",
    ),
    // Those of a loop may not: a branch back writes them.
    patch(
        "m3_compile.c",
        1,
        "                    if (IsConstantSlot (o, slot))\n                    {\n",
        "                    bool shared = slot >= o->slotFirstDynamicIndex and o->m3Slots [slot] > 1;\n\n                    \
         if (IsConstantSlot (o, slot) or shared)\n                    {\n",
    ),
    patch(
        "m3_compile.c",
        1,
        "_                       (CopyStackIndexToSlot (o, newSlot, i));\n                        o->wasmStack [i] = newSlot;\n",
        "_                       (CopyStackIndexToSlot (o, newSlot, i));\n                        \
         if (shared) DeallocateSlot (o, slot, type);\n                        o->wasmStack [i] = newSlot;\n",
    ),
    // Values that a branch takes along (vyoma_move.h). wasm3 put aside one value at most of those in the way of another, and
    // took room for it that it never gave back: frames grew with the number of branches in a function.
    Patch {
        file: "m3_compile.c",
        count: 1,
        find: "static\nM3Result  CopyStackSlotsR  (IM3Compilation o,",
        until: Some("static\nM3Result  ResolveBlockResults"),
        replace: "#include \"vyoma_move.h\"\n\n",
    },
    Patch {
        file: "m3_compile.c",
        count: 1,
        find: "        // TODO: tempslot affects maxStackSlots,",
        until: Some(
            "        if (d_m3LogWasmStack) dump_type_stack (o);\n    }\n\n    _catch: return result;\n}\n\n\nstatic\nM3Result  ReturnValues",
        ),
        replace: "_       (MoveValues (o, slotRecords, endIndex - numRemValues, endIndex));\n\n",
    },
    patch(
        "m3_compile.c",
        1,
        "    _       (EmitOp (o, op_ContinueLoop));\n            EmitPointer (o, scope->pc);\n            o->block.isPolymorphic = true;\n",
        "_           (ResolveBlockResults (o, scope, /* isBranch: */ true));\n\n    _       (EmitOp (o, op_ContinueLoop));\n            \
         EmitPointer (o, scope->pc);\n_           (SetStackPolymorphic (o));\n",
    ),
    patch(
        "m3_compile.c",
        1,
        "            if (targetHasResults or isReturn)\n            {\n",
        "            if (targetHasResults or isReturn)\n            {\n_               (PreserveBuriedFloat (o, 1));\n",
    ),
    patch(
        "m3_compile.c",
        1,
        "    u16 slot = GetStackTopSlotNumber (o);\n_   (Pop (o));\n\n    // OPTZ: according to spec:",
        "_   (PreserveBuriedFloat (o, 1));\n    u16 slot = GetStackTopSlotNumber (o);\n_   (Pop (o));\n\n    // OPTZ: according to spec:",
    ),
];
