/*
 * Fuzzes the answers of token endpoints: the first byte chooses the status, the rest is the body. What is taken can stand in
 * a header; what is refused has words of ours, and none of the body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "keeper/grant.h"
#include "keeper/oauth-answer.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void judge(const struct oauth_answer *answer)
{
    require(answer->access && !grant_value_refusal(secret_bytes(answer->access), secret_len(answer->access)));
    require(!answer->refresh || !grant_value_refusal(secret_bytes(answer->refresh), secret_len(answer->refresh)));
    require(answer->expires_in_s >= 0 && answer->expires_in_s <= OAUTH_EXPIRES_MAX_S);
    require(answer->has_scope == (answer->scope != NULL));
    oauth_answer_grants(answer, "openid");
}

/* Eight bytes of the body in a row that are in the message would be the provider's words. */
static void message_check(const char *message, const uint8_t *body, size_t len)
{
    static const char mark[] = "~~~~~~~~";

    if (memmem(body, len, mark, strlen(mark)))
        require(strstr(message, mark) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t statuses[] = { 200, 400, 401, 200, 500, 302, 429, 200 };
    struct oauth_answer *answer = NULL;
    struct secret *body = NULL;
    struct err err = ERR_INIT;
    bool grant_invalid = false;
    int r = 0;

    json_init();
    if (size < 1 || secret_from(data + 1, size - 1, &body) < 0)
        return 0;
    r = oauth_answer_read(statuses[data[0] % ARRAY_LEN(statuses)], body, &answer, &grant_invalid, &err);
    require((r == 0) == (answer != NULL));
    require(!grant_invalid || r == OAUTH_ANSWER_REFUSED);
    if (answer)
        judge(answer);
    else
        require(err.message[0] != '\0');
    message_check(err.message, data, size);
    oauth_answer_free(answer);
    secret_free(body);
    return 0;
}
