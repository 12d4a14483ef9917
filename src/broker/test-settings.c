/* Settings: defaults, each key's rule, errors with their line, and that what is written reads back the same. */
#include "broker/settings.h"

#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct settings *settings, struct err *err)
{
    err_clear(err);
    return settings_parse(text, strlen(text), "config.toml", settings, err);
}

static void test_empty_is_defaults(void **state)
{
    struct settings settings = SETTINGS_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(parse("", &settings, &err), 0);
    assert_int_equal(settings.web_port, 0);
    assert_int_equal(settings.log_level, LOG_LEVEL_INFO);
    assert_int_equal(settings.allow_private_len, 0);
    settings_free(&settings);
}

static void test_every_key(void **state)
{
    struct settings settings = SETTINGS_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(
        parse("[web]\nport = 8123\n[log]\nlevel = \"debug\"\n[network]\nallow_private = [\"Box.Test:443\", \"[::1]:80\"]\n",
            &settings, &err),
        0);
    assert_int_equal(settings.web_port, 8123);
    assert_int_equal(settings.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(settings.allow_private_len, 2);
    assert_string_equal(settings.allow_private[0], "box.test:443");
    char *text = settings_allow_private_text(&settings);
    assert_string_equal(text, "box.test:443\n[::1]:80");
    free(text);
    settings_free(&settings);
}

static void test_errors_name_their_line(void **state)
{
    static const struct {
        const char *text, *place, *word;
    } cases[] = {
        { "[log]\nlevel = \"loud\"\n", "config.toml:2:", "error" },
        { "[log]\n\nlevel = 3\n", "config.toml:3:", "log.level" },
        { "[web]\nport = 0\n", "config.toml:2:", "65535" },
        { "[web]\nport = 65536\n", "config.toml:2:", "65535" },
        { "[web]\nport = \"80\"\n", "config.toml:2:", "web.port" },
        { "[web]\nports = 1\n", "config.toml:2:", "web.ports" },
        { "[nosuch]\nkey = 1\n", "config.toml:1:", "nosuch" },
        { "nosuch = 1\n", "config.toml:1:", "nosuch" },
        { "log = 1\n", "config.toml:1:", "section" },
        { "[network]\nallow_private = \"a:1\"\n", "config.toml:2:", "list" },
        { "[network]\nallow_private = [\"a\"]\n", "config.toml:2:", "host:port" },
        { "[network]\nallow_private = [1]\n", "config.toml:2:", "host:port" },
        { "[network]\nallow_private = [\"user@a:1\"]\n", "config.toml:2:", "host:port" },
        { "[network]\nproxy = \"x\"\n", "config.toml:2:", "no effect" },
        { "[vault]\nauto_lock = \"9s\"\n", "config.toml:2:", "vault.auto_lock" },
        { "[vault]\nauto_lock = \"31d\"\n", "config.toml:2:", "10s to 30d" },
        { "[vault]\nauto_lock = 900\n", "config.toml:2:", "\"off\"" },
        { "[vault]\nauto_lock = \"0\"\n", "config.toml:2:", "\"off\"" },
        { "[vault]\nauto_lock = \"15m5s\"\n", "config.toml:2:", "\"off\"" },
        { "[notify]\ncommand = \"notify-send\"\n", "config.toml:2:", "absolute path" },
        { "[notify]\ncommand = [\"/bin/sh\", \"-c\"]\n", "config.toml:2:", "without arguments" },
        { "[notify]\ncommand = \"/a\\nb\"\n", "config.toml:2:", "absolute path" },
        { "[approval]\nexpiry = \"31d\"\n", "config.toml:2:", "1s to 30d" },
        { "[approval]\nconfirm = \"no\"\n", "config.toml:2:", "\"never\"" },
        { "[approval]\nmax_pending = 0\n", "config.toml:2:", "1 to 20000" },
        { "[network]\nproxy = \"http://x\"\n", "config.toml:2:", "no effect" },
        { "[log\n", "config.toml:1:", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct settings settings = SETTINGS_INIT;
        struct err err = ERR_INIT;

        assert_int_equal(parse(cases[i].text, &settings, &err), -EINVAL);
        assert_int_equal(strncmp(err.message, cases[i].place, strlen(cases[i].place)), 0);
        assert_non_null(strstr(err.message, cases[i].word));
        assert_int_equal(settings.log_level, LOG_LEVEL_INFO);
    }
}

static void test_a_failed_parse_changes_nothing(void **state)
{
    struct settings settings = SETTINGS_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(parse("[log]\nlevel = \"warn\"\n", &settings, &err), 0);
    assert_int_equal(parse("[log]\nlevel = \"debug\"\n[x]\ny = 1\n", &settings, &err), -EINVAL);
    assert_int_equal(settings.log_level, LOG_LEVEL_WARN);
    settings_free(&settings);
}

static void test_change_and_round_trip(void **state)
{
    struct settings settings = SETTINGS_INIT, again = SETTINGS_INIT;
    struct buf text = BUF_INIT(4096);
    struct err err = ERR_INIT;
    json_t *list = json_pack("[s, s]", "127.0.0.1:8080", "nas.test:443"), *port = json_integer(9000),
           *level = json_string("error"), *bad = json_string("70000"), *command = json_string("/usr/local/bin/tell me");

    assert_int_equal(settings_change(&settings, "network.allow_private", list, &err), 0);
    assert_int_equal(settings_change(&settings, "web.port", port, &err), 0);
    assert_int_equal(settings_change(&settings, "log.level", level, &err), 0);
    assert_int_equal(settings_change(&settings, "notify.command", command, &err), 0);
    assert_int_equal(settings_change(&settings, "web.port", bad, &err), -EINVAL);
    assert_non_null(strstr(err.message, "web.port"));
    assert_int_equal(settings_change(&settings, "no.such", bad, &err), -ENOENT);
    assert_int_equal(settings_change(&settings, "approval.confirm", bad, &err), -EINVAL);
    assert_int_equal(settings_format(&settings, &text), 0);
    assert_int_equal(settings_parse(buf_str(&text), text.len, "config.toml", &again, &err), 0);
    assert_int_equal(again.web_port, 9000);
    assert_string_equal(again.notify_command, "/usr/local/bin/tell me");
    assert_int_equal(settings_change(&again, "notify.command", NULL, &err), 0);
    assert_null(again.notify_command);
    assert_int_equal(again.log_level, LOG_LEVEL_ERROR);
    assert_int_equal(again.allow_private_len, 2);
    assert_string_equal(again.allow_private[1], "nas.test:443");
    assert_int_equal(settings_change(&again, "web.port", NULL, &err), 0);
    assert_false(again.set_web_port);
    json_decref(list);
    json_decref(port);
    json_decref(level);
    json_decref(bad);
    json_decref(command);
    buf_free(&text);
    settings_free(&settings);
    settings_free(&again);
}

/* Written as a person would write it, read back as the same. */
static void test_auto_lock(void **state)
{
    static const struct {
        const char *said, *shown;
        unsigned seconds;
    } cases[] = {
        { "off", "off", 0 },
        { "10s", "10s", 10 },
        { "90s", "90s", 90 },
        { "900", "15m", 900 },
        { "15m", "15m", 900 },
        { "8h", "8h", 28800 },
        { "30d", "30d", 2592000 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct settings settings = SETTINGS_INIT, again = SETTINGS_INIT;
        CLEANUP(buf_free) struct buf text = BUF_INIT(4096);
        CLEANUP_JSON json_t *said = json_string(cases[i].said);
        CLEANUP_FREE char *line = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(settings_change(&settings, "vault.auto_lock", said, &err), 0);
        assert_int_equal(settings.auto_lock_s, cases[i].seconds);
        assert_int_equal(settings_format(&settings, &text), 0);
        assert_true(asprintf(&line, "auto_lock = \"%s\"\n", cases[i].shown) > 0);
        assert_non_null(strstr(buf_str(&text), line));
        assert_int_equal(parse(buf_str(&text), &again, &err), 0);
        assert_true(again.set_auto_lock && again.auto_lock_s == cases[i].seconds);
        assert_int_equal(settings_change(&again, "vault.auto_lock", NULL, &err), 0);
        assert_false(again.set_auto_lock || again.auto_lock_s);
    }
}

static void test_listing(void **state)
{
    struct settings settings = SETTINGS_INIT;
    json_t *list = settings_to_json(&settings);

    assert_int_equal(json_array_size(list), 8);
    for (size_t i = 0; i < json_array_size(list); i++) {
        assert_string_equal(json_string_value(json_object_get(json_array_get(list, i), "source")), "default");
        assert_non_null(json_object_get(json_array_get(list, i), "about"));
        assert_non_null(json_object_get(json_array_get(list, i), "default"));
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_is_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_errors_name_their_line),
        cmocka_unit_test(test_a_failed_parse_changes_nothing),
        cmocka_unit_test(test_change_and_round_trip),
        cmocka_unit_test(test_auto_lock),
        cmocka_unit_test(test_listing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
