/*
 * Calls. A call goes through its steps one after the other, a step through one
 * or more attempts. Every way out of a step leads through step_succeeded() or
 * call_failed(), which write the receipt before anybody hears of the end.
 */
#include "broker/call.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/log.h"
#include "crypt/digest.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void attempt_begin(struct call *call);
static void step_begin(struct call *call);
static void call_failed(struct call *call, struct failure *failure);
static void attempt_failed(struct call *call, struct failure *failure);

/* --- the record --- */

static void attempt_clear(struct call *call)
{
    call_http_abandon(call);
    call->changed_something |= call->unsafe_may_have_left;
    lease_release(TAKE_PTR(call->lease));
    failure_clear(&call->refusal);
    failure_clear(&call->trouble);
    call->requests = 0;
    call->unsafe_may_have_left = call->unsafe_unanswered = call->asking_unsafe = false;
    call->last_status = 0;
    call->last_retry_after_ms = -1;
}

static void step_clear(struct call *call)
{
    attempt_clear(call);
    connector_wait_cancel(TAKE_PTR(call->compile));
    sync_cancel(TAKE_PTR(call->sync));
    if (call->timer)
        loop_timer_stop(call->timer);
    connector_unref(TAKE_PTR(call->connector));
    json_decref(TAKE_PTR(call->payload));
    buf_free(&call->input);
    call->binding[0] = '\0';
    call->retried = 0;
    call->peak_bytes = 0;
}

static void call_free(struct call *call)
{
    struct broker *broker = call->broker;

    step_clear(call);
    LIST_REMOVE(call, link);
    broker->calls_len--;
    loop_timer_free(call->timer);
    json_decref(call->arguments);
    json_decref(call->bindings);
    catalog_entry_unref(call->entry);
    json_decref(call->done);
    json_decref(call->output);
    free(call->actor_id);
    free(call->wanted_binding);
    free(call);
    if (broker->stopping && LIST_EMPTY(&broker->calls))
        broker_drained(broker);
}

/* The preview's operation as a step of its own. */
static void preview_step_make(struct call *call)
{
    const struct action *action = call->entry->action;

    call->preview = (struct action_step){ .id = (char *) "preview",
        .connector = action->steps[0].connector,
        .op = action->preview->op,
        .require = action->steps[0].require,
        .has_read_only = true,
        .read_only = true };
    call->steps = &call->preview;
    call->steps_len = 1;
}

static struct call *call_new(struct broker *broker, const struct call_spec *spec)
{
    struct call *call = calloc(1, sizeof *call);

    if (!call)
        return NULL;
    call->magic = CALL_MAGIC;
    call->broker = broker;
    call->purpose = spec->purpose;
    call->entry = spec->entry;
    call->entry->refs++;
    call->steps = spec->entry->action->steps;
    call->steps_len = spec->entry->action->steps_len;
    if (spec->purpose == CALL_PREVIEW)
        preview_step_make(call);
    call->last_retry_after_ms = -1;
    call->input = (struct buf) BUF_INIT(LIMIT_ARGS_BYTES + 4 * KIB);
    LIST_INSERT_HEAD(&broker->calls, call, link);
    broker->calls_len++;
    call->done = json_array();
    call->arguments = json_incref((json_t *) spec->steps);
    call->bindings = spec->bindings ? json_incref((json_t *) spec->bindings) : NULL;
    call->actor = spec->actor;
    /* A journal that somebody has edited may not say who asked. */
    call->actor_id = strdup(spec->actor_id ? spec->actor_id : "unknown");
    snprintf(call->session_id, sizeof call->session_id, "%s", spec->session_id);
    snprintf(call->approval_id, sizeof call->approval_id, "%s", spec->approval_id);
    if (spec->wanted_binding)
        call->wanted_binding = strdup(spec->wanted_binding);
    if (!call->done || !call->actor_id || (spec->wanted_binding && !call->wanted_binding)) {
        call_free(call);
        return NULL;
    }
    ulid_new("exe_", clock_unix_ms(), call->execution_id);
    return call;
}

static void on_call_timer(void *userdata);

