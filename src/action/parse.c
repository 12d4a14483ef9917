/*
 * The action file (SPEC §4), first half: the fences, the root table, the required
 * connectors and the inputs. parse-steps.c reads what runs and what a person must
 * approve. The struct grows in place, so whatever was built is freed by
 * action_free() when a rule fails.
 *
 * Lines in errors are those of the whole file: the TOML text starts behind the
 * first fence and its reader is told so.
 */
#include "action/parse.h"

#include "base/encode.h"
#include "base/reference.h"
#include "base/toml-read.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/banned.h"

#define ACTION_MAX_BYTES (256 * 1024)
#define WORD_MAX         128
#define INPUT_NAME_MAX   64

struct parts {
    const char *toml, *body;
    size_t toml_len, body_len;
    unsigned toml_line;
};

static int no_memory(struct parse *parse)
{
    return err_set(parse->err, ENOMEM, "out of memory");
}

/* Cuts one line off the front; `ret_line` without its end ("\n" or "\r\n") and trailing blanks. False at the end of the text. */
static bool line_take(const char **text, size_t *len, const char **ret_line, size_t *ret_len)
{
    const char *newline = NULL;
    size_t whole = 0, n = 0;

    if (*len == 0)
        return false;
    newline = memchr(*text, '\n', *len);
    whole = newline ? (size_t) (newline - *text) + 1 : *len;
    n = newline ? whole - 1 : whole;
    while (n > 0 && ((*text)[n - 1] == '\r' || (*text)[n - 1] == ' ' || (*text)[n - 1] == '\t'))
        n--;
    *ret_line = *text;
    *ret_len = n;
    *text += whole;
    *len -= whole;
    return true;
}

static bool is_fence(const char *line, size_t len)
{
    return len == 3 && memcmp(line, "+++", 3) == 0;
}

/* The line on which the text stops being UTF-8 without NUL; the text is known to be bad. */
static unsigned bad_line(const char *text, size_t len)
{
    const char *line = NULL;
    size_t line_len = 0;
    unsigned number = 0;

    while (line_take(&text, &len, &line, &line_len)) {
        number++;
        if (!utf8_is_valid(line, line_len))
            break;
    }
    return number;
}

static int text_check(struct parse *parse, const char *text, size_t len)
{
    if (len > ACTION_MAX_BYTES)
        return err_set(parse->err, E2BIG, "%s:1:1: the file is over %d KiB; shorten it", parse->file, ACTION_MAX_BYTES / 1024);
    if (len > 0 && !utf8_is_valid(text, len))
        return err_set(parse->err, EINVAL, "%s:%u:1: the line is not UTF-8 text or holds a NUL byte; save the file as UTF-8",
            parse->file, bad_line(text, len));
    return 0;
}

static int parts_split(struct parse *parse, const char *text, size_t len, struct parts *ret_parts)
{
    const char *line = NULL, *start = NULL;
    size_t line_len = 0;
    unsigned number = 0, opening = 0;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    while (line_take(&text, &len, &line, &line_len)) {
        number++;
        if (!is_fence(line, line_len)) {
            if (!start && line_len > 0)
                break;
            continue;
        }
        if (start) {
            *ret_parts = (struct parts){ start, text, (size_t) (line - start), len, opening + 1 };
            return 0;
        }
        start = text;
        opening = number;
    }
    if (start)
        return err_set(parse->err, EINVAL,
            "%s:%u:1: the line +++ that opens the header has no closing one; add +++ after the last key", parse->file, opening);
    return err_set(parse->err, EINVAL,
        "%s:%u:1: an action file starts with a line +++, then TOML, then +++, then its description", parse->file,
        number ? number : 1);
}

int parse_check(
    struct parse *parse, const struct toml_node *table, const char *where, const struct toml_field *fields, size_t len)
{
    return toml_check(table, where, fields, len, parse->file, parse->err);
}

int parse_check_word(struct parse *parse, const struct toml_node *at, const char *key, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i < len; i++)
        if (word[i] <= ' ' || word[i] > '~' || strchr("\"\\`$", word[i]))
            return toml_fail(at, parse->file, parse->err,
                "'%s' has a character that no such name has; use letters, digits, '_', '.' and '-'", key);
    if (len == 0 || len > WORD_MAX)
        return toml_fail(at, parse->file, parse->err, "'%s' must have 1 to %d characters", key, WORD_MAX);
    return 0;
}

