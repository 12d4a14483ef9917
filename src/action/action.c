/*
 * The action as a value: its end, its names and what follows from its steps. Who
 * fills it is parse.c; nothing changes it afterwards.
 */
#include "action/action.h"

#include "base/buf.h"
#include "base/toml-read.h"

#include <string.h>

#include "base/banned.h"

#define DESCRIPTION_MAX (512 * 1024)
#define GATED_SENTENCE  "A person must approve each call before it runs."

static void pairs_free(struct action_pair *pairs, size_t len)
{
    for (size_t i = 0; pairs && i < len; i++) {
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

static void preview_free(struct action_preview *preview)
{
    if (!preview)
        return;
    free(preview->op);
    json_decref(preview->args);
    pairs_free(preview->render, preview->render_len);
    pairs_free(preview->bind, preview->bind_len);
    toml_texts_free(preview->multiline, preview->multiline_len);
    free(preview);
}

void action_free(struct action *action)
{
    if (!action)
        return;
    for (size_t i = 0; i < action->requires_len; i++) {
        free(action->requires_[i].name);
        free(action->requires_[i].version);
        free(action->requires_[i].hash);
        toml_texts_free(action->requires_[i].capabilities, action->requires_[i].capabilities_len);
    }
    for (size_t i = 0; i < action->inputs_len; i++) {
        free(action->inputs[i].name);
        free(action->inputs[i].description);
        free(action->inputs[i].label);
    }
    for (size_t i = 0; i < action->steps_len; i++) {
        free(action->steps[i].id);
        free(action->steps[i].connector);
        free(action->steps[i].op);
        json_decref(action->steps[i].inputs);
    }
    free(action->requires_);
    free(action->inputs);
    free(action->steps);
    preview_free(action->preview);
    free(action->name);
    free(action->version);
    free(action->source);
    free(action->intent);
    free(action->body);
    free(action);
}

bool action_is_idempotent(const struct action *action)
{
    for (size_t i = 0; i < action->steps_len; i++)
        if (!action->steps[i].has_idempotent || !action->steps[i].idempotent)
            return false;
    return true;
}

size_t action_keys_of_ours(const struct action *action, const char *ret_keys[ACTION_KEYS_OF_OURS_MAX])
{
    bool read_only = false;
    size_t len = 0;

    for (size_t i = 0; i < action->steps_len; i++)
        read_only |= action->steps[i].has_read_only;
    if (read_only)
        ret_keys[len++] = "execute.read_only";
    if (action->has_kind)
        ret_keys[len++] = "approval.kind";
    if (action->preview && action->preview->bind_len > 0)
        ret_keys[len++] = "approval.preview.bind";
    return len;
}

bool action_is_read_only(const struct action *action)
{
    for (size_t i = 0; i < action->steps_len; i++)
        if (!action->steps[i].read_only)
            return false;
    return true;
}

char *action_description(const struct action *action)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(DESCRIPTION_MAX);

    if (buf_add_str(&text, action->body[0] ? action->body : action->intent) < 0)
        return NULL;
    if (action->gated && buf_add_str(&text, "\n\n" GATED_SENTENCE) < 0)
        return NULL;
    return buf_take(&text);
}

char *action_mcp_name(const char *name)
{
    char *tool = strdup(name);

    for (char *c = tool; c && *c; c++)
        if (*c == '-' || *c == '.')
            *c = '_';
    return tool;
}

const char *approval_kind_name(enum approval_kind kind)
{
    static const char *const names[] = { "action", "comms_send", "comms_draft", "http_request" };

    return names[kind];
}

const char *input_type_name(enum input_type type)
{
    static const char *const names[] = { "string", "integer", "number", "boolean", "array", "object" };

    return names[type];
}
