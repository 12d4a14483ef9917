/* See the header. */
#include "keeper/gate.h"

#include "base/banned.h"

static bool in_turn(const struct gate *gate, const struct gate_row *row, uint64_t bit)
{
    unsigned flags = row->flags;

    return !(flags & GATE_OFF) && !((flags & GATE_ONCE) && (gate->used & bit)) && ((flags & GATE_FIRST) || gate->configured) &&
           !((flags & GATE_IDLE) && gate->busy) && (!(flags & GATE_IN_FLOW) || gate->in_flow);
}

enum gate_verdict gate_pass(struct gate *gate, uint16_t type, gate_fn **ret_fn)
{
    for (size_t i = 0; i < gate->rows_len && i < GATE_ROWS_MAX; i++) {
        const struct gate_row *row = &gate->rows[i];
        uint64_t bit = (uint64_t) 1 << i;

        if (row->type != type)
            continue;
        if (!in_turn(gate, row, bit))
            return GATE_REFUSED;
        *ret_fn = row->fn;
        if ((row->flags & GATE_NEEDS_UNLOCKED) && !gate->unlocked)
            return GATE_LOCKED;
        gate->used |= bit;
        return GATE_PASSED;
    }
    return GATE_REFUSED;
}
