// How a branch puts values where its target expects them, in place of wasm3's own way. Part of m3_compile.c.
//
// Values go from slots to slots, at once as far as the guest can see: one may be where another one goes to. And what such a
// move changes in the compiler's picture of the stack has to be true on every path, also on that which does not branch.
#ifndef vyoma_move_h
#define vyoma_move_h

// Whether the value at i_stackIndex is where one of those below it, from i_first on, goes to. i_target is where the stack
// holds the places that they go to, in the same order.
static
bool  IsInTheWay  (IM3Compilation o, u16 i_target, u16 i_first, u16 i_stackIndex)
{
    if (IsStackIndexInRegister (o, i_stackIndex))
        return false;

    u16 from = GetSlotForStackIndex (o, i_stackIndex);
    u16 to = GetExtraSlotForStackIndex (o, i_stackIndex);

    for (u16 i = i_first; i < i_stackIndex; ++i)
    {
        u16 target = GetSlotForStackIndex (o, i_target++);

        if (target != GetSlotForStackIndex (o, i)
            and target <= to
            and from < target + GetTypeNumSlots (GetStackTypeFromBottom (o, i)))
            return true;
    }

    return false;
}

// Copies the values from i_first up to (not including) i_end to the places that the stack holds from i_target on.
static
M3Result  MoveValues  (IM3Compilation o, u16 i_target, u16 i_first, u16 i_end)
{
    M3Result result = m3Err_none;

    // Room to put values aside: above all that is in use, here or at the target.
    u16 aside = GetMaxUsedSlotPlusOne (o);

    for (u16 i = i_first; i < i_end; ++i)
    {
        u16 target = GetSlotForStackIndex (o, i_target + (i - i_first));
        aside = M3_MAX (aside, target + GetTypeNumSlots (GetStackTypeFromBottom (o, i)));
    }

    AlignSlotToType (& aside, c_m3Type_i64);
    u16 top = aside;

    for (u16 i = i_first; i < i_end; ++i)
    {
        if (IsInTheWay (o, i_target, i_first, i))
        {
            _throwif (m3Err_functionStackOverflow, top + c_ioSlotCount > d_m3MaxFunctionSlots);
_           (CopyStackIndexToSlot (o, top, i));
            top += c_ioSlotCount;
        }
    }

    if (top > aside)
        TouchSlot (o, top - 1);

    for (u16 i = i_first; i < i_end; ++i)
    {
        u16 target = GetSlotForStackIndex (o, i_target + (i - i_first));
        u16 slot = o->wasmStack [i];

        if (IsInTheWay (o, i_target, i_first, i))
        {
            o->wasmStack [i] = aside;
            aside += c_ioSlotCount;
_           (CopyStackIndexToSlot (o, target, i));
            o->wasmStack [i] = slot;
        }
        else if (target != slot)
        {
_           (CopyStackIndexToSlot (o, target, i));
        }
    }

    _catch: return result;
}

// Before a branch that may not be taken, or that has several targets: a value in the float register that is below the top of
// the stack (not counting the i_above values that the branch itself takes) goes to a slot now. The branch wants the register
// for the topmost result, and would move the value on its own path only.
static
M3Result  PreserveBuriedFloat  (IM3Compilation o, u16 i_above)
{
    M3Result result = m3Err_none;

    if (IsRegisterAllocated (o, 1) and GetRegisterStackIndex (o, 1) + 1 + i_above != o->stackIndex)
    {
_       (PreserveRegisterIfOccupied (o, c_m3Type_f64));
    }

    _catch: return result;
}

#endif // vyoma_move_h
