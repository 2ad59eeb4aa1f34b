/*
 * The page for people, and the numbers that it shows. Nothing here changes anything.
 */
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/json/json_text.h"
#include "supervisor/control/control_impl.h"
#include "supervisor/control/db_view.h"

/* page.html, as the build embeds it (packaging/cmake/embed.cmake). */
extern const char control_page[];

#define NONCE_MARK "@NONCE@"
#define NONCE_BYTES 16
#define PAGE_MAX ((size_t)1 << 20)

/* Only what the page itself brings with it runs, and nothing may frame it. */
#define POLICY                                                                           \
    "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src "      \
    "'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* Names of databases are other people's text: a new value for each answer. */
static bool
make_nonce(char text[2 * NONCE_BYTES + 1])
{
    unsigned char bytes[NONCE_BYTES];

    if (getentropy(bytes, sizeof(bytes)) != 0)
        return false;
    for (size_t i = 0; i < NONCE_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    text[2 * NONCE_BYTES] = '\0';
    return true;
}

static void
fill_in(const char *nonce, struct buf *out)
{
    const char *at = control_page;

    for (const char *mark; (mark = strstr(at, NONCE_MARK)) != NULL;
         at = mark + strlen(NONCE_MARK)) {
        buf_add(out, at, (size_t)(mark - at));
        buf_add_str(out, nonce);
    }
    buf_add_str(out, at);
}

void
api_page(void *arg, struct http_request *r)
{
    char nonce[2 * NONCE_BYTES + 1], *policy;
    struct buf page;

    (void)arg;
    if (!make_nonce(nonce)) {
        api_reply_error(r, 500, "no random numbers", NULL);
        return;
    }
    buf_init(&page, PAGE_MAX);
    fill_in(nonce, &page);
    policy = mem_printf(POLICY, nonce, nonce);
    http_reply_header(r, "Content-Security-Policy", policy);
    http_reply_header(r, "X-Content-Type-Options", "nosniff");
    http_reply_header(r, "Referrer-Policy", "no-referrer");
    http_reply_header(r, "Cache-Control", "no-store");
    http_reply(r, 200, "text/html; charset=utf-8", buf_str(&page));
    mem_free(policy);
    buf_deinit(&page);
}

/* --- /status.json ---------------------------------------------------------------------
 */

static void
add_uint(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *
row_json(const struct db_view *v, bool once)
{
    int64_t lag_ms = db_view_lag_ms(v, wall_to_ms(wall_now()));
    const char *why = db_view_error(v);
    json_t *o = json_object();

    (void)once;
    json_object_set_new(o, "path", json_text_string(v->info.path));
    json_object_set_new(o, "state", json_string(db_view_state(v)));
    json_object_set_new(o, "in_sync", json_boolean(db_view_in_sync(v)));
    add_uint(o, "txid", v->slot.txid);
    add_uint(o, "replica_txid", db_view_replicated_txid(v));
    if (lag_ms >= 0)
        json_object_set_new(o, "lag_seconds", json_real((double)lag_ms / 1000));
    add_uint(o, "wal_size", v->slot.wal_size_bytes);
    add_uint(o, "total_wal_bytes", v->slot.total_wal_bytes);
    add_uint(o, "restarts", v->info.restarts);
    if (why[0] != '\0')
        json_object_set_new(o, "last_error", json_text_string(why));
    return o;
}

void
api_status(void *arg, struct http_request *r)
{
    http_reply_header(r, "Cache-Control", "no-store");
    http_reply_header(r, "X-Content-Type-Options", "nosniff");
    api_reply_list(arg, r, row_json);
}
