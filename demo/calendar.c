/*
 * Events are kept as JSON in the order of their start.
 */
#include "calendar.h"

#include "answers.h"
#include "base/clock.h"
#include "seed.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define SUMMARY "Mara Lindqvist"

struct calendar {
    json_t *events;
    unsigned next_id;
};

struct calendar *calendar_new(int64_t now_unix_ms)
{
    CLEANUP_PTR(calendar_free) struct calendar *calendar = calloc(1, sizeof(*calendar));

    if (!calendar)
        return NULL;
    calendar->events = json_array();
    if (!calendar->events || seed_events(calendar, now_unix_ms) < 0)
        return NULL;
    return TAKE_PTR(calendar);
}

void calendar_free(struct calendar *calendar)
{
    if (!calendar)
        return;
    json_decref(calendar->events);
    free(calendar);
}

static int moment(const json_t *event, const char *which, int64_t *ret_unix_ms)
{
    const char *text = json_get_str(json_object_get(event, which), "dateTime");

    return text ? clock_parse(text, ret_unix_ms) : -1;
}

const char *calendar_add(struct calendar *calendar, json_t *event)
{
    int64_t start, end, other;
    size_t at = 0;
    char id[32], link[96];

    if (moment(event, "start", &start) < 0 || moment(event, "end", &end) < 0 || end < start) {
        json_decref(event);
        return NULL;
    }
    snprintf(id, sizeof(id), "evt%08x", 0x5eed0000u + calendar->next_id++);
    snprintf(link, sizeof(link), "https://www.google.com/calendar/event?eid=%s", id);
    json_object_set_new(event, "id", json_string(id));
    json_object_set_new(event, "status", json_string("confirmed"));
    json_object_set_new(event, "htmlLink", json_string(link));
    json_object_set_new(event, "organizer", json_pack("{s:s,s:b}", "email", SEED_OWNER_ADDRESS, "self", 1));
    while (at < json_array_size(calendar->events) && moment(json_array_get(calendar->events, at), "start", &other) == 0 &&
           other <= start)
        at++;
    return json_array_insert_new(calendar->events, at, event) < 0 ? NULL : json_get_str(event, "id");
}

static bool is_ours(const char *id)
{
    return !strcmp(id, "primary") || !strcmp(id, SEED_OWNER_ADDRESS);
}

static json_t *description(void)
{
    return json_pack("{s:s,s:s,s:s}", "id", SEED_OWNER_ADDRESS, "summary", SUMMARY, "timeZone", "UTC");
}

int calendar_get(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    if (!is_ours(id))
        return answer_error(404, "Not Found", ret);
    *ret = description();
    return 200;
}

int calendar_list(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    json_t *entry = description();

    json_object_set_new(entry, "primary", json_true());
    json_object_set_new(entry, "accessRole", json_string("owner"));
    *ret = json_pack("{s:s,s:[o]}", "kind", "calendar#calendarList", "items", entry);
    return 200;
}

int calendar_events(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    const char *from_text = json_get_str(query, "timeMin"), *to_text = json_get_str(query, "timeMax");
    size_t count = answer_count(query, "maxResults", 250, 2500), i;
    int64_t from = INT64_MIN, to = INT64_MAX, start, end;
    json_t *items, *event;

    if (!is_ours(id))
        return answer_error(404, "Not Found", ret);
    if ((from_text && clock_parse(from_text, &from) < 0) || (to_text && clock_parse(to_text, &to) < 0))
        return answer_error(400, "Bad Request: timeMin or timeMax is no RFC 3339 time", ret);
    items = json_array();
    json_array_foreach(calendar->events, i, event)
    {
        if (moment(event, "start", &start) == 0 && moment(event, "end", &end) == 0 && end > from && start < to &&
            json_array_size(items) < count)
            json_array_append(items, event);
    }
    *ret = json_pack("{s:s,s:s,s:s,s:o}", "kind", "calendar#events", "summary", SUMMARY, "timeZone", "UTC", "items", items);
    return 200;
}

int calendar_insert(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    json_t *event = json_deep_copy(body);
    const char *new_id;

    if (!is_ours(id)) {
        json_decref(event);
        return answer_error(404, "Not Found", ret);
    }
    new_id = event ? calendar_add(calendar, event) : NULL;
    if (!new_id)
        return answer_error(400, "Missing or wrong start or end time.", ret);
    *ret = json_incref(event);
    return 200;
}
