#include "drivers/auth/uri.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "common/base/must.h"

static bool
add(struct buf *out, const char *text, size_t n)
{
    char *encoded;
    bool good;

    if (n == 0) /* curl takes a length of 0 for "up to the NUL" */
        return true;
    if (n > INT_MAX / 4)
        return false;
    encoded = curl_easy_escape(NULL, text, (int)n);
    if (encoded == NULL)
        return false;
    good = buf_add_str(out, encoded);
    explicit_bzero(encoded, strlen(encoded)); /* forms carry tokens */
    curl_free(encoded);
    return good;
}

bool
uri_add(struct buf *out, const char *text)
{
    return add(out, text, strlen(text));
}

bool
uri_add_path(struct buf *out, const char *path)
{
    for (;;) {
        size_t n = strcspn(path, "/");

        if (!add(out, path, n))
            return false;
        if (path[n] == '\0')
            return true;
        if (!buf_add_char(out, '/'))
            return false;
        path += n + 1;
    }
}

struct encoded {
    const char *name, *value;
};

static int
by_name_and_value(const void *a, const void *b)
{
    const struct encoded *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : strcmp(x->value, y->value);
}

bool
uri_add_query(struct buf *out, const struct uri_pair *pairs, size_t n)
{
    size_t at[URI_MAX_PAIRS][2];
    struct encoded sorted[URI_MAX_PAIRS];
    struct buf all; /* "name\0value\0"... */
    bool good = true;

    must(n <= URI_MAX_PAIRS);
    buf_init(&all, out->limit + n * 2);
    for (size_t i = 0; i < n && good; i++) {
        at[i][0] = all.size;
        good = uri_add(&all, pairs[i].name) && buf_add_char(&all, '\0');
        at[i][1] = all.size;
        good = good && uri_add(&all, pairs[i].value) && buf_add_char(&all, '\0');
    }
    for (size_t i = 0; i < n && good; i++) {
        sorted[i].name = (const char *)all.data + at[i][0];
        sorted[i].value = (const char *)all.data + at[i][1];
    }
    if (good && n > 0)
        qsort(sorted, n, sizeof(sorted[0]), by_name_and_value);
    for (size_t i = 0; i < n && good; i++)
        good =
            buf_printf(out, "%s%s=%s", i > 0 ? "&" : "", sorted[i].name, sorted[i].value);
    buf_deinit(&all);
    return good;
}

bool
uri_add_form(struct buf *out, const struct uri_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((i > 0 && !buf_add_char(out, '&')) || !uri_add(out, pairs[i].name) ||
            !buf_add_char(out, '=') || !uri_add(out, pairs[i].value))
            return false;
    return true;
}
