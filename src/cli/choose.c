/* Choosing. Never a guess between two: several candidates are listed. */
#include "cli/choose.h"

#include "cli/ask.h"
#include "cli/term.h"
#include "store/semver.h"

#include <string.h>

#include "base/banned.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static const char *last_segment(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? slash + 1 : name;
}

static bool is_newer(const json_t *connector, const json_t *than)
{
    struct semver a, b;

    if (semver_parse(text_of(connector, "version"), &a, NULL) < 0)
        return false;
    return semver_parse(text_of(than, "version"), &b, NULL) < 0 || semver_compare(&a, &b) > 0;
}

/* The newest of the connectors that `word` names; *ret_several when their FQNs differ. */
static const json_t *find_connector(const json_t *list, const char *word, bool *ret_several)
{
    const json_t *item, *found = NULL;
    size_t i;

    *ret_several = false;
    json_array_foreach((json_t *) list, i, item)
    {
        const char *fqn = text_of(item, "fqn");

        if (strcmp(word, fqn) != 0 && (strchr(word, '/') || strcmp(word, last_segment(fqn)) != 0))
            continue;
        if (!found || (!strcmp(fqn, text_of(found, "fqn")) && is_newer(item, found)))
            found = item;
        else if (strcmp(fqn, text_of(found, "fqn")) != 0)
            *ret_several = true;
    }
    return found;
}

int choose_connector(struct cli *cli, const char *word, json_t **ret_json)
{
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_JSON json_t *connector = NULL;
    CLEANUP_FREE char *path = NULL;
    const json_t *found;
    bool several = false;
    int code = cli_get(cli, "GET", "/v1/connectors", NULL, &answer);

    if (code)
        return code;
    found = find_connector(json_object_get(answer, "connectors"), word, &several);
    if (!found)
        return cli_failf(CODE_FAILED,
            "aileron connector install --local DIR installs one; aileron connector list shows what is there",
            "no connector \"%s\" is installed", word);
    if (several)
        return cli_failf(CODE_FAILED, "give the whole name: aileron connector list", "several connectors are called %s", word);
    path = cli_path("/v1/connectors/", text_of(found, "hash"), "");
    if (!path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = cli_get(cli, "GET", path, NULL, &connector);
    if (code)
        return code;
    json_object_set(connector, "unsigned", json_object_get(found, "unsigned"));
    *ret_json = TAKE_PTR(connector);
    return CODE_DONE;
}

int choose_bindings(struct cli *cli, json_t **ret_answer)
{
    return cli_get(cli, "GET", "/v1/bindings", NULL, ret_answer);
}

static bool is_named(const json_t *binding, const char *word)
{
    return !strcmp(word, text_of(binding, "service")) || !strcmp(word, text_of(binding, "identity"));
}

int choose_binding(struct cli *cli, const char *word, json_t **ret_json)
{
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP(buf_free) struct buf names = BUF_INIT(64 * 1024);
    json_t *item, *found = NULL, *exact = NULL;
    size_t i, count = 0;
    int code = choose_bindings(cli, &answer);

    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "bindings"), i, item)
    {
        if (!strcmp(word, text_of(item, "binding")))
            exact = item;
        if (!is_named(item, word))
            continue;
        found = item;
        count++;
        buf_printf(&names, "%s%s", names.len ? ", " : "", text_of(item, "binding"));
    }
    if (!exact && count > 1)
        return cli_failf(CODE_FAILED, buf_str(&names), "%zu bindings are called \"%s\"; give the whole name", count, word);
    found = exact ? exact : found;
    if (!found)
        return cli_failf(CODE_FAILED, "aileron binding list", "there is no binding \"%s\"", word);
    *ret_json = json_incref(found);
    return CODE_DONE;
}

int choose_can_ask(struct cli *cli, const char *what)
{
    if (args_has(cli->args, "yes") || ask_is_possible())
        return CODE_DONE;
    return cli_failf(CODE_USAGE, "run it at a terminal, or add --yes when you have read what it says",
        "%s needs a person's yes, and there is nobody to ask", what);
}

int choose_yes(struct cli *cli, const char *what, const char *question, bool *ret_yes)
{
    struct err err = ERR_INIT;
    int code = choose_can_ask(cli, what);

    *ret_yes = args_has(cli->args, "yes");
    if (code || *ret_yes)
        return code;
    if (ask_yes(question, ret_yes, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    if (!*ret_yes)
        cli_note("aileron: nothing was changed");
    return CODE_DONE;
}
