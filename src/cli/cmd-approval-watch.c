/*
 * aileron approval watch: what waits, live, and a key for each decision. A key decides about the card that is before the
 * person: not within the moment after it came or changed, not when several keys come at once (a paste), and a card of which not
 * all was seen is approved only by pressing twice.
 */
#include "cli/ask.h"
#include "cli/card-show.h"
#include "cli/cli.h"
#include "cli/decide.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/screen.h"
#include "cli/visible.h"
#include "cli/watch-view.h"
#include "cli/watch.h"

#include "base/clock.h"
#include "base/ulid.h"
#include "crypt/digest.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define SETTLE_MS 400
#define AGAIN_MS  700   /* until a daemon that is away is looked for again */
#define AGES_MS   10000 /* "12 s ago" is said anew */

struct watching {
    struct cli *cli;
    struct watch watch;
    struct watch_view view;
    struct screen *screen;
    char id[ULID_ID_MAX]; /* of the chosen one */
    char seal[SHA256_TAGGED_MAX];
    int64_t shown_since_ms;  /* this seal of this one */
    bool seen_whole, warned; /* its end was in sight; it was said that it was not */
    bool quit;
};

/* --- without a terminal: a line for each change --- */

static void put_json_line(FILE *file, const json_t *approval)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024 * 1024);

    if (json_write(approval, &text) >= 0)
        fprintf(file, "%s\n", buf_str(&text));
}

static void put_line(const json_t *approval, bool fresh, void *userdata)
{
    struct cli *cli = userdata;
    CLEANUP(buf_free) struct buf text = BUF_INIT(1024 * 1024);
    const char *badge = json_get_str(approval, "badge");
    const char *title = card_title(approval), *url = json_get_str(approval, "review_url");
    char now[CLOCK_TEXT_MAX], local[PRINT_TIME_MAX];

    if (args_has(cli->args, "json")) {
        put_json_line(cli->out, approval);
    } else {
        buf_printf(&text, "%s  %s  %s  %s  ", print_local_time(clock_format(clock_unix_ms(), now), local),
            print_suffix(json_get_str(approval, "id")), card_state_words(approval, NULL), badge ? badge : "");
        text_visible(title, strlen(title), false, &text);
        buf_add_str(&text, " · ");
        card_asker(approval, &text);
        if (card_is(approval, "pending"))
            buf_printf(&text, " · %s", url ? url : "");
        fprintf(cli->out, "%s\n", buf_str(&text));
    }
    fflush(cli->out);
}

static void pause_ms(int ms)
{
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    nanosleep(&time, NULL);
}

static int run_plain(struct cli *cli, struct watch *watch)
{
    bool told = false;

    watch->changed = put_line;
    watch->userdata = cli;
    if (!args_has(cli->args, "json"))
        cli_note("aileron: deciding needs a terminal, or: aileron approval approve ID");
    while (!ferror(cli->out)) {
        struct pollfd poll_fd = { .events = POLLIN };

        if (!watch_connect(watch)) {
            if (!told)
                cli_note("aileron: the daemon does not answer; trying again");
            told = true;
            pause_ms(AGAIN_MS);
            continue;
        }
        if (told)
            cli_note("aileron: the daemon is back");
        told = false;
        poll_fd.fd = events_fd(watch->events);
        if (poll(&poll_fd, 1, EVENTS_QUIET_MS) == 0) {
            events_close(TAKE_PTR(watch->events));
            continue;
        }
        watch_take(watch);
    }
    return CODE_FAILED;
}

/* --- on a terminal --- */

