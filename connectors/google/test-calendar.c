/*
 * The calendar: times, what is shown before an event is made, what is made.
 */
#include "test-google.h"

#define EVENT_TIMES "\"start_time\":\"2026-06-02T14:00:00+02:00\",\"end_time\":\"2026-06-02T15:30:00+02:00\""

static void lists_events_from_now(void **state)
{
    const struct aileron_json *output, *event;

    fake_host_answer(200, "{\"summary\":\"Work\",\"timeZone\":\"Europe/"
                          "Berlin\",\"items\":[{\"id\":\"e1\",\"status\":\"confirmed\",\"summary\":\"Stand-up\","
                          "\"start\":{\"dateTime\":\"2026-06-02T14:00:00+02:00\",\"timeZone\":\"Europe/"
                          "Berlin\"},\"end\":{\"dateTime\":\"2026-06-02T14:15:00+02:00\"},"
                          "\"organizer\":{\"email\":\"o@example.com\"},\"attendees\":[{\"email\":\"a@example.com\","
                          "\"responseStatus\":\"accepted\"}],"
                          "\"htmlLink\":\"https://calendar.google.com/"
                          "e1\"},{\"id\":\"e2\",\"start\":{\"date\":\"2026-06-03\"},\"end\":{\"date\":\"2026-06-04\"}}],"
                          "\"nextPageToken\":\"x\"}");
    output = must_run("list_upcoming_events", "{}");
    assert_url(0,
        CALENDAR "/calendars/primary/events?timeMin=2026-06-02T10%3A00%3A00Z&singleEvents=true&orderBy=startTime&maxResults=10");
    assert_text(output, "calendar", "Work");
    assert_true(aileron_json_get(output, "more")->boolean);
    event = aileron_json_each(aileron_json_get(output, "events"));
    assert_text(event, "title", "Stand-up");
    assert_text(event, "start", "2026-06-02T14:00:00+02:00");
    assert_text(event, "organizer", "o@example.com");
    assert_text(aileron_json_each(aileron_json_get(event, "attendees")), "response", "accepted");
    assert_null(aileron_json_get(event, "all_day"));
    assert_text(event->next, "start", "2026-06-03");
    assert_true(aileron_json_get(event->next, "all_day")->boolean);

    fake_host_answer(200, "{\"items\":[]}");
    output = must_run("list_upcoming_events",
        "{\"calendar_id\":\"team/x#1@group.calendar.google.com\",\"max_results\":3,\"time_max\":\"2026-06-09T00:00:00+02:00\"}");
    assert_url(1, CALENDAR "/calendars/team%2Fx%231%40group.calendar.google.com/events?timeMin=2026-06-02T10%3A00%3A00Z"
                           "&timeMax=2026-06-09T00%3A00%3A00%2B02%3A00&singleEvents=true&orderBy=startTime&maxResults=3");
    assert_null(aileron_json_get(output, "more"));
    fake_host_reset();
    refuses("list_upcoming_events", "{\"calendar_id\":\"..\"}", "calendar_id is not");
    refuses("list_upcoming_events", "{\"calendar_id\":\".\"}", "calendar_id is not");
    refuses("list_upcoming_events", "{\"calendar_id\":\"\"}", "calendar_id is empty");
    refuses("list_upcoming_events", "{\"time_max\":\"2026-06-02T09:59:59Z\"}", "time_max is over");
    refuses("list_upcoming_events", "{\"time_max\":\"2026-06-02T12:00:00+02:00\"}", "time_max is over");
}

