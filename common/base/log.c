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

#define LOG_LINE_MAX ((size_t)64 << 10)
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

static bool
needs_quotes(const char *s)
{
    size_t left = strlen(s);

    if (left == 0)
        return true;
    while (left > 0) {
        uint32_t rune;
        size_t n = utf8_decode(s, left, &rune);

        if (n == 0 || rune == ' ' || rune == '=' || rune == '"' ||
            !utf8_is_printable(rune))
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

/* The value as one word; strings are returned as they are. */
static const char *
value_text(const struct log_field *f, char tmp[WALL_TEXT_MAX])
{
    switch (f->type) {
    case LOG_T_STR:
        return f->v.str != NULL ? f->v.str : "";
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
add_pairs(struct buf *b, const struct log_field *fields, bool colour)
{
    for (; fields->type != LOG_T_END; fields++) {
        char tmp[WALL_TEXT_MAX];
        const char *text = value_text(fields, tmp);

        buf_printf(b, colour ? " \x1b[2m%s=\x1b[0m" : " %s=", fields->key);
        if (needs_quotes(text))
            add_quoted(b, text);
        else
            buf_add_str(b, text);
    }
}

static const char *
short_file(const char *file)
{
    const char *base = strrchr(file, '/');

    return base != NULL ? base + 1 : file;
}

static void
format_text(struct buf *b, enum log_level level, const char *file, int line,
    const char *msg, const struct log_field *fields)
{
    char time[WALL_TEXT_MAX];

    wall_format_local(wall_now(), WALL_MS, time);
    buf_printf(b, "time=%s level=%s", time, levels[level].name);
    if (opt.source)
        buf_printf(b, " source=%s:%d", short_file(file), line);
    buf_add_str(b, " msg=");
    if (needs_quotes(msg))
        add_quoted(b, msg);
    else
        buf_add_str(b, msg);
    add_pairs(b, prefix, false);
    add_pairs(b, fields, false);
}

static void
format_pretty(struct buf *b, enum log_level level, const char *file, int line,
    const char *msg, const struct log_field *fields)
{
    bool colour = isatty(opt.fd) == 1;
    char time[WALL_TEXT_MAX];

    wall_format_local(wall_now(), WALL_SECONDS, time);
    time[19] = '\0'; /* 2006-01-02T15:04:05: the clock only */
    if (colour)
        buf_printf(b, "\x1b[2m%s\x1b[0m %s%s\x1b[0m ", time + 11, levels[level].colour,
            levels[level].pretty);
    else
        buf_printf(b, "%s %s ", time + 11, levels[level].pretty);
    if (opt.source)
        buf_printf(b, "%s:%d ", short_file(file), line);
    buf_add_str(b, msg);
    add_pairs(b, prefix, colour);
    add_pairs(b, fields, colour);
}

static json_t *
value_json(const struct log_field *f)
{
    char tmp[WALL_TEXT_MAX];

    switch (f->type) {
    case LOG_T_INT:
    case LOG_T_DURATION: /* Go writes durations as nanoseconds */
        return json_integer(f->v.i64);
    case LOG_T_UINT:
        return json_integer((json_int_t)f->v.u64);
    case LOG_T_BOOL:
        return json_boolean(f->v.flag);
    case LOG_T_STR:
    case LOG_T_TXID:
    case LOG_T_WALL:
    case LOG_T_END:
        break;
    }
    return json_text_string(value_text(f, tmp));
}

static void
add_json_fields(json_t *line, const struct log_field *fields)
{
    for (; fields->type != LOG_T_END; fields++) {
        const char *dot = strchr(fields->key, '.');
        char group[64];
        json_t *in;

        if (dot == NULL) {
            /* "level" is the line's own; the attribute gets another name */
            json_object_set_new(line,
                strcmp(fields->key, "level") == 0 ? "ltx_level" : fields->key,
                value_json(fields));
            continue;
        }
        snprintf(group, sizeof(group), "%.*s", (int)(dot - fields->key), fields->key);
        in = json_object_get(line, group);
        if (!json_is_object(in)) {
            in = json_object();
            json_object_set_new(line, group, in);
        }
        json_object_set_new(in, dot + 1, value_json(fields));
    }
}

static void
format_json(struct buf *b, enum log_level level, const char *file, int line,
    const char *func, const char *msg, const struct log_field *fields)
{
    json_t *obj = json_object();
    char time[WALL_TEXT_MAX];
    char *text;

    wall_format_local(wall_now(), WALL_TRIMMED, time);
    json_object_set_new(obj, "time", json_string(time));
    json_object_set_new(obj, "level", json_string(levels[level].name));
    if (opt.source)
        json_object_set_new(obj, "source",
            json_pack("{s:s, s:s, s:i}", "function", func, "file", short_file(file),
                "line", line));
    json_object_set_new(obj, "msg", json_text_string(msg));
    add_json_fields(obj, prefix);
    add_json_fields(obj, fields);
    text = json_text_compact(obj, 0);
    buf_add_str(b, text);
    mem_free(text);
    json_decref(obj);
}

/* A full pipe is waited for; any other trouble loses the line, there is nobody to tell.
 */
static void
write_line(const struct buf *b)
{
    size_t done = 0;

    while (done < b->size) {
        ssize_t n = write(opt.fd, b->data + done, b->size - done);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd p = { .fd = opt.fd, .events = POLLOUT };

            poll(&p, 1, 1000);
        } else if (errno != EINTR) {
            return;
        }
    }
}

void
log_write_fields(enum log_level level, const char *file, int line, const char *func,
    const char *msg, const struct log_field *fields)
{
    int saved = errno;
    struct buf b;

    buf_init(&b, LOG_LINE_MAX);
    switch (opt.format) {
    case LOG_TEXT:
        format_text(&b, level, file, line, msg, fields);
        break;
    case LOG_JSON:
        format_json(&b, level, file, line, func, msg, fields);
        break;
    case LOG_PRETTY:
        format_pretty(&b, level, file, line, msg, fields);
        break;
    }
    buf_add_char(&b, '\n');
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