static int call_timer_set(struct call *call, int64_t delay_ms)
{
    if (!call->timer && loop_timer_new(call->broker->loop, on_call_timer, call, &call->timer) < 0)
        return -ENOMEM;
    loop_timer_set(call->timer, delay_ms);
    return 0;
}

/* --- endings --- */

/* Takes the body. The record has gone when its end is told, so whoever hears of it may begin anything. */
static void call_ended(struct call *call, int status, json_t *body_stolen, const struct failure *failure)
{
    CLEANUP_JSON json_t *body = body_stolen;
    const struct call_end end = { status, body, failure };
    call_end_fn *fn = call->fn;
    void *userdata = call->userdata;

    call->state = CALL_ENDED;
    call_free(call);
    if (fn)
        fn(&end, userdata);
}

void call_forget(struct call *call)
{
    if (!call)
        return;
    call->fn = NULL;
    if (call->purpose == CALL_PREVIEW)
        call_free(call);
}

/* Whether anything may have been changed is what who asked must know first. */
static void say_what_was_done(const struct call *call, struct failure *failure)
{
    static const char nothing[] = "; nothing was done";
    char *claim = strstr(failure->message, nothing);

    if (call->step == 0 && !call->changed_something && !call->unsafe_may_have_left) {
        failure_detail(failure, "nothing_done", json_true());
        return;
    }
    if (call->step > 0)
        failure_detail(failure, "steps_done", json_integer((json_int_t) call->step));
    if (claim)
        snprintf(claim, sizeof failure->message - (size_t) (claim - failure->message), "; what was done before that stays done");
}

/* Takes what the failure holds. */
static void call_failed(struct call *call, struct failure *failure)
{
    call_http_abandon(call);
    say_what_was_done(call, failure);
    call->audit_id[0] = '\0';
    if (!failure->boundary)
        failure->boundary = "runtime";
    if (call->retried)
        failure_detail(failure, "retried", json_integer(call->retried));
    if (call->steps_len > 1)
        failure_detail(failure, "step", json_string(call_step(call)->id));
    failure_detail(failure, "log", json_string(log_path()));
    call_receipt_failed(call, failure);
    log_info("%s: action %s failed: %s (%s), receipt %s", call->execution_id, call->entry->action->name,
        failure_class_name(failure->class), failure->boundary, call->audit_id[0] ? call->audit_id : "none");
    call_ended(call, failure_http_status(failure->class), failure_to_json(failure, call->audit_id), failure);
    failure_clear(failure);
}

static void fail_without_receipt(struct call *call, const struct err *err, bool done)
{
    struct failure failure = FAILURE_INIT;

    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "%s; %s", err->message,
        done ? "the action was carried out" : "without a receipt nothing is done");
    failure.boundary = "runtime";
    if (done)
        failure_detail(&failure, "outcome", json_string("done"));
    call_failed(call, &failure);
}

static void call_succeeded(struct call *call)
{
    json_t *output = call->output ? json_incref(call->output) : json_object();
    const struct action_require *require = call_step(call)->require;
    json_t *body = json_pack("{s:s, s:o, s:O, s:s, s:s}", "audit_id", call->audit_id, "output", output, "steps", call->done,
        "connector_version", require->version, "connector_hash", require->hash);

    if (body && call->binding[0])
        json_object_set_new(body, "binding", json_string(call->binding));
    log_debug("%s: action %s done, receipt %s", call->execution_id, call->entry->action->name, call->audit_id);
    call_ended(call, 200, body, NULL);
}

static void step_succeeded(struct call *call, json_t *output_stolen)
{
    struct err err = ERR_INIT;

    json_decref(call->output);
    call->output = output_stolen;
    if (call_receipt_succeeded(call, &err) < 0) {
        fail_without_receipt(call, &err, true);
        return;
    }
    json_array_append_new(
        call->done, json_pack("{s:s, s:s, s:I, s:i}", "id", call_step(call)->id, "op", call_step(call)->op, "duration_ms",
                        (json_int_t) (clock_boot_ms() - call->step_started_ms), "retried", (int) call->retried));
    if (call->step + 1 == call->steps_len) {
        call_succeeded(call);
        return;
    }
    step_clear(call);
    call->step++;
    step_begin(call);
}