static void refuses_times(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "tomorrow", "does not start with a date" },
        { "2026-6-2T14:00:00Z", "does not start with a date" },
        { "02.06.2026 14:00", "does not start with a date" },
        { "2026-06-02", "a day without a time" },
        { "2026-06-02 14:00:00Z", "no T between" },
        { "2026-06-02T14:00Z", "no seconds" },
        { "2026-06-02T14Z", "time is not like" },
        { "2026-06-02T14:00:00", "no offset from UTC" },
        { "2026-06-02T14:00:00 Europe/Berlin", "no offset from UTC" },
        { "2026-06-02T14:00:00+2", "not like +02:00" },
        { "2026-06-02T14:00:00+0200", "not like +02:00" },
        { "2026-06-02T14:00:00+24:00", "not like +02:00" },
        { "2026-06-02T24:00:00Z", "no such time" },
        { "2026-06-02T14:60:00Z", "no such time" },
        { "2026-06-02T14:00:60Z", "no such time" },
        { "2026-06-02T14:00:00.Z", "fraction of a second is empty" },
        { "2026-13-02T14:00:00Z", "no such day" },
        { "2026-02-29T14:00:00Z", "no such day" },
        { "2100-02-29T14:00:00Z", "no such day" },
        { "2026-04-31T14:00:00Z", "no such day" },
        { "2026-00-10T14:00:00Z", "no such day" },
        { "2026-06-00T14:00:00Z", "no such day" },
        { "0000-06-01T14:00:00Z", "no such day" },
        { "2026-06-02T14:00:00Zx", "something follows" },
        { "2026-06-02T14:00:00Z\\r\\nX", "control character" },
        { "2026-06-02T14:00:00.000000000000000000000000000000000000000000000000000Z", "longer than 64" },
    };
    char args[512];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(
            args, sizeof(args), "{\"title\":\"x\",\"start_time\":\"%s\",\"end_time\":\"2026-06-02T15:00:00Z\"}", rows[i].text);
        refuses("create_calendar_event", args, rows[i].why);
        refuses("preview_calendar_event", args, "start_time ");
        snprintf(
            args, sizeof(args), "{\"title\":\"x\",\"start_time\":\"2024-02-29T15:00:00Z\",\"end_time\":\"%s\"}", rows[i].text);
        refuses("create_calendar_event", args, "end_time ");
        snprintf(args, sizeof(args), "{\"time_max\":\"%s\"}", rows[i].text);
        refuses("list_upcoming_events", args, rows[i].why);
    }
}

static void refuses_events(void **state)
{
    refuses("create_calendar_event", "{" EVENT_TIMES "}", "title is missing");
    refuses("create_calendar_event", "{\"title\":\"\"," EVENT_TIMES "}", "title is empty");
    refuses("create_calendar_event", "{\"title\":\"a\\nb\"," EVENT_TIMES "}", "title contains a line break");
    refuses("create_calendar_event", "{\"title\":\"x\",\"end_time\":\"2026-06-02T15:00:00Z\"}", "start_time is missing");
    refuses("create_calendar_event", "{\"title\":\"x\",\"start_time\":\"2026-06-02T15:00:00Z\"}", "end_time is missing");
    refuses("create_calendar_event", "{\"title\":\"x\",\"start_time\":7,\"end_time\":\"2026-06-02T15:00:00Z\"}",
        "start_time must be text");
    /* 14:00+02:00 is 12:00Z */
    refuses("create_calendar_event",
        "{\"title\":\"x\",\"start_time\":\"2026-06-02T14:00:00+02:00\",\"end_time\":\"2026-06-02T12:00:00Z\"}",
        "end_time is not after start_time");
    refuses("create_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"timezone\":\"Europe/Berlin\\\"\"}", "timezone is not");
    refuses("create_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"attendees\":[\"nobody\"]}", "attendees: nobody");
    refuses(
        "create_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"attendees\":[\"a@example.com\\nX\"]}", "control character");
    refuses("create_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"location\":\"a\\u0000\\nb\"}", "location contains");
    refuses("create_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"description\":[]}", "description must be text");
    refuses("create_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"recurrence\":\"DAILY\"}", "no argument recurrence");
    refuses("preview_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"recurrence\":\"DAILY\"}", "no argument recurrence");
}

