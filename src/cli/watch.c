/*
 * An event names an approval; it is asked for, and put into its place. When many changed at once, or after a time without the
 * stream, everything is asked for anew.
 */
#include "cli/watch.h"

#include "cli/card-show.h"

#include <string.h>

#include "base/banned.h"

#define LIST_MAX 1000
#define AT_ONCE  32 /* more changes than that: everything */
#define PENDING  "/v1/approvals?status=pending&limit=1000"
#define UNKNOWN  "/v1/approvals?status=unknown&limit=100"

int watch_init(struct watch *watch, struct cli *cli)
{
    watch->cli = cli;
    watch->list = json_array();
    return watch->list ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
}

void watch_clear(struct watch *watch)
{
    json_decref(watch->list);
    events_close(watch->events);
    watch->list = NULL;
    watch->events = NULL;
}

static const char *id_of(const json_t *approval)
{
    const char *id = json_get_str(approval, "id");

    return id ? id : "";
}

size_t watch_find(const struct watch *watch, const char *id)
{
    size_t len = json_array_size(watch->list);

    for (size_t i = 0; i < len; i++)
        if (!strcmp(id_of(json_array_get(watch->list, i)), id))
            return i;
    return len;
}

static bool belongs(const json_t *approval)
{
    return card_is(approval, "pending") || card_is_unresolved(approval);
}

/* Ids are made in the order of time, so the newest is the greatest. */
static size_t place_of(const struct watch *watch, const char *id)
{
    size_t len = json_array_size(watch->list), i = 0;

    while (i < len && strcmp(id_of(json_array_get(watch->list, i)), id) > 0)
        i++;
    return i;
}

static bool is_same(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "state"), json_object_get(b, "state")) &&
           json_equal(json_object_get(a, "seal"), json_object_get(b, "seal"));
}

void watch_put(struct watch *watch, const json_t *approval)
{
    size_t at = watch_find(watch, id_of(approval));
    bool known = at < json_array_size(watch->list);
    bool same = known && is_same(json_array_get(watch->list, at), approval);

    if (known && belongs(approval))
        json_array_set(watch->list, at, (json_t *) approval);
    else if (known)
        json_array_remove(watch->list, at);
    else if (belongs(approval))
        json_array_insert(watch->list, place_of(watch, id_of(approval)), (json_t *) approval);
    if (json_array_size(watch->list) > LIST_MAX)
        json_array_remove(watch->list, json_array_size(watch->list) - 1);
    if (watch->changed && !same)
        watch->changed(approval, !known, watch->userdata);
}

static json_t *ask(struct watch *watch, const char *path)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };

    return cli_try(watch->cli, "GET", path, NULL, &answer, NULL) >= 0 && answer.status == 200 ? TAKE_PTR(answer.json) : NULL;
}

/* Those that were here and are no more: what became of them. */
static void tell_gone(struct watch *watch, const json_t *before)
{
    const json_t *one;
    size_t i, told = 0;

    json_array_foreach((json_t *) before, i, one)
    {
        CLEANUP_FREE char *path = cli_path("/v1/approvals/", id_of(one), "");
        CLEANUP_JSON json_t *now = NULL;

        if (watch_find(watch, id_of(one)) < json_array_size(watch->list) || !path || told++ >= AT_ONCE)
            continue;
        now = ask(watch, path);
        if (now && watch->changed)
            watch->changed(now, false, watch->userdata);
    }
}

static bool load(struct watch *watch)
{
    CLEANUP_JSON json_t *pending = ask(watch, PENDING);
    CLEANUP_JSON json_t *unknown = pending ? ask(watch, UNKNOWN) : NULL;
    CLEANUP_JSON json_t *before = watch->list;
    const json_t *both[] = { json_object_get(unknown, "approvals"), json_object_get(pending, "approvals") };

    watch->list = json_array();
    if (!unknown || !watch->list) {
        json_decref(watch->list);
        watch->list = json_incref(before);
        return false;
    }
    watch->pending = json_integer_value(json_object_get(pending, "pending"));
    for (size_t list = 0; list < 2; list++)
        for (size_t i = json_array_size(both[list]); i-- > 0;) { /* the oldest first, as they came */
            const json_t *one = json_array_get(both[list], i);

            if (!belongs(one))
                continue;
            json_array_insert(watch->list, place_of(watch, id_of(one)), (json_t *) one);
            if (watch->changed) {
                struct watch known = { .list = before };

                if (watch_find(&known, id_of(one)) == json_array_size(before))
                    watch->changed(one, true, watch->userdata);
            }
        }
    tell_gone(watch, before);
    return true;
}

bool watch_connect(struct watch *watch)
{
    struct err err = ERR_INIT;

    if (watch->events)
        return true;
    if (events_open(watch->cli->home->daemon_sock, watch->cli->interrupted, &watch->events, &err) < 0)
        return false;
    if (load(watch)) /* the stream was there before: nothing is missed */
        return true;
    events_close(TAKE_PTR(watch->events));
    return false;
}

static bool update(struct watch *watch, const char *id)
{
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", id, "");
    CLEANUP_JSON json_t *now = path ? ask(watch, path) : NULL;
    size_t at = watch_find(watch, id);
    bool was_pending = card_is(json_array_get(watch->list, at), "pending");

    if (!now)
        return false;
    watch->pending += card_is(now, "pending") - was_pending;
    watch_put(watch, now);
    return true;
}

bool watch_take(struct watch *watch)
{
    CLEANUP_JSON json_t *ids = json_object();
    struct event event = { 0 };
    bool everything = false, good = true;
    const char *id;
    const json_t *unused;
    int r;

    while ((r = events_next(watch->events, &event)) > 0) {
        id = json_get_str(event.data, "id");
        if (!strcmp(event.type, "approval") && id)
            json_object_set_new(ids, id, json_true());
        else if (!strcmp(event.type, "approval"))
            everything = true;
        json_decref(event.data);
    }
    if (r >= 0 && (everything || json_object_size(ids) > AT_ONCE))
        good = load(watch);
    else
        json_object_foreach(ids, id, unused) good = good && r >= 0 && update(watch, id);
    if (r >= 0 && good)
        return true;
    events_close(TAKE_PTR(watch->events));
    watch->was_away = true;
    return false;
}
