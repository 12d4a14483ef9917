/*
 * The tour's gated action: the agent asks for an event and gets it when a person says so. With somebody at the terminal the page
 * opens as `aileron open` opens it, and the tour waits; alone it denies a first one, looks at the calendar, and approves a second.
 */
#include "cli/demo.h"

#include "base/clock.h"
#include "cli/await.h"
#include "cli/browser.h"
#include "cli/card-show.h"
#include "cli/open.h"
#include "cli/print.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define INDENT   DEMO_INDENT
#define TOOL     "create_calendar_event"
#define DAY_MS   (INT64_C(24) * 60 * 60 * 1000)
#define HOUR_MS  (INT64_C(60) * 60 * 1000)
#define POLL_MS  20
#define ASKED_MS 20000
#define TOLD_MAX 240
#define STATUS_S 3600 /* how long a late answer is asked for */

static struct cli inner_of(struct demo *demo)
{
    return (struct cli){ .home = demo->home, .out = demo->out, .overrides_told = true, .interrupted = demo->interrupted };
}

static void pause_ms(int ms)
{
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    nanosleep(&time, NULL);
}

/* Half an hour in the afternoon of the day after tomorrow. */
static json_t *event_args(const char *title)
{
    int64_t day = (clock_unix_ms() / DAY_MS + 2) * DAY_MS;
    char start[CLOCK_TEXT_MAX], end[CLOCK_TEXT_MAX];

    return json_pack("{s:s, s:s, s:s, s:s}", "title", title, "start_time", clock_format(day + 15 * HOUR_MS, start), "end_time",
        clock_format(day + 15 * HOUR_MS + HOUR_MS / 2, end), "location", "Room 3");
}

/* --- the calendar, as the agent sees it --- */

static int events_titled(struct demo *demo, const char *title, size_t *ret_all, size_t *ret_titled, struct err *err)
{
    char until[CLOCK_TEXT_MAX];
    CLEANUP_JSON json_t *args =
        json_pack("{s:s, s:i}", "time_max", clock_format(clock_unix_ms() + 8 * DAY_MS, until), "max_results", 100);
    CLEANUP_JSON json_t *output = NULL;
    const json_t *event;
    size_t i;
    int r = agent_call(demo->agent, "list_upcoming_events", args, &output, err);

    if (r < 0)
        return r;
    *ret_all = json_array_size(json_object_get(output, "events"));
    *ret_titled = 0;
    json_array_foreach(json_object_get(output, "events"), i, event)
    {
        const char *found = json_get_str(event, "title");

        *ret_titled += found && !strcmp(found, title);
    }
    return 0;
}

/* The calendar has `more` events than before, and `more` of this title. */
static int check_calendar(struct demo *demo, const char *title, size_t before, size_t more, struct err *err)
{
    size_t all, titled;
    int r = events_titled(demo, title, &all, &titled, err);

    if (r < 0)
        return r;
    if (all != before + more || titled != more)
        return err_set(err, EPROTO, "the calendar has %zu events instead of %zu, and %zu instead of %zu named \"%s\"", all,
            before + more, titled, more, title);
    if (more)
        fprintf(demo->out, INDENT "the calendar has it, once: %zu events instead of %zu\n", all, before);
    else
        fprintf(demo->out, INDENT "the calendar is as it was: %zu events\n", all);
    return 0;
}

/* --- asking --- */

/* The approval that waits. */
static int await_asked(struct demo *demo, json_t **ret_approval, struct err *err)
{
    struct cli inner = inner_of(demo);
    int64_t end_ms = clock_boot_ms() + ASKED_MS;

    while (clock_boot_ms() < end_ms && !*demo->interrupted) {
        CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
        int r = cli_try(&inner, "GET", "/v1/approvals?status=pending", NULL, &answer, err);
        json_t *approval = json_array_get(json_object_get(answer.json, "approvals"), 0);

        if (r < 0)
            return r;
        if (approval) {
            *ret_approval = json_incref(approval);
            return 0;
        }
        pause_ms(POLL_MS);
    }
    return err_set(err, ETIMEDOUT, "the agent's call did not come to wait");
}

/* The agent makes the call, and it waits. */
static int ask(struct demo *demo, const char *title, int *ret_call, json_t **ret_approval, struct err *err)
{
    CLEANUP_JSON json_t *args = event_args(title);
    int r = args ? agent_begin(demo->agent, TOOL, args, ret_call, err) : -ENOMEM;

    if (r >= 0)
        r = await_asked(demo, ret_approval, err);
    return r;
}

static const char *text_of(const json_t *result)
{
    const char *text = json_get_str(json_array_get(json_object_get(result, "content"), 0), "text");

    return text ? text : "";
}