static int version_read(struct parse *parse, const struct toml_node *table, char **ret_version)
{
    const struct toml_node *node = toml_get(table, "version");
    const char *text = node->text[0] == 'v' ? node->text + 1 : node->text;

    if (!reference_is_semver(text, strlen(text)))
        return toml_fail(
            node, parse->file, parse->err, "'version' is not a SemVer version; write MAJOR.MINOR.PATCH such as \"1.0.0\"");
    *ret_version = strdup(text);
    return *ret_version ? 0 : no_memory(parse);
}

static int name_read(struct parse *parse, const struct toml_node *root, const char *expected)
{
    const struct toml_node *node = toml_get(root, "name");
    const char *text = node->text;
    size_t len = strlen(text), good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    if (len == 0 || len > ACTION_NAME_MAX || good != len || strchr("._-", text[0]))
        return toml_fail(node, parse->file, parse->err,
            "'name' must be 1 to %d of a-z, 0-9, '.', '_' and '-', starting with a letter or digit", ACTION_NAME_MAX);
    if (expected && strcmp(text, expected) != 0)
        return toml_fail(
            node, parse->file, parse->err, "'name' is \"%s\", but the file is called %.80s.md; make them equal", text, expected);
    parse->action->name = strdup(text);
    return parse->action->name ? 0 : no_memory(parse);
}

/* FQN@SemVer; says where the action came from and decides nothing. */
static int source_read(struct parse *parse, const struct toml_node *root)
{
    const struct toml_node *node = toml_get(root, "source");
    const char *at = node ? strrchr(node->text, '@') : NULL, *fault = NULL;

    if (!node)
        return 0;
    if (!at)
        return toml_fail(
            node, parse->file, parse->err, "'source' has no version; write NAME@VERSION such as github://owner/repo@1.0.0");
    fault = reference_fqn_fault(node->text, (size_t) (at - node->text));
    if (fault)
        return toml_fail(node, parse->file, parse->err, "'source': %s", fault);
    at += at[1] == 'v' ? 2 : 1;
    if (!reference_is_semver(at, strlen(at)))
        return toml_fail(
            node, parse->file, parse->err, "the version in 'source' is not SemVer; write MAJOR.MINOR.PATCH after the '@'");
    parse->action->source = strdup(node->text);
    return parse->action->source ? 0 : no_memory(parse);
}

const struct action_require *parse_find_require(const struct action *action, const char *connector)
{
    for (size_t i = 0; i < action->requires_len; i++)
        if (action->requires_[i].name && !strcmp(action->requires_[i].name, connector))
            return &action->requires_[i];
    return NULL;
}

static int require_read(struct parse *parse, const struct toml_node *table, struct action_require *require)
{
    static const struct toml_field fields[] = {
        { "name", TOML_STRING, true },
        { "version", TOML_STRING, true },
        { "hash", TOML_STRING, true },
        { "capabilities", TOML_ARRAY, true },
    };
    const struct toml_node *name = NULL, *hash = NULL, *operations = NULL;
    const char *fault = NULL;
    int r = parse_check(parse, table, "requires.connectors", fields, ARRAY_LEN(fields));

    if (r < 0)
        return r;
    name = toml_get(table, "name");
    fault = reference_fqn_fault(name->text, strlen(name->text));
    if (fault)
        return toml_fail(name, parse->file, parse->err, "'name' of a required connector: %s", fault);
    if (parse_find_require(parse->action, name->text))
        return toml_fail(
            name, parse->file, parse->err, "this connector is required twice; keep one [[requires.connectors]] for it");
    hash = toml_get(table, "hash");
    if (!reference_is_hash(hash->text))
        return toml_fail(hash, parse->file, parse->err,
            "'hash' must be \"sha256:\" and 64 lower-case hexadecimal digits, as the release states it");
    r = version_read(parse, table, &require->version);
    if (r == 0)
        r = toml_read_text(table, "hash", parse->file, &require->hash, parse->err);
    if (r == 0)
        r = toml_read_texts(table, "capabilities", parse->file, &require->capabilities, &require->capabilities_len, parse->err);
    if (r < 0)
        return r;
    operations = toml_get(table, "capabilities");
    if (require->capabilities_len == 0)
        return toml_fail(operations, parse->file, parse->err, "'capabilities' is empty; list the operations this action uses");
    for (size_t i = 0; i < require->capabilities_len; i++) {
        r = parse_check_word(parse, operations->items[i], "capabilities", require->capabilities[i]);
        if (r < 0)
            return r;
    }
    return toml_read_text(table, "name", parse->file, &require->name, parse->err);
}

