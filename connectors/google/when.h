/*
 * Moments in RFC 3339, as people and Google write them.
 */
#ifndef GOOGLE_WHEN_H
#define GOOGLE_WHEN_H

#include <aileron.h>

struct when {
    int64_t seconds; /* since 1970, UTC */
    int offset_min;  /* of the local time below */
    int year, month, day, hour, minute, second;
};

/* An argument; *ret_text stays NULL when it is absent and not required. Else 0, or -1 after bad_input that says what is wrong. */
int when_input(struct aileron_call *call, const char *name, bool required, struct when *ret_when, const char **ret_text);
/* Whether `text` starts with a moment. */
bool when_parse_prefix(const char *text, struct when *ret_when);
/* "2026-06-02T12:00:00Z" */
const char *when_utc(struct aileron_call *call, int64_t seconds);
/* "Tuesday 2 June 2026, 14:00 (UTC+02:00)"; the zone's name, if given, is put there too. */
const char *when_words(struct aileron_call *call, const struct when *when, const char *zone);
/* "1 h 30 min", "2 days" */
const char *when_duration(struct aileron_call *call, int64_t seconds);

#endif
