#include "common/base/wall.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/must.h"

#define NS_PER_SEC 1000000000

static struct wall
real_now(void)
{
    struct timespec ts;

    must(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (struct wall){ ts.tv_sec, (int32_t)ts.tv_nsec };
}

static struct wall (*source)(void) = real_now;

void wall_set_source(struct wall (*now)(void))
{
    source = now != NULL ? now : real_now;
}

struct wall
wall_now(void)
{
    return source();
}

struct wall
wall_from_ms(int64_t ms)
{
    int64_t sec = ms / 1000;
    int64_t rest = ms % 1000;

    if (rest < 0) {
        rest += 1000;
        sec--;
    }
    return (struct wall){ sec, (int32_t)rest * 1000000 };
}

int64_t
wall_to_ms(struct wall t)
{
    int64_t ms;

    if (__builtin_mul_overflow(t.sec, (int64_t)1000, &ms) ||
        __builtin_add_overflow(ms, (int64_t)(t.nsec / 1000000), &ms))
        return t.sec < 0 ? INT64_MIN : INT64_MAX;
    return ms;
}

int
wall_cmp(struct wall a, struct wall b)
{
    if (a.sec != b.sec)
        return a.sec < b.sec ? -1 : 1;
    return (a.nsec > b.nsec) - (a.nsec < b.nsec);
}

bool
wall_is_zero(struct wall t)
{
    return t.sec == 0 && t.nsec == 0;
}

static void
format_tm(const struct tm *tm, int32_t nsec, long zone_sec, enum wall_form form,
    char out[WALL_TEXT_MAX])
{
    char fraction[12] = "";
    char zone[16] = "Z";

    if (form == WALL_MS) {
        snprintf(fraction, sizeof(fraction), ".%03d", nsec / 1000000);
    } else if (form == WALL_TRIMMED && nsec != 0) {
        size_t len = (size_t)snprintf(fraction, sizeof(fraction), ".%09d", nsec);

        while (fraction[len - 1] == '0')
            fraction[--len] = '\0';
    }
    if (zone_sec != 0) {
        unsigned minutes = (unsigned)(zone_sec < 0 ? -zone_sec : zone_sec) / 60 % 6000;

        snprintf(zone, sizeof(zone), "%c%02u:%02u", zone_sec < 0 ? '-' : '+',
            minutes / 60, minutes % 60);
    }
    snprintf(out, WALL_TEXT_MAX, "%04ld-%02d-%02dT%02d:%02d:%02d%s%s",
        (long)tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min,
        tm->tm_sec, fraction, zone);
}

void
wall_format(struct wall t, enum wall_form form, char out[WALL_TEXT_MAX])
{
    time_t sec = t.sec;
    struct tm tm;

    if (gmtime_r(&sec, &tm) == NULL) /* the year does not fit: show the raw number */
        snprintf(out, WALL_TEXT_MAX, "@%lld", (long long)t.sec);
    else
        format_tm(&tm, t.nsec, 0, form, out);
}

void
wall_format_local(struct wall t, enum wall_form form, char out[WALL_TEXT_MAX])
{
    time_t sec = t.sec;
    struct tm tm;

    if (localtime_r(&sec, &tm) == NULL)
        snprintf(out, WALL_TEXT_MAX, "@%lld", (long long)t.sec);
    else
        format_tm(&tm, t.nsec, tm.tm_gmtoff, form, out);
}

/* Exactly n digits at *s; moves *s behind them. */
static bool
take_digits(const char **s, int n, int *out)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        char c = (*s)[i];

        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *s += n;
    *out = value;
    return true;
}

static bool
take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool
take_fraction(const char **s, int32_t *nsec)
{
    int32_t unit = NS_PER_SEC / 10;
    const char *start;

    *nsec = 0;
    if (!take_char(s, '.'))
        return true;
    for (start = *s; **s >= '0' && **s <= '9'; (*s)++) {
        *nsec += (**s - '0') * unit;
        unit /= 10;
    }
    return *s > start;
}

static bool
take_zone(const char **s, int *zone_sec)
{
    int sign, hours, minutes;

    *zone_sec = 0;
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    if (take_char(s, '+'))
        sign = 1;
    else if (take_char(s, '-'))
        sign = -1;
    else
        return false;
    if (!take_digits(s, 2, &hours) || !take_char(s, ':') || !take_digits(s, 2, &minutes))
        return false;
    *zone_sec = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

bool
wall_parse(const char *text, struct wall *out)
{
    const char *s = text;
    struct tm tm = { 0 }, check;
    int zone_sec;
    int32_t nsec;
    time_t sec;

    if (!take_digits(&s, 4, &tm.tm_year) || !take_char(&s, '-') ||
        !take_digits(&s, 2, &tm.tm_mon) || !take_char(&s, '-') ||
        !take_digits(&s, 2, &tm.tm_mday))
        return false;
    if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
        return false;
    if (!take_digits(&s, 2, &tm.tm_hour) || !take_char(&s, ':') ||
        !take_digits(&s, 2, &tm.tm_min) || !take_char(&s, ':') ||
        !take_digits(&s, 2, &tm.tm_sec) || !take_fraction(&s, &nsec) ||
        !take_zone(&s, &zone_sec) || *s != '\0')
        return false;
    if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    check = tm;
    sec = timegm(&check);
    /* timegm moves a day that does not exist into the next month. */
    if (check.tm_mon != tm.tm_mon || check.tm_mday != tm.tm_mday)
        return false;
    *out = (struct wall){ (int64_t)sec - zone_sec, nsec };
    return true;
}
