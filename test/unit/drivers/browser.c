#include "test/unit/drivers/browser.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/container.h"

#define TICK_MS 5
#define MAX_TICKS 6000

/* A turn of the loop ends soon, also when what is waited for came before it would block.
 */
static void
on_tick(uv_timer_t *t)
{
    struct browser *b = container_of(t, struct browser, tick);

    cr_assert(++b->ticks < MAX_TICKS, "nothing happened for 30 s");
}

void
browser_open(struct browser *b, const struct http_options *options)
{
    struct http_options o = options != NULL ? *options : (struct http_options){ 0 };

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(uv_loop_init(&b->loop), 0);
    b->ticks = 0;
    uv_timer_init(&b->loop, &b->tick);
    uv_timer_start(&b->tick, on_tick, TICK_MS, TICK_MS);
    o.loop = &b->loop;
    b->http = http_open(&o);
}

static void
on_closed(void *arg)
{
    *(bool *)arg = true;
}

void
browser_close(struct browser *b)
{
    bool closed = false;

    if (b->http != NULL)
        http_close(b->http, on_closed, &closed);
    else
        closed = true;
    uv_close((uv_handle_t *)&b->tick, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    cr_assert(closed);
    cr_assert_eq(uv_loop_close(&b->loop), 0, "a handle is left");
}

bool
browser_sleeps(struct browser *b)
{
    int before = b->ticks, turns = 0;

    for (; b->ticks < before + 30; turns++)
        uv_run(&b->loop, UV_RUN_ONCE);
    return turns < 60;
}

int
browser_count_fds(void)
{
    static bool is_warm; /* a process's first loop opens what stays */
    int n = 0;
    DIR *d;

    if (!is_warm) {
        struct browser b;

        is_warm = true;
        browser_open(&b, NULL);
        browser_close(&b);
    }
    d = opendir("/dev/fd");
    cr_assert(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void
on_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct visit *v = arg;
    const char *etag = http_header(op, "etag");

    cr_assert(v->op == NULL || v->op == op);
    v->n++;
    v->op = NULL;
    v->status = res->status;
    v->cut = res->cut;
    v->stale = res->stale;
    v->rc = res->err != NULL ? (int)res->err->code : 0;
    if (res->err != NULL)
        v->err = *res->err;
    cr_assert_eq(strlen(res->body), res->body_bytes);
    snprintf(v->body, sizeof(v->body), "%s", res->body);
    snprintf(v->etag, sizeof(v->etag), "%s", etag != NULL ? etag : "");
    if (v->then != NULL)
        v->then(v);
}

void
visit_start(struct browser *b, struct visit *v)
{
    v->req.done = on_done;
    v->req.arg = v;
    v->op = http_start(b->http, &v->req);
}

void
browser_run(struct browser *b, const int *value, int wanted)
{
    b->ticks = 0;
    while (*value < wanted)
        cr_assert(uv_run(&b->loop, UV_RUN_ONCE) != 0 || *value >= wanted,
            "what is waited for never comes");
}

int
visit(struct browser *b, struct visit *v)
{
    int before = v->n;

    visit_start(b, v);
    cr_assert_eq(v->n, before, "done came inside the call");
    browser_run(b, &v->n, before + 1);
    return v->rc;
}

struct visit
visit_get(const char *url, const char *path)
{
    static char texts[32][256];
    static int next;
    char *text = texts[next++ % 32];

    snprintf(text, sizeof(texts[0]), "%s%s", url, path);
    return (struct visit){ .req = { .method = "GET", .url = text } };
}
