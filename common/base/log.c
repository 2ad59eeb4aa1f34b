#include "common/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/duration.h"
#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "common/json/json_text.h"

#define LOG_FIELDS_MAX 24

static struct log_options opt = { .level = LOG_INFO, .format = LOG_TEXT, .fd = 1 };
static struct log_field prefix[LOG_PREFIX_MAX + 1];

static const struct {
    const char *name;
    const char *pretty;
    const char *colour;
} levels[] = {
    [LOG_TRACE] = { "TRACE", "TRACE", "" },
    [LOG_DEBUG] = { "DEBUG", "DBG", "" },
    [LOG_INFO] = { "INFO", "INF", "\x1b[92m" },
    [LOG_WARN] = { "WARN", "WRN", "\x1b[93m" },
    [LOG_ERROR] = { "ERROR", "ERR", "\x1b[91m" },
};

void
log_setup(const struct log_options *options)
{
    opt = *options;
}

const struct log_options *
log_options(void)
{
    return &opt;
}

void
log_set_level(enum log_level level)
{
    opt.level = level;
}

void
log_set_prefix(const struct log_field *fields)
{
    size_t n = 0;

    for (size_t i = 0; prefix[i].type != LOG_T_END; i++)
        if (prefix[i].type == LOG_T_STR) {
            char *owned;

            memcpy(&owned, &prefix[i].v.str, sizeof(owned));
            mem_free(owned);
        }
    for (; n < LOG_PREFIX_MAX && fields[n].type != LOG_T_END; n++) {
        prefix[n] = fields[n];
        if (prefix[n].type == LOG_T_STR)
            prefix[n].v.str = mem_strdup(prefix[n].v.str != NULL ? prefix[n].v.str : "");
    }
    prefix[n] = LF_END;
}

