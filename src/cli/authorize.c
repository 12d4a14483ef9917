/* Waiting for two at once: the keeper, and a person who pastes. Ctrl-C closes the connection, and that ends the flow. */
#include "cli/authorize.h"

#include "base/clock.h"
#include "base/url.h"
#include "cli/ask.h"
#include "cli/browser.h"
#include "cli/passphrase.h"
#include "cli/term.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/banned.h"

#define FLOW_MIN 10
#define LOOK_MS  500
#define FLOW_MS  ((FLOW_MIN * 60 + 30) * 1000)
#define URL_MAX  (16 * 1024)

int authorize_redirect_uri(struct cli *cli, char **ret_uri)
{
    CLEANUP_JSON json_t *status = NULL;
    struct url url;
    const char *text;
    int code = cli_get(cli, "GET", "/v1/status", NULL, &status);

    if (code)
        return code;
    text = json_get_str(status, "url");
    if (!text || url_parse(text, strlen(text), &url, NULL) < 0)
        return cli_failf(CODE_FAILED, "aileron status", "the daemon does not tell where it listens");
    if (asprintf(ret_uri, "http://127.0.0.1:%u/oauth2/callback", (unsigned) url.port) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return CODE_DONE;
}

static int open_page(const struct cli *cli, const char *url, struct err *err)
{
    return cli->browse ? cli->browse(url, cli->browse_userdata, err) : browser_open(url, err);
}

/* Prints the URL and starts a browser where there is one. True when the address has to be pasted. */
static bool send_away(const struct cli *cli, const char *url, bool no_browser)
{
    struct err err = ERR_INIT;
    bool here = !no_browser && (cli->browse || browser_is_here());

    if (here && open_page(cli, url, &err) < 0) {
        cli_note("aileron: %s", err.message);
        here = false;
    }
    if (here && cli->browse) /* the tour has been there already, and says so itself */
        return false;
    cli_note(here ? "Your browser was sent to this page; if it is not there, open it yourself:" : "Open this page in a browser:");
    fputc('\n', stderr);
    term_put(stderr, url);
    fprintf(stderr, "\n\n");
    cli_note("Waiting for your consent there, at most %d minutes; Ctrl-C gives up.", FLOW_MIN);
    return !here;
}

static void prompt_paste(void)
{
    fprintf(stderr, "If that browser runs on another machine, paste the address that your browser shows afterwards: ");
    fflush(stderr);
}

/* One pasted line to the keeper. False at the end of input: then only the callback can come. */
static int read_pasted(struct keeper *keeper, int fd, bool *ret_more)
{
    CLEANUP_PTR(secret_free) struct secret *line = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    size_t start = 0, end;
    ssize_t n;

    if (secret_new(URL_MAX, &line) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    n = read(fd, secret_data(line), URL_MAX);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) /* a signal key throws away what poll() has seen */
        return CODE_DONE;
    *ret_more = n > 0;
    end = n > 0 ? (size_t) n : 0;
    while (end && isspace(secret_bytes(line)[end - 1]))
        end--;
    while (start < end && isspace(secret_bytes(line)[start]))
        start++;
    if (start == end)
        return CODE_DONE;
    wire_init(&request, OWNER_OAUTH_PASTE, 0);
    wire_put_secret(&request, secret_bytes(line) + start, end - start);
    return keeper_send(keeper, &request);
}

/* Waits until the keeper has something to say, passing on what is pasted meanwhile. `tty` is -1 when nobody pastes. */
static int wait_keeper(struct cli *cli, struct keeper *keeper, int *tty, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = keeper_fd(keeper), .events = POLLIN }, { .fd = *tty, .events = POLLIN } };
        int64_t left = deadline_ms - clock_boot_ms();
        bool more = true;
        int n, code;

        if (cli->interrupted && *cli->interrupted)
            return cli_failf(CODE_FAILED, NULL, "interrupted");
        if (left <= 0)
            return cli_failf(CODE_FAILED, NULL, "nobody consented within %d minutes", FLOW_MIN);
        n = poll(fds, 2, (int) (left < LOOK_MS ? left : LOOK_MS)); /* a signal may come just before it */
        if (n < 0 && errno != EINTR)
            return cli_failf(CODE_FAILED, NULL, "cannot wait: %s", strerror(errno));
        if (n > 0 && fds[0].revents)
            return CODE_DONE;
        if (n <= 0 || !fds[1].revents)
            continue;
        code = read_pasted(keeper, *tty, &more);
        if (code)
            return code;
        if (!more)
            cleanup_close(tty);
        *tty = more ? *tty : -1;
    }
}

/* What was pasted was not it; the flow goes on. */
static int put_refusal(struct wire_frame *frame)
{
    uint8_t result = wire_get_u8(frame);
    const char *message = wire_get_str(frame, LIMIT_FRAME_BYTES), *hint = wire_get_str(frame, LIMIT_FRAME_BYTES);

    if (wire_end(frame) < 0)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper's answer is malformed");
    if (result == KEEPER_OK)
        return CODE_DONE;
    cli_note("aileron: %s%s%s", *message ? message : "that is not the address", *hint ? "; " : "", hint);
    prompt_paste();
    return CODE_DONE;
}

static int await_end(struct cli *cli, struct keeper *keeper, int *tty, struct keeper_answer *ret_answer)
{
    int64_t deadline_ms = clock_boot_ms() + FLOW_MS;

    for (;;) {
        CLEANUP(wire_free) struct wire_frame frame = { 0 };
        int code = wait_keeper(cli, keeper, tty, deadline_ms);

        if (!code)
            code = keeper_receive(cli, keeper, NULL, FLOW_MS, &frame);
        if (code)
            return code;
        if (frame.type != OWNER_PASTED) {
            if (*tty >= 0)
                fputc('\n', stderr);
            return keeper_read_done(&frame, ret_answer);
        }
        code = put_refusal(&frame);
        if (code)
            return code;
    }
}

int authorize(
    struct cli *cli, struct keeper *keeper, struct wire_frame *request, bool no_browser, struct keeper_answer *ret_answer)
{
    CLEANUP(wire_free) struct wire_frame frame = { 0 };
    CLEANUP_FREE char *url = NULL;
    CLEANUP_CLOSE int tty = -1;
    int code = keeper_send(keeper, request);

    /* The wait is long: nothing that unlocked the vault or goes to the keeper is here meanwhile. */
    wire_free(request);
    passphrase_forget();
    if (!code)
        code = keeper_receive(cli, keeper, "waiting for the keeper …", 60000, &frame);
    if (code)
        return code;
    if (frame.type != OWNER_URL) /* it could not begin */
        return keeper_read_done(&frame, ret_answer);
    url = strdup(wire_get_str(&frame, URL_MAX));
    if (wire_end(&frame) < 0 || !url)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper's answer is malformed");
    if (send_away(cli, url, no_browser)) {
        tty = ask_terminal(NULL);
        if (tty >= 0 && fcntl(tty, F_SETFL, O_RDWR | O_NONBLOCK) == 0)
            prompt_paste();
    }
    return await_end(cli, keeper, &tty, ret_answer);
}
