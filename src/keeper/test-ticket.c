/* Tests of tickets: once, in time, for what they were made for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/ticket.h"

#include "base/banned.h"

static void test_once(void **state)
{
    CLEANUP_PTR(tickets_free) struct tickets *tickets = NULL;
    char one[KEEPER_TICKET_MAX], two[KEEPER_TICKET_MAX];

    assert_int_equal(tickets_new(&tickets), 0);
    assert_false(tickets_spend(tickets, "", "", "", 0));
    assert_int_equal(tickets_mint(tickets, "apr_1", "sha256:aa", 1000, one), 0);
    assert_int_equal(tickets_mint(tickets, "apr_1", "sha256:aa", 1000, two), 0);
    assert_int_equal(strlen(one), 43);
    assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
    assert_string_not_equal(one, two);
    assert_true(tickets_spend(tickets, "apr_1", "sha256:aa", one, 1001));
    assert_false(tickets_spend(tickets, "apr_1", "sha256:aa", one, 1001));
    assert_true(tickets_spend(tickets, "apr_1", "sha256:aa", two, 1001));
}

static void test_bound(void **state)
{
    CLEANUP_PTR(tickets_free) struct tickets *tickets = NULL;
    char ticket[KEEPER_TICKET_MAX], cut[KEEPER_TICKET_MAX];

    assert_int_equal(tickets_new(&tickets), 0);
    assert_int_equal(tickets_mint(tickets, "apr_1", "sha256:aa", 1000, ticket), 0);
    snprintf(cut, sizeof cut, "%.42s", ticket);
    assert_false(tickets_spend(tickets, "apr_2", "sha256:aa", ticket, 1001));
    assert_false(tickets_spend(tickets, "apr_1", "sha256:ab", ticket, 1001));
    assert_false(tickets_spend(tickets, "apr_1s", "ha256:aa", ticket, 1001));
    assert_false(tickets_spend(tickets, "", "", ticket, 1001));
    assert_false(tickets_spend(tickets, "apr_1", "sha256:aa", cut, 1001));
    assert_false(tickets_spend(tickets, "apr_1", "sha256:aa", "", 1001));
    /* None of that used it up. */
    assert_true(tickets_spend(tickets, "apr_1", "sha256:aa", ticket, 1001));
}

static void test_life(void **state)
{
    CLEANUP_PTR(tickets_free) struct tickets *tickets = NULL;
    char ticket[KEEPER_TICKET_MAX];

    assert_int_equal(tickets_new(&tickets), 0);
    assert_int_equal(tickets_mint(tickets, "a", "s", 1000, ticket), 0);
    assert_false(tickets_spend(tickets, "a", "s", ticket, 1000 + KEEPER_TICKET_MS));
    assert_false(tickets_spend(tickets, "a", "s", ticket, 1000));
    assert_int_equal(tickets_mint(tickets, "a", "s", 1000, ticket), 0);
    assert_true(tickets_spend(tickets, "a", "s", ticket, 1000 + KEEPER_TICKET_MS - 1));
}

static void test_void(void **state)
{
    CLEANUP_PTR(tickets_free) struct tickets *tickets = NULL;
    char ticket[KEEPER_TICKET_MAX];

    assert_int_equal(tickets_new(&tickets), 0);
    assert_int_equal(tickets_mint(tickets, "a", "s", 1000, ticket), 0);
    tickets_void(tickets);
    assert_false(tickets_spend(tickets, "a", "s", ticket, 1001));
    assert_int_equal(tickets_mint(tickets, "a", "s", 1000, ticket), 0);
    assert_true(tickets_spend(tickets, "a", "s", ticket, 1001));
}

static void test_full(void **state)
{
    CLEANUP_PTR(tickets_free) struct tickets *tickets = NULL;
    char all[TICKETS_MAX + 3][KEEPER_TICKET_MAX];

    assert_int_equal(tickets_new(&tickets), 0);
    for (int i = 0; i < TICKETS_MAX + 3; i++)
        assert_int_equal(tickets_mint(tickets, "a", "s", 1000 + i, all[i]), 0);
    for (int i = 0; i < TICKETS_MAX + 3; i++)
        assert_int_equal(tickets_spend(tickets, "a", "s", all[i], 2000), i >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_void),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