static void say(struct watching *watching, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(struct watching *watching, enum style style, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(watching->view.status, sizeof watching->view.status, format, args);
    va_end(args);
    watching->view.status_style = style;
}

/* What became of one that is no longer to be decided. */
static void say_state(struct watching *watching, const json_t *approval)
{
    enum style style;
    const char *words = card_state_words(approval, &style);
    const char *message = json_get_str(json_object_get(approval, "failure"), "message");

    if (approval_is_held(watching->cli, approval))
        say(watching, STYLE_WARN, "%.100s: approved; it runs as soon as the vault is open: aileron vault unlock",
            card_title(approval));
    else
        say(watching, style, "%.100s: %s%s%s", card_title(approval), words, message ? ": " : "", message ? message : "");
}

static void on_changed(const json_t *approval, bool fresh, void *userdata)
{
    struct watching *watching = userdata;

    if (card_is(approval, "pending") && json_array_size(json_object_get(approval, "difference")) && !fresh)
        say(watching, STYLE_BAD, "%.100s: it changed, nothing was done, and it asks again", card_title(approval));
    else if (!card_is(approval, "pending"))
        say_state(watching, approval);
}

static const json_t *chosen(const struct watching *watching)
{
    return json_array_get(watching->watch.list, watching->view.selected);
}

/* Keeps the choice on its approval while others come and go, and notes when what is before the person is another. */
static void follow_choice(struct watching *watching)
{
    size_t len = json_array_size(watching->watch.list), at = watch_find(&watching->watch, watching->id);
    const json_t *now;
    const char *id, *seal;

    if (at < len)
        watching->view.selected = at;
    if (watching->view.selected >= len)
        watching->view.selected = len ? len - 1 : 0;
    now = chosen(watching);
    id = json_get_str(now, "id");
    seal = json_get_str(now, "seal");
    if (id && seal && !strcmp(id, watching->id) && !strcmp(seal, watching->seal))
        return;
    snprintf(watching->id, sizeof watching->id, "%s", id ? id : "");
    snprintf(watching->seal, sizeof watching->seal, "%s", seal ? seal : "");
    watching->shown_since_ms = clock_boot_ms();
    watching->seen_whole = watching->warned = false;
    watching->view.scroll = 0;
    if (!len)
        watching->view.whole = false;
}

static void draw(struct watching *watching)
{
    CLEANUP(buf_free) struct buf frame = BUF_INIT(32 * 1024 * 1024);
    size_t columns, rows;

    follow_choice(watching);
    watching->view.list = watching->watch.list;
    watching->view.pending = watching->watch.pending;
    watching->view.live = watching->watch.events != NULL;
    watching->view.now_unix_ms = clock_unix_ms();
    screen_size(watching->screen, &columns, &rows);
    if (watch_frame(&watching->view, columns, rows, &frame) < 0)
        return;
    watching->seen_whole = watching->seen_whole || watch_shows_end(&watching->view);
    screen_draw(watching->screen, buf_str(&frame));
}

/* With the passphrase, on the terminal as it was. */
static int decide_proven(struct watching *watching, const json_t *approval, bool approved, const char *reason,
    enum decided *ret_decided, json_t **ret_approval)
{
    CLEANUP_PTR(secret_free) struct secret *line = NULL;
    struct err err = ERR_INIT;
    const volatile sig_atomic_t *interrupted = watching->cli->interrupted;
    int code;

    screen_pause(watching->screen);
    watching->cli->interrupted = NULL;
    fprintf(stderr, "%s: ", approved ? "To approve" : "To deny");
    term_put(stderr, card_title(approval));
    fputc('\n', stderr);
    code = approval_decide(watching->cli, approval, approved, reason, ret_decided, ret_approval);
    if (code)
        ask_secret("Press Enter to go back.", 64, false, &line, &err);
    watching->cli->interrupted = interrupted;
    screen_resume(watching->screen);
    return code;
}

static void put_decision(struct watching *watching, const json_t *approval, enum decided decided, const json_t *now)
{
    if (decided == DECIDED_ALREADY)
        say(watching, STYLE_WARN, "%.100s was decided meanwhile: %s", card_title(approval), card_state_words(now, NULL));
    else if (decided == DECIDED_CHANGED)
        say(watching, STYLE_BAD, "It changed since it was shown. Nothing was done. Look again, then decide.");
    else
        say_state(watching, now);
    if (!card_is(now, "pending") && watch_find(&watching->watch, watching->id) < json_array_size(watching->watch.list))
        watching->watch.pending--;
    watching->watch.changed = NULL; /* it has been said */
    watch_put(&watching->watch, now);
    watching->watch.changed = on_changed;
}

static void decide(struct watching *watching, bool approved, const char *reason)
{
    CLEANUP_JSON json_t *approval = json_incref((json_t *) chosen(watching));
    CLEANUP_JSON json_t *now = NULL;
    const struct decision decision = { .approved = approved, .reason = reason };
    enum decided decided = DECIDED_TICKET;
    struct err err = ERR_INIT;
    int r = 0;

    if (!json_is_true(json_object_get(approval, "needs_ticket")) || !approved) {
        say(watching, STYLE_DIM, "%s …", approved ? "approving" : "denying");
        draw(watching);
        screen_allow(watching->screen, true);
        r = approval_try(watching->cli, approval, &decision, &decided, &now, &err);
        screen_allow(watching->screen, false);
    }
    if (r >= 0 && decided == DECIDED_TICKET)
        r = decide_proven(watching, approval, approved, reason, &decided, &now) ? -ECANCELED : 0;
    if (r == -ECANCELED)
        say(watching, STYLE_WARN, "not decided");
    else if (r < 0)
        say(watching, STYLE_BAD, "not decided: %s", err.message);
    else
        put_decision(watching, approval, decided, now);
}

/* True when a decision can be about what the person sees. */
static bool may_decide(struct watching *watching)
{
    if (!card_is(chosen(watching), "pending"))
        return false;
    if (!watching->watch.events)
        say(watching, STYLE_BAD, "the daemon does not answer");
    else if (clock_boot_ms() - watching->shown_since_ms < SETTLE_MS)
        say(watching, STYLE_WARN, "this has only just come here: look, then press again");
    else
        return true;
    return false;
}

static void on_approve(struct watching *watching)
{
    if (!may_decide(watching))
        return;
    if (!watching->seen_whole && !watching->warned) {
        say(watching, STYLE_WARN, "not all of it was shown: s shows the whole card; a once more approves it as it is");
        watching->warned = true;
        return;
    }
    decide(watching, true, NULL);
}

static void on_deny(struct watching *watching)
{
    CLEANUP_FREE char *reason = NULL;
    char id[ULID_ID_MAX];
    struct err err = ERR_INIT;
    int r;

    if (!may_decide(watching))
        return;
    snprintf(id, sizeof id, "%s", watching->id);
    screen_pause(watching->screen);
    fprintf(stderr, "To deny: ");
    term_put(stderr, card_title(chosen(watching)));
    fputc('\n', stderr);
    r = ask_line("Reason, for the agent (Enter: none; Ctrl-D: do not deny): ", &reason, &err);
    screen_resume(watching->screen);
    if (r >= 0)
        decide(watching, false, reason);
    else
        say(watching, STYLE_PLAIN, "not denied");
}

static void on_resolve(struct watching *watching)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", watching->id, "/resolve");
    CLEANUP_JSON json_t *body = json_object();
    struct err err = ERR_INIT;

    if (!card_is_unresolved(chosen(watching))) {
        say(watching, STYLE_PLAIN, "only an unknown outcome can be resolved");
        return;
    }
    if (clock_boot_ms() - watching->shown_since_ms < SETTLE_MS)
        return;
    if (!path || cli_try(watching->cli, "POST", path, body, &answer, &err) < 0 ||
        (answer.status != 200 && cli_err_answer(&answer, &err))) {
        say(watching, STYLE_BAD, "not resolved: %s", err.message);
        return;
    }
    say(watching, STYLE_GOOD, "%.100s: resolved", card_title(answer.json));
    watching->watch.changed = NULL;
    watch_put(&watching->watch, answer.json);
    watching->watch.changed = on_changed;
}