static int requires_parse(struct parse *parse, const struct toml_node *root)
{
    static const struct toml_field fields[] = { { "connectors", TOML_ARRAY, true } };
    const struct toml_node *table = toml_get(root, "requires"), *list = NULL;
    int r = parse_check(parse, table, "requires", fields, ARRAY_LEN(fields));

    if (r == 0)
        r = toml_read_tables(table, "connectors", parse->file, &list, parse->err);
    if (r < 0)
        return r;
    if (!list || list->items_len == 0)
        return toml_fail(list ? list : table, parse->file, parse->err,
            "an action requires one connector or more; add [[requires.connectors]]");
    parse->action->requires_ = calloc(list->items_len, sizeof *parse->action->requires_);
    if (!parse->action->requires_)
        return no_memory(parse);
    parse->action->requires_len = list->items_len;
    for (size_t i = 0; i < list->items_len && r == 0; i++)
        r = require_read(parse, list->items[i], &parse->action->requires_[i]);
    return r;
}

static int match_parse(struct parse *parse, const struct toml_node *root)
{
    static const struct toml_field fields[] = { { "intent", TOML_STRING, true } };
    const struct toml_node *table = toml_get(root, "match");
    int r = parse_check(parse, table, "match", fields, ARRAY_LEN(fields));

    return r < 0 ? r : toml_read_text(table, "intent", parse->file, &parse->action->intent, parse->err);
}

static int type_read(struct parse *parse, const struct toml_node *table, const char *key, enum input_type *ret_type)
{
    const struct toml_node *node = toml_get(table, key);

    for (int type = INPUT_STRING; type <= INPUT_OBJECT; type++)
        if (!strcmp(node->text, input_type_name((enum input_type) type))) {
            *ret_type = (enum input_type) type;
            return 0;
        }
    return toml_fail(node, parse->file, parse->err, "'%s' must be string, integer, number, boolean, array or object", key);
}

static int input_name_read(struct parse *parse, const struct toml_node *table, struct action_input *input)
{
    const struct toml_node *node = toml_get(table, "name");
    const char *text = node->text;
    size_t len = strlen(text);

    if (text[0] < 'a' || text[0] > 'z' || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != len || len > INPUT_NAME_MAX)
        return toml_fail(node, parse->file, parse->err,
            "'name' of an input must be a-z, 0-9 and '_', starting with a letter, at most %d", INPUT_NAME_MAX);
    for (const struct action_input *other = parse->action->inputs; other < input; other++)
        if (!strcmp(other->name, text))
            return toml_fail(node, parse->file, parse->err, "two inputs are called '%s'; give one another name", text);
    input->name = strdup(text);
    return input->name ? 0 : no_memory(parse);
}

