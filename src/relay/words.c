/* Texts of our own without a character that JSON would have to escape; ids are as the agent sent them. */
#include "relay/words.h"

#include <string.h>

#include "base/banned.h"

#define UNREACHABLE (-32003)

static const char LOST[] = "the connection to Aileron's daemon was lost before the answer came";
static const char LOST_ADVICE[] =
    "\\nIt is unknown whether this was carried out. Do not repeat it; tell the person to check with: aileron audit list\\nIf it "
    "was "
    "waiting for a person's approval, that approval stands: the same call with the same arguments finds it again.";
static const char UNREACHABLE_ADVICE[] = "\\nNothing was done.";
static const char OLDEST[] = "2025-06-18", NEWEST[] = "2025-11-25";

/* `error`: the members of the failure. */
static int tool_error(struct buf *out, const struct flight *flight, const char *text, const char *advice, const char *error)
{
    int r = buf_printf(out,
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s failed: %s%s\"}],", flight->id,
        flight->tool, text, advice);

    return r < 0 ? r
                 : buf_printf(out, "\"structuredContent\":{\"error\":{%s},\"summary\":\"%s failed: %s%s\"},\"isError\":true}}\n",
                       error, flight->tool, text, advice);
}

int words_lost(struct buf *out, const struct flight *flight)
{
    struct buf error = BUF_INIT(4096);
    int r = buf_printf(&error,
        "\"class\":\"network_error\",\"message\":\"%s\",\"retriable\":false,\"boundary\":\"runtime\",\"audit_id\":\"\","
        "\"details\":{\"outcome\":\"unknown\"}",
        LOST);

    if (r >= 0)
        r = tool_error(out, flight, LOST, LOST_ADVICE, buf_str(&error));
    buf_free(&error);
    return r;
}

/* So that the agent is there when the daemon comes back. */
static int initialize(struct buf *out, const struct flight *flight)
{
    return buf_printf(out,
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"protocolVersion\":\"%s\",\"capabilities\":{\"tools\":{\"listChanged\":true}"
        "},"
        "\"serverInfo\":{\"name\":\"aileron\",\"title\":\"Aileron\",\"version\":\"%s\"}}}\n",
        flight->id, strcmp(flight->version, NEWEST) >= 0 ? NEWEST : OLDEST, AILERON_VERSION);
}

int words_unreachable(struct buf *out, const struct flight *flight, const char *why)
{
    struct buf error = BUF_INIT(4096);
    int r;

    if (flight->initialize)
        return initialize(out, flight);
    if (!flight->tool)
        return words_error(out, flight->id, UNREACHABLE, why);
    r = buf_printf(&error, "\"code\":\"daemon_unreachable\",\"message\":\"%s\",\"details\":{\"nothing_done\":true}", why);
    if (r >= 0)
        r = tool_error(out, flight, why, UNREACHABLE_ADVICE, buf_str(&error));
    buf_free(&error);
    return r;
}

int words_error(struct buf *out, const char *id, int code, const char *text)
{
    return buf_printf(
        out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":\"%s\"}}\n", id ? id : "null", code, text);
}

int words_tools_changed(struct buf *out)
{
    return buf_add_str(out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n");
}
