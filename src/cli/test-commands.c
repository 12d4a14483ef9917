/* Every row is whole, names are found, slips of the finger are understood; help shows what a row says. */
#include "cli/command.h"
#include "cli/help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_every_row_is_whole(void **state)
{
    for (size_t i = 0; COMMANDS[i]; i++) {
        const struct command *c = COMMANDS[i];

        assert_non_null(c->name);
        assert_non_null(c->operands);
        assert_true(c->about && *c->about && c->about[strlen(c->about) - 1] != '.');
        assert_true(c->words_max >= c->words_min);
        assert_int_equal(c->words_max > 0, c->operands[0] != '\0');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(COMMANDS[j]->name, c->name);
        for (size_t o = 0; command_option(c, o); o++)
            assert_true(command_option(c, o)->about && *command_option(c, o)->about);
    }
}

/* A command of two words stands after its group. */
static void test_groups_come_first(void **state)
{
    for (size_t i = 0; COMMANDS[i]; i++) {
        const char *space = strchr(COMMANDS[i]->name, ' ');
        bool found = !space;

        for (size_t j = 0; j < i && space; j++)
            found |= command_is_group(COMMANDS[j]) && strlen(COMMANDS[j]->name) == (size_t) (space - COMMANDS[i]->name) &&
                     !strncmp(COMMANDS[j]->name, COMMANDS[i]->name, strlen(COMMANDS[j]->name));
        assert_true(found);
    }
}

/* What opens the vault takes --passphrase-file, the last of its options; what only looks does not. */
static void test_the_flag_brings_its_option(void **state)
{
    const struct command *unlock = command_find("vault unlock"), *run = command_find("action run");

    assert_string_equal(command_option(unlock, 0)->name, "passphrase-file");
    assert_null(command_option(unlock, 1));
    assert_string_equal(command_option(run, 5)->name, "passphrase-file");
    assert_null(command_option(run, 6));
    assert_string_equal(command_option(command_find("vault status"), 0)->name, "json");
    assert_null(command_option(command_find("vault status"), 1));
}

static void test_match(void **state)
{
    char action[] = "action", run[] = "run", status[] = "status", nonsense[] = "nonsense";
    char *two[] = { action, run, nonsense }, *one[] = { status, run }, *none[] = { nonsense, run },
         *group[] = { action, nonsense };
    int used = 0;

    assert_string_equal(command_match(3, two, &used)->name, "action run");
    assert_int_equal(used, 2);
    assert_string_equal(command_match(2, one, &used)->name, "status");
    assert_int_equal(used, 1);
    assert_null(command_match(2, none, &used));
    assert_true(command_is_group(command_match(2, group, &used)));
}

static void test_nearest(void **state)
{
    assert_string_equal(command_nearest("statsu"), "status");
    assert_string_equal(command_nearest("action lsit"), "action list");
    assert_string_equal(command_nearest("audit verfiy"), "audit verify");
    assert_null(command_nearest("frobnicate"));
    assert_null(command_nearest(""));
}

static void test_distance(void **state)
{
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("abc", "abd"), 1);
    assert_int_equal(text_distance("abc", "acb"), 1);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("0123456789012345678901234567890123456789012345678901234567890123", "x"), ~0u);
}

static void test_help_shows_all(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    help_all(file);
    for (size_t i = 0; COMMANDS[i]; i++)
        help_command(file, COMMANDS[i]);
    fclose(file);
    for (size_t i = 0; COMMANDS[i]; i++) {
        assert_non_null(strstr(text, COMMANDS[i]->name));
        for (size_t o = 0; command_option(COMMANDS[i], o); o++)
            assert_non_null(strstr(text, command_option(COMMANDS[i], o)->name));
    }
    assert_null(strchr(text, '\033'));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_whole),
        cmocka_unit_test(test_groups_come_first),
        cmocka_unit_test(test_the_flag_brings_its_option),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_help_shows_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
