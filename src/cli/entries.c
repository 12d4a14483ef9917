/*
 * Entries of the vault. Names and labels come from the daemon, also while the vault is locked; values go from here to the
 * keeper and never come back.
 */
#include "cli/entries.h"

#include "cli/ask.h"
#include "cli/choose.h"
#include "cli/passphrase.h"
#include "cli/print.h"
#include "cli/table.h"
#include "cli/unlock.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static bool is_shown(const json_t *entry, enum entries entries)
{
    const char *kind = text_of(entry, "kind");

    return entries == ENTRIES_ALL || !strcmp(kind, "secret") || !strcmp(kind, "token");
}

static bool is_stdin(const struct cli *cli, const char *option)
{
    const char *value = args_value(cli->args, option);

    return value && !strcmp(value, "-");
}

/* The value itself: from the file, or typed. */
static int read_value(struct cli *cli, const char *path, struct secret **ret_value)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    const char *file = args_value(cli->args, "value-file");
    struct err err = ERR_INIT;
    char prompt[256];
    int r;

    if (file) {
        r = secret_read_file(file, "the value", KEEPER_SECRET_MAX, &value, &err);
    } else {
        snprintf(prompt, sizeof(prompt), "Value of %.200s: ", path);
        r = ask_secret(prompt, ASK_LINE_MAX, false, &value, &err);
        if (r == -E2BIG)
            err_hint(&err, "--value-file FILE takes up to %d KiB", KEEPER_SECRET_MAX >> 10);
        if (r >= 0 && !secret_len(value))
            r = err_set(&err, EINVAL, "an empty value was typed; nothing was changed");
    }
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    *ret_value = TAKE_PTR(value);
    return CODE_DONE;
}

static int check_put(struct cli *cli)
{
    if (is_stdin(cli, "value-file") && is_stdin(cli, "passphrase-file"))
        return cli_failf(CODE_USAGE, NULL, "value and passphrase cannot both come from standard input");
    if (!args_has(cli->args, "value-file") && !ask_is_possible())
        return cli_failf(
            CODE_USAGE, "--value-file FILE, or - for standard input", "there is no terminal to ask for the value at");
    return CODE_DONE;
}

static int put_frame(struct wire_frame *request, const char *path, const struct secret *value, const json_t *labels)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(LIMIT_FRAME_BYTES);

    if (json_object_size(labels) && json_write(labels, &text) < 0)
        return cli_failf(CODE_USAGE, NULL, "the labels are too long");
    wire_init(request, OWNER_PUT, 0);
    wire_put_str(request, path);
    keeper_put_secret(request, value);
    wire_put_str(request, "");
    wire_put_str(request, "");
    wire_put_str(request, buf_str(&text));
    return CODE_DONE;
}

int entries_put(struct cli *cli, enum entries entries)
{
    const char *path = args_word(cli->args, 0);
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    CLEANUP_JSON json_t *labels = NULL;
    int code = check_put(cli);

    if (!code)
        code = cli_pairs(cli, "label", &labels);
    if (!code)
        code = cli_unlock(cli, UNLOCK_OR_CREATE, &keeper, NULL);
    if (!code)
        code = read_value(cli, path, &value);
    if (!code)
        code = put_frame(&request, path, value, labels);
    if (!code)
        code = keeper_ask(cli, keeper, &request, NULL, &answer);
    if (code)
        return code;
    if (answer.result != KEEPER_OK)
        return keeper_fail(&answer);
    cli_note("aileron: %s is in the vault", path);
    return CODE_DONE;
}

static void add_row(struct table *table, const json_t *entry)
{
    CLEANUP(buf_free) struct buf labels = BUF_INIT(64 * 1024);
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(entry, "labels"), key, value)
        buf_printf(&labels, "%s%s=%s", labels.len ? " " : "", key, json_string_value(value) ? json_string_value(value) : "");
    table_row(table);
    table_cell(table, text_of(entry, "path"));
    table_cell(table, text_of(entry, "kind"));
    table_cell(table, buf_str(&labels));
}

int entries_list(struct cli *cli, enum entries entries)
{
    static const struct table_column COLUMNS[] = { { "PATH", false, 16 }, { "KIND", false, 0 }, { "LABELS", false, 12 } };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_JSON json_t *list = json_array();
    CLEANUP_JSON json_t *shown = NULL;
    json_t *entry;
    size_t i;
    int code = cli_get(cli, "GET", "/v1/vault", NULL, &answer);

    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "entries"), i, entry)
    {
        if (!is_shown(entry, entries))
            continue;
        json_array_append(list, entry);
        add_row(table, entry);
    }
    if (args_has(cli->args, "json")) {
        shown = json_pack("{s:s, s:O}", "state", text_of(answer, "state"), "entries", list);
        return print_json(cli->out, shown) < 0 ? CODE_FAILED : CODE_DONE;
    }
    if (!table_rows(table)) {
        fputs(!strcmp(text_of(answer, "state"), "missing") ? "there is no vault yet\n" : "nothing of that kind is in the vault\n",
            cli->out);
        return CODE_DONE;
    }
    return table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
}

/* What is to be deleted is there and is of a kind that this command deletes. */
static int check_delete(struct cli *cli, const char *path, enum entries entries)
{
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *entry, *found = NULL;
    size_t i;
    int code = cli_get(cli, "GET", "/v1/vault", NULL, &answer);

    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "entries"), i, entry) if (!strcmp(text_of(entry, "path"), path)) found = entry;
    if (!found)
        return cli_failf(CODE_FAILED, cli->command->name[0] == 's' ? "aileron secret list" : "aileron vault list",
            "there is no %s in the vault", path);
    if (!strcmp(text_of(found, "kind"), "binding") && strncmp(path, "basic/", 6) != 0)
        return cli_failf(CODE_FAILED, "aileron binding revoke tells the provider and deletes it", "%s is a binding", path);
    if (!is_shown(found, entries))
        return cli_failf(CODE_FAILED, "aileron vault delete", "%s is no secret but a %s", path, text_of(found, "kind"));
    return CODE_DONE;
}

int entries_delete(struct cli *cli, enum entries entries)
{
    const char *path = args_word(cli->args, 0);
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    char question[320];
    bool yes = false;
    int code = check_delete(cli, path, entries);

    snprintf(question, sizeof(question), "Delete %.250s?", path);
    if (!code)
        code = choose_yes(cli, "deleting", question, &yes);
    if (code || !yes)
        return code ? code : CODE_FAILED;
    code = cli_unlock(cli, UNLOCK_ONLY, &keeper, NULL);
    if (code)
        return code;
    wire_init(&request, OWNER_DELETE, 0);
    wire_put_str(&request, path);
    code = keeper_ask(cli, keeper, &request, NULL, &answer);
    if (code)
        return code;
    if (answer.result != KEEPER_OK)
        return keeper_fail(&answer);
    cli_note("aileron: %s was deleted", path);
    return CODE_DONE;
}