bool
log_level_parse(const char *text, enum log_level *level)
{
    *level = LOG_INFO;
    if (strcasecmp(text, "warning") == 0) {
        *level = LOG_WARN;
        return true;
    }
    for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcasecmp(text, levels[i].name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

const char *
log_level_name(enum log_level level)
{
    return levels[level].name;
}

bool
log_enabled(enum log_level level)
{
    return level >= opt.level;
}

/* A character that Go's text handler leaves bare. */
static bool
is_bare(uint32_t rune)
{
    return rune != ' ' && rune != '=' && rune != '"' && rune != 0xfffd &&
           utf8_is_printable(rune);
}

static bool
needs_quotes(const char *s)
{
    size_t left = strlen(s);

    if (left == 0)
        return true;
    while (left > 0) {
        uint32_t rune;
        size_t n = utf8_decode(s, left, &rune);

        if (n == 0 || !is_bare(rune))
            return true;
        s += n;
        left -= n;
    }
    return false;
}

/* One character of a quoted value, as Go's strconv.Quote has it. */
static void
add_quoted_char(struct buf *b, const char *s, size_t n, uint32_t rune)
{
    static const char from[] = "\a\b\f\n\r\t\v\"\\";
    static const char to[] = "abfnrtv\"\\";
    const char *at = n == 1 && rune != 0 ? strchr(from, (int)rune) : NULL;

    if (at != NULL)
        buf_printf(b, "\\%c", to[at - from]);
    else if (n == 0)
        buf_printf(b, "\\x%02x", (unsigned)(unsigned char)*s);
    else if (utf8_is_printable(rune))
        buf_add(b, s, n);
    else if (rune < 0x80)
        buf_printf(b, "\\x%02x", rune);
    else
        buf_printf(b, rune > 0xffff ? "\\U%08x" : "\\u%04x", rune);
}

static void
add_quoted(struct buf *b, const char *s)
{
    size_t left = strlen(s);

    buf_add_char(b, '"');
    while (left > 0) {
        uint32_t rune = 0;
        size_t n = utf8_decode(s, left, &rune);

        add_quoted_char(b, s, n, rune);
        s += n > 0 ? n : 1;
        left -= n > 0 ? n : 1;
    }
    buf_add_char(b, '"');
}

/* One line to be made; no value takes more than value_max bytes of it. */
struct entry {
    enum log_level level;
    const char *file;
    int line;
    const char *func;
    const char *msg;
    const struct log_field *fields;
    size_t value_max;
};

/* The beginning of s and "..." when it is longer than max; whole characters. */
static const char *
clip(const char *s, size_t max, char tmp[LOG_LINE_MAX + 4])
{
    size_t len = strnlen(s, max + 1);

    if (len <= max)
        return s;
    for (len = max; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80;)
        len--;
    snprintf(tmp, LOG_LINE_MAX + 4, "%.*s...", (int)len, s);
    return tmp;
}

/* The value as one word; strings that are short enough are returned as they are. */
static const char *
value_text(const struct log_field *f, size_t max, char tmp[LOG_LINE_MAX + 4])
{
    switch (f->type) {
    case LOG_T_STR:
        return clip(f->v.str != NULL ? f->v.str : "", max, tmp);
    case LOG_T_INT:
        snprintf(tmp, WALL_TEXT_MAX, "%lld", (long long)f->v.i64);
        return tmp;
    case LOG_T_UINT:
        snprintf(tmp, WALL_TEXT_MAX, "%llu", (unsigned long long)f->v.u64);
        return tmp;
    case LOG_T_BOOL:
        return f->v.flag ? "true" : "false";
    case LOG_T_TXID:
        snprintf(tmp, WALL_TEXT_MAX, "%016llx", (unsigned long long)f->v.u64);
        return tmp;
    case LOG_T_DURATION:
        duration_format(f->v.i64, tmp);
        return tmp;
    case LOG_T_WALL:
        wall_format(f->v.wall, WALL_TRIMMED, tmp);
        return tmp;
    case LOG_T_END:
        break;
    }
    return "";
}

static void
add_word(struct buf *b, const char *text)
{
    if (needs_quotes(text))
        add_quoted(b, text);
    else
        buf_add_str(b, text);
}

static void
add_pairs(struct buf *b, const struct log_field *fields, size_t max, bool colour)
{
    for (; fields->type != LOG_T_END; fields++) {
        char tmp[LOG_LINE_MAX + 4];

        buf_printf(b, colour ? " \x1b[2m%s=\x1b[0m" : " %s=", fields->key);
        add_word(b, value_text(fields, max, tmp));
    }
}

static const char *
short_file(const char *file)
{
    const char *base = strrchr(file, '/');

    return base != NULL ? base + 1 : file;
}

static void
format_text(struct buf *b, const struct entry *en)
{
    char time[WALL_TEXT_MAX], tmp[LOG_LINE_MAX + 4];

    wall_format_local(wall_now(), WALL_MS, time);
    buf_printf(b, "time=%s level=%s", time, levels[en->level].name);
    if (opt.source)
        buf_printf(b, " source=%s:%d", short_file(en->file), en->line);
    buf_add_str(b, " msg=");
    add_word(b, clip(en->msg, en->value_max, tmp));
    add_pairs(b, prefix, en->value_max, false);
    add_pairs(b, en->fields, en->value_max, false);
}

static void
format_pretty(struct buf *b, const struct entry *en)
{
    bool colour = isatty(opt.fd) == 1;
    char time[WALL_TEXT_MAX] = "", tmp[LOG_LINE_MAX + 4];

    wall_format_local(wall_now(), WALL_SECONDS, time);
    time[19] = '\0'; /* 2006-01-02T15:04:05: the clock only */
    if (colour)
        buf_printf(b, "\x1b[2m%s\x1b[0m %s%s\x1b[0m ", time + 11,
            levels[en->level].colour, levels[en->level].pretty);
    else
        buf_printf(b, "%s %s ", time + 11, levels[en->level].pretty);
    if (opt.source)
        buf_printf(b, "%s:%d ", short_file(en->file), en->line);
    buf_add_str(b, clip(en->msg, en->value_max, tmp));
    add_pairs(b, prefix, en->value_max, colour);
    add_pairs(b, en->fields, en->value_max, colour);
}

static json_t *
value_json(const struct log_field *f, size_t max)
{
    char tmp[LOG_LINE_MAX + 4];

    switch (f->type) {
    case LOG_T_INT:
    case LOG_T_DURATION: /* Go writes durations as nanoseconds */
        return json_integer(f->v.i64);
    case LOG_T_UINT:
        if (f->v.u64 <= INT64_MAX)
            return json_integer((json_int_t)f->v.u64);
        return json_real((double)f->v.u64);
    case LOG_T_BOOL:
        return json_boolean(f->v.flag);
    case LOG_T_STR:
    case LOG_T_TXID:
    case LOG_T_WALL:
    case LOG_T_END:
        break;
    }
    return json_text_string(value_text(f, max, tmp));
}

/* The object that a key's groups lead to, made where missing; *key keeps the last part.
 */
static json_t *
enter_groups(json_t *obj, const char **key)
{
    const char *dot;

    for (; (dot = strchr(*key, '.')) != NULL; *key = dot + 1) {
        char group[64];
        json_t *in;

        snprintf(group, sizeof(group), "%.*s", (int)(dot - *key), *key);
        in = json_object_get(obj, group);
        if (!json_is_object(in)) {
            in = json_object();
            json_object_set_new(obj, group, in);
        }
        obj = in;
    }
    return obj;
}

static void
add_json_fields(json_t *line, const struct log_field *fields, size_t max)
{
    static const char *const taken[] = { "level", "time", "msg", "source" };

    for (; fields->type != LOG_T_END; fields++) {
        const char *key = fields->key;
        json_t *in = enter_groups(line, &key);
        char other[32];

        /* These are the line's own; an attribute of that name gets another. */
        for (size_t i = 0; in == line && i < sizeof(taken) / sizeof(taken[0]); i++)
            if (strcmp(key, taken[i]) == 0) {
                snprintf(other, sizeof(other), "ltx_%s", key);
                key = other;
                break;
            }
        json_object_set_new(in, key, value_json(fields, max));
    }
}

static void
format_json(struct buf *b, const struct entry *en)
{
    json_t *obj = json_object();
    char time[WALL_TEXT_MAX], tmp[LOG_LINE_MAX + 4];
    char *text;

    wall_format_local(wall_now(), WALL_TRIMMED, time);
    json_object_set_new(obj, "time", json_string(time));
    json_object_set_new(obj, "level", json_string(levels[en->level].name));
    if (opt.source)
        json_object_set_new(obj, "source",
            json_pack("{s:s, s:s, s:i}", "function", en->func, "file",
                short_file(en->file), "line", en->line));
    json_object_set_new(obj, "msg", json_text_string(clip(en->msg, en->value_max, tmp)));
    add_json_fields(obj, prefix, en->value_max);
    add_json_fields(obj, en->fields, en->value_max);
    text = json_text_compact(obj, 0);
    buf_add_str(b, text);
    mem_free(text);
    json_decref(obj);
}

static bool
format_line(struct buf *b, const struct entry *en)
{
    buf_reset(b);
    switch (opt.format) {
    case LOG_TEXT:
        format_text(b, en);
        break;
    case LOG_JSON:
        format_json(b, en);
        break;
    case LOG_PRETTY:
        format_pretty(b, en);
        break;
    }
    buf_add_char(b, '\n');
    return !buf_failed(b);
}

/*
 * Makes a line that is whole in its format and fits LOG_LINE_MAX: long values are cut
 * shorter and shorter, and at last left out.
 */
static void
fit_line(struct buf *b, struct entry *en)
{
    static const struct log_field none = { .type = LOG_T_END };

    for (en->value_max = LOG_LINE_MAX; en->value_max >= 16; en->value_max /= 2)
        if (format_line(b, en))
            return;
    en->fields = &none;
    en->value_max = 64;
    format_line(b, en);
}

/* A full pipe is waited for; any other trouble loses the line, there is nobody to tell.
 */
static void
write_line(const struct buf *b)
{
    size_t done = 0;

    while (done < b->size) {
        ssize_t n = write(opt.fd, b->data + done, b->size - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = { .fd = opt.fd, .events = POLLOUT };

            poll(&p, 1, 1000);
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

void
log_write_fields(enum log_level level, const char *file, int line, const char *func,
    const char *msg, const struct log_field *fields)
{
    struct entry en = { level, file, line, func, msg, fields, 0 };
    int saved = errno;
    struct buf b;

    buf_init(&b, LOG_LINE_MAX);
    fit_line(&b, &en);
    write_line(&b);
    buf_deinit(&b);
    errno = saved;
}

void
log_write(enum log_level level, const char *file, int line, const char *func,
    const char *msg, ...)
{
    struct log_field fields[LOG_FIELDS_MAX + 1];
    size_t n = 0;
    va_list ap;

    va_start(ap, msg);
    do
        fields[n] = va_arg(ap, struct log_field);
    while (fields[n].type != LOG_T_END && ++n < LOG_FIELDS_MAX);
    va_end(ap);
    fields[n] = LF_END;
    log_write_fields(level, file, line, func, msg, fields);
}