static void choose(struct watching *watching, int step)
{
    size_t len = json_array_size(watching->watch.list), at = watching->view.selected;
    const char *id;

    if (step < 0 ? at == 0 : at + 1 >= len)
        return;
    watching->view.selected = step < 0 ? at - 1 : at + 1;
    id = json_get_str(chosen(watching), "id");
    snprintf(watching->id, sizeof watching->id, "%s", id ? id : "");
    watching->seal[0] = '\0'; /* it is another: everything about what was seen begins anew */
    watching->view.status[0] = '\0';
}

static void scroll(struct watching *watching, long lines)
{
    size_t by = (size_t) (lines < 0 ? -lines : lines);

    if (lines < 0)
        watching->view.scroll = watching->view.scroll > by ? watching->view.scroll - by : 0;
    else
        watching->view.scroll += by; /* watch_frame() brings it back */
}

static void on_next(struct watching *watching)
{
    if (watching->view.whole)
        scroll(watching, 1);
    else
        choose(watching, 1);
}

static void on_previous(struct watching *watching)
{
    if (watching->view.whole)
        scroll(watching, -1);
    else
        choose(watching, -1);
}

static void on_page_down(struct watching *watching)
{
    scroll(watching, (long) watching->view.card_rows > 2 ? (long) watching->view.card_rows - 1 : 1);
}