static void attempt_failed(struct call *call, struct failure *failure)
{
    call_complete_failure(call, failure);
    int64_t delay = call_retry_delay_ms(call, failure);
    if (delay < 0 || call_timer_set(call, delay) < 0) {
        call_failed(call, failure);
        return;
    }
    log_debug("%s: %s, again in %lld ms", call->execution_id, failure_class_name(failure->class), (long long) delay);
    failure_clear(failure);
    attempt_clear(call);
    call->retried++;
    call->state = CALL_PAUSING;
}

/* --- an attempt --- */

/* The failure of a call that ended while a request that changes something was under way, or was lost before. */
static bool fail_unknown(struct call *call)
{
    struct failure failure = FAILURE_INIT;

    call_http_abandon(call);
    if (!call->unsafe_unanswered)
        return false;
    failure_set(&failure, FAILURE_NETWORK_ERROR,
        "a %s request may have reached %s, but its answer was not seen: look there before you try again", call->asked_method,
        call->asked_host);
    attempt_failed(call, &failure);
    return true;
}

static void on_lost(struct lease *lease, enum pool_loss loss, const char *message, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);
    struct failure failure = FAILURE_INIT;

    if (call->timer)
        loop_timer_stop(call->timer);
    log_warn("%s: %s: %s", call->execution_id, call->connector->manifest->name, message);
    if (fail_unknown(call))
        return;
    if (call->refusal.class != FAILURE_NONE)
        failure_copy(&failure, &call->refusal);
    else if (loss == POOL_LOST_OVERTIME)
        failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "%s", message);
    else
        failure_set(&failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "%s", message);
    attempt_failed(call, &failure);
}

static void on_log(struct lease *lease, enum worker_log_level level, const char *message, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);

    log_debug("%s: %s says: %s", call->execution_id, call->connector->manifest->name, message);
}

static void on_done(struct lease *lease, const struct frame_done *result, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);
    struct failure failure = FAILURE_INIT;
    json_t *output = NULL;

    if (result->peak_bytes > call->peak_bytes)
        call->peak_bytes = result->peak_bytes;
    bool cut_short = call->http != NULL;
    if (cut_short && fail_unknown(call))
        return;
    bool failed = call_read_result(call, result, &output, &failure);
    /* The worker is free for the next call while this one writes its receipt. */
    lease_release(TAKE_PTR(call->lease));
    if (failed)
        attempt_failed(call, &failure);
    else
        step_succeeded(call, output);
}

static void attempt_run(struct call *call)
{
    const struct manifest *manifest = call->connector->manifest;
    int64_t left = call->deadline_ms - clock_boot_ms();
    struct failure failure = FAILURE_INIT;

    /* What begins in the last moments of a daemon ends in the middle, and nobody could say how much of it was done. */
    if (call->broker->stopping && call->step == 0 && !call->retried) {
        failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "the daemon is stopping; nothing was done");
        call_failed(call, &failure);
        return;
    }
    call->state = CALL_RUNNING;
    int r = lease_run(call->lease, call->input.data, call->input.len, manifest->memory_mib, left > 1 ? (uint32_t) left : 1);
    if (r < 0) {
        failure_set(&failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the sandbox process could not be reached: %s", strerror(-r));
        attempt_failed(call, &failure);
    }
}

static void on_ready(struct lease *lease, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);

    loop_timer_stop(call->timer);
    attempt_run(call);
}

static const struct lease_handlers LEASE_HANDLERS = { on_ready, call_on_http, on_log, on_done, on_lost };

static void attempt_begin(struct call *call)
{
    const struct pool_spec spec = {
        .hash = call->connector->hash,
        .module = call->connector->module,
        .memory_mib = call->connector->manifest->memory_mib,
        .imports = call->connector->imports,
    };
    struct failure failure = FAILURE_INIT;
    int r = pool_acquire(call->broker->pool, &spec, &LEASE_HANDLERS, call, &call->lease);

    if (r > 0) {
        attempt_run(call);
        return;
    }
    call->state = CALL_QUEUED;
    if (r == 0)
        r = call_timer_set(call, call->deadline_ms - clock_boot_ms());
    if (r == 0)
        return;
    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED,
        r == -ENOBUFS ? "too many calls of this connector wait already" : "out of memory");
    failure.boundary = "runtime";
    call_failed(call, &failure);
}

