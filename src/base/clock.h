/*
 * Time: milliseconds since the Unix epoch for what people read, CLOCK_BOOTTIME
 * for time-outs (SPEC: they count while the machine sleeps).
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 32

int64_t clock_unix_ms(void);
int64_t clock_boot_us(void);
int64_t clock_boot_ms(void);
/* RFC 3339 UTC with milliseconds: 2026-11-23T22:29:00.123Z. Returns `out`. */
char *clock_format(int64_t unix_ms, char out[CLOCK_TEXT_MAX]);
/* Any RFC 3339 date-time; 0 or -EINVAL. */
int clock_parse(const char *text, int64_t *ret_unix_ms);
/* Days since 1970-01-01 UTC as YYYY-MM-DD. */
char *clock_format_day(int64_t unix_ms, char out[CLOCK_TEXT_MAX]);
/* "90s", "15m", "24h", "7d" or plain seconds → milliseconds; 0 or -EINVAL. */
int clock_parse_duration(const char *text, int64_t *ret_ms);

#endif
