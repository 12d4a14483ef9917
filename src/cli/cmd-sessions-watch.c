/*
 * aileron sessions watch: the list of agent sessions as it changes. On a terminal the table is drawn anew; elsewhere every
 * session that starts or ends is a line.
 */
#include "cli/cli.h"
#include "cli/events.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/screen.h"
#include "cli/sessions.h"
#include "cli/visible.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define AGAIN_MS 700
#define SEEN_MS  10000 /* "last seen" is told by no event */
#define TEXT_MAX ((size_t) 16 * 1024 * 1024)

struct watching {
    struct cli *cli;
    struct events *events; /* NULL: the daemon is away */
    json_t *answer;        /* GET /v1/sessions; NULL: not yet */
};

static bool load(struct watching *watching)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };

    if (cli_try(watching->cli, "GET", "/v1/sessions", NULL, &answer, NULL) < 0 || answer.status != 200)
        return false;
    json_decref(watching->answer);
    watching->answer = TAKE_PTR(answer.json);
    return true;
}

static bool connect_daemon(struct watching *watching)
{
    struct err err = ERR_INIT;

    if (watching->events)
        return true;
    if (events_open(watching->cli->home->daemon_sock, watching->cli->interrupted, &watching->events, &err) >= 0 && load(watching))
        return true;
    events_close(TAKE_PTR(watching->events));
    return false;
}

/* Takes what the stream says; a call changes a session too, and is told as a receipt. False: the daemon has gone. */
static bool take(struct watching *watching)
{
    struct event event = { 0 };
    bool changed = false;
    int r;

    while ((r = events_next(watching->events, &event)) > 0) {
        changed = changed || !strcmp(event.type, "session") || !strcmp(event.type, "audit");
        json_decref(event.data);
    }
    if (r >= 0 && (!changed || load(watching)))
        return true;
    events_close(TAKE_PTR(watching->events));
    return false;
}

/* --- on a terminal --- */

static size_t open_sessions(const json_t *answer)
{
    size_t count = 0, i;
    const json_t *item;

    json_array_foreach(json_object_get(answer, "sessions"), i, item) count += !json_get_str(item, "ended_at");
    return count;
}

static int add_table(const struct watching *watching, size_t columns, struct buf *out)
{
    CLEANUP_PTR(table_free) struct table *table = sessions_table(watching->answer);
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;
    FILE *file = table ? open_memstream(&text, &len) : NULL;
    int r = file ? table_print(table, file, columns) : -ENOMEM;

    if (file && fclose(file) != 0)
        r = -ENOMEM;
    for (char *line, *rest = r < 0 ? NULL : text; (line = strsep(&rest, "\n"));) { /* not every column can be cut */
        text_fit(line, columns, out);
        buf_add_char(out, '\n');
    }
    return r;
}

static void draw(const struct watching *watching, const struct screen *screen)
{
    CLEANUP(buf_free) struct buf frame = BUF_INIT(TEXT_MAX);
    size_t columns, rows, open = open_sessions(watching->answer);

    screen_size(screen, &columns, &rows);
    buf_add_str(&frame, term_style(stdout, watching->events ? STYLE_BOLD : STYLE_BAD));
    if (!watching->events)
        text_fit("Aileron · the daemon does not answer; trying again", columns, &frame);
    else
        buf_printf(&frame, "Aileron · %zu open", open);
    buf_printf(&frame, "%s\n\n", term_end(stdout));
    if (json_array_size(json_object_get(watching->answer, "sessions")))
        add_table(watching, columns, &frame);
    else
        text_fit("no agent sessions", columns, &frame);
    screen_draw(screen, buf_str(&frame));
}

