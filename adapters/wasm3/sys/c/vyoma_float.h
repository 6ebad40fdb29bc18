// wasm3's float register is a double. These keep an f32 in it by its bits, in the low half, so that moving a value never
// changes it, and give arithmetic's NaNs their canonical bits.
#ifndef vyoma_float_h
#define vyoma_float_h

#if !defined (M3_LITTLE_ENDIAN)
#   error "f32 in the low half of the float register: little-endian only"
#endif

static inline f32  m3_LowHalf  (f64 i_register)
{
    union { f64 whole; f32 halves [2]; } u;
    u.whole = i_register;
    return u.halves [0];
}

static inline f64  m3_WithLowHalf  (f32 i_value)
{
    union { f64 whole; u32 halves [2]; f32 low; } u;
    u.halves [1] = 0;
    u.low = i_value;
    return u.whole;
}

static inline f32  m3_Same32  (f32 i_value)             { return i_value; }
static inline f32  m3_Canonical32  (f32 i_value)        { return i_value == i_value ? i_value : __builtin_nanf (""); }
static inline f64  m3_Canonical64  (f64 i_value)        { return i_value == i_value ? i_value : __builtin_nan (""); }

// The value of TYPE in register REG.
#define m3_RegGet(TYPE, REG)    ((TYPE) _Generic ((TYPE) 0, f32: m3_LowHalf (REG), default: (REG)))

// Sets a register, or a slot through a pointer, to VALUE.
#define m3_RegSet(REG, VALUE)                                                                           \
    (REG) = _Generic ((VALUE),                                                                          \
        f32: _Generic ((REG), f64: m3_WithLowHalf, default: m3_Same32) (VALUE),                         \
        default: (VALUE))

// VALUE; the canonical NaN when it is one. For floats only; anything else is left as it is.
#define m3_Canonical(VALUE)                                                                             \
    _Generic ((VALUE), f32: m3_Canonical32 (VALUE), f64: m3_Canonical64 (VALUE), default: (VALUE))

// Rounding and square root make NaNs too. wasm3 names the C functions; these stand in for them.
#define ceilf(X)    m3_Canonical32 (__builtin_ceilf (X))
#define ceil(X)     m3_Canonical64 (__builtin_ceil (X))
#define floorf(X)   m3_Canonical32 (__builtin_floorf (X))
#define floor(X)    m3_Canonical64 (__builtin_floor (X))
#define truncf(X)   m3_Canonical32 (__builtin_truncf (X))
#define trunc(X)    m3_Canonical64 (__builtin_trunc (X))
#define sqrtf(X)    m3_Canonical32 (__builtin_sqrtf (X))
#define sqrt(X)     m3_Canonical64 (__builtin_sqrt (X))
#define rintf(X)    m3_Canonical32 (__builtin_rintf (X))
#define rint(X)     m3_Canonical64 (__builtin_rint (X))

#endif
