/*
 * One good call of every operation and what Google answers to it, as a start for
 * everything that then goes wrong on purpose.
 */
#ifndef GOOGLE_SAMPLES_H
#define GOOGLE_SAMPLES_H

#include <stddef.h>

struct sample {
    const char *operation, *args;
    const char *answers[2]; /* in the order of the requests */
};

#define SAMPLE_TIMES "\"start_time\":\"2026-06-02T14:00:00+02:00\",\"end_time\":\"2026-06-02T15:30:00+02:00\""
#define SAMPLE_PAYLOAD                                                                                                           \
    "{\"mimeType\":\"multipart/mixed\",\"filename\":\"\",\"headers\":[{\"name\":\"From\",\"value\":\"=?UTF-8?Q?J=C3=B6rg?= "     \
    "<j@example.com>\"},"                                                                                                        \
    "{\"name\":\"Message-ID\",\"value\":\"<1@x>\"},{\"name\":\"References\",\"value\":\"<0@x> <2@x>\"}],\"body\":{\"size\":0},"  \
    "\"parts\":[{\"mimeType\":\"multipart/alternative\",\"parts\":[{\"mimeType\":\"text/plain\",\"headers\":[{\"name\":"         \
    "\"Content-Type\",\"value\":\"text/plain; charset=\\\"iso-8859-1\\\"\"}],\"body\":{\"size\":5,\"data\":\"R3L82eU\"}},"       \
    "{\"mimeType\":\"text/"                                                                                                      \
    "html\",\"body\":{\"size\":40,\"data\":\"PHA-YTxiPiZhbXA7PC9iPjxhIGhyZWY9ImgiPng8L2E-PCEtLSAtLT4\"}}]},"                     \
    "{\"mimeType\":\"text/html\",\"body\":{\"size\":3,\"data\":\"PHA-YTxiPiZhbXA7PC9iPjxhIGhyZWY9ImgiPng8L2E-PCEtLSAtLT4\"}},"   \
    "{\"mimeType\":\"text/plain\",\"body\":{\"attachmentId\":\"abc\",\"size\":3}},"                                              \
    "{\"mimeType\":\"application/pdf\",\"filename\":\"a.pdf\",\"body\":{\"attachmentId\":\"b\",\"size\":12345}}]}"
#define SAMPLE_MESSAGE                                                                                                           \
    "{\"id\":\"m1\",\"threadId\":\"t1\",\"labelIds\":[\"INBOX\"],\"snippet\":\"a &amp; b\",\"internalDate\":\"1780394400123\","  \
    "\"sizeEstimate\":4096,\"payload\":" SAMPLE_PAYLOAD "}"
#define SAMPLE_EVENTS                                                                                                            \
    "{\"summary\":\"Work\",\"timeZone\":\"Europe/Berlin\",\"items\":[{\"id\":\"e1\",\"status\":\"confirmed\",\"summary\":\"S\"," \
    "\"description\":\"d\",\"location\":\"l\",\"start\":{\"dateTime\":\"2026-06-02T14:00:00+02:00\",\"timeZone\":\"UTC\"},"      \
    "\"end\":{\"date\":\"2026-06-02\"},\"organizer\":{\"email\":\"o@x\"},\"attendees\":[{\"email\":\"a@x\",\"displayName\":"     \
    "\"A\","                                                                                                                     \
    "\"responseStatus\":\"accepted\"}],\"htmlLink\":\"h\",\"hangoutLink\":\"g\"}],\"nextPageToken\":\"n\"}"
#define SAMPLE_MAIL "\"to\":\"A \\u00e9 <a@x.com>, b@x.com\",\"cc\":\"c@x.com\",\"subject\":\"S\\u00e9\",\"body\":\"b\\n\""

static const struct sample samples[] = {
    { "list_recent_emails", "{\"query\":\"is:unread\"}",
        { "{\"messages\":[{\"id\":\"a\",\"threadId\":\"b\"}],\"nextPageToken\":\"n\"}" } },
    { "get_email", "{\"id\":\"m1\"}", { SAMPLE_MESSAGE, "{\"size\":3,\"data\":\"YWJj\"}" } },
    { "get_email", "{\"id\":\"m1\",\"format\":\"metadata\"}", { SAMPLE_MESSAGE } },
    { "list_drafts", "{}", { "{\"drafts\":[{\"id\":\"r\",\"message\":{\"id\":\"a\",\"threadId\":\"b\"}}]}" } },
    { "get_draft", "{\"id\":\"r1\"}", { "{\"id\":\"r1\",\"message\":" SAMPLE_MESSAGE "}", "{\"size\":3,\"data\":\"YWJj\"}" } },
    { "draft_email", "{" SAMPLE_MAIL ",\"reply_to_id\":\"m1\"}",
        { SAMPLE_MESSAGE, "{\"id\":\"r1\",\"message\":{\"id\":\"m1\",\"threadId\":\"t1\"}}" } },
    { "send_email", "{" SAMPLE_MAIL "}", { "{\"id\":\"m1\",\"threadId\":\"t1\"}" } },
    { "send_draft", "{\"draft_id\":\"r1\",\"version\":\"m1\"}",
        { "{\"id\":\"r1\",\"message\":{\"id\":\"m1\"}}", "{\"id\":\"m1\",\"threadId\":\"t1\"}" } },
    { "list_upcoming_events", "{\"time_max\":\"2030-01-01T00:00:00Z\"}", { SAMPLE_EVENTS } },
    { "preview_calendar_event", "{\"title\":\"T\"," SAMPLE_TIMES ",\"attendees\":[\"A <a@x.com>\"]}", { SAMPLE_EVENTS } },
    { "create_calendar_event", "{\"title\":\"T\"," SAMPLE_TIMES ",\"timezone\":\"UTC\"}",
        { "{\"id\":\"e1\",\"htmlLink\":\"h\",\"start\":{\"dateTime\":\"x\"},\"end\":{\"dateTime\":\"y\"}}" } },
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

#endif
