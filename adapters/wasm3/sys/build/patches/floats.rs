//! Floats: moving one never changes its bits, and computing gives the canonical NaN.

use super::{Patch, patch};

pub(super) const PATCHES: &[Patch] = &[
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
];
