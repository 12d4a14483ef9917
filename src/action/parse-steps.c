/*
 * The action file (SPEC §4), second half: the steps with their templates and the
 * approval with its preview. A template is checked where it stands in the file,
 * so that a wrong interpolation is reported with its line; afterwards it is
 * kept as JSON.
 */
#include "action/parse.h"
#include "action/template.h"

#include "base/toml-read.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/banned.h"

static bool has_input(const struct action *action, const char *name, size_t len)
{
    for (size_t i = 0; i < action->inputs_len; i++)
        if (strlen(action->inputs[i].name) == len && memcmp(action->inputs[i].name, name, len) == 0)
            return true;
    return false;
}

static int string_check(struct parse *parse, const struct toml_node *node)
{
    const char *at = node->text;
    struct template_piece piece;
    int r = 0;

    while ((r = template_next(&at, &piece)) > 0)
        if (piece.is_name && !has_input(parse->action, piece.text, piece.len))
            return toml_fail(node, parse->file, parse->err,
                "${args.%.*s} is not an input of this action; declare it with [[inputs]] or correct the name",
                (int) (piece.len < 64 ? piece.len : 64), piece.text);
    if (r < 0)
        return toml_fail(node, parse->file, parse->err, "'${' may only start ${args.NAME}, where NAME is an input");
    return 0;
}

/* Every string of a template; keys stand as they are. */
static int template_check(struct parse *parse, const struct toml_node *node)
{
    int r = 0;

    if (node->key && strstr(node->key, "${"))
        return toml_fail(node, parse->file, parse->err, "an interpolation cannot stand in a key; use it in the value");
    if (node->type == TOML_STRING)
        return string_check(parse, node);
    if (node->type == TOML_FLOAT && !isfinite(node->real))
        return toml_fail(node, parse->file, parse->err, "nan and inf cannot be sent; write a number");
    for (size_t i = 0; i < node->items_len && r == 0; i++)
        r = template_check(parse, node->items[i]);
    return r;
}

static int template_read(struct parse *parse, const struct toml_node *table, const char *key, json_t **ret_template)
{
    const struct toml_node *node = toml_get(table, key);
    int r = 0;

    if (!node)
        return 0;
    /* The table's own key is ours, not the author's. */
    for (size_t i = 0; i < node->items_len && r == 0; i++)
        r = template_check(parse, node->items[i]);
    if (r < 0)
        return r;
    *ret_template = toml_to_json(node);
    return *ret_template ? 0 : err_set(parse->err, ENOMEM, "out of memory");
}

static int op_check(struct parse *parse, const struct toml_node *node, const struct action_require *require)
{
    int r = parse_check_word(parse, node, "op", node->text);

    if (r < 0)
        return r;
    if (!toml_texts_have(require->capabilities, require->capabilities_len, node->text))
        return toml_fail(node, parse->file, parse->err, "'op' \"%s\" is not in the capabilities required of %.120s; add it there",
            node->text, require->name);
    return 0;
}

static int step_ids_check(struct parse *parse, const struct toml_node *node, const struct action_step *step)
{
    int r = parse_check_word(parse, node, "id", node->text);

    for (const struct action_step *other = parse->action->steps; other < step && r == 0; other++)
        if (!strcmp(other->id, node->text))
            return toml_fail(node, parse->file, parse->err, "two steps have the id '%s'; give one another", node->text);
    return r;
}

static int step_read(struct parse *parse, const struct toml_node *table, struct action_step *step)
{
    static const struct toml_field fields[] = {
        { "id", TOML_STRING, true },
        { "connector", TOML_STRING, true },
        { "op", TOML_STRING, true },
        { "idempotent", TOML_BOOL, false },
        { "read_only", TOML_BOOL, false },
        { "inputs", TOML_TABLE, false },
    };
    const struct toml_node *connector = NULL;
    int r = parse_check(parse, table, "execute", fields, ARRAY_LEN(fields));

    if (r == 0)
        r = step_ids_check(parse, toml_get(table, "id"), step);
    if (r < 0)
        return r;
    connector = toml_get(table, "connector");
    step->require = parse_find_require(parse->action, connector->text);
    if (!step->require)
        return toml_fail(connector, parse->file, parse->err,
            "'connector' is not one of [[requires.connectors]]; require it there by this name");
    r = op_check(parse, toml_get(table, "op"), step->require);
    if (r == 0)
        r = toml_read_text(table, "connector", parse->file, &step->connector, parse->err);
    if (r == 0)
        r = toml_read_text(table, "op", parse->file, &step->op, parse->err);
    if (r == 0)
        r = template_read(parse, table, "inputs", &step->inputs);
    step->has_idempotent = toml_get(table, "idempotent") != NULL;
    toml_read_bool(table, "idempotent", &step->idempotent);
    step->has_read_only = toml_get(table, "read_only") != NULL;
    toml_read_bool(table, "read_only", &step->read_only);
    return r < 0 ? r : toml_read_text(table, "id", parse->file, &step->id, parse->err);
}

