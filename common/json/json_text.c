#include "common/json/json_text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/utf8.h"

#define JSON_TEXT_LIMIT ((size_t)1 << 30)

json_t *
json_text_string(const char *s)
{
    json_t *value = json_string(s); /* NULL when s is not UTF-8 */
    size_t left = strlen(s);
    struct buf fixed;

    if (value != NULL)
        return value;
    buf_init(&fixed, JSON_TEXT_LIMIT);
    while (left > 0) {
        uint32_t rune;
        size_t n = utf8_decode(s, left, &rune);

        if (n == 0) {
            buf_add_str(&fixed, "\xef\xbf\xbd");
            n = 1;
        } else {
            buf_add(&fixed, s, n);
        }
        s += n;
        left -= n;
    }
    value = json_string(buf_str(&fixed));
    must(value != NULL);
    buf_deinit(&fixed);
    return value;
}

/* These characters can only stand inside strings, so that the text can be replaced as is.
 */
static char *
escape_html(const char *text)
{
    struct buf out;

    buf_init(&out, JSON_TEXT_LIMIT);
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '<' || *s == '>' || *s == '&') {
            buf_printf(&out, "\\u%04x", (unsigned)*s);
        } else if (strncmp(s, "\xe2\x80\xa8", 3) == 0 ||
                   strncmp(s, "\xe2\x80\xa9", 3) == 0) {
            buf_printf(&out, "\\u20%02x", (unsigned)(unsigned char)s[2] - 0x80);
            s += 2;
        } else {
            buf_add_char(&out, *s);
        }
    }
    must(!buf_failed(&out));
    return buf_take_str(&out);
}

char *
json_text_compact(const json_t *value, int html)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char *escaped;

    must(text != NULL);
    escaped = html ? escape_html(text) : mem_strdup(text);
    free(text);
    return escaped;
}

char *
json_text_indented(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    char *escaped, *line;

    must(text != NULL);
    escaped = escape_html(text);
    free(text);
    line = mem_printf("%s\n", escaped);
    mem_free(escaped);
    return line;
}

int
json_text_print(FILE *out, const json_t *value, struct err *e)
{
    char *text = json_text_indented(value);
    int rc = 0;

    if (fputs(text, out) < 0 || fflush(out) != 0)
        rc = err_errno(e, errno, "write output");
    mem_free(text);
    return rc;
}
