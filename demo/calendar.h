/*
 * One calendar in memory, in the shapes of Google Calendar's API (calendars,
 * events, calendarList). Knows no HTTP.
 */
#ifndef DEMO_CALENDAR_H
#define DEMO_CALENDAR_H

#include "base/cleanup.h"
#include "base/json.h"

#include <stdint.h>

struct calendar;

/* Seeded with events of the days after `now`. NULL when out of memory. */
struct calendar *calendar_new(int64_t now_unix_ms);
void calendar_free(struct calendar *calendar);
DEFINE_CLEANUP_PTR(struct calendar, calendar_free)

/* Adds an event (stolen; Google's form with start.dateTime and end.dateTime). Its id, borrowed; NULL when a time is wrong. */
const char *calendar_add(struct calendar *calendar, json_t *event);

/* As those of mailbox.h. */
int calendar_get(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret);
int calendar_list(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret);
int calendar_events(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret);
int calendar_insert(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret);

#endif