static void on_page_up(struct watching *watching)
{
    scroll(watching, (long) watching->view.card_rows > 2 ? 1 - (long) watching->view.card_rows : -1);
}

static void on_first(struct watching *watching)
{
    watching->view.scroll = 0;
}

static void on_last(struct watching *watching)
{
    watching->view.scroll = watching->view.card_lines;
}

static void on_whole(struct watching *watching)
{
    watching->view.whole = !watching->view.whole && json_array_size(watching->watch.list);
}

static void on_back(struct watching *watching)
{
    watching->view.whole = false;
}

static void on_quit(struct watching *watching)
{
    if (watching->view.whole)
        watching->view.whole = false;
    else
        watching->quit = true;
}

static void on_crowd(struct watching *watching)
{
    say(watching, STYLE_WARN, "several keys at once decide nothing");
}

/* Several keys at once decide nothing; everything else they may do. */
static void on_key(struct watching *watching, int key)
{
    static const struct {
        int key;
        void (*fn)(struct watching *watching);
        bool decides;
    } KEYS[] = {
        { 'a', on_approve, true },
        { 'd', on_deny, true },
        { 'r', on_resolve, true },
        { 'j', on_next, false },
        { SCREEN_DOWN, on_next, false },
        { 'k', on_previous, false },
        { SCREEN_UP, on_previous, false },
        { ' ', on_page_down, false },
        { SCREEN_PAGE_DOWN, on_page_down, false },
        { 'b', on_page_up, false },
        { SCREEN_PAGE_UP, on_page_up, false },
        { SCREEN_HOME, on_first, false },
        { SCREEN_END, on_last, false },
        { 's', on_whole, false },
        { SCREEN_ESCAPE, on_back, false },
        { 'q', on_quit, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (KEYS[i].key == (key & ~SCREEN_CROWDED))
            (key & SCREEN_CROWDED && KEYS[i].decides ? on_crowd : KEYS[i].fn)(watching);
}

static void turn(struct watching *watching)
{
    int came, key, fd = watching->watch.events ? events_fd(watching->watch.events) : -1;

    if (fd < 0) {
        screen_allow(watching->screen, true);
        watch_connect(&watching->watch);
        screen_allow(watching->screen, false);
        fd = watching->watch.events ? events_fd(watching->watch.events) : -1;
    }
    draw(watching);
    came = screen_wait(watching->screen, fd, fd < 0 ? AGAIN_MS : AGES_MS, &key);
    if (came & SCREEN_END_SIGNAL)
        watching->quit = true;
    if (came & SCREEN_OTHER)
        watch_take(&watching->watch);
    if ((came & SCREEN_KEY) && key != SCREEN_NONE)
        on_key(watching, key);
}

static int run_screen(struct cli *cli, struct watching *watching)
{
    struct err err = ERR_INIT;

    if (screen_open(&watching->screen, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    cli->interrupted = screen_ending();
    watching->watch.changed = on_changed;
    watching->watch.userdata = watching;
    while (!watching->quit)
        turn(watching);
    screen_close(watching->screen);
    cli->interrupted = NULL;
    return CODE_DONE;
}

static int run_watch(struct cli *cli)
{
    struct watching watching = { .cli = cli };
    int code = cli_daemon(cli);

    if (!code)
        code = watch_init(&watching.watch, cli);
    if (code)
        return code;
    if (args_has(cli->args, "json") || !term_is_tty(stdin) || !term_can_draw(cli->out))
        code = run_plain(cli, &watching.watch);
    else
        code = run_screen(cli, &watching);
    watch_clear(&watching.watch);
    return code;
}

const struct command COMMAND_APPROVAL_WATCH = {
    .name = "approval watch",
    .operands = "",
    .about = "see what waits as it comes, and decide with a key",
    .details =
        "a approves the card that is shown, d denies it with a reason, j and k or the arrows go to the next and the previous "
        "one, s shows "
        "the whole card, space and b scroll, r resolves an unknown outcome, q ends.\n"
        "\n"
        "A card that has only just appeared or changed, and several keys at once, decide nothing. A card of which not all was "
        "shown is approved by pressing a twice. Where the passphrase is needed it is asked for.\n"
        "\n"
        "Without a terminal, or with --json, every change is one line on standard output, and nothing can be decided.",
    .passphrase = true,
    .options = { { "json", 0, NULL, false, "print every change as one line of JSON" } },
    .run = run_watch,
};
