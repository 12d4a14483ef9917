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

/*
 * A walk over all lines of ours, of which it knows the head: before the actor. `see` returns 0 to go on, 1 to stop, or negative;
 * what it takes must pass audit_line_read() as well.
 */
struct walk {
    const char *dir;
    void *userdata;
    int (*see)(void *userdata, const struct audit_line *line, const struct audit_text *text);
    bool (*may_see)(void *userdata, const struct audit_text *text); /* false: the line need not even be read; NULL */
    const char *oldest_day;                                         /* files before it are not opened; NULL */
    struct audit_days days;
    struct audit_lines *lines;
    size_t left; /* files that were not opened yet */
    int fd;      /* of the one that is read; -1 */
};

static void walk_end(struct walk *walk)
{
    if (walk->fd >= 0)
        close(walk->fd);
    walk->fd = -1;
    audit_lines_free(TAKE_PTR(walk->lines));
    audit_days_free(&walk->days);
}

static int walk_begin(struct walk *walk, struct err *err)
{
    int r = 0;

    walk->days = (struct audit_days) AUDIT_DAYS_INIT;
    walk->fd = -1;
    r = audit_days_list(walk->dir, &walk->days, err);
    if (r < 0)
        return r;
    walk->left = walk->days.len;
    return audit_lines_new(&walk->lines) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* 1 with the next older file open, 0 when there is none that counts. */
static int walk_open(struct walk *walk)
{
    const char *day = walk->left ? walk->days.names[walk->left - 1] + AUDIT_FILE_DAY_AT : NULL;

    /* An event is never later than the day of its file. */
    if (!day || (walk->oldest_day && strncmp(day, walk->oldest_day, AUDIT_DAY_LEN) < 0))
        return 0;
    walk->fd = audit_days_open(&walk->days, --walk->left);
    int r = walk->fd < 0 ? walk->fd : audit_lines_start_at_end(walk->lines, walk->fd);
    return r < 0 ? r : 1;
}

static int walk_see(struct walk *walk, const struct audit_text *text)
{
    struct audit_line line;

    if (!text->is_whole || (walk->may_see && !walk->may_see(walk->userdata, text)) ||
        !audit_line_read_head(text->text, text->len, &line))
        return 0;
    return walk->see(walk->userdata, &line, text);
}

/* About `bytes` of it: 1 when there is more, 0 at its end. */
static int walk_step(struct walk *walk, size_t bytes, struct err *err)
{
    struct audit_text text;
    size_t done = 0;
    int r = 1;

    while (r > 0 && done <= bytes) {
        if (walk->fd < 0) {
            r = walk_open(walk);
            continue;
        }
        r = audit_lines_previous(walk->lines, &text);
        if (r == 1) {
            done += text.len + 1;
            r = walk_see(walk, &text);
            if (r == 1)
                return 0;
        } else if (r == 0) {
            close(walk->fd);
            walk->fd = -1;
        }
        r = r < 0 ? r : 1;
    }
    return r < 0 ? err_errno(err, -r, "cannot read %s/%s", walk->dir, walk->days.names[walk->left]) : r;
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
    size_t anchor;                                     /* where its rarest character stands */
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

/* Of what a line is made of, the most frequent first; what is not here is rare. */
static const char FREQUENT[] = "0123456789\"abcdef:,.-_oinrtslumhpgvwk";

/* Where the rarest character of it stands. */
static size_t rarest(const char *wanted)
{
    size_t best = 0, best_rank = 0;

    for (size_t i = 0; wanted[i]; i++) {
        const char *at = strchr(FREQUENT, wanted[i]);
        size_t rank = at ? (size_t) (at - FREQUENT) : sizeof FREQUENT;

        if (rank > best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    return best;
}

static const char *next_char(const char *from, const char *end, char c)
{
    const char *at = from < end ? memchr(from, c, (size_t) (end - from)) : NULL;

    return at ? at : end;
}

static bool is_text_at(const char *at, const char *wanted, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ascii_lower(at[i]) != wanted[i])
            return false;
    return true;
}

/* Letters of ASCII count the same in both cases; `wanted` is in small ones and not empty, its rarest stands at `anchor`. */
static bool has_text(const struct audit_text *text, const char *wanted, size_t anchor)
{
    size_t len = strlen(wanted);

    if (text->len < len)
        return false;
    /* Between these the rarest character must stand. */
    const char *from = text->text + anchor, *end = from + (text->len - len) + 1;
    const char *small = next_char(from, end, wanted[anchor]), *big = end;

    if (ascii_upper(wanted[anchor]) != wanted[anchor])
        big = next_char(from, end, ascii_upper(wanted[anchor]));
    while (small < end || big < end) {
        const char *at = small < big ? small : big;

        if (is_text_at(at - anchor, wanted, len))
            return true;
        if (at == small)
            small = next_char(small + 1, end, *small);
        else
            big = next_char(big + 1, end, *big);
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

    return !find->before_seen || !find->text[0] || has_text(text, find->text, find->anchor);
}

static bool is_ours(const struct audit_text *text)
{
    struct audit_line line;

    return audit_line_read(text->text, text->len, &line);
}

static int find_see(void *userdata, const struct audit_line *line, const struct audit_text *text)
{
    struct find *find = userdata;
    const struct audit_query *query = find->query;
    json_t *event = NULL;
    int r = 0;

    if (!find->before_seen) {
        find->before_seen = span_is(&line->id, query->before) && is_ours(text);
        return 0;
    }
    if (!head_matches(find, line) || !may_hold(text, find->connector) || !may_hold(text, find->class) || !is_ours(text))
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

struct audit_search {
    struct audit_query query;
    struct find find;
    struct walk walk;
    char *dir;
};

void audit_search_free(struct audit_search *search)
{
    if (!search)
        return;
    walk_end(&search->walk);
    json_decref(search->find.events);
    free(search->dir);
    free(search);
}

static int find_make(struct find *find, const struct audit_query *query, struct err *err)
{
    if (query->limit < 1 || query->limit > LIMIT_MAX)
        return err_set(err, EINVAL, "the limit must be from 1 to %d", LIMIT_MAX);
    find->query = query;
    find->before_seen = query->before == NULL;
    if (query->since_unix_ms)
        clock_format(query->since_unix_ms, find->since);
    if (query->until_unix_ms)
        clock_format(query->until_unix_ms, find->until);
    if (needle("aileron.connector.fqn", query->connector, find->connector, sizeof find->connector) < 0 ||
        needle("aileron.failure.class", query->class, find->class, sizeof find->class) < 0)
        return err_set(err, EINVAL, "the connector or class asked for is too long");
    if (lower_text(query->text, find->text) < 0)
        return err_set(err, EINVAL, "the text asked for has more than %d bytes", AUDIT_TEXT_MAX - 1);
    find->anchor = rarest(find->text);
    return 0;
}

int audit_search_new(const char *dir, const struct audit_query *query, struct audit_search **ret_search, struct err *err)
{
    CLEANUP_PTR(audit_search_free) struct audit_search *search = calloc(1, sizeof *search);
    int r = 0;

    if (!search)
        return err_set(err, ENOMEM, "out of memory");
    search->walk.fd = -1;
    search->walk.days = (struct audit_days) AUDIT_DAYS_INIT;
    search->query = *query;
    search->dir = strdup(dir);
    search->find.events = json_array();
    if (!search->dir || !search->find.events)
        return err_set(err, ENOMEM, "out of memory");
    r = find_make(&search->find, &search->query, err);
    search->walk.dir = search->dir;
    search->walk.userdata = &search->find;
    search->walk.see = find_see;
    search->walk.may_see = find_may_see;
    search->walk.oldest_day = query->since_unix_ms && !query->before ? search->find.since : NULL;
    if (r == 0)
        r = walk_begin(&search->walk, err);
    if (r < 0)
        return r;
    *ret_search = TAKE_PTR(search);
    return 0;
}

int audit_search_step(struct audit_search *search, size_t bytes, json_t **ret_events, struct err *err)
{
    int r = walk_step(&search->walk, bytes, err);

    if (r != 0)
        return r;
    if (!search->find.before_seen)
        return err_set(err, ENOENT, "there is no event %.40s to look before", search->query.before);
    *ret_events = TAKE_PTR(search->find.events);
    return 0;
}

int audit_find(const char *dir, const struct audit_query *query, json_t **ret_events, struct err *err)
{
    CLEANUP_PTR(audit_search_free) struct audit_search *search = NULL;
    int r = audit_search_new(dir, query, &search, err);

    while (r == 0 && (r = audit_search_step(search, SIZE_MAX / 2, ret_events, err)) == 1)
        r = 0;
    return r;
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

    if (!has_suffix(&line->id, get->wanted) || !is_ours(text))
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
    CLEANUP(walk_end) struct walk walk = { .dir = dir, .userdata = &get, .see = get_see, .days = AUDIT_DAYS_INIT, .fd = -1 };
    int r = 0;

    if (strlen(id_or_suffix) < SUFFIX_MIN)
        return err_set(err, EINVAL, "give at least the last %d characters of an event's id", SUFFIX_MIN);
    r = walk_begin(&walk, err);
    while (r == 0 && (r = walk_step(&walk, SIZE_MAX / 2, err)) == 1)
        r = 0;
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