static int input_read(struct parse *parse, const struct toml_node *table, struct action_input *input)
{
    static const struct toml_field fields[] = {
        { "name", TOML_STRING, true },
        { "type", TOML_STRING, true },
        { "description", TOML_STRING, true },
        { "required", TOML_BOOL, false },
        { "label", TOML_STRING, false },
        { "multiline", TOML_BOOL, false },
        { "items_type", TOML_STRING, false },
    };
    int r = parse_check(parse, table, "inputs", fields, ARRAY_LEN(fields));

    input->required = true;
    if (r == 0)
        r = input_name_read(parse, table, input);
    if (r == 0)
        r = type_read(parse, table, "type", &input->type);
    if (r == 0)
        r = toml_read_text(table, "description", parse->file, &input->description, parse->err);
    if (r == 0)
        r = toml_read_text(table, "label", parse->file, &input->label, parse->err);
    if (r < 0)
        return r;
    toml_read_bool(table, "required", &input->required);
    toml_read_bool(table, "multiline", &input->multiline);
    if (toml_get(table, "multiline") && input->type != INPUT_STRING)
        return toml_fail(
            toml_get(table, "multiline"), parse->file, parse->err, "'multiline' is for inputs of type string; remove it here");
    if (!toml_get(table, "items_type"))
        return 0;
    if (input->type != INPUT_ARRAY)
        return toml_fail(
            toml_get(table, "items_type"), parse->file, parse->err, "'items_type' is for inputs of type array; remove it here");
    input->has_items_type = true;
    return type_read(parse, table, "items_type", &input->items_type);
}

static int inputs_parse(struct parse *parse, const struct toml_node *root)
{
    const struct toml_node *list = NULL;
    int r = toml_read_tables(root, "inputs", parse->file, &list, parse->err);

    if (r < 0 || !list || list->items_len == 0)
        return r;
    parse->action->inputs = calloc(list->items_len, sizeof *parse->action->inputs);
    if (!parse->action->inputs)
        return no_memory(parse);
    parse->action->inputs_len = list->items_len;
    for (size_t i = 0; i < list->items_len && r == 0; i++)
        r = input_read(parse, list->items[i], &parse->action->inputs[i]);
    return r;
}

static int root_parse(struct parse *parse, const struct toml_node *root, const char *expected_name)
{
    static const struct toml_field fields[] = {
        { "name", TOML_STRING, true },
        { "version", TOML_STRING, true },
        { "source", TOML_STRING, false },
        { "requires", TOML_TABLE, true },
        { "match", TOML_TABLE, true },
        { "inputs", TOML_ARRAY, false },
        { "execute", TOML_ARRAY, true },
        { "approval", TOML_TABLE, false },
    };
    int r = parse_check(parse, root, "the action", fields, ARRAY_LEN(fields));

    if (r == 0)
        r = name_read(parse, root, expected_name);
    if (r == 0)
        r = version_read(parse, root, &parse->action->version);
    if (r == 0)
        r = source_read(parse, root);
    if (r == 0)
        r = requires_parse(parse, root);
    if (r == 0)
        r = match_parse(parse, root);
    if (r == 0)
        r = inputs_parse(parse, root);
    if (r == 0)
        r = parse_execute(parse, root);
    return r < 0 ? r : parse_approval(parse, root);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The Markdown without its leading heading (`# `, one line) and without blanks around it. */
static int body_take(struct parse *parse, const char *body, size_t len)
{
    while (len > 0 && is_blank(*body)) {
        body++;
        len--;
    }
    if (len >= 2 && body[0] == '#' && (body[1] == ' ' || body[1] == '\t')) {
        const char *heading = NULL;
        size_t heading_len = 0;

        line_take(&body, &len, &heading, &heading_len);
    }
    while (len > 0 && is_blank(*body)) {
        body++;
        len--;
    }
    while (len > 0 && is_blank(body[len - 1]))
        len--;
    parse->action->body = strndup(body, len);
    return parse->action->body ? 0 : no_memory(parse);
}

int action_parse(
    const char *text, size_t len, const char *file, const char *expected_name, struct action **ret_action, struct err *err)
{
    CLEANUP_PTR(action_free) struct action *action = calloc(1, sizeof *action);
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    struct parse parse = { file, action, err };
    struct parts parts = { .toml = "", .body = "" };
    int r = 0;

    if (!action)
        return no_memory(&parse);
    r = text_check(&parse, text, len);
    if (r == 0)
        r = parts_split(&parse, text, len, &parts);
    if (r == 0)
        r = toml_parse(parts.toml, parts.toml_len, file, parts.toml_line, &root, err);
    if (r == 0)
        r = root_parse(&parse, root, expected_name);
    if (r == 0)
        r = body_take(&parse, parts.body, parts.body_len);
    if (r < 0)
        return r;
    *ret_action = TAKE_PTR(action);
    return 0;
}