static void on_call_timer(void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);
    struct failure failure = FAILURE_INIT;

    if (call->state == CALL_PAUSING) {
        attempt_begin(call);
        return;
    }
    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "no worker became free within the time of the call");
    failure.boundary = "runtime";
    call_failed(call, &failure);
}

/* --- a step --- */

static void on_synced(int result, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);
    struct err err = ERR_INIT;

    call->sync = NULL;
    if (result == 0) {
        attempt_begin(call);
        return;
    }
    err_errno(&err, -result, "the receipt could not be brought to disk");
    fail_without_receipt(call, &err, false);
}

/* A preview keeps a person and a caller waiting. */
static int64_t time_limit_ms(const struct call *call)
{
    int64_t limit_ms = (int64_t) call->connector->manifest->wall_time_s * 1000;

    return call->purpose == CALL_PREVIEW && limit_ms > LIMIT_PREVIEW_MS ? LIMIT_PREVIEW_MS : limit_ms;
}

/* The receipt comes first; of a step that must not happen twice it must be on disk. */
static void step_start(struct call *call)
{
    struct err err = ERR_INIT;
    int r;

    call->step_started_ms = clock_boot_ms();
    call->deadline_ms = call->step_started_ms + time_limit_ms(call);
    r = call_payload_make(call);
    if (!r)
        r = call_receipt_started(call, &err);
    if (!r && !call_step_says_idempotent(call) && !call_step(call)->read_only) {
        call->state = CALL_SYNCING;
        r = receipts_durable(call->broker->receipts, on_synced, call, &call->sync);
        if (!r)
            return;
        err_errno(&err, -r, "the receipt could not be brought to disk");
    }
    if (r < 0)
        fail_without_receipt(call, &err, false);
    else
        attempt_begin(call);
}

static void on_compiled(int result, const struct err *err, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);
    struct failure failure = FAILURE_INIT;

    call->compile = NULL;
    if (result == 0) {
        step_start(call);
        return;
    }
    failure_set(&failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the connector cannot be compiled: %s", err->message);
    call_failed(call, &failure);
}

static void step_begin(struct call *call)
{
    struct failure failure = FAILURE_INIT;
    struct err err = ERR_INIT;

    call->step_started_ms = clock_boot_ms();
    if (!call_find_connector(call, &failure) || !call_choose_binding(call, &failure)) {
        call_failed(call, &failure);
        return;
    }
    if (call->binding[0])
        call_receipt_binding(call);
    if (call_make_input(call) < 0) {
        failure_set(&failure, FAILURE_BAD_INPUT, "the arguments are larger than %u MiB", LIMIT_ARGS_BYTES / MIB);
        call_failed(call, &failure);
        return;
    }
    call->state = CALL_COMPILING;
    int r = connector_compile(call->broker->connectors, call->connector, on_compiled, call, &call->compile, &err);
    if (r > 0)
        step_start(call);
    else if (r < 0)
        on_compiled(r, &err, call);
}

/* --- the call --- */

int call_begin(struct broker *broker, const struct call_spec *spec, call_end_fn *fn, void *userdata, struct call **ret_call)
{
    struct call *call = call_new(broker, spec);

    if (!call)
        return -ENOMEM;
    call->fn = fn;
    call->userdata = userdata;
    if (ret_call)
        *ret_call = call;
    step_begin(call);
    return 0;
}

void call_stop_all(struct broker *broker)
{
    struct call *call;

    while ((call = LIST_FIRST(&broker->calls))) {
        struct failure failure = FAILURE_INIT;

        if (fail_unknown(call))
            continue;
        failure_set(&failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the daemon was stopped while the action ran");
        failure.boundary = "runtime";
        call_failed(call, &failure);
    }
}