int parse_execute(struct parse *parse, const struct toml_node *root)
{
    const struct toml_node *list = NULL;
    int r = toml_read_tables(root, "execute", parse->file, &list, parse->err);

    if (r < 0)
        return r;
    if (!list || list->items_len == 0)
        return toml_fail(list ? list : root, parse->file, parse->err, "an action has one step or more; add [[execute]]");
    parse->action->steps = calloc(list->items_len, sizeof *parse->action->steps);
    if (!parse->action->steps)
        return err_set(parse->err, ENOMEM, "out of memory");
    parse->action->steps_len = list->items_len;
    for (size_t i = 0; i < list->items_len && r == 0; i++)
        r = step_read(parse, list->items[i], &parse->action->steps[i]);
    return r;
}

/* A path names fields of the preview's answer, "draft.headers.Subject": segments without an empty one. */
static bool path_is_valid(const char *path)
{
    size_t len = strlen(path);

    return len > 0 && len <= 256 && path[0] != '.' && path[len - 1] != '.' && !strstr(path, "..");
}

/* A table of texts as pairs in the file's order. */
static int pairs_read(
    struct parse *parse, const struct toml_node *table, const char *key, struct action_pair **ret_pairs, size_t *ret_len)
{
    const struct toml_node *node = toml_get(table, key);

    if (!node || node->items_len == 0)
        return 0;
    if (node->items_len > TOML_LIST_MAX)
        return toml_fail(node, parse->file, parse->err, "'%s' has more than %d entries", key, TOML_LIST_MAX);
    *ret_pairs = calloc(node->items_len, sizeof **ret_pairs);
    if (!*ret_pairs)
        return err_set(parse->err, ENOMEM, "out of memory");
    *ret_len = node->items_len;
    for (size_t i = 0; i < node->items_len; i++) {
        const struct toml_node *item = node->items[i];
        int r = 0;

        r = toml_read_text(node, item->key, parse->file, &(*ret_pairs)[i].value, parse->err);
        if (r < 0)
            return r;
        if (!path_is_valid(item->text))
            return toml_fail(item, parse->file, parse->err,
                "'%.80s' must be a path into the preview's answer, such as draft.subject", item->key);
        (*ret_pairs)[i].key = strdup(item->key);
        if (!(*ret_pairs)[i].key)
            return err_set(parse->err, ENOMEM, "out of memory");
    }
    return 0;
}

static int render_read(struct parse *parse, const struct toml_node *table, struct action_preview *preview)
{
    const struct toml_node *node = toml_get(table, "render");
    int r = 0;

    if (node->items_len == 0)
        return toml_fail(
            node, parse->file, parse->err, "'render' is empty; name at least one thing to show, such as Subject = \"subject\"");
    for (size_t i = 0; i < node->items_len; i++) {
        const char *label = node->items[i]->key;
        size_t len = strlen(label);

        for (size_t c = 0; c < len; c++)
            if ((unsigned char) label[c] < 0x20 || label[c] == 0x7f)
                return toml_fail(
                    node->items[i], parse->file, parse->err, "a label of 'render' has a control character; remove it");
        if (len == strspn(label, " ") || len > 128)
            return toml_fail(node->items[i], parse->file, parse->err, "a label of 'render' must have 1 to 128 characters");
    }
    r = pairs_read(parse, table, "render", &preview->render, &preview->render_len);
    if (r == 0)
        r = toml_read_texts(table, "multiline", parse->file, &preview->multiline, &preview->multiline_len, parse->err);
    for (size_t i = 0; i < preview->multiline_len && r == 0; i++)
        if (!toml_get(node, preview->multiline[i]))
            r = toml_fail(toml_get(table, "multiline")->items[i], parse->file, parse->err,
                "'multiline' names \"%.80s\", which is not a label of 'render'; correct it", preview->multiline[i]);
    return r;
}

