/* Tests of the permission table: each flag says no when it must, and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "keeper/gate.h"

#include "base/banned.h"

static int act(void *session, struct wire_frame *frame)
{
    return 0;
}

static const struct gate_row rows[] = {
    { 1, GATE_FIRST, act },
    { 2, 0, act },
    { 3, GATE_OFF | GATE_FIRST, act },
    { 4, GATE_ONCE, act },
    { 5, GATE_NEEDS_UNLOCKED, act },
    { 6, GATE_ONCE | GATE_NEEDS_UNLOCKED | GATE_FIRST, act },
};

static void test_phases(void **state)
{
    struct gate gate = { .rows = rows, .rows_len = ARRAY_LEN(rows) };

    assert_non_null(gate_pass(&gate, 1));
    assert_null(gate_pass(&gate, 2));
    assert_null(gate_pass(&gate, 4));
    gate.configured = true;
    assert_non_null(gate_pass(&gate, 1));
    assert_non_null(gate_pass(&gate, 2));
    assert_non_null(gate_pass(&gate, 2));
    assert_null(gate_pass(&gate, 0));
    assert_null(gate_pass(&gate, 7));
    assert_null(gate_pass(&gate, 0xffff));
}

static void test_flags(void **state)
{
    struct gate gate = { .rows = rows, .rows_len = ARRAY_LEN(rows), .configured = true };

    assert_null(gate_pass(&gate, 3));
    assert_non_null(gate_pass(&gate, 4));
    assert_null(gate_pass(&gate, 4));
    assert_null(gate_pass(&gate, 5));
    /* A refused try does not use up the one that is allowed. */
    assert_null(gate_pass(&gate, 6));
    gate.unlocked = true;
    assert_non_null(gate_pass(&gate, 5));
    assert_non_null(gate_pass(&gate, 6));
    assert_null(gate_pass(&gate, 6));
    gate.unlocked = false;
    assert_null(gate_pass(&gate, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_phases), cmocka_unit_test(test_flags) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
