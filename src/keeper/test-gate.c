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
    { 7, GATE_IDLE, act },
    { 8, GATE_IN_FLOW, act },
    { 9, GATE_IDLE | GATE_NEEDS_UNLOCKED, act },
};

static enum gate_verdict pass(struct gate *gate, uint16_t type)
{
    gate_fn *fn = NULL;
    enum gate_verdict verdict = gate_pass(gate, type, &fn);

    assert_true((verdict != GATE_REFUSED) == (fn == act));
    return verdict;
}

static void test_phases(void **state)
{
    struct gate gate = { .rows = rows, .rows_len = ARRAY_LEN(rows) };

    assert_int_equal(pass(&gate, 1), GATE_PASSED);
    assert_int_equal(pass(&gate, 2), GATE_REFUSED);
    assert_int_equal(pass(&gate, 4), GATE_REFUSED);
    gate.configured = true;
    assert_int_equal(pass(&gate, 1), GATE_PASSED);
    assert_int_equal(pass(&gate, 2), GATE_PASSED);
    assert_int_equal(pass(&gate, 2), GATE_PASSED);
    assert_int_equal(pass(&gate, 0), GATE_REFUSED);
    assert_int_equal(pass(&gate, 10), GATE_REFUSED);
    assert_int_equal(pass(&gate, 0xffff), GATE_REFUSED);
}

static void test_flags(void **state)
{
    struct gate gate = { .rows = rows, .rows_len = ARRAY_LEN(rows), .configured = true };

    assert_int_equal(pass(&gate, 3), GATE_REFUSED);
    assert_int_equal(pass(&gate, 4), GATE_PASSED);
    assert_int_equal(pass(&gate, 4), GATE_REFUSED);
    assert_int_equal(pass(&gate, 5), GATE_LOCKED);
    /* A try that came to nothing does not use up the one that is allowed. */
    assert_int_equal(pass(&gate, 6), GATE_LOCKED);
    gate.unlocked = true;
    assert_int_equal(pass(&gate, 5), GATE_PASSED);
    assert_int_equal(pass(&gate, 6), GATE_PASSED);
    assert_int_equal(pass(&gate, 6), GATE_REFUSED);
    gate.unlocked = false;
    assert_int_equal(pass(&gate, 5), GATE_LOCKED);
}

static void test_requests_under_way(void **state)
{
    struct gate gate = { .rows = rows, .rows_len = ARRAY_LEN(rows), .configured = true };

    assert_int_equal(pass(&gate, 7), GATE_PASSED);
    assert_int_equal(pass(&gate, 8), GATE_REFUSED);
    assert_int_equal(pass(&gate, 9), GATE_LOCKED);
    gate.busy = true;
    assert_int_equal(pass(&gate, 7), GATE_REFUSED);
    assert_int_equal(pass(&gate, 8), GATE_REFUSED);
    /* Out of turn weighs more than locked. */
    assert_int_equal(pass(&gate, 9), GATE_REFUSED);
    gate.in_flow = true;
    assert_int_equal(pass(&gate, 7), GATE_REFUSED);
    assert_int_equal(pass(&gate, 8), GATE_PASSED);
    assert_int_equal(pass(&gate, 2), GATE_PASSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_requests_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
