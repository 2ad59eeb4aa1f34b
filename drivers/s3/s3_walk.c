#include "drivers/s3/s3_walk.h"

#include <string.h>

#include "common/base/mem.h"

static void ask(struct s3_walk *w);

static void
end(struct s3_walk *w, const struct err *e)
{
    mem_free(w->token);
    w->token = NULL;
    w->done(w->arg, e);
}

static int
on_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct s3_walk *w = arg;

    return w->entry(w->arg, entry, e);
}

static void
on_begin(void *arg)
{
    struct s3_walk *w = arg;

    w->forget(w->arg);
}

/* A server that gives the same page again and again would keep us for ever. */
static void
on_page(void *arg)
{
    struct s3_walk *w = arg;
    const struct s3_answer *a;
    struct err e;

    if (w->call.err.code != ERR_OK) {
        end(w, &w->call.err);
        return;
    }
    a = s3_answer(&w->call);
    w->keep(w->arg);
    if (!a->truncated) {
        end(w, NULL);
    } else if (a->token == NULL || a->token[0] == '\0' ||
               (w->token != NULL && strcmp(a->token, w->token) == 0)) {
        err_set(&e, ERR_PROTOCOL,
            "s3: ListObjectsV2: the server says that there is more and not where");
        end(w, &e);
    } else {
        mem_free(w->token);
        w->token = mem_strdup(a->token);
        ask(w);
    }
}

static void
ask(struct s3_walk *w)
{
    struct s3_op *c = &w->call;

    *c = (struct s3_op){ .call = S3_LIST,
        .method = "GET",
        .doc = S3_DOC_LIST,
        .entry = on_entry,
        .begin = on_begin,
        .done = on_page,
        .arg = w };
    s3_add_query(c, "list-type", "2");
    s3_add_query(c, "max-keys", "1000");
    s3_add_query(c, "prefix", w->prefix);
    if (w->delimiter != NULL)
        s3_add_query(c, "delimiter", w->delimiter);
    if (w->token != NULL)
        s3_add_query(c, "continuation-token", w->token);
    else if (w->start_after != NULL)
        s3_add_query(c, "start-after", w->start_after);
    s3_start(w->client, c);
}

void
s3_walk_start(struct s3_walk *w, struct s3_client *c)
{
    w->client = c;
    ask(w);
}

void
s3_walk_cancel(struct s3_walk *w)
{
    s3_cancel(&w->call);
    mem_free(w->token);
    w->token = NULL;
}
