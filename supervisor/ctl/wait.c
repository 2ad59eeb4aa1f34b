/*
 * wait - until everything that is committed now is on all replicas.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/mono.h"
#include "supervisor/commands/socket.h"
#include "supervisor/ctl/ctl.h"

#define RETRY_MS 200

struct wait {
    const struct socket_args *a;
    struct mono deadline;
    json_t *done; /* of each database */
};

/* At least one second: what is asked of the daemon is whole seconds. */
static int64_t
seconds_left(const struct wait *w)
{
    return (int64_t)(mono_wait_ms(w->deadline) + 999) / 1000 + 1;
}

static void
pause_ms(int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

/* A replica that is away may come back, a worker may be started again. */
static bool
may_heal(const struct client_reply *r)
{
    return r->status == 409 || r->status >= 500;
}

static int
no_success(
    const struct wait *w, const char *db, const struct client_reply *r, struct err *e)
{
    json_t *body = json_loads(r->body, 0, NULL);

    err_set(e, ERR_TIMEOUT, "wait failed: %s",
        body != NULL ? socket_text(body, "error") : r->body);
    if (may_heal(r) && mono_reached(w->deadline))
        err_set(e, ERR_TIMEOUT, "%s is not in sync in time: %s", db,
            body != NULL ? socket_text(body, "error") : r->body);
    json_decref(body);
    return (int)e->code;
}

static void
took(struct wait *w, const char *db, const struct client_reply *r)
{
    json_t *body = json_loads(r->body, 0, NULL), *row = json_object();

    json_object_set_new(row, "db_path", json_string(db));
    json_object_set_new(row, "txid", json_integer((json_int_t)socket_uint(body, "txid")));
    if (!w->a->json)
        printf("%s: in sync, txid %" PRIu64 "\n", db, socket_uint(body, "txid"));
    json_array_append_new(w->done, row);
    json_decref(body);
}

static int
wait_for(struct wait *w, const char *db, struct err *e)
{
    for (;;) {
        struct socket_args a = *w->a;
        struct client_reply r = { .status = 0 };
        struct client c;
        json_t *body;
        int rc;

        a.timeout_s = seconds_left(w);
        c = socket_client(&a);
        body = socket_request(&a, db);
        json_object_set_new(body, "wait", json_true());
        rc = client_call(&c, "/sync", body, &r, e);
        json_decref(body);
        if (rc == 0 && r.status == 200)
            took(w, db, &r);
        else if (rc == 0 && (!may_heal(&r) || mono_reached(w->deadline)))
            rc = no_success(w, db, &r, e);
        else if (rc == 0)
            rc = ERR_AGAIN;
        client_reply_deinit(&r);
        if (rc != ERR_AGAIN)
            return rc;
        pause_ms(RETRY_MS);
    }
}

static int
wait_for_all(struct wait *w, struct err *e)
{
    struct client c = socket_client(w->a);
    json_t *reply, *list, *db;
    size_t i;
    int rc = client_call_json(&c, "wait", "/list", NULL, &reply, e);

    if (rc != 0)
        return rc;
    list = json_object_get(reply, "databases");
    json_array_foreach(list, i, db)
    {
        if (rc == 0 && strcmp(socket_text(db, "status"), "stopped") != 0)
            rc = wait_for(w, socket_text(db, "path"), e);
    }
    json_decref(reply);
    return rc;
}

static int
run(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    struct wait w = { .a = a,
        .deadline = mono_add_ms(mono_now(), a->timeout_s * 1000),
        .done = json_array() };
    json_t *out = json_object();
    int rc = db != NULL ? wait_for(&w, db, e) : wait_for_all(&w, e);

    (void)arg;
    json_object_set_new(out, "databases", w.done);
    if (rc == 0 && a->json)
        return socket_print(a, out, e);
    json_decref(out);
    return rc;
}

int
ctl_wait(int argc, char **argv, struct err *e)
{
    static const struct command_help help = {
        .about =
            "Waits until everything that is committed now is on all replicas, of one\n"
            "database or of all that are not stopped.",
        .usage = "\tlitestream wait [flags] [DB_PATH]",
    };
    struct socket_args a = SOCKET_ARGS(60);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    const struct socket_command c = {
        .help = &help, .flags = flags, .n_flags = 3, .optional = true, .run = run
    };

    return socket_command(&c, &a, argc, argv, e);
}