static int run_screen(struct cli *cli, struct watching *watching)
{
    struct screen *screen;
    struct err err = ERR_INIT;
    int came = 0, key = 0;

    if (screen_open(&screen, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    cli->interrupted = screen_ending();
    while (!(came & SCREEN_END_SIGNAL) && (key & ~SCREEN_CROWDED) != 'q') {
        screen_allow(screen, true);
        connect_daemon(watching);
        screen_allow(screen, false);
        draw(watching, screen);
        came =
            screen_wait(screen, watching->events ? events_fd(watching->events) : -1, watching->events ? SEEN_MS : AGAIN_MS, &key);
        if (came & SCREEN_OTHER)
            take(watching);
        if ((came & SCREEN_TIME) && watching->events)
            load(watching);
    }
    screen_close(screen);
    cli->interrupted = NULL;
    return CODE_DONE;
}

/* --- elsewhere --- */

static void put_line(struct cli *cli, const json_t *session)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TEXT_MAX);
    const char *agent = json_get_str(session, "agent"), *folder = json_get_str(session, "folder");
    const char *ended = json_get_str(session, "ended_at"), *id = json_get_str(session, "id");
    char when[PRINT_TIME_MAX];

    if (args_has(cli->args, "json")) {
        if (json_write(session, &text) >= 0)
            fprintf(cli->out, "%s\n", buf_str(&text));
    } else {
        buf_printf(&text, "%s  %s  %s  ", print_local_time(ended ? ended : json_get_str(session, "started_at"), when),
            id ? id : "", ended ? "ended" : "open");
        text_visible(agent ? agent : "", strlen(agent ? agent : ""), false, &text);
        buf_add_str(&text, folder ? "  " : "");
        text_visible(folder ? folder : "", strlen(folder ? folder : ""), false, &text);
        fprintf(cli->out, "%s\n", buf_str(&text));
    }
    fflush(cli->out);
}

static const json_t *find(const json_t *answer, const char *id)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(answer, "sessions"), i, item)
    {
        const char *other = json_get_str(item, "id");

        if (other && id && !strcmp(other, id))
            return item;
    }
    return NULL;
}

/* Those that are open at first, then what starts and ends. */
static void put_changes(struct cli *cli, const json_t *before, const json_t *now)
{
    const json_t *list = json_object_get(now, "sessions");

    for (size_t i = json_array_size(list); i-- > 0;) { /* the oldest first */
        const json_t *item = json_array_get(list, i), *was = find(before, json_get_str(item, "id"));
        bool ended = json_get_str(item, "ended_at") != NULL;

        if ((!was && (before || !ended)) || (was && ended && !json_get_str(was, "ended_at")))
            put_line(cli, item);
    }
}

static int run_plain(struct cli *cli, struct watching *watching)
{
    const struct timespec again = { .tv_nsec = AGAIN_MS * 1000000L };
    CLEANUP_JSON json_t *told = NULL;
    bool away = false;

    while (!ferror(cli->out)) {
        struct pollfd poll_fd = { .events = POLLIN };

        if (!connect_daemon(watching)) {
            if (!away)
                cli_note("aileron: the daemon does not answer; trying again");
            away = true;
            nanosleep(&again, NULL);
            continue;
        }
        away = false;
        put_changes(cli, told, watching->answer);
        json_decref(told);
        told = json_incref(watching->answer);
        poll_fd.fd = events_fd(watching->events);
        if (poll(&poll_fd, 1, EVENTS_QUIET_MS) == 0)
            events_close(TAKE_PTR(watching->events));
        else
            take(watching);
    }
    return CODE_FAILED;
}

static int run_watch(struct cli *cli)
{
    struct watching watching = { .cli = cli };
    int code = cli_daemon(cli);

    if (code)
        return code;
    if (args_has(cli->args, "json") || !term_is_tty(stdin) || !term_can_draw(cli->out))
        code = run_plain(cli, &watching);
    else
        code = run_screen(cli, &watching);
    events_close(watching.events);
    json_decref(watching.answer);
    return code;
}

const struct command COMMAND_SESSIONS_WATCH = {
    .name = "sessions watch",
    .operands = "",
    .about = "see agent sessions as they start, work and end",
    .details = "q ends. Without a terminal, or with --json, every session that starts or ends is one line on standard output.",
    .options = { { "json", 0, NULL, false, "print every change as one line of JSON" } },
    .run = run_watch,
};
