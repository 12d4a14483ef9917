/*
 * What of the keeper's answers the API shows: one row a result, so that every
 * route that asks the keeper fails in the same words.
 */
#include "broker/api-keeper.h"

#include <errno.h>

#include "base/banned.h"

static const struct {
    int status;
    const char *code, *message, *hint; /* used where the keeper said nothing */
} FAILURES[KEEPER_RESULT_COUNT] = {
    [KEEPER_FAILED] = { 500, "failed", "the keeper could not do it", NULL },
    [KEEPER_REFUSED] = { 409, "refused", "the keeper refused it", NULL },
    [KEEPER_WRONG_PASSPHRASE] = { 403, "wrong_passphrase", "the passphrase is wrong", NULL },
    [KEEPER_LOCKED] = { 412, "vault_locked", "the vault is locked", "aileron vault unlock opens it" },
    [KEEPER_MISSING] = { 409, "vault_missing", "there is no vault yet", "aileron vault init makes one" },
    [KEEPER_EXISTS] = { 409, "exists", "it is there already", NULL },
    [KEEPER_NOT_FOUND] = { 404, "not_found", "there is no such binding", "aileron binding list shows them" },
    [KEEPER_BUSY] = { 429, "busy", "too much of this is under way at once", "try again in a moment" },
    [KEEPER_DENIED] = { 409, "denied", "it was denied", NULL },
    [KEEPER_TIMED_OUT] = { 504, "timed_out", "it took too long", NULL },
};

void api_keeper_failed(struct api_reply *reply, const struct keeper_reply *answer)
{
    enum keeper_result result = answer->result;

    if (answer->lost) {
        api_reply_error(reply, 503, "keeper_lost", answer->message, "the vault is locked now; aileron status says more");
        return;
    }
    if (result == KEEPER_OK || result >= KEEPER_RESULT_COUNT)
        result = KEEPER_FAILED;
    api_reply_error(reply, FAILURES[result].status, FAILURES[result].code,
        answer->message[0] ? answer->message : FAILURES[result].message, answer->hint[0] ? answer->hint : FAILURES[result].hint);
}

void api_keeper_not_asked(struct api_reply *reply, int r)
{
    if (r == -ENOBUFS)
        api_reply_error(reply, 429, "busy", "too many requests to the keeper are under way", "try again in a moment");
    else if (r == -EMSGSIZE)
        api_reply_error(reply, 413, "too_long", "the request is too long", NULL);
    else
        api_reply_error(
            reply, 503, "keeper_down", "the keeper is not running; it is being restarted", "aileron status says more");
}
