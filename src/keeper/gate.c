/* See the header. */
#include "keeper/gate.h"

#include "base/banned.h"

gate_fn *gate_pass(struct gate *gate, uint16_t type)
{
    for (size_t i = 0; i < gate->rows_len && i < GATE_ROWS_MAX; i++) {
        const struct gate_row *row = &gate->rows[i];
        uint64_t bit = (uint64_t) 1 << i;

        if (row->type != type)
            continue;
        if ((row->flags & GATE_OFF) || ((row->flags & GATE_ONCE) && (gate->used & bit)) ||
            ((row->flags & GATE_NEEDS_UNLOCKED) && !gate->unlocked) || (!(row->flags & GATE_FIRST) && !gate->configured))
            return NULL;
        gate->used |= bit;
        return row->fn;
    }
    return NULL;
}
