/*
 * Moments in RFC 3339. A moment without its offset from UTC could be read as
 * another hour than was meant, so it is refused with words that tell what to add.
 */
#include "when.h"

#include "input.h"

#include <string.h>

#define EXAMPLE  "2026-06-02T14:00:00+02:00"
#define TEXT_MAX 64

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Exactly `count` digits. */
static bool number(const char **at, int count, int *ret)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        char c = (*at)[i];

        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *at += count;
    *ret = value;
    return true;
}

static bool literal(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

static const char *parse_offset(const char **at, int *ret_offset_min)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;

    if (literal(at, 'Z') || literal(at, 'z')) {
        *ret_offset_min = 0;
        return NULL;
    }
    if (!literal(at, '+') && !literal(at, '-'))
        return "it has no offset from UTC: end it with Z or, for example, +02:00";
    if (!number(at, 2, &hours) || !literal(at, ':') || !number(at, 2, &minutes) || hours > 23 || minutes > 59)
        return "its offset from UTC is not like +02:00";
    *ret_offset_min = sign * (hours * 60 + minutes);
    return NULL;
}

static const char *parse_time(const char **at, struct when *when)
{
    if (!number(at, 2, &when->hour) || !literal(at, ':') || !number(at, 2, &when->minute))
        return "its time is not like 14:00:00";
    if (!literal(at, ':') || !number(at, 2, &when->second))
        return "its time has no seconds";
    if (when->hour > 23 || when->minute > 59 || when->second > 59)
        return "there is no such time of day";
    if (literal(at, '.')) {
        if (**at < '0' || **at > '9')
            return "its fraction of a second is empty";
        while (**at >= '0' && **at <= '9')
            ++*at;
    }
    return NULL;
}

/* NULL, or what is wrong. *at ends behind the moment. */
static const char *parse(const char **at, struct when *when)
{
    const char *wrong;

    if (!number(at, 4, &when->year) || !literal(at, '-') || !number(at, 2, &when->month) || !literal(at, '-') ||
        !number(at, 2, &when->day))
        return "it does not start with a date like 2026-06-02";
    if (when->year < 1 || when->month < 1 || when->month > 12 || when->day < 1 ||
        when->day > days_in_month(when->year, when->month))
        return "there is no such day";
    if (**at == '\0')
        return "it is a day without a time";
    if (!literal(at, 'T') && !literal(at, 't'))
        return "there is no T between day and time";
    wrong = parse_time(at, when);
    if (!wrong)
        wrong = parse_offset(at, &when->offset_min);
    if (wrong)
        return wrong;
    when->seconds = days_from_date(when->year, when->month, when->day) * 86400 + (int64_t) when->hour * 3600 +
                    (int64_t) (when->minute - when->offset_min) * 60 + when->second;
    return NULL;
}

int when_input(struct aileron_call *call, const char *name, bool required, struct when *ret_when, const char **ret_text)
{
    struct when when = { 0 };
    const char *text = NULL, *at, *wrong;

    if (input_text(call, name, INPUT_ONE_LINE | (required ? INPUT_REQUIRED : 0), TEXT_MAX, &text) != 0)
        return -1;
    if (!text)
        return 0;
    at = text;
    wrong = parse(&at, &when);
    if (!wrong && *at)
        wrong = "something follows it";
    if (wrong)
        return aileron_fail(call, "bad_input", "%s is not a time like " EXAMPLE ": %s", name, wrong);
    *ret_when = when;
    *ret_text = text;
    return 0;
}

bool when_parse_prefix(const char *text, struct when *ret_when)
{
    return parse(&text, ret_when) == NULL;
}

const char *when_utc(struct aileron_call *call, int64_t seconds)
{
    int64_t day = seconds / 86400, left = seconds % 86400, year;
    int month = 1;

    if (left < 0) {
        left += 86400;
        day--;
    }
    year = 1970 + day / 366;
    while (days_from_date((int) year + 1, 1, 1) <= day)
        year++;
    day -= days_from_date((int) year, 1, 1);
    while (day >= days_in_month((int) year, month))
        day -= days_in_month((int) year, month++);
    return aileron_printf(call, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int) year, month, (int) day + 1, (int) (left / 3600),
        (int) (left / 60 % 60), (int) (left % 60));
}

const char *when_words(struct aileron_call *call, const struct when *when, const char *zone)
{
    static const char *const weekdays[] = { "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday" };
    static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December" };
    int64_t day = days_from_date(when->year, when->month, when->day) % 7;
    int offset = when->offset_min < 0 ? -when->offset_min : when->offset_min;

    const char *second = when->second ? aileron_printf(call, ":%02d", when->second) : "";

    return aileron_printf(call, "%s %d %s %d, %02d:%02d%s (UTC%c%02d:%02d%s%s)", weekdays[day < 0 ? day + 7 : day], when->day,
        months[when->month - 1], when->year, when->hour, when->minute, second, when->offset_min < 0 ? '-' : '+', offset / 60,
        offset % 60, zone ? ", " : "", zone ? zone : "");
}

const char *when_duration(struct aileron_call *call, int64_t seconds)
{
    struct aileron_text text;
    const struct {
        int64_t count;
        const char *one, *many;
    } parts[] = { { seconds / 86400, "day", "days" }, { seconds / 3600 % 24, "h", "h" }, { seconds / 60 % 60, "min", "min" },
        { seconds % 60, "s", "s" } };

    aileron_text_init(&text, call, 64);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].count)
            aileron_text_printf(&text, "%s%lld %s", text.len ? " " : "", (long long) parts[i].count,
                parts[i].count == 1 ? parts[i].one : parts[i].many);
    return text.data;
}
