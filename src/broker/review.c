/*
 * Reviews. Every way out leads through review_done() or review_fail(), which free the record before they tell of it.
 *
 * A preview that cannot be had does not stop anything: the card then shows the inputs and says why. Only what would make the
 * call itself fail does (the action, its arguments, connector, binding, vault).
 */
#include "broker/review.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/call.h"
#include "broker/card.h"
#include "broker/install.h"
#include "broker/log.h"
#include "broker/preview.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define REVIEW_MAGIC 0x52455657u
#define REASON_MAX   1200

struct review {
    uint32_t magic;
    struct broker *broker;
    char session_id[ULID_ID_MAX];
    json_t *asked;
    struct catalog_entry *entry;
    json_t *steps, *bindings; /* of each step */
    json_t *pairs;            /* of the preview; NULL: none */
    char reason[REASON_MAX];  /* why the preview is unavailable */
    struct call *preview;
    review_fn *fn;
    void *userdata;
};

json_t *review_asked(const char *action, const json_t *args, const char *as, const char *agent, const char *folder, bool owner)
{
    json_t *asked =
        json_pack("{s:s, s:O, s:s*, s:s, s:s*}", "action", action, "args", args, "as", as, "agent", agent, "folder", folder);

    if (asked && owner)
        json_object_set_new(asked, "owner", json_true());
    return asked;
}

static void review_free(struct review *review)
{
    if (!review)
        return;
    call_forget(review->preview);
    json_decref(review->asked);
    catalog_entry_unref(review->entry);
    json_decref(review->steps);
    json_decref(review->bindings);
    json_decref(review->pairs);
    review->magic = 0;
    free(review);
}
DEFINE_CLEANUP_PTR(struct review, review_free)

void review_cancel(struct review *review)
{
    review_free(review);
}

/* Takes what the failure holds. */
static void review_fail(struct review *review, struct failure *failure)
{
    const struct review_end end = { .failure = failure };
    review_fn *fn = review->fn;
    void *userdata = review->userdata;

    if (!failure->boundary)
        failure->boundary = "runtime";
    review_free(review);
    fn(&end, userdata);
    failure_clear(failure);
}

static void fail_memory(struct review *review)
{
    struct failure failure = FAILURE_INIT;

    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "out of memory; nothing was done");
    failure.boundary = "runtime";
    review_fail(review, &failure);
}

/* ---- the card ---- */

/* Every binding that the steps use, each once, in their order. */
static json_t *bindings_text(const json_t *bindings)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    const json_t *binding;
    size_t i;

    json_array_foreach(bindings, i, binding)
    {
        const char *name = json_string_value(binding);
        bool known = !*name;

        for (size_t j = 0; j < i && !known; j++)
            known = !strcmp(name, json_string_value(json_array_get(bindings, j)));
        if (!known && buf_printf(&text, "%s%s", text.len ? ", " : "", name) < 0)
            return NULL;
    }
    return json_string(buf_str(&text));
}

static int end_make(struct review *review, struct review_end *end, json_t **ret_card)
{
    const struct action *action = review->entry->action;
    CLEANUP_FREE json_t **steps = calloc(action->steps_len, sizeof *steps);
    CLEANUP_JSON json_t *binding = bindings_text(review->bindings);
    int r = 0;

    if (!steps || !binding)
        return -ENOMEM;
    for (size_t i = 0; i < action->steps_len; i++)
        steps[i] = json_array_get(review->steps, i);
    const struct card_facts facts = { .action = action,
        .action_hash = review->entry->hash,
        .binding = json_string_value(binding),
        .agent = json_get_str(review->asked, "agent"),
        .folder = json_get_str(review->asked, "folder"),
        .args = json_object_get(review->asked, "args"),
        .steps = steps,
        .preview = review->pairs,
        .reason = review->reason[0] ? review->reason : NULL };
    r = card_make(&facts, ret_card);
    if (r == 0)
        r = card_seal(*ret_card, end->seal);
    if (r == 0 && review->pairs)
        r = preview_hash(review->pairs, end->preview_hash);
    return r;
}

static void review_done(struct review *review_taken)
{
    CLEANUP_PTR(review_free) struct review *review = review_taken;
    CLEANUP_JSON json_t *card = NULL;
    struct review_end end = { .entry = review->entry, .steps = review->steps, .bindings = review->bindings };

    if (end_make(review, &end, &card) < 0) {
        fail_memory(TAKE_PTR(review));
        return;
    }
    end.card = card;
    review->fn(&end, review->userdata);
}

/* ---- the preview ---- */

static void take_preview(struct review *review, const json_t *output)
{
    const struct action_preview *preview = review->entry->action->preview;
    struct err err = ERR_INIT;
    json_t *bound = NULL;
    int r = preview_bind(preview, output, json_array_get(review->steps, 0), &bound, &err);

    if (r == 0) {
        json_array_set_new(review->steps, 0, bound);
        r = preview_render(preview, output, &review->pairs);
    }
    if (r < 0)
        snprintf(review->reason, sizeof review->reason, "%s", err.message[0] ? err.message : "out of memory");
}

