/*
 * A request is `due` at a position in the stream to the daemon. What lies before `written` when the connection ends may have
 * been read; of calls, that is told, once. Calls that lie behind it, and all other requests, go to the next daemon.
 *
 * A new connection is greeted by us, under an id of ours whose answer the agent does not see.
 */
#include "relay/link.h"

#include "relay/words.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define RESUME_ID       "\"aileron-mcp-resume\""
#define INVALID_REQUEST (-32600)
#define SESSION_REFUSED (-32001)
#define TOO_MANY_CALLS  (-32002)
#define KEPT_MAX        (LINK_ANSWER_MAX + 64u * 1024 * 1024)

static const char AWAY[] = "Aileron's daemon does not answer; the person can start it with: aileron daemon start";

static void check(struct link *link, int r)
{
    link->broken = link->broken || r < 0;
}

void link_init(struct link *link, const char *token, int64_t now_ms)
{
    *link =
        (struct link){ .to_agent = BUF_INIT(KEPT_MAX), .to_daemon = BUF_INIT(KEPT_MAX), .token = token, .away_since_ms = now_ms };
    link->flights.last = &link->flights.first;
    snprintf(link->why, sizeof link->why, "%s", AWAY);
}

void link_free(struct link *link)
{
    flights_clear(&link->flights);
    buf_free(&link->to_agent);
    buf_free(&link->to_daemon);
}

/* ---- to the daemon ---- */

static void queue(struct link *link, const char *text, size_t len)
{
    check(link, buf_add(&link->to_daemon, text, len));
    link->queued += len;
}

static void queue_line(struct link *link, const char *line, size_t len)
{
    queue(link, line, len);
    queue(link, "\n", 1);
}

static void queue_flight(struct link *link, struct flight *flight)
{
    queue(link, flight->text, flight->text_len);
    flight->due = link->queued;
}

