/*
 * The vault over the API: its state, names and labels, and locking it. Opening it
 * and every value go through keeper.sock alone.
 */
#include "broker/api-keeper.h"
#include "broker/broker.h"

#include "base/magic.h"

#include <errno.h>
#include <stdlib.h>

#include "base/banned.h"

#define ASKED_MAGIC 0x61766c74u

struct asked {
    uint32_t magic;
    struct broker *broker;
    struct api_reply *reply;
};

static struct asked *asked_new(struct broker *broker, struct api_reply *reply)
{
    struct asked *asked = calloc(1, sizeof *asked);

    if (!asked) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory", NULL);
        return NULL;
    }
    *asked = (struct asked){ ASKED_MAGIC, broker, reply };
    return asked;
}

/* Ends it; the reply is still to be answered. */
static struct api_reply *asked_end(struct asked *asked)
{
    struct api_reply *reply = asked->reply;

    asked->magic = 0;
    free(asked);
    return reply;
}

const char *vault_state_name(enum keeper_vault_state state)
{
    static const char *const names[] = {
        [KEEPER_VAULT_MISSING] = "missing",
        [KEEPER_VAULT_LOCKED] = "locked",
        [KEEPER_VAULT_UNLOCKED] = "unlocked",
    };
    return names[state];
}

static json_t *vault_json(struct broker *broker, json_t *entries)
{
    CLEANUP_FREE char *path = home_file(broker->home, "secrets.json");

    return json_pack("{s:s, s:s*, s:i, s:b, s:O}", "state", vault_state_name(keeper_vault_state(broker->keeper)), "path", path,
        "auto_lock_s", (int) broker->settings.auto_lock_s, "overrides_active", keeper_overrides_active(broker->keeper), "entries",
        entries);
}

static void on_listed(const struct keeper_reply *answer, void *userdata)
{
    struct asked *asked = MAGIC_CAST(struct asked, userdata, ASKED_MAGIC);
    struct broker *broker = asked->broker;
    struct api_reply *reply = asked_end(asked);

    if (answer->list)
        api_reply_send(reply, 200, vault_json(broker, answer->list));
    else
        api_keeper_failed(reply, answer);
}

void api_vault_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct asked *asked = asked_new(broker, reply);
    int r = asked ? keeper_list(broker->keeper, on_listed, asked, NULL) : 0;

    if (r < 0)
        api_keeper_not_asked(asked_end(asked), r);
}

static void on_locked(const struct keeper_reply *answer, void *userdata)
{
    struct asked *asked = MAGIC_CAST(struct asked, userdata, ASKED_MAGIC);
    struct broker *broker = asked->broker;
    struct api_reply *reply = asked_end(asked);

    broker->locking--;
    /* A keeper that has gone holds nothing any more. */
    if (answer->result == KEEPER_OK || answer->result == KEEPER_LOCKED || answer->lost)
        api_reply_send(reply, 200, json_pack("{s:s}", "state", "locked"));
    else
        api_keeper_failed(reply, answer);
}

void api_vault_lock(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    if (keeper_is_there(broker->keeper) && keeper_vault_state(broker->keeper) == KEEPER_VAULT_MISSING) {
        const struct keeper_reply missing = { .result = KEEPER_MISSING, .message = "", .hint = "", .detail = "" };
        api_keeper_failed(reply, &missing);
        return;
    }
    struct asked *asked = asked_new(broker, reply);
    int r = asked ? keeper_lock(broker->keeper, on_locked, asked, NULL) : -ENOMEM;
    if (!r)
        broker->locking++;
    else if (asked)
        api_keeper_not_asked(asked_end(asked), r);
}
