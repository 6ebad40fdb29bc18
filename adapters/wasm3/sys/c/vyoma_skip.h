// Code that can't be reached (after `unreachable`, `br`, `br_table` and `return`) is not compiled. Its operands have no types
// and no places, for which the compiler, written with both in mind, has no operations. Part of m3_compile.c.
#ifndef vyoma_skip_h
#define vyoma_skip_h

#if d_m3CascadedOpcodes
#   error "an opcode after 0xfc is taken to be read with its prefix"
#endif

// How many LEB128 numbers of at most 33 bits follow an opcode, apart from those that SkipImmediates knows by itself.
static
u32  CountIndices  (m3opcode_t i_opcode)
{
    // Loads and stores: alignment and offset.
    if (i_opcode >= 0x28 and i_opcode <= 0x3e)
        return 2;

    switch (i_opcode)
    {
        case c_waOp_block:          case c_waOp_loop:       case c_waOp_if:     // a type
        case c_waOp_branch:         case c_waOp_branchIf:
        case c_waOp_call:           case c_waOp_returnCall:
        case c_waOp_getLocal:       case c_waOp_setLocal:   case c_waOp_teeLocal:
        case c_waOp_getGlobal:      case 0x24:                                  // global.set
        case c_waOp_tableGet:       case c_waOp_tableSet:
        case 0x3f:                  case 0x40:                                  // memory.size, memory.grow
        case c_waOp_i32_const:
        case c_waOp_refNull:        case c_waOp_refFunc:
        case c_waOp_memoryFill:
        case 0xfc09:                case 0xfc0d:                                // data.drop, elem.drop
        case c_waOp_tableGrow:      case c_waOp_tableSize:  case c_waOp_tableFill:
            return 1;

        case 0x11:                  case c_waOp_returnCallIndirect:             // call_indirect
        case c_waOp_memoryInit:     case c_waOp_memoryCopy:
        case 0xfc0c:                case 0xfc0e:                                // table.init, table.copy
            return 2;

        default:
            return 0;
    }
}

static
M3Result  SkipImmediates  (IM3Compilation o, m3opcode_t i_opcode)
{
    M3Result result = m3Err_none;

    i64 number;
    u32 count = CountIndices (i_opcode);

    if (i_opcode == c_waOp_branchTable or i_opcode == c_waOp_selectTyped)
    {
_       (ReadLEB_u32 (& count, & o->wasm, o->wasmEnd));

        // The default comes after the others.
        if (i_opcode == c_waOp_branchTable)
        {
_           (ReadLebSigned (& number, 33, & o->wasm, o->wasmEnd));
        }
    }
    else if (i_opcode == c_waOp_i64_const)
    {
_       (ReadLEB_i64 (& number, & o->wasm, o->wasmEnd));
    }
    else if (i_opcode == c_waOp_f32_const or i_opcode == c_waOp_f64_const)
    {
        u32 bytes = i_opcode == c_waOp_f32_const ? sizeof (u32) : sizeof (u64);
        _throwif (m3Err_wasmUnderrun, (size_t) (o->wasmEnd - o->wasm) < bytes);
        o->wasm += bytes;
    }

    while (count--)
    {
_       (ReadLebSigned (& number, 33, & o->wasm, o->wasmEnd));
    }

    _catch: return result;
}

// Up to the `else` or `end` of the block that the compiler is in, which is left to be read. The function is valid: the
// validator has seen this code too.
static
M3Result  SkipUnreachable  (IM3Compilation o)
{
    M3Result result = m3Err_none;

    u32 depth = 0;

    while (o->wasm < o->wasmEnd)
    {
        bytes_t start = o->wasm;
        m3opcode_t opcode;
_       (Read_opcode (& opcode, & o->wasm, o->wasmEnd));

        if (opcode == c_waOp_end or opcode == c_waOp_else)
        {
            if (depth == 0)
            {
                o->wasm = start;
                break;
            }
            depth -= opcode == c_waOp_end;
            continue;
        }

        // What is refused where it runs is refused here, too.
        _throwif (m3Err_unknownOpcode, not GetOpInfo (opcode));

        depth += opcode == c_waOp_block or opcode == c_waOp_loop or opcode == c_waOp_if;
_       (SkipImmediates (o, opcode));
    }

    _catch: return result;
}

#endif // vyoma_skip_h
