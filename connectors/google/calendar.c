/*
 * The calendar. preview_calendar_event and create_calendar_event read the same
 * arguments with the same function, so what a person is shown is what would be
 * made; the preview also asks the calendar for its name and for what else is then.
 */
#include "ops.h"

#include "address.h"
#include "api.h"
#include "input.h"
#include "when.h"

#include <string.h>

#define TITLE_MAX         1000
#define LOCATION_MAX      1000
#define DESCRIPTION_MAX   8000
#define DESCRIPTION_SHOWN 4000
#define ATTENDEES_MAX     200
#define ATTENDEES_SHOWN   50
#define OVERLAPS_SHOWN    5

struct event {
    const char *title, *start_time, *end_time, *timezone, *description, *location, *calendar_id;
    struct when start, end;
    struct address_list attendees;
};

/* calendar_id as a path segment; ids look like mail addresses. */
static int input_calendar(struct aileron_call *call, const char **ret_id)
{
    const char *id = "primary";

    if (input_text(call, "calendar_id", INPUT_ONE_LINE, 256, &id) != 0)
        return -1;
    if (strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
        return aileron_fail(call, "bad_input", "calendar_id is not the id of a calendar; primary is your own");
    *ret_id = id;
    return 0;
}

/* The name of a zone like Europe/Berlin. */
static int input_timezone(struct aileron_call *call, const char **ret_zone)
{
    const char *zone = NULL, *at;

    if (input_text(call, "timezone", INPUT_ONE_LINE, 64, &zone) != 0)
        return -1;
    for (at = zone; at && *at; at++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/", *at))
            return aileron_fail(call, "bad_input", "timezone is not the name of a time zone like Europe/Berlin");
    *ret_zone = zone;
    return 0;
}

static int input_event(struct aileron_call *call, struct event *event)
{
    static const char *const names[] = { "title", "start_time", "end_time", "timezone", "description", "location", "attendees",
        "calendar_id", NULL };

    if (input_only(call, names) != 0 ||
        input_text(call, "title", INPUT_REQUIRED | INPUT_ONE_LINE, TITLE_MAX, &event->title) != 0 ||
        when_input(call, "start_time", true, &event->start, &event->start_time) != 0 ||
        when_input(call, "end_time", true, &event->end, &event->end_time) != 0 || input_timezone(call, &event->timezone) != 0 ||
        input_text(call, "description", INPUT_MAY_BE_EMPTY, DESCRIPTION_MAX, &event->description) != 0 ||
        input_text(call, "location", INPUT_ONE_LINE | INPUT_MAY_BE_EMPTY, LOCATION_MAX, &event->location) != 0 ||
        address_input(call, "attendees", false, &event->attendees) != 0 || input_calendar(call, &event->calendar_id) != 0)
        return -1;
    if (event->end.seconds <= event->start.seconds)
        return aileron_fail(call, "bad_input", "end_time is not after start_time");
    if (event->attendees.count > ATTENDEES_MAX)
        return aileron_fail(call, "bad_input", "attendees has more than %d addresses", ATTENDEES_MAX);
    return 0;
}

static struct aileron_text events_url(struct aileron_call *call, const char *calendar_id)
{
    struct aileron_text url;

    aileron_text_init(&url, call, 4096);
    aileron_text_printf(&url, CALENDAR_URL "/calendars/%s/events", aileron_url_escape(call, calendar_id));
    return url;
}

/* "start" or "end" of Google's: a moment, or a day. */
static void put_moment(struct aileron_writer *writer, const char *name, const struct aileron_json *moment)
{
    const char *text = aileron_json_string(moment, "dateTime");

    aileron_put_string(writer, name, text ? text : aileron_json_string(moment, "date"));
}

static void put_attendees(struct aileron_writer *writer, const struct aileron_json *attendees)
{
    const struct aileron_json *attendee = aileron_json_each(attendees);
    int shown = 0;

    if (!attendee)
        return;
    aileron_put_array(writer, "attendees");
    for (; attendee && shown < ATTENDEES_SHOWN; attendee = attendee->next, shown++) {
        aileron_put_object(writer, NULL);
        aileron_put_string(writer, "email", aileron_json_string(attendee, "email"));
        aileron_put_string(writer, "name", aileron_json_string(attendee, "displayName"));
        aileron_put_string(writer, "response", aileron_json_string(attendee, "responseStatus"));
        aileron_put_end(writer);
    }
    aileron_put_end(writer);
    if (attendee)
        aileron_put_bool(writer, "more_attendees", true);
}

static void put_event(struct aileron_writer *writer, const struct aileron_json *event)
{
    const struct aileron_json *start = aileron_json_get(event, "start");
    const char *description = aileron_json_string(event, "description");

    aileron_put_object(writer, NULL);
    aileron_put_string(writer, "id", aileron_json_string(event, "id"));
    aileron_put_string(writer, "title", aileron_json_string(event, "summary"));
    put_moment(writer, "start", start);
    put_moment(writer, "end", aileron_json_get(event, "end"));
    if (aileron_json_string(start, "date") && !aileron_json_string(start, "dateTime"))
        aileron_put_bool(writer, "all_day", true);
    aileron_put_string(writer, "timezone", aileron_json_string(start, "timeZone"));
    aileron_put_string(writer, "location", aileron_json_string(event, "location"));
    aileron_put_string(writer, "status", aileron_json_string(event, "status"));
    if (description)
        aileron_put_bytes(writer, "description", description, input_cut(description, strlen(description), DESCRIPTION_SHOWN));
    aileron_put_string(writer, "organizer", aileron_json_string(aileron_json_get(event, "organizer"), "email"));
    put_attendees(writer, aileron_json_get(event, "attendees"));
    aileron_put_string(writer, "meeting_link", aileron_json_string(event, "hangoutLink"));
    aileron_put_string(writer, "link", aileron_json_string(event, "htmlLink"));
    aileron_put_end(writer);
}

int list_upcoming_events(struct aileron_call *call)
{
    struct aileron_writer *output = aileron_output(call);
    const struct aileron_json *answer, *event;
    const char *calendar_id = NULL, *time_max = NULL;
    struct aileron_text url;
    struct when until;
    int64_t count, now = aileron_now();

    if (INPUT_ONLY(call, "calendar_id", "max_results", "time_max") != 0 || input_calendar(call, &calendar_id) != 0 ||
        input_max_results(call, &count) != 0 || when_input(call, "time_max", false, &until, &time_max) != 0)
        return -1;
    if (time_max && until.seconds <= now)
        return aileron_fail(call, "bad_input", "time_max is over: only events after now are listed");
    url = events_url(call, calendar_id);
    google_query(&url, "timeMin", when_utc(call, now));
    google_query(&url, "timeMax", time_max);
    google_query(&url, "singleEvents", "true");
    google_query(&url, "orderBy", "startTime");
    google_query_int(&url, "maxResults", count);
    if (google_get(call, url.data, &answer) != 0)
        return -1;
    aileron_put_string(output, "calendar", aileron_json_string(answer, "summary"));
    aileron_put_string(output, "timezone", aileron_json_string(answer, "timeZone"));
    aileron_put_array(output, "events");
    event = aileron_json_each(aileron_json_get(answer, "items"));
    for (int64_t shown = 0; event && shown < count; event = event->next, shown++)
        put_event(output, event);
    aileron_put_end(output);
    if (event || aileron_json_string(answer, "nextPageToken"))
        aileron_put_bool(output, "more", true);
    return 0;
}

static const char *attendee_list(struct aileron_call *call, const struct address_list *attendees)
{
    struct aileron_text text;

    aileron_text_init(&text, call, 256 * 1024);
    for (const struct address *a = attendees->first; a; a = a->next)
        aileron_text_printf(&text, *a->name ? "%s%s <%s>" : "%s%s%s", text.len ? ", " : "", a->name, a->mailbox);
    aileron_text_add_str(&text, attendees->count ? " (Google sends each an invitation)" : "nobody");
    return text.data;
}

/* What else is in the calendar then: the first few titles. */
static const char *overlaps(struct aileron_call *call, const struct aileron_json *events)
{
    const struct aileron_json *event = aileron_json_each(events);
    struct aileron_text text;

    aileron_text_init(&text, call, 4096);
    for (int count = 0; event && count < OVERLAPS_SHOWN; event = event->next, count++) {
        const char *title = aileron_json_string(event, "summary");

        aileron_text_printf(
            &text, "%s%s", text.len ? ", " : "", title ? input_one_line(call, title, 100) : "an event without a title");
    }
    return text.len ? text.data : "nothing";
}

int preview_calendar_event(struct aileron_call *call)
{
    struct aileron_writer *output = aileron_output(call);
    struct event event = { 0 };
    const struct aileron_json *answer;
    struct aileron_text url;
    const char *name;

    if (input_event(call, &event) != 0)
        return -1;
    url = events_url(call, event.calendar_id);
    google_query(&url, "timeMin", event.start_time);
    google_query(&url, "timeMax", event.end_time);
    google_query(&url, "singleEvents", "true");
    google_query(&url, "orderBy", "startTime");
    google_query_int(&url, "maxResults", OVERLAPS_SHOWN);
    if (google_get(call, url.data, &answer) != 0)
        return -1;
    name = aileron_json_string(answer, "summary");
    aileron_put_string(output, "title", event.title);
    aileron_put_string(output, "start", when_words(call, &event.start, event.timezone));
    aileron_put_string(output, "end", when_words(call, &event.end, event.timezone));
    aileron_put_string(output, "duration", when_duration(call, event.end.seconds - event.start.seconds));
    aileron_put_string(output, "calendar",
        name ? aileron_printf(call, "%s (%s)", input_one_line(call, name, 200), event.calendar_id) : event.calendar_id);
    aileron_put_string(output, "attendees", attendee_list(call, &event.attendees));
    aileron_put_string(output, "location", event.location ? event.location : "");
    aileron_put_string(output, "description", event.description ? event.description : "");
    aileron_put_string(output, "overlaps_with", overlaps(call, aileron_json_get(answer, "items")));
    return 0;
}

static void put_request_moment(struct aileron_writer *body, const char *name, const char *moment, const char *zone)
{
    aileron_put_object(body, name);
    aileron_put_string(body, "dateTime", moment);
    aileron_put_string(body, "timeZone", zone);
    aileron_put_end(body);
}

static struct aileron_writer *event_body(struct aileron_call *call, const struct event *event)
{
    struct aileron_writer *body = aileron_writer_new(call);

    aileron_put_string(body, "summary", event->title);
    aileron_put_string(body, "description", event->description);
    aileron_put_string(body, "location", event->location);
    put_request_moment(body, "start", event->start_time, event->timezone);
    put_request_moment(body, "end", event->end_time, event->timezone);
    if (event->attendees.count) {
        aileron_put_array(body, "attendees");
        for (const struct address *a = event->attendees.first; a; a = a->next) {
            aileron_put_object(body, NULL);
            aileron_put_string(body, "email", a->mailbox);
            aileron_put_string(body, "displayName", *a->name ? a->name : NULL);
            aileron_put_end(body);
        }
        aileron_put_end(body);
    }
    return body;
}

int create_calendar_event(struct aileron_call *call)
{
    struct aileron_writer *output = aileron_output(call);
    struct event event = { 0 };
    const struct aileron_json *answer;
    struct aileron_text url;

    if (input_event(call, &event) != 0)
        return -1;
    url = events_url(call, event.calendar_id);
    if (event.attendees.count)
        google_query(&url, "sendUpdates", "all");
    if (google_post(call, url.data, event_body(call, &event), &answer) != 0)
        return -1;
    aileron_put_string(output, "id", aileron_json_string(answer, "id"));
    aileron_put_string(output, "title", event.title);
    put_moment(output, "start", aileron_json_get(answer, "start"));
    put_moment(output, "end", aileron_json_get(answer, "end"));
    aileron_put_string(output, "status", aileron_json_string(answer, "status"));
    aileron_put_string(output, "link", aileron_json_string(answer, "htmlLink"));
    aileron_put_string(output, "result", event.attendees.count ? "event created, invitations sent" : "event created");
    if (!aileron_json_string(answer, "id"))
        aileron_put_string(output, "note", "Google accepted it but its answer names no id; do not repeat it");
    return 0;
}