/* What the agent's call was answered with; one that came to its end after the agent's patience is asked for by id. */
static int hear(struct demo *demo, int call, const char *id, json_t **ret_result, struct err *err)
{
    CLEANUP_JSON json_t *args = json_pack("{s:s}", "approval_id", id);
    CLEANUP_JSON json_t *result = NULL;
    int r = agent_end(demo->agent, call, &result, err);

    for (int i = 0; r >= 0 && i < STATUS_S && json_get_str(json_object_get(result, "structuredContent"), "approval_id"); i++) {
        int status = 0;

        json_decref(TAKE_PTR(result));
        r = agent_begin(demo->agent, "check_action_status", args, &status, err);
        if (r >= 0)
            r = agent_end(demo->agent, status, &result, err);
    }
    if (r >= 0)
        *ret_result = TAKE_PTR(result);
    return r;
}

static void put_told(struct demo *demo, const json_t *result)
{
    CLEANUP_FREE char *text = strndup(text_of(result), TOLD_MAX);

    fprintf(demo->out, INDENT "the agent is told: ");
    term_put(demo->out, text ? text : "");
    fputs(strlen(text_of(result)) > TOLD_MAX ? "…\n" : "\n", demo->out);
}

/* --- deciding --- */

static int decide_alone(struct demo *demo, const char *id, bool approve, struct err *err)
{
    CLEANUP_FREE char *shown = NULL;
    char *const deny[] = { (char *) "approval", (char *) "deny", (char *) id, (char *) "--reason",
        (char *) "Anna is away that day", NULL };
    char *const yes[] = { (char *) "approval", (char *) "approve", (char *) id, (char *) "--yes", (char *) "--no-wait", NULL };

    if (asprintf(&shown, "approval %s %s%s", approve ? "approve" : "deny", print_suffix(id),
            approve ? " --yes --no-wait" : " --reason 'Anna is away that day'") < 0)
        return -ENOMEM;
    return demo_run(demo, approve ? yes : deny, shown);
}

/* Where the person decides: the page, and the other ways. */
static int send_away(struct demo *demo, const json_t *approval, struct err *err)
{
    CLEANUP_FREE char *path = cli_path("/approvals/", json_get_str(approval, "id"), "");
    CLEANUP_FREE char *url = NULL;
    struct cli inner = inner_of(demo);
    unsigned port = 0;

    if (!path || open_url(&inner, path, &url, &port))
        return -ECANCELED;
    if (browser_is_here()) {
        fprintf(demo->out, INDENT "your browser opens %s\n", json_get_str(approval, "review_url"));
        fflush(demo->out);
        if (open_browser(&inner, url, err) >= 0)
            return 0;
        err_clear(err);
    }
    if (*demo->interrupted)
        return err_set(err, EINTR, "interrupted");
    open_print(&inner, url, port);
    return 0;
}

static int decide_by_person(struct demo *demo, const json_t *approval, bool *ret_approved, struct err *err)
{
    CLEANUP_JSON json_t *now = NULL;
    const char *id = json_get_str(approval, "id");
    struct cli inner = inner_of(demo);
    enum await_end end;
    int r = send_away(demo, approval, err);

    if (r < 0)
        return r;
    fprintf(demo->out,
        INDENT "approve or deny it there, or in another terminal:\n" INDENT "  AILERON_HOME=%s aileron approval watch\n",
        demo->home->path);
    fflush(demo->out);
    if (await_approval(&inner, id, NULL, true, &end, &now))
        return -ECANCELED;
    if (end == AWAIT_INTERRUPTED) {
        raise(SIGINT); /* it was caught there; the tour's own handler notes it */
        return err_set(err, EINTR, "interrupted");
    }
    *ret_approved = !card_is(now, "denied");
    fprintf(demo->out, INDENT "decided: %s\n", card_state_words(now, NULL));
    return 0;
}

static int one_event(struct demo *demo, const char *title, bool approve, struct err *err)
{
    CLEANUP_JSON json_t *approval = NULL;
    CLEANUP_JSON json_t *result = NULL;
    size_t before = 0, titled = 0;
    int call = 0, r = events_titled(demo, title, &before, &titled, err);

    if (r >= 0)
        r = ask(demo, title, &call, &approval, err);
    if (r < 0)
        return r;
    fprintf(demo->out, INDENT "the agent calls " TOOL " \"%s\"; it waits, and nothing has happened\n", title);
    fflush(demo->out);
    r = demo->alone ? decide_alone(demo, json_get_str(approval, "id"), approve, err)
                    : decide_by_person(demo, approval, &approve, err);
    if (r >= 0)
        r = hear(demo, call, json_get_str(approval, "id"), &result, err);
    if (r < 0)
        return r;
    put_told(demo, result);
    if (json_is_true(json_object_get(result, "isError")) == approve)
        return err_set(err, EPROTO, "the agent was told something else than what was decided");
    return check_calendar(demo, title, before, approve, err);
}

int demo_event(struct demo *demo, struct err *err)
{
    int r = demo->alone ? one_event(demo, "Pilot budget with Anna", false, err) : 0;

    return r < 0 ? r : one_event(demo, "Pilot budget with Jonas", true, err);
}