static void previews(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200,
        "{\"summary\":\"Ada's "
        "calendar\",\"timeZone\":\"Europe/Berlin\",\"items\":[{\"summary\":\"Lunch\\r\\nbreak\"},{\"id\":\"x\"}]}");
    output = must_run("preview_calendar_event",
        "{\"title\":\"Plan \\u00e9\"," EVENT_TIMES ",\"timezone\":\"Europe/Berlin\",\"location\":\"Room 1\","
        "\"attendees\":[\"Bob B <b@example.com>\",\"c@example.com\"]}");
    assert_url(0,
        CALENDAR "/calendars/primary/events?timeMin=2026-06-02T14%3A00%3A00%2B02%3A00&timeMax=2026-06-02T15%3A30%3A00%2B02%3A00"
                 "&singleEvents=true&orderBy=startTime&maxResults=5");
    assert_string_equal(fake_host_request(0, "method"), "GET");
    assert_text(output, "title", "Plan \xc3\xa9");
    assert_text(output, "start", "Tuesday 2 June 2026, 14:00 (UTC+02:00, Europe/Berlin)");
    assert_text(output, "end", "Tuesday 2 June 2026, 15:30 (UTC+02:00, Europe/Berlin)");
    assert_text(output, "duration", "1 h 30 min");
    assert_text(output, "calendar", "Ada's calendar (primary)");
    assert_text(output, "attendees", "Bob B <b@example.com>, c@example.com (Google sends each an invitation)");
    assert_text(output, "location", "Room 1");
    assert_text(output, "description", "");
    assert_text(output, "overlaps_with", "Lunch  break, an event without a title");

    fake_host_answer(200, "{}");
    output = must_run("preview_calendar_event",
        "{\"title\":\"x\",\"start_time\":\"1969-12-31T23:59:30-05:30\",\"end_time\":\"1970-01-02T06:30:31Z\"}");
    assert_text(output, "start", "Wednesday 31 December 1969, 23:59:30 (UTC-05:30)");
    assert_text(output, "end", "Friday 2 January 1970, 06:30:31 (UTC+00:00)");
    assert_text(output, "duration", "1 day 1 h 1 min 1 s");
    assert_text(output, "calendar", "primary");
    assert_text(output, "attendees", "nobody");
    assert_text(output, "overlaps_with", "nothing");
    fake_host_answer(404, "{\"error\":{\"message\":\"Not Found\"}}");
    assert_null(fake_host_run("preview_calendar_event", "{\"title\":\"x\"," EVENT_TIMES ",\"calendar_id\":\"nope\"}"));
    assert_string_equal(fake_host_error_message(), "Google Calendar answered with status 404: Not Found");
}

static void creates(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200,
        "{\"id\":\"e1\",\"status\":\"confirmed\",\"htmlLink\":\"https://calendar.google.com/e1\","
        "\"start\":{\"dateTime\":\"2026-06-02T14:00:00+02:00\"},\"end\":{\"dateTime\":\"2026-06-02T15:30:00+02:00\"}}");
    output = must_run("create_calendar_event",
        "{\"title\":\"Plan\"," EVENT_TIMES ",\"timezone\":\"Europe/Berlin\",\"description\":\"a\\nb\","
        "\"location\":\"Room 1\",\"attendees\":[\"Bob B "
        "<b@example.com>\",\"c@example.com\"],\"calendar_id\":\"team@example.com\"}");
    assert_string_equal(fake_host_request(0, "method"), "POST");
    assert_url(0, CALENDAR "/calendars/team%40example.com/events?sendUpdates=all");
    assert_string_equal(fake_host_request(0, "body"),
        "{\"summary\":\"Plan\",\"description\":\"a\\nb\",\"location\":\"Room 1\","
        "\"start\":{\"dateTime\":\"2026-06-02T14:00:00+02:00\",\"timeZone\":\"Europe/Berlin\"},"
        "\"end\":{\"dateTime\":\"2026-06-02T15:30:00+02:00\",\"timeZone\":\"Europe/Berlin\"},"
        "\"attendees\":[{\"email\":\"b@example.com\",\"displayName\":\"Bob B\"},{\"email\":\"c@example.com\"}]}");
    assert_text(output, "id", "e1");
    assert_text(output, "link", "https://calendar.google.com/e1");
    assert_text(output, "result", "event created, invitations sent");

    fake_host_answer(200, "oops");
    output = must_run("create_calendar_event", "{\"title\":\"Plan\"," EVENT_TIMES "}");
    assert_url(1, CALENDAR "/calendars/primary/events");
    assert_string_equal(fake_host_request(1, "body"),
        "{\"summary\":\"Plan\",\"start\":{\"dateTime\":\"2026-06-02T14:00:00+02:00\"},"
        "\"end\":{\"dateTime\":\"2026-06-02T15:30:00+02:00\"}}");
    assert_text(output, "note", "Google accepted it but its answer names no id; do not repeat it");
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(lists_events_from_now), TEST(refuses_times), TEST(refuses_events), TEST(previews),
        TEST(creates) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