static void resume(struct link *link)
{
    static const char HELLO[] =
        "{\"jsonrpc\":\"2.0\",\"id\":" RESUME_ID ",\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
        "\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"aileron-mcp\",\"version\":\"" AILERON_VERSION "\"}}}\n";
    static const char READY[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";

    link->resuming = true;
    queue(link, HELLO, sizeof HELLO - 1);
    if (link->initialized)
        queue(link, READY, sizeof READY - 1);
}

void link_connected(struct link *link)
{
    struct flight *flight;

    link->connected = true;
    link->good = link->resuming = false;
    link->queued = link->written = 0;
    queue_line(link, link->token, strlen(link->token));
    if (link->greeted)
        resume(link);
    for (flight = link->flights.first; flight; flight = flight->next)
        queue_flight(link, flight);
}

void link_written(struct link *link, size_t len)
{
    struct flight *flight;

    buf_consume(&link->to_daemon, len);
    link->written += len;
    for (flight = link->flights.first; flight; flight = flight->next)
        if (flight->tool && flight->text && flight->due && flight->due <= link->written)
            flight_forget_text(&link->flights, flight);
}

void link_lost(struct link *link, int64_t now_ms)
{
    struct flight *flight, *next;

    if (link->good)
        link->away_since_ms = now_ms;
    link->connected = link->good = link->resuming = false;
    buf_reset(&link->to_daemon);
    for (flight = link->flights.first; flight; flight = next) {
        next = flight->next;
        flight->due = 0;
        if (flight->text)
            continue;
        check(link, words_lost(&link->to_agent, flight));
        flight_remove(&link->flights, flight);
    }
}

/* ---- from the agent ---- */

static void give_up(struct link *link, struct flight *flight)
{
    check(link, words_unreachable(&link->to_agent, flight, link->why));
    link->greeted = link->greeted || flight->initialize;
    flight_remove(&link->flights, flight);
}

static bool has_waited(const struct link *link, int64_t now_ms)
{
    return link->refused || now_ms - link->away_since_ms >= LINK_HOLD_MS;
}

static void take_request(struct link *link, const struct scan *scan, const char *line, size_t len, int64_t now_ms)
{
    struct flight *flight = flight_find(&link->flights, scan->id) ? NULL : flight_add(&link->flights, scan, line, len);
    char id[256] = "";

    if (flight && link->connected) {
        queue_flight(link, flight);
    } else if (flight && has_waited(link, now_ms)) {
        give_up(link, flight);
    } else if (!flight) {
        if (scan->id.len < sizeof id)
            memcpy(id, scan->id.at, scan->id.len);
        check(link,
            words_error(&link->to_agent, id[0] ? id : NULL, link->flights.len < FLIGHTS_MAX ? INVALID_REQUEST : TOO_MANY_CALLS,
                "too many requests at the same time, or one with this id already"));
    }
}

/* A notification, an answer, or something else for the daemon to judge. */
static void pass_on(struct link *link, const struct scan *scan, const char *line, size_t len)
{
    struct flight *flight = NULL;

    if (scan_is(scan->method, "notifications/initialized"))
        link->initialized = true;
    if (scan_is(scan->method, "notifications/cancelled"))
        flight = flight_find(&link->flights, scan->requested);
    if (flight)
        flight_remove(&link->flights, flight); /* MCP wants no answer to it */
    if (link->connected)
        queue_line(link, line, len);
    else if (!scan->method.at && !scan->answers)
        check(link, words_error(&link->to_agent, NULL, INVALID_REQUEST, "not a JSON-RPC 2.0 request"));
}

void link_agent_line(struct link *link, const char *line, size_t len, int64_t now_ms)
{
    struct scan scan;

    if (!len)
        return;
    scan_line(line, len, &scan);
    if (scan.method.at && scan.id.at && scan_id_is_good(scan.id))
        take_request(link, &scan, line, len, now_ms);
    else
        pass_on(link, &scan, line, len);
}

void link_agent_overlong(struct link *link)
{
    check(link, words_error(&link->to_agent, NULL, INVALID_REQUEST, "the message is longer than 2 MiB"));
}

/* ---- from the daemon ---- */

static void take_refusal(struct link *link, const struct scan *scan)
{
    char text[128] = "unknown session";

    if (scan->error_text.at && scan->error_text.len < sizeof text && !memchr(scan->error_text.at, '\\', scan->error_text.len)) {
        memcpy(text, scan->error_text.at, scan->error_text.len);
        text[scan->error_text.len] = '\0';
    }
    link->refused = true;
    snprintf(link->why, sizeof link->why, "Aileron's daemon refused this agent: %s", text);
}

static void is_good_now(struct link *link)
{
    link->good = link->ever_good = true;
    link->refused = false;
    snprintf(link->why, sizeof link->why, "%s", AWAY);
}

void link_daemon_line(struct link *link, const char *line, size_t len, int64_t now_ms)
{
    struct scan scan;
    struct flight *flight = NULL;

    scan_line(line, len, &scan);
    if (scan.answers && !scan.id.at && scan.error_code == SESSION_REFUSED) {
        take_refusal(link, &scan);
        return;
    }
    is_good_now(link);
    if (scan.answers && link->resuming && scan_is(scan.id, RESUME_ID)) {
        link->resuming = false;
        if (link->initialized)
            check(link, words_tools_changed(&link->to_agent)); /* they may have changed meanwhile */
        return;
    }
    if (scan.answers)
        flight = flight_find(&link->flights, scan.id);
    if (flight) {
        link->greeted = link->greeted || flight->initialize;
        flight_remove(&link->flights, flight);
    }
    check(link, buf_add(&link->to_agent, line, len));
    check(link, buf_add_char(&link->to_agent, '\n'));
}

/* ---- time ---- */

int64_t link_time(struct link *link, int64_t now_ms)
{
    if (link->connected || !link->flights.first)
        return -1;
    if (!has_waited(link, now_ms))
        return link->away_since_ms + LINK_HOLD_MS - now_ms;
    while (link->flights.first)
        give_up(link, link->flights.first);
    return -1;
}
