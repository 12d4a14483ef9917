/*
 * Queries, newest first, from the ends of the files. The fields that a query names
 * are compared where they stand in the line; only a line that may match is parsed.
 * Lines that are not ours are passed over: naming them is verify's work.
 */
#include "audit/audit.h"
#include "audit/days.h"
#include "audit/layout.h"
#include "audit/lines.h"

#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define LIMIT_MAX  1000
#define SUFFIX_MIN 6

/* A walk over all lines of ours; `see` returns 0 to go on, 1 to stop, or negative. */
struct walk {
    void *userdata;
    int (*see)(void *userdata, const struct audit_line *line, const struct audit_text *text);
    bool (*may_see)(void *userdata, const struct audit_text *text); /* false: the line need not even be read; NULL */
    const char *oldest_day;                                         /* files before it are not opened; NULL */
};

static int walk_file(const struct audit_days *days, size_t index, struct audit_lines *lines, const struct walk *walk)
{
    CLEANUP_CLOSE int fd = audit_days_open(days, index);
    struct audit_text text;
    struct audit_line line;
    int r = fd < 0 ? fd : audit_lines_start_at_end(lines, fd);

    if (r < 0)
        return r;
    while ((r = audit_lines_previous(lines, &text)) == 1) {
        if (!text.is_whole || (walk->may_see && !walk->may_see(walk->userdata, &text)) ||
            !audit_line_read(text.text, text.len, &line))
            continue;
        r = walk->see(walk->userdata, &line, &text);
        if (r != 0)
            return r;
    }
    return r;
}

static int walk_back(const char *dir, const struct walk *walk, struct err *err)
{
    CLEANUP(audit_days_free) struct audit_days days = AUDIT_DAYS_INIT;
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    int r = audit_days_list(dir, &days, err);

    if (r < 0)
        return r;
    if (audit_lines_new(&lines) < 0)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = days.len; i > 0 && r == 0; i--) {
        /* An event is never later than the day of its file. */
        if (walk->oldest_day && strncmp(days.names[i - 1] + AUDIT_FILE_DAY_AT, walk->oldest_day, AUDIT_DAY_LEN) < 0)
            break;
        r = walk_file(&days, i - 1, lines, walk);
        if (r < 0)
            return err_errno(err, -r, "cannot read %s/%s", dir, days.names[i - 1]);
    }
    return r;
}

static int event_parse(const struct audit_text *text, json_t **ret_event)
{
    return json_parse(text->text, text->len, JSON_LIMITS(AUDIT_LINE_MAX), ret_event, NULL);
}

static bool span_is(const struct audit_span *span, const char *text)
{
    return span->len == strlen(text) && memcmp(span->text, text, span->len) == 0;
}

/* Letters of ULIDs are upper case; people may type them small. */
static bool has_suffix(const struct audit_span *span, const char *suffix)
{
    size_t len = strlen(suffix);

    return len >= SUFFIX_MIN && len <= span->len && strncasecmp(span->text + span->len - len, suffix, len) == 0;
}

struct find {
    const struct audit_query *query;
    char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX]; /* "" when open */
    char connector[1024], class[128];                  /* what the line must hold somewhere; "" when any */
    char text[AUDIT_TEXT_MAX];                         /* the same, in small letters */
    bool before_seen;
    json_t *events;
};

static bool type_matches(const struct audit_span *type, const char *wanted)
{
    size_t len = strlen(wanted);

    if (len >= 2 && !strcmp(wanted + len - 2, ".*"))
        return type->len >= len - 1 && memcmp(type->text, wanted, len - 1) == 0;
    return span_is(type, wanted);
}

/* Times of one format compare as text. */
static bool head_matches(const struct find *find, const struct audit_line *line)
{
    const struct audit_query *query = find->query;

    if (find->since[0] && strncmp(line->timestamp.text, find->since, AUDIT_TIME_LEN) < 0)
        return false;
    if (find->until[0] && strncmp(line->timestamp.text, find->until, AUDIT_TIME_LEN) >= 0)
        return false;
    if (query->type && !type_matches(&line->type, query->type))
        return false;
    return !query->session || span_is(&line->session, query->session) || has_suffix(&line->session, query->session);
}

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char) (c - 'a' + 'A') : c;
}

static bool may_hold(const struct audit_text *text, const char *needle)
{
    return !needle[0] || memmem(text->text, text->len, needle, strlen(needle)) != NULL;
}

/* Letters of ASCII count the same in both cases; `wanted` is in small ones and not empty. */
static bool has_text(const struct audit_text *text, const char *wanted)
{
    size_t len = strlen(wanted);
    const char first[2] = { wanted[0], ascii_upper(wanted[0]) };

    for (size_t at = 0; at + len <= text->len; at++) {
        size_t more = 1;

        if (text->text[at] != first[0] && text->text[at] != first[1])
            continue;
        while (more < len && ascii_lower(text->text[at + more]) == wanted[more])
            more++;
        if (more == len)
            return true;
    }
    return false;
}

