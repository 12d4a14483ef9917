/*
 * Signing in with a browser (DESIGN §5.7): the owner's socket gives a code, the browser trades it for a key. Neither is logged.
 */
#include "broker/broker.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"

#include <errno.h>

#include "base/banned.h"

bool broker_web_key(struct broker *broker, const char *token)
{
    return web_keys_known(broker->web_keys, token);
}

void api_web_code(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *given = json_get_str(request->body, "code");
    char code[WEB_TEXT_MAX];

    if (!request->owner_socket) {
        api_reply_error(reply, 403, "forbidden", "a code is given on the owner's socket only", "aileron open signs a browser in");
        return;
    }
    if (given) {
        api_reply_send(reply, 200, json_pack("{s:b}", "waiting", web_keys_waits(broker->web_keys, given, clock_boot_ms())));
        return;
    }
    web_keys_code(broker->web_keys, clock_boot_ms(), code);
    api_reply_send(reply, 201, json_pack("{s:s}", "code", code));
    secret_wipe(code, sizeof code);
}

void api_web_login(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *code = json_get_str(request->body, "code");
    char key[WEB_TEXT_MAX];

    if (!code || request->owner_socket) {
        api_reply_error(reply, 400, "bad_request", "the body must be {\"code\":TEXT}, sent to the address of the web app", NULL);
        return;
    }
    int r = web_keys_login(broker->web_keys, code, clock_boot_ms(), key);
    if (r == -EAGAIN)
        api_reply_error(
            reply, 429, "too_many_wrong_codes", "too many wrong codes within a minute", "aileron open makes a new one");
    else if (r < 0)
        api_reply_error(
            reply, 401, "unknown_code", "the code is unknown, spent, or older than a minute", "aileron open makes a new one");
    else
        api_reply_send(reply, 201, json_pack("{s:s}", "key", key));
    secret_wipe(key, sizeof key);
}