/* An argument that the preview fills in must not be one that the step's own template already fixes. */
static int bind_read(struct parse *parse, const struct toml_node *table, struct action_preview *preview)
{
    const struct toml_node *node = toml_get(table, "bind");
    const struct action_step *step = &parse->action->steps[0];

    for (size_t i = 0; node && i < node->items_len; i++) {
        const struct toml_node *item = node->items[i];
        const char *fixed = json_string_value(json_object_get(step->inputs, item->key));
        int r = parse_check_word(parse, item, "bind", item->key);

        if (r < 0)
            return r;
        if (json_object_get(step->inputs, item->key) && !(fixed && strstr(fixed, "${")))
            return toml_fail(item, parse->file, parse->err,
                "'bind' fills '%.80s', which the inputs of step %.80s already fix; remove one of them", item->key, step->id);
    }
    return pairs_read(parse, table, "bind", &preview->bind, &preview->bind_len);
}

/* What is asked before approval must not itself be what needs approval. */
static int preview_op_check(struct parse *parse, const struct toml_node *node)
{
    const struct action *action = parse->action;
    const struct action_require *require = action->steps[0].require;
    int r = op_check(parse, node, require);

    for (size_t i = 0; i < action->steps_len && r == 0 && action->gated; i++)
        if (action->steps[i].require == require && !strcmp(action->steps[i].op, node->text))
            r = toml_fail(node, parse->file, parse->err,
                "'op' of the preview is what step %.80s runs after approval; name an operation that only reads",
                action->steps[i].id);
    return r;
}

static int preview_parse(struct parse *parse, const struct toml_node *approval)
{
    static const struct toml_field fields[] = {
        { "op", TOML_STRING, true },
        { "args", TOML_TABLE, false },
        { "render", TOML_TABLE, true },
        { "multiline", TOML_ARRAY, false },
        { "bind", TOML_TABLE, false },
    };
    const struct toml_node *table = toml_get(approval, "preview");
    struct action_preview *preview = NULL;
    int r = 0;

    if (!table)
        return 0;
    preview = parse->action->preview = calloc(1, sizeof *preview);
    if (!preview)
        return err_set(parse->err, ENOMEM, "out of memory");
    r = parse_check(parse, table, "approval.preview", fields, ARRAY_LEN(fields));
    if (r == 0)
        r = preview_op_check(parse, toml_get(table, "op"));
    if (r == 0)
        r = toml_read_text(table, "op", parse->file, &preview->op, parse->err);
    if (r == 0)
        r = template_read(parse, table, "args", &preview->args);
    if (r == 0)
        r = render_read(parse, table, preview);
    return r < 0 ? r : bind_read(parse, table, preview);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* From the operations' names, the weightiest step deciding (SPEC §4). */
static enum approval_kind kind_derive(const struct action *action)
{
    enum approval_kind kind = APPROVAL_ACTION;

    for (size_t i = 0; i < action->steps_len; i++) {
        const char *op = action->steps[i].op;

        if (starts_with(op, "send_") || starts_with(op, "post_") || starts_with(op, "reply_"))
            return APPROVAL_COMMS_SEND;
        if (starts_with(op, "draft_"))
            kind = APPROVAL_COMMS_DRAFT;
    }
    return kind;
}

static int kind_read(struct parse *parse, const struct toml_node *approval)
{
    const struct toml_node *node = toml_get(approval, "kind");

    if (!node) {
        parse->action->kind = kind_derive(parse->action);
        return 0;
    }
    for (int kind = APPROVAL_ACTION; kind <= APPROVAL_HTTP_REQUEST; kind++)
        if (!strcmp(node->text, approval_kind_name((enum approval_kind) kind))) {
            parse->action->kind = (enum approval_kind) kind;
            return 0;
        }
    return toml_fail(node, parse->file, parse->err, "'kind' must be action, comms_send, comms_draft or http_request");
}

int parse_approval(struct parse *parse, const struct toml_node *root)
{
    static const struct toml_field fields[] = {
        { "required", TOML_BOOL, false },
        { "kind", TOML_STRING, false },
        { "preview", TOML_TABLE, false },
    };
    const struct toml_node *approval = toml_get(root, "approval");
    int r = 0;

    if (!approval) {
        parse->action->kind = kind_derive(parse->action);
        return 0;
    }
    r = parse_check(parse, approval, "approval", fields, ARRAY_LEN(fields));
    if (r < 0)
        return r;
    toml_read_bool(approval, "required", &parse->action->gated);
    parse->action->has_kind = toml_get(approval, "kind") != NULL;
    r = kind_read(parse, approval);
    return r < 0 ? r : preview_parse(parse, approval);
}
