#include "drivers/auth/aws.h"

#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/must.h"
#include "common/base/rand.h"
#include "common/base/retry.h"
#include "common/base/wall.h"
#include "drivers/auth/aws_plan.h"

#define AHEAD_MS 300000       /* before the end a new set is looked for */
#define AHEAD_JITTER_MS 60000 /* so that many workers do not come at once */
#define AWAY_MS 300000        /* how long instance metadata may be left in peace */
#define FIRST_RETRY_MS 1000
#define MAX_RETRY_MS 60000
#define REFUSED_EVERY_MS 10000

struct aws_auth {
    struct aws_auth_options o;
    struct aws_files *files;
    struct aws_plan plan;
    bool has_plan;
    struct err plan_fault; /* why there is none */

    struct aws_creds creds;
    int64_t ahead_ms; /* of their end, when new ones are due */
    uint64_t generation;
    bool refused;             /* do not use them any more */
    struct mono refused_last; /* when a fetch came of it */

    struct aws_fetch *fetch; /* under way */
    struct retry retry;
    struct mono not_before; /* the next one after a failure; 0: none failed */
    struct err fault;       /* of the last one, while not_before is set */

    struct aws_auth_wait *waiters, *served; /* served: getting their answer just now */
    struct err answer;                      /* for those who wait */
    uv_timer_t defer;                       /* gives the answer from the loop */

    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* --- the plan
 * ----------------------------------------------------------------------------- */

static void
make_plan(struct aws_auth *a)
{
    struct aws_plan_input in = { .access_key = a->o.access_key,
        .secret = a->o.secret,
        .region = a->o.region,
        .env = a->o.env };

    if (a->has_plan)
        aws_plan_deinit(&a->plan);
    in.files = a->files;
    a->has_plan = aws_plan_make(&in, &a->plan, &a->plan_fault) == 0;
}

/* Files that are not what they were; only where they matter. */
static bool
read_files_again(struct aws_auth *a)
{
    if ((a->has_plan && !a->plan.from_files) || !aws_files_changed(a->files))
        return false;
    aws_files_free(a->files);
    a->files = aws_files_read(a->o.env);
    make_plan(a);
    return true;
}

static bool
is_static(const struct aws_auth *a)
{
    return a->has_plan && a->plan.n == 1 && a->plan.steps[0].kind == AWS_KEYS;
}

/* --- those who wait
 * ------------------------------------------------------------------------ */

static void
on_defer(uv_timer_t *h)
{
    struct aws_auth *a = container_of(h, struct aws_auth, defer);
    struct err answer = a->answer;

    /* Who waits again from its answer waits for the next one; one may cancel another. */
    a->served = a->waiters;
    a->waiters = NULL;
    while (a->served != NULL) {
        struct aws_auth_wait *w = a->served;

        a->served = w->next;
        w->next = NULL;
        w->waiting = false;
        w->done(w->arg, answer.code != ERR_OK ? &answer : NULL);
    }
}

static void
answer(struct aws_auth *a, const struct err *err)
{
    a->answer = err != NULL ? *err : (struct err)ERR_NONE;
    uv_timer_start(&a->defer, on_defer, 0, 0);
}

/* --- fetching
 * ----------------------------------------------------------------------------- */

/* Milliseconds that are left of the credentials; <= 0: over. */
static int64_t
left_ms(const struct aws_auth *a)
{
    return wall_to_ms(a->creds.expires) - wall_to_ms(wall_now());
}

static bool
never_expire(const struct aws_auth *a)
{
    return wall_is_zero(a->creds.expires);
}

/* Instance metadata is known to be away for a while, and what it gave is still taken. */
static bool
may_outlive(const struct aws_auth *a)
{
    return a->has_plan && a->plan.n == 1 && a->plan.steps[0].kind == AWS_INSTANCE &&
           a->retry.failures > 0;
}

static bool
is_usable(const struct aws_auth *a)
{
    return a->creds.access_key != NULL && !a->refused &&
           (never_expire(a) || left_ms(a) > 0 || may_outlive(a));
}

static bool
must_wait(const struct aws_auth *a)
{
    return a->not_before.ns != 0 && !mono_reached(a->not_before);
}

static void
take(struct aws_auth *a, struct aws_creds *creds)
{
    int64_t half;

    aws_creds_take(&a->creds, creds);
    half = never_expire(a) ? 0 : left_ms(a) / 2;
    a->ahead_ms = AHEAD_MS + (int64_t)rand_below(AHEAD_JITTER_MS);
    if (a->ahead_ms > half) /* a short life is not spent on fetching */
        a->ahead_ms = half;
    a->generation++;
    a->refused = false;
    a->not_before = (struct mono){ 0 };
}

static void
on_fetched(void *arg, const struct err *err, struct aws_creds *creds)
{
    struct aws_auth *a = arg;
    int64_t wait_ms;

    a->fetch = NULL;
    if (err == NULL) {
        if (retry_succeeded(&a->retry) > 0)
            log_info("credentials have come again",
                LF_STR("from", a->plan.steps[a->plan.n - 1].from));
        take(a, creds);
        answer(a, NULL);
        return;
    }
    wait_ms = retry_failed(&a->retry);
    a->fault = *err;
    if (is_usable(a)) {
        if (left_ms(a) <= 0)
            wait_ms = AWAY_MS + (int64_t)rand_below(AWAY_MS);
        if (retry_should_log(&a->retry, mono_now()))
            log_warn(
                "new credentials do not come", LF_ERR(err), LF_STR("hint", err->hint));
    }
    a->not_before = mono_add_ms(mono_now(), wait_ms);
    answer(a, is_usable(a) ? NULL : err);
}

static void
begin_fetch(struct aws_auth *a)
{
    struct aws_creds creds = { 0 };
    const struct aws_step *s;

    if (a->fetch != NULL)
        return;
    if (read_files_again(a))
        a->not_before = (struct mono){ 0 };
    if (!a->has_plan) {
        answer(a, &a->plan_fault);
    } else if (is_static(a)) {
        s = &a->plan.steps[0];
        aws_creds_set(&creds, s->access_key, secret_reveal(&s->secret),
            secret_reveal(&s->token), (struct wall){ 0 });
        take(a, &creds);
        answer(a, NULL);
    } else if (must_wait(a)) {
        answer(a, &a->fault);
    } else
        a->fetch = aws_fetch_start(a->o.loop, &a->plan, a->o.transport, on_fetched, a);
}

/* --- what others call
 * --------------------------------------------------------------------- */

struct aws_auth *
aws_auth_open(const struct aws_auth_options *options)
{
    struct aws_auth *a = MEM_NEW(struct aws_auth);

    a->o = *options;
    retry_init(&a->retry, FIRST_RETRY_MS, MAX_RETRY_MS);
    uv_timer_init(a->o.loop, &a->defer);
    a->files = aws_files_read(a->o.env);
    make_plan(a);
    if (is_static(a))
        begin_fetch(a); /* there at once */
    return a;
}

static void
on_closed(uv_handle_t *h)
{
    struct aws_auth *a = container_of((uv_timer_t *)h, struct aws_auth, defer);
    void (*closed)(void *) = a->closed;
    void *arg = a->closed_arg;

    if (a->has_plan)
        aws_plan_deinit(&a->plan);
    aws_files_free(a->files);
    aws_creds_deinit(&a->creds);
    mem_free(a);
    if (closed != NULL)
        closed(arg);
}

static void
on_last_answer(uv_timer_t *h)
{
    on_defer(h);
    uv_close((uv_handle_t *)h, on_closed);
}

void
aws_auth_close(struct aws_auth *a, void (*closed)(void *arg), void *arg)
{
    if (a->closing)
        return;
    a->closing = true;
    a->closed = closed;
    a->closed_arg = arg;
    aws_fetch_cancel(a->fetch);
    a->fetch = NULL;
    err_set(&a->answer, ERR_CANCELLED, "cancelled");
    uv_timer_start(&a->defer, on_last_answer, 0, 0);
}

bool
aws_auth_keys(struct aws_auth *a, struct sigv4_keys *keys, uint64_t *generation)
{
    if (a->closing || !is_usable(a))
        return false;
    if (!never_expire(a) && left_ms(a) < a->ahead_ms && !must_wait(a))
        begin_fetch(a);
    *keys = aws_creds_keys(&a->creds);
    *generation = a->generation;
    return true;
}

void
aws_auth_wait(struct aws_auth *a, struct aws_auth_wait *w)
{
    must(!a->closing);
    w->waiting = true;
    w->next = a->waiters;
    a->waiters = w;
    begin_fetch(a);
}

static void
take_out(struct aws_auth_wait **list, struct aws_auth_wait *w)
{
    while (*list != NULL && *list != w)
        list = &(*list)->next;
    if (*list != NULL)
        *list = w->next;
}

void
aws_auth_wait_cancel(struct aws_auth *a, struct aws_auth_wait *w)
{
    if (!w->waiting)
        return;
    take_out(&a->waiters, w);
    take_out(&a->served, w);
    w->waiting = false;
    w->next = NULL;
}

bool
aws_auth_refused(struct aws_auth *a, uint64_t generation)
{
    bool changed;

    if (a->closing)
        return false;
    if (generation != a->generation)
        return true;
    if (a->fetch != NULL) {
        a->refused = true;
        return true;
    }
    if (a->refused_last.ns != 0 && mono_since_ms(a->refused_last) < REFUSED_EVERY_MS)
        return false;
    changed = read_files_again(a);
    if (!changed && (!a->has_plan || is_static(a)))
        return false;
    a->refused_last = mono_now();
    a->refused = true;
    return true;
}

const struct aws_files *
aws_auth_files(const struct aws_auth *a)
{
    return a->files;
}
