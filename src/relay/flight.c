/* A list: a client has few requests under way, and each is looked for once. */
#include "relay/flight.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define ID_MAX   (256u * 1024)
#define TOOL_MAX 128

static void flight_free(struct flight *flight)
{
    free(flight->id);
    buf_free(&flight->plain);
    free(flight->tool);
    free(flight->text);
    free(flight);
}

/* A name that stands for itself in any text; others could break ours. */
static char *tool_name(struct scan_slice name)
{
    static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    char *copy = name.at && name.len && name.len < TOOL_MAX ? strndup(name.at, name.len) : strdup("");

    if (copy && strlen(copy) && strspn(copy, PLAIN) == strlen(copy))
        return copy;
    free(copy);
    return strdup("the tool");
}

static bool fill(struct flight *flight, const struct scan *scan, const char *line, size_t len)
{
    bool is_call = scan_is(scan->method, "tools/call");

    flight->plain = (struct buf) BUF_INIT(ID_MAX);
    flight->id = strndup(scan->id.at, scan->id.len);
    flight->text = malloc(len + 1);
    flight->initialize = scan_is(scan->method, "initialize");
    flight->tool = is_call ? tool_name(scan->tool) : NULL;
    if (scan->version.at && scan->version.len < sizeof flight->version)
        memcpy(flight->version, scan->version.at, scan->version.len);
    if (!flight->id || !flight->text || (is_call && !flight->tool))
        return false;
    memcpy(flight->text, line, len);
    flight->text[len] = '\n';
    flight->text_len = len + 1;
    return scan_id_plain(scan->id, &flight->plain) >= 0;
}

struct flight *flight_add(struct flights *flights, const struct scan *scan, const char *line, size_t len)
{
    struct flight *flight = NULL;

    if (flights->len < FLIGHTS_MAX && flights->kept + len < FLIGHTS_KEPT_MAX && scan->id.len < ID_MAX)
        flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    if (!fill(flight, scan, line, len)) {
        flight_free(flight);
        return NULL;
    }
    *flights->last = flight;
    flights->last = &flight->next;
    flights->len++;
    flights->kept += flight->text_len;
    return flight;
}

struct flight *flight_find(const struct flights *flights, struct scan_slice id)
{
    struct buf plain = BUF_INIT(ID_MAX);
    struct flight *flight = NULL;

    if (id.at && scan_id_plain(id, &plain) >= 0)
        for (flight = flights->first; flight; flight = flight->next)
            if (flight->plain.len == plain.len && !memcmp(flight->plain.data, plain.data, plain.len))
                break;
    buf_free(&plain);
    return flight;
}

void flight_forget_text(struct flights *flights, struct flight *flight)
{
    flights->kept -= flight->text_len;
    flight->text_len = 0;
    free(flight->text);
    flight->text = NULL;
}

void flight_remove(struct flights *flights, struct flight *flight)
{
    struct flight **at = &flights->first;

    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    if (!*at)
        flights->last = at;
    flights->len--;
    flight_forget_text(flights, flight);
    flight_free(flight);
}

void flights_clear(struct flights *flights)
{
    while (flights->first)
        flight_remove(flights, flights->first);
}