static bool payload_has(const json_t *event, const char *key, const char *wanted)
{
    const char *value = json_get_str(json_object_get(event, "payload"), key);

    return !wanted || (value && !strcmp(value, wanted));
}

/* The event that older ones are asked for must be seen, whatever it holds. */
static bool find_may_see(void *userdata, const struct audit_text *text)
{
    const struct find *find = userdata;

    return !find->before_seen || !find->text[0] || has_text(text, find->text);
}

static int find_see(void *userdata, const struct audit_line *line, const struct audit_text *text)
{
    struct find *find = userdata;
    const struct audit_query *query = find->query;
    json_t *event = NULL;
    int r = 0;

    if (!find->before_seen) {
        find->before_seen = span_is(&line->id, query->before);
        return 0;
    }
    if (!head_matches(find, line) || !may_hold(text, find->connector) || !may_hold(text, find->class))
        return 0;
    r = event_parse(text, &event);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return 0;
    if (!payload_has(event, "aileron.connector.fqn", query->connector) ||
        !payload_has(event, "aileron.failure.class", query->class)) {
        json_decref(event);
        return 0;
    }
    if (json_array_append_new(find->events, event) < 0)
        return -ENOMEM;
    return json_array_size(find->events) >= query->limit;
}

/* `"key":"value"` as it stands in a line, when the value needs no escapes; an FQN or class never does. */
static int needle(const char *key, const char *value, char *out, size_t max)
{
    if (!value)
        return 0;
    return snprintf(out, max, "\"%s\":\"%s\"", key, value) < (int) max ? 0 : -EINVAL;
}

static int lower_text(const char *text, char *out)
{
    size_t len = text ? strlen(text) : 0;

    for (size_t i = 0; i <= len && len < AUDIT_TEXT_MAX; i++)
        out[i] = i < len ? ascii_lower(text[i]) : '\0';
    return len < AUDIT_TEXT_MAX ? 0 : -EINVAL;
}

int audit_find(const char *dir, const struct audit_query *query, json_t **ret_events, struct err *err)
{
    CLEANUP_JSON json_t *events = json_array();
    struct find find = { .query = query, .before_seen = query->before == NULL, .events = events };
    struct walk walk = { &find, find_see, find_may_see, NULL };
    int r = 0;

    if (query->limit < 1 || query->limit > LIMIT_MAX)
        return err_set(err, EINVAL, "the limit must be from 1 to %d", LIMIT_MAX);
    if (query->since_unix_ms) {
        clock_format(query->since_unix_ms, find.since);
        walk.oldest_day = find.since;
    }
    if (query->until_unix_ms)
        clock_format(query->until_unix_ms, find.until);
    if (needle("aileron.connector.fqn", query->connector, find.connector, sizeof find.connector) < 0 ||
        needle("aileron.failure.class", query->class, find.class, sizeof find.class) < 0)
        return err_set(err, EINVAL, "the connector or class asked for is too long");
    if (lower_text(query->text, find.text) < 0)
        return err_set(err, EINVAL, "the text asked for has more than %d bytes", AUDIT_TEXT_MAX - 1);
    if (query->before)
        walk.oldest_day = NULL;
    r = walk_back(dir, &walk, err);
    if (r < 0)
        return r;
    if (!find.before_seen)
        return err_set(err, ENOENT, "there is no event %.40s to look before", query->before);
    *ret_events = TAKE_PTR(events);
    return 0;
}

struct get {
    const char *wanted;
    bool is_whole; /* a whole id: the first match is the only one */
    json_t *event;
    bool several;
};

static int get_see(void *userdata, const struct audit_line *line, const struct audit_text *text)
{
    struct get *get = userdata;

    if (!has_suffix(&line->id, get->wanted))
        return 0;
    if (get->event) {
        get->several = true;
        return 1;
    }
    if (event_parse(text, &get->event) == -ENOMEM)
        return -ENOMEM;
    return get->event && get->is_whole;
}

int audit_get(const char *dir, const char *id_or_suffix, json_t **ret_event, struct err *err)
{
    struct get get = { id_or_suffix, strlen(id_or_suffix) == AUDIT_ID_LEN, NULL, false };
    struct walk walk = { &get, get_see, NULL, NULL };
    int r = 0;

    if (strlen(id_or_suffix) < SUFFIX_MIN)
        return err_set(err, EINVAL, "give at least the last %d characters of an event's id", SUFFIX_MIN);
    r = walk_back(dir, &walk, err);
    if (r >= 0 && get.several)
        r = err_set(err, EEXIST, "several events end in %.40s; give more of the id", id_or_suffix);
    else if (r >= 0 && !get.event)
        r = err_set(err, ENOENT, "there is no event %.40s", id_or_suffix);
    if (r < 0) {
        json_decref(get.event);
        return r;
    }
    *ret_event = get.event;
    return 0;
}
