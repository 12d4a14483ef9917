/*
 * {"seq":N,"audit_id":"aud_…","timestamp":"…","event_type":"…","session_id":"…"?,"actor":{"type":"…","id":"…"},"payload":{…},"prev":"sha256:…"}
 *
 * Everything before the actor has an alphabet without quotes and backslashes, so
 * that a field ends at the next quote; `prev` stands at a fixed distance from
 * the end. The reader checks what it relies on, not more.
 */
#include "audit/layout.h"

#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/banned.h"

#define PREV_OPEN    "},\"prev\":\"sha256:"
#define PREV_CLOSE   "\"}"
#define ACTOR_ID_MAX 256
#define FIELD_MAX    64

static bool is_plain(const char *text)
{
    return text[0] && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(text) &&
           strlen(text) <= FIELD_MAX;
}

static const char *actor_name(enum audit_actor actor)
{
    static const char *const names[] = { "human", "agent", "connector", "service" };

    return names[actor];
}

int audit_line_write(
    struct buf *out, uint64_t seq, const char *id, const char *timestamp, const struct audit_event *event, const char *prev)
{
    const char *actor_id = event->actor_id ? event->actor_id : "";
    int r = 0;

    if (!is_plain(event->type) || (event->session_id && !is_plain(event->session_id)) || !json_is_object(event->payload))
        return -EINVAL;
    r = buf_printf(out, "{\"seq\":%" PRIu64 ",\"audit_id\":\"%s\",\"timestamp\":\"%s\",\"event_type\":\"%s\"", seq, id, timestamp,
        event->type);
    if (r == 0 && event->session_id)
        r = buf_printf(out, ",\"session_id\":\"%s\"", event->session_id);
    if (r == 0)
        r = buf_printf(out, ",\"actor\":{\"type\":\"%s\",\"id\":", actor_name(event->actor));
    if (r == 0)
        r = json_quote(actor_id, strnlen(actor_id, ACTOR_ID_MAX), out);
    if (r == 0)
        r = buf_add_str(out, "},\"payload\":");
    if (r == 0)
        r = json_write(event->payload, out);
    return r < 0 ? r : buf_printf(out, ",\"prev\":\"sha256:%s\"}", prev);
}

static bool read_prev(const char *text, size_t len, struct audit_line *line)
{
    const size_t open = sizeof PREV_OPEN - 1, close = sizeof PREV_CLOSE - 1, tail = open + AUDIT_PREV_LEN + close;
    const char *at = len < tail ? NULL : text + len - tail;

    if (!at || memcmp(at, PREV_OPEN, open) != 0 || memcmp(text + len - close, PREV_CLOSE, close) != 0)
        return false;
    line->prev = at + open;
    return audit_is_hex(line->prev, AUDIT_PREV_LEN);
}

static bool read_head(struct audit_cursor *at, struct audit_line *ret_line)
{
    struct audit_cursor cursor = *at;
    struct audit_line line = *ret_line;

    if (!audit_take(&cursor, "{\"seq\":") || !audit_take_number(&cursor, &line.seq))
        return false;
    if (!audit_take(&cursor, ",\"audit_id\":\"") || !audit_take_text(&cursor, FIELD_MAX, &line.id) ||
        line.id.len != AUDIT_ID_LEN || memcmp(line.id.text, AUDIT_ID_PREFIX, 4) != 0)
        return false;
    if (!audit_take(&cursor, ",\"timestamp\":\"") || !audit_take_text(&cursor, FIELD_MAX, &line.timestamp) ||
        line.timestamp.len != AUDIT_TIME_LEN)
        return false;
    if (!audit_take(&cursor, ",\"event_type\":\"") || !audit_take_text(&cursor, FIELD_MAX, &line.type))
        return false;
    if (audit_take(&cursor, ",\"session_id\":\"") && !audit_take_text(&cursor, FIELD_MAX, &line.session))
        return false;
    if (!audit_take(&cursor, ",\"actor\":{\"type\":\""))
        return false;
    *at = cursor;
    *ret_line = line;
    return true;
}

bool audit_line_read_head(const char *text, size_t len, struct audit_line *ret_line)
{
    struct audit_cursor cursor = { text, text + len };
    struct audit_line line = { 0 };

    if (len >= AUDIT_LINE_MAX || !read_head(&cursor, &line))
        return false;
    *ret_line = line;
    return true;
}

bool audit_line_read(const char *text, size_t len, struct audit_line *ret_line)
{
    struct audit_cursor cursor = { text, text + len };
    struct audit_line line = { 0 };

    if (len >= AUDIT_LINE_MAX || !read_prev(text, len, &line) || !read_head(&cursor, &line))
        return false;
    if (cursor.at >= line.prev || memchr(text, '\0', len))
        return false;
    *ret_line = line;
    return true;
}
