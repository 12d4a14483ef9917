/*
 * Requests to Gmail and Google Calendar: JSON in and out, with the provider's
 * failures told as ours (SPEC §6).
 */
#ifndef GOOGLE_API_H
#define GOOGLE_API_H

#include <aileron.h>

#define GMAIL_URL    "https://gmail.googleapis.com/gmail/v1/users/me"
#define CALENDAR_URL "https://www.googleapis.com/calendar/v3"

/* Both return 0 with an object, or -1 after the call has failed. */
int google_get(struct aileron_call *call, const char *url, const struct aileron_json **ret_answer);
/*
 * A 2xx answer that cannot be read still means that the request was carried out: *ret_answer is then NULL, and the caller must
 * say what was done rather than invite a second attempt.
 */
int google_post(struct aileron_call *call, const char *url, struct aileron_writer *body, const struct aileron_json **ret_answer);

/* A URL under construction: ? or & as needed, the value escaped; a NULL value adds nothing. */
void google_query(struct aileron_text *url, const char *name, const char *value);
void google_query_int(struct aileron_text *url, const char *name, int64_t value);

#endif
