/*
 * Fuzzes the callback's query, which anybody on this machine may send: whatever comes, a state is one of our alphabet, an
 * error is a word of the RFCs, a code is printable; and what is not refused says each thing once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "keeper/oauth-query.h"
#include "keeper/oauth.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void judge(const struct oauth_query *query)
{
    require(strlen(query->state) < OAUTH_QUERY_STATE_MAX);
    for (const char *at = query->state; *at; at++)
        require(
            (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '-' || *at == '_');
    if (query->error)
        require(query->has_error && oauth_error_name(query->error, strlen(query->error)) == query->error);
    if (query->code) {
        require(secret_len(query->code) > 0 && secret_len(query->code) <= OAUTH_CODE_MAX);
        for (size_t i = 0; i < secret_len(query->code); i++)
            require(secret_bytes(query->code)[i] >= 0x20 && secret_bytes(query->code)[i] <= 0x7e);
    }
    if (!query->refusal)
        require(query->state[0] && (query->code != NULL) != query->has_error);
}

/* A printable input, written as a browser would, must come back as the code that it was. */
static void round_trip(const uint8_t *data, size_t size)
{
    struct oauth_query query;
    CLEANUP(buf_free) struct buf text = BUF_INIT(OAUTH_QUERY_MAX);

    for (size_t i = 0; i < size; i++)
        if (data[i] < 0x20 || data[i] > 0x7e)
            return;
    if (size == 0 || size > 1000)
        return;
    require(buf_add_str(&text, "x=y&code=") == 0 && percent_encode((const char *) data, size, &text) == 0 &&
            buf_add_str(&text, "&state=s") == 0);
    require(oauth_query_parse(buf_str(&text), text.len, &query) == 0 && !query.refusal && query.code);
    require(secret_len(query.code) == size && !memcmp(secret_bytes(query.code), data, size));
    oauth_query_free(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oauth_query query;

    require(oauth_query_parse((const char *) data, size, &query) == 0);
    judge(&query);
    oauth_query_free(&query);
    round_trip(data, size);
    return 0;
}
