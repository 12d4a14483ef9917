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

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *cursor, const char *expected)
{
    size_t len = strlen(expected);

    if ((size_t) (cursor->end - cursor->at) < len || memcmp(cursor->at, expected, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

static bool take_number(struct cursor *cursor, uint64_t *ret_number)
{
    const char *start = cursor->at;
    uint64_t number = 0;

    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        if (cursor->at - start > 17)
            return false;
        number = number * 10 + (uint64_t) (*cursor->at++ - '0');
    }
    *ret_number = number;
    return cursor->at > start && *start != '0';
}

/* Text up to the next quote, which is passed over. */
static bool take_text(struct cursor *cursor, struct audit_span *ret_span)
{
    size_t left = (size_t) (cursor->end - cursor->at), max = left < FIELD_MAX + 1 ? left : FIELD_MAX + 1;
    const char *quote = memchr(cursor->at, '"', max);

    if (!quote || quote == cursor->at || memchr(cursor->at, '\\', (size_t) (quote - cursor->at)))
        return false;
    *ret_span = (struct audit_span){ cursor->at, (size_t) (quote - cursor->at) };
    cursor->at = quote + 1;
    return true;
}

static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool read_prev(const char *text, size_t len, struct audit_line *line)
{
    const size_t open = sizeof PREV_OPEN - 1, close = sizeof PREV_CLOSE - 1, tail = open + AUDIT_PREV_LEN + close;
    const char *at = len < tail ? NULL : text + len - tail;

    if (!at || memcmp(at, PREV_OPEN, open) != 0 || memcmp(text + len - close, PREV_CLOSE, close) != 0)
        return false;
    line->prev = at + open;
    return is_hex(line->prev, AUDIT_PREV_LEN);
}

bool audit_line_read(const char *text, size_t len, struct audit_line *ret_line)
{
    struct cursor cursor = { text, text + len };
    struct audit_line line = { 0 };

    if (len >= AUDIT_LINE_MAX || !read_prev(text, len, &line))
        return false;
    if (!take(&cursor, "{\"seq\":") || !take_number(&cursor, &line.seq))
        return false;
    if (!take(&cursor, ",\"audit_id\":\"") || !take_text(&cursor, &line.id) || line.id.len != AUDIT_ID_LEN ||
        memcmp(line.id.text, AUDIT_ID_PREFIX, 4) != 0)
        return false;
    if (!take(&cursor, ",\"timestamp\":\"") || !take_text(&cursor, &line.timestamp) || line.timestamp.len != AUDIT_TIME_LEN)
        return false;
    if (!take(&cursor, ",\"event_type\":\"") || !take_text(&cursor, &line.type))
        return false;
    if (take(&cursor, ",\"session_id\":\"") && !take_text(&cursor, &line.session))
        return false;
    if (!take(&cursor, ",\"actor\":{\"type\":\"") || cursor.at >= line.prev || memchr(text, '\0', len))
        return false;
    *ret_line = line;
    return true;
}
