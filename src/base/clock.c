/*
 * Clocks, and RFC 3339 text. The calendar is computed here, in UTC and without
 * the C library's time zone, which would open files.
 */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define MS_PER_DAY INT64_C(86400000)

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_unix_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t clock_boot_ms(void)
{
    return clock_boot_us() / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date; years count from March, so that leap days come last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153;

    *day = (int) (of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int) (shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

/* Splits into whole days and the milliseconds of the day; also before 1970. */
static int64_t split_day(int64_t unix_ms, int64_t *ret_days)
{
    int64_t days = unix_ms / MS_PER_DAY, rest = unix_ms % MS_PER_DAY;

    if (rest < 0) {
        rest += MS_PER_DAY;
        days--;
    }
    *ret_days = days;
    return rest;
}

char *clock_format(int64_t unix_ms, char out[CLOCK_TEXT_MAX])
{
    int64_t days, year, rest = split_day(unix_ms, &days);
    int month, day;

    date_from_days(days, &year, &month, &day);
    snprintf(out, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int) year, month, day, (int) (rest / 3600000),
        (int) (rest / 60000 % 60), (int) (rest / 1000 % 60), (int) (rest % 1000));
    return out;
}

char *clock_format_day(int64_t unix_ms, char out[CLOCK_TEXT_MAX])
{
    int64_t days, year;
    int month, day;

    split_day(unix_ms, &days);
    date_from_days(days, &year, &month, &day);
    snprintf(out, CLOCK_TEXT_MAX, "%04d-%02d-%02d", (int) year, month, day);
    return out;
}

/* Reads exactly `count` digits and moves on; -1 when they are not there. */
static int digits(const char **at, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool skip(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static int parse_date(const char **at, int64_t *ret_days)
{
    int year = digits(at, 4), month, day;

    if (year < 0 || !skip(at, '-') || (month = digits(at, 2)) < 1 || month > 12 || !skip(at, '-'))
        return -EINVAL;
    day = digits(at, 2);
    if (day < 1 || day > month_days(year, month))
        return -EINVAL;
    *ret_days = days_from_date(year, month, day);
    return 0;
}

/* hh:mm:ss with any number of fraction digits, of which three count. Second 60 is a leap second. */
static int parse_time(const char **at, int64_t *ret_ms)
{
    int hour = digits(at, 2), minute, second, fraction = 0, scale = 100;

    if (hour < 0 || hour > 23 || !skip(at, ':') || (minute = digits(at, 2)) < 0 || minute > 59 || !skip(at, ':'))
        return -EINVAL;
    second = digits(at, 2);
    if (second < 0 || second > 60)
        return -EINVAL;
    if (skip(at, '.')) {
        if (**at < '0' || **at > '9')
            return -EINVAL;
        for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
            fraction += (**at - '0') * scale;
    }
    *ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + fraction;
    return 0;
}

static int parse_offset(const char **at, int64_t *ret_ms)
{
    int sign, hour, minute;

    *ret_ms = 0;
    if (skip(at, 'Z') || skip(at, 'z'))
        return 0;
    if (**at != '+' && **at != '-')
        return -EINVAL;
    sign = *(*at)++ == '-' ? -1 : 1;
    if ((hour = digits(at, 2)) < 0 || hour > 23 || !skip(at, ':') || (minute = digits(at, 2)) < 0 || minute > 59)
        return -EINVAL;
    *ret_ms = sign * (hour * 60 + minute) * INT64_C(60000);
    return 0;
}

int clock_parse(const char *text, int64_t *ret_unix_ms)
{
    int64_t days, time_ms, offset_ms;

    if (parse_date(&text, &days) < 0)
        return -EINVAL;
    if (!skip(&text, 'T') && !skip(&text, 't') && !skip(&text, ' '))
        return -EINVAL;
    if (parse_time(&text, &time_ms) < 0 || parse_offset(&text, &offset_ms) < 0 || *text != '\0')
        return -EINVAL;
    *ret_unix_ms = days * MS_PER_DAY + time_ms - offset_ms;
    return 0;
}

int clock_parse_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = { { '\0', 1000 }, { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', MS_PER_DAY } };
    int64_t value = 0;
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 12 || (text[len] != '\0' && text[len + 1] != '\0'))
        return -EINVAL;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (text[i] - '0');
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text[len] != units[i].unit)
            continue;
        if (value > INT64_MAX / units[i].ms)
            return -EINVAL;
        *ret_ms = value * units[i].ms;
        return 0;
    }
    return -EINVAL;
}
