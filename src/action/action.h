/*
 * Action files (SPEC §4): parsed and checked once, kept immutable. Pure: no files,
 * no clock. Errors name file, line, key and what to do.
 */
#ifndef ACTION_ACTION_H
#define ACTION_ACTION_H

#include "base/cleanup.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ACTION_NAME_MAX 64

enum input_type { INPUT_STRING, INPUT_INTEGER, INPUT_NUMBER, INPUT_BOOLEAN, INPUT_ARRAY, INPUT_OBJECT };

struct action_input {
    char *name, *description, *label; /* label may be NULL */
    enum input_type type;
    enum input_type items_type; /* arrays, when has_items_type */
    bool has_items_type, required, multiline;
};

struct action_require {
    char *name, *version, *hash; /* FQN, SemVer, "sha256:…" */
    char **capabilities;         /* operations */
    size_t capabilities_len;
};

struct action_step {
    char *id, *connector, *op;
    const struct action_require *require; /* the entry that `connector` names */
    bool has_idempotent, idempotent;      /* the step's own word */
    bool has_read_only, read_only;
    json_t *inputs; /* template object, may be NULL */
};

enum approval_kind { APPROVAL_ACTION, APPROVAL_COMMS_SEND, APPROVAL_COMMS_DRAFT, APPROVAL_HTTP_REQUEST };

struct action_pair {
    char *key, *value;
};

struct action_preview {
    char *op;
    json_t *args;               /* template object, may be NULL */
    struct action_pair *render; /* label → dotted path, file order */
    size_t render_len;
    char **multiline; /* labels */
    size_t multiline_len;
    struct action_pair *bind; /* argument of the first step → dotted path */
    size_t bind_len;
};

struct action {
    char *name, *version, *source, *intent, *body; /* source may be NULL; body is the Markdown without its leading heading */
    struct action_require *requires_;
    size_t requires_len;
    struct action_input *inputs;
    size_t inputs_len;
    struct action_step *steps;
    size_t steps_len;
    bool gated;    /* approval.required */
    bool has_kind; /* the file says it, it is not derived */
    enum approval_kind kind;
    struct action_preview *preview; /* NULL without one */
};

/* `file` is how errors call it; `text` the whole .md. The name must equal `expected_name` unless that is NULL. */
int action_parse(
    const char *text, size_t len, const char *file, const char *expected_name, struct action **ret_action, struct err *err);
void action_free(struct action *action);
DEFINE_CLEANUP_PTR(struct action, action_free)

/* True when every step says idempotent / read_only of itself. */
bool action_is_idempotent(const struct action *action);
bool action_is_read_only(const struct action *action);
/*
 * The keys of this file that the shared format does not have (SPEC §4), so that another program refuses it: dotted, as a person
 * writes them. Returns how many; the texts are constants.
 */
#define ACTION_KEYS_OF_OURS_MAX 3
size_t action_keys_of_ours(const struct action *action, const char *ret_keys[ACTION_KEYS_OF_OURS_MAX]);
/* JSON Schema of the arguments (SPEC §4). New reference. */
json_t *action_schema(const struct action *action);
/* Tool description: body, or intent when empty; gated ones say that a person must approve. malloc'd. */
char *action_description(const struct action *action);
/* The name with - and . as _. malloc'd. */
char *action_mcp_name(const char *name);
const char *approval_kind_name(enum approval_kind kind); /* action, comms_send, … */
const char *input_type_name(enum input_type type);
/* For the API and `action show`: everything parsed. New reference. */
json_t *action_to_json(const struct action *action);

/* Checks arguments against the inputs: unknown, missing, wrong type. -EINVAL with one sentence for the caller. */
int action_check_args(const struct action *action, const json_t *args, struct err *err);
/* The final arguments of step `index`: its rendered inputs, then the call's arguments for absent keys. New reference. */
int action_render_step(const struct action *action, size_t index, const json_t *args, json_t **ret_args, struct err *err);
/* A template object rendered with `args` (the preview's args use it too). New reference. */
int action_render(const json_t *template, const json_t *args, json_t **ret_value, struct err *err);

/*
 * Replaces @@NAME@@ in an action, manifest or suite by the given pairs before validation; one left over is
 * -EINVAL naming it and its line. malloc'd result.
 */
int action_substitute(const char *text, size_t len, const char *file, const struct action_pair *pairs, size_t pairs_len,
    char **ret_text, size_t *ret_len, struct err *err);

#endif
