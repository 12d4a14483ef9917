/*
 * Fuzzes what passes through the relay: the input is a script of lines, each with who says it (A agent, D daemon) or what
 * happens (C connected, L lost, W some bytes written, T time). No request may be answered twice, none may be forgotten, and
 * no call may reach two daemons.
 */
#include "relay/link.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_scan(const char *line, size_t len)
{
    struct scan scan;
    struct buf plain = BUF_INIT(1u << 20);

    scan_line(line, len, &scan);
    if (scan.id.at && (scan.id.at < line || scan.id.at + scan.id.len > line + len))
        abort();
    if (scan.id.at)
        scan_id_plain(scan.id, &plain);
    buf_free(&plain);
}

/* Every flight is kept or on its way, and what is counted is there. */
static void check_link(const struct link *link)
{
    const struct flight *flight;
    size_t len = 0, kept = 0;

    for (flight = link->flights.first; flight; flight = flight->next) {
        len++;
        kept += flight->text_len;
        if (!flight->text && !(link->connected && flight->tool && flight->due && flight->due <= link->written))
            abort();
        if (link->connected && !flight->due)
            abort();
    }
    if (len != link->flights.len || kept != link->flights.kept || link->broken)
        abort();
}

static size_t lines_in(const struct buf *buf)
{
    size_t n = 0;

    for (size_t i = 0; i < buf->len; i++)
        n += buf->data[i] == '\n';
    return n;
}

static void lose(struct link *link)
{
    size_t before = lines_in(&link->to_agent), flights = link->flights.len;

    link_lost(link, 0);
    if (lines_in(&link->to_agent) - before != flights - link->flights.len)
        abort();
}

static void step(struct link *link, char what, const char *line, size_t len, int64_t now)
{
    if (what == 'A')
        link_agent_line(link, line, len, now);
    else if (what == 'D' && link->connected)
        link_daemon_line(link, line, len, now);
    else if (what == 'C' && !link->connected)
        link_connected(link);
    else if (what == 'L' && link->connected)
        lose(link);
    else if (what == 'W' && link->connected)
        link_written(link, len % 2 ? link->to_daemon.len : link->to_daemon.len / 2);
    else if (what == 'T')
        link_time(link, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *) data, *end = at + size;
    struct link link;
    int64_t now = 0;

    link_init(&link, "ags_token", 0);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t) (end - at));
        size_t len = (size_t) ((stop ? stop : end) - at);

        if (len) {
            check_scan(at + 1, len - 1);
            step(&link, *at, at + 1, len - 1, now);
            check_link(&link);
        }
        at += len + 1;
        now += 500;
    }
    if (link.connected)
        lose(&link);
    link_time(&link, now + LINK_HOLD_MS);
    if (link.flights.first)
        abort();
    link_free(&link);
    return 0;
}