static void on_preview(const struct call_end *end, void *userdata)
{
    struct review *review = MAGIC_CAST(struct review, userdata, REVIEW_MAGIC);
    const struct failure *failure = end->failure;

    review->preview = NULL;
    if (!failure) {
        take_preview(review, json_object_get(end->body, "output"));
    } else if (failure->class == FAILURE_BINDING_FAILED && json_get_str(failure->details, "reason") &&
               !strcmp(json_get_str(failure->details, "reason"), "vault_locked")) {
        struct failure locked = FAILURE_INIT;

        /* The call itself could not run either. */
        failure_copy(&locked, failure);
        review_fail(review, &locked);
        return;
    } else {
        snprintf(review->reason, sizeof review->reason, "%s (%s)", failure->message, failure_class_name(failure->class));
    }
    review_done(review);
}

/* The template's arguments, or those of the first step where it has none. */
static int preview_arguments(struct review *review, json_t **ret_steps, struct err *err)
{
    const struct action_preview *preview = review->entry->action->preview;
    json_t *args = NULL;
    int r = 0;

    if (preview->args)
        r = action_render(preview->args, json_object_get(review->asked, "args"), &args, err);
    else
        args = json_incref(json_array_get(review->steps, 0));
    if (r < 0)
        return r;
    *ret_steps = json_pack("[o]", args);
    return *ret_steps ? 0 : -ENOMEM;
}

static void preview_start(struct review *review)
{
    const struct action *action = review->entry->action;
    bool by_agent = !json_is_true(json_object_get(review->asked, "owner"));
    CLEANUP_JSON json_t *steps = NULL;
    struct err err = ERR_INIT;
    const struct install_actions installed = { .broker = review->broker };
    char warning[ERR_MESSAGE_MAX];
    int r = install_check_preview(&installed, action, warning, &err);

    if (r == 0 && warning[0])
        r = err_set(&err, EPERM, "no installed action declares the operation %s idempotent", action->preview->op);
    if (r == 0)
        r = preview_arguments(review, &steps, &err);
    if (r == 0) {
        const struct call_spec spec = { .purpose = CALL_PREVIEW,
            .entry = review->entry,
            .session_id = review->session_id,
            .actor = by_agent ? AUDIT_AGENT : AUDIT_HUMAN,
            .actor_id = json_get_str(review->asked, "agent"),
            .wanted_binding = json_get_str(review->asked, "as"),
            .steps = steps,
            .approval_id = "" };
        r = call_begin(review->broker, &spec, on_preview, review, &review->preview);
        if (r == 0)
            return;
    }
    snprintf(review->reason, sizeof review->reason, "%s", err.message[0] ? err.message : "out of memory");
    review_done(review);
}

/* ---- what it needs ---- */

/* Connector and binding of every step as a call would find them now. */
static bool find_needs(struct review *review, struct failure *failure)
{
    const struct action *action = review->entry->action;

    review->bindings = json_array();
    for (size_t i = 0; i < action->steps_len && failure->class == FAILURE_NONE; i++) {
        char binding[BINDING_NAME_MAX];

        if (call_look(review->broker, review->entry, i, json_get_str(review->asked, "as"), binding, failure))
            json_array_append_new(review->bindings, json_string(binding));
    }
    return failure->class == FAILURE_NONE;
}

bool review_render(const struct action *action, const json_t *args, json_t **ret_steps, struct failure *failure)
{
    CLEANUP_JSON json_t *steps = json_array();
    struct err err = ERR_INIT;
    int r = action_check_args(action, args, &err);

    for (size_t i = 0; r == 0 && i < action->steps_len; i++) {
        json_t *step = NULL;

        r = action_render_step(action, i, args, &step, &err);
        if (r == 0)
            r = json_array_append_new(steps, step);
    }
    if (r < 0) {
        failure_set(failure, FAILURE_BAD_INPUT, "%s; nothing was done", err.message[0] ? err.message : "out of memory");
        return false;
    }
    *ret_steps = TAKE_PTR(steps);
    return true;
}

/* The action as it is now. */
static bool find_action(struct review *review, struct failure *failure)
{
    const char *name = json_get_str(review->asked, "action"), *version = "";
    struct err err = ERR_INIT;
    int r = catalog_get(review->broker->catalog, name, &review->entry, &err);

    if (r == -EBADMSG || r == -EKEYREJECTED) {
        catalog_refusal(review->broker->catalog, name, &err, failure, &version);
    } else if (r < 0) {
        failure_set(failure, FAILURE_CAPABILITY_DENIED, "%s; nothing was done", err.message);
        failure->boundary = "action";
    } else if (!catalog_is_enabled(review->broker->catalog, name)) {
        call_fail_disabled(name, failure);
    }
    return failure->class == FAILURE_NONE;
}

int review_start(
    struct broker *broker, const char *session_id, const json_t *asked, review_fn *fn, void *userdata, struct review **ret_review)
{
    struct review *review = calloc(1, sizeof *review);
    struct failure failure = FAILURE_INIT;

    if (!review)
        return -ENOMEM;
    review->magic = REVIEW_MAGIC;
    review->broker = broker;
    review->asked = json_incref((json_t *) asked);
    review->fn = fn;
    review->userdata = userdata;
    snprintf(review->session_id, sizeof review->session_id, "%s", session_id);
    *ret_review = review;
    if (!find_action(review, &failure) ||
        !review_render(review->entry->action, json_object_get(asked, "args"), &review->steps, &failure) ||
        !find_needs(review, &failure))
        review_fail(review, &failure);
    else if (review->entry->action->preview)
        preview_start(review);
    else
        review_done(review);
    return 0;
}
