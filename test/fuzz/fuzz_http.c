/*
 * Any bytes as headers of an answer: lines of Content-Range, Content-Length, ETag,
 * Retry-After and Location. A part that is taken begins where it was asked to, a redirect
 * that is followed stays on its host, and no text shows what the server said there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "drivers/http/http_range.h"
#include "drivers/http/http_retry.h"
#include "drivers/http/http_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_LINES 5

static void
check_part(char *const *line, int status)
{
    struct http_part p = { .status = status,
        .content_range = line[0],
        .content_length = line[1],
        .etag = line[2] };
    struct http_range r;
    struct err e;
    int64_t skip;
    char ask[64];

    http_range_init(&r, 10, 100);
    for (int i = 0; i < 3; i++) {
        int rc = http_range_begin(&r, &p, &skip, &e);

        if (rc == 0 && skip != (status == 206 ? 0 : 10 + r.got))
            abort();
        if (rc == 0 && (r.total < -1 || (r.total >= 0 && r.total <= 10)))
            abort();
        http_range_refused(&r, &p, &e);
        if (!http_range_is_complete(&r))
            r.got += 10;
        http_range_ask(&r, ask);
    }
}

static void
check_redirect(const char *location)
{
    struct err e = ERR_NONE;
    char *out = NULL, *host;

    if (http_redirect(
            "https://secret:word@name.example/path?query", location, &out, &e) == 0) {
        host = http_url_host(out);
        if (strcasecmp(host, "name.example") != 0 || strncmp(out, "https://", 8) != 0)
            abort();
        mem_free(host);
    } else if (strstr(e.text, "word") != NULL && strstr(location, "word") == NULL) {
        abort();
    }
    mem_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup(size > 0 ? (const char *)data : "", size), *at = text;
    char *line[N_LINES];
    int64_t ms;

    for (int i = 0; i < N_LINES; i++) {
        char *end = strchr(at, '\n');

        line[i] = at;
        at = end != NULL ? end + 1 : at + strlen(at);
        if (end != NULL)
            *end = '\0';
    }
    check_part(line, 200);
    check_part(line, 206);
    ms = http_retry_after_ms(line[3], (struct wall){ .sec = 1700000000 });
    if (ms < -1 || ms > 86400000)
        abort();
    check_redirect(line[4]);
    mem_free(text);
    return 0;
}
