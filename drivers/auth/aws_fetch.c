/*
 * For each step of the plan: begin -> exchange -> [again after a wait] -> answer -> next.
 * Instance metadata takes three exchanges for its step.
 */
#include "drivers/auth/aws_fetch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "drivers/auth/digest.h"
#include "drivers/auth/sigv4.h"

#define MAX_TRIES 3
#define FIRST_WAIT_MS 200
#define TIMEOUT_MS 10000
#define METADATA_TIMEOUT_MS 1000
#define TOKEN_MAX ((size_t)32 << 10)
#define ROLES "/latest/meta-data/iam/security-credentials/"

/* Where an instance's step is. */
enum stage { INSTANCE_TOKEN, INSTANCE_ROLE, INSTANCE_CREDS };

struct aws_fetch {
    uv_loop_t *loop;
    const struct aws_plan *plan;
    const struct aws_transport *transport;
    aws_fetch_cb *done;
    void *arg;
    uv_timer_t timer; /* the first step, waits between tries, the answer */
    void *exchange;   /* under way; NULL: none */
    size_t step;
    int tries; /* of this exchange */
    struct aws_creds creds;
    struct err err;

    enum stage stage;
    struct secret token; /* of instance metadata; not set: version 1 */
    char *role;
};

static void start_exchange(struct aws_fetch *f);

static const struct aws_step *
step_of(const struct aws_fetch *f)
{
    return &f->plan->steps[f->step];
}

static const char *
kind_text(enum aws_kind kind)
{
    switch (kind) {
    case AWS_KEYS:
        return "keys";
    case AWS_WEB_IDENTITY:
        return "web identity";
    case AWS_ASSUME_ROLE:
        return "role";
    case AWS_CONTAINER:
        return "container";
    case AWS_INSTANCE:
        return "instance metadata";
    case AWS_SSO:
        return "SSO";
    }
    return "";
}

/* --- the end
 * ------------------------------------------------------------------------------ */

static void
on_closed(uv_handle_t *h)
{
    struct aws_fetch *f = container_of((uv_timer_t *)h, struct aws_fetch, timer);

    aws_creds_deinit(&f->creds);
    secret_wipe(&f->token);
    mem_free(f->role);
    mem_free(f);
}

static void
finish(struct aws_fetch *f)
{
    uv_close((uv_handle_t *)&f->timer, on_closed);
    f->done(f->arg, f->err.code != ERR_OK ? &f->err : NULL, &f->creds);
}

/* Words: which source, what it said, and what would have come before it. */
static void
fail(struct aws_fetch *f, const struct err *why)
{
    const struct aws_step *s = step_of(f);
    const struct buf *tried = &f->plan->tried;
    const char *url = s->url != NULL ? s->url : f->plan->sts_url;

    f->err = *why;
    /* Most often this is no instance at all, and nothing was configured. */
    if (s->kind == AWS_INSTANCE && err_class_of(why->code) == ERR_CLASS_TRANSIENT)
        f->err.code = ERR_AUTH;
    if (s->kind == AWS_WEB_IDENTITY || s->kind == AWS_ASSUME_ROLE)
        err_wrap(&f->err, "%s (role %s of %s)", url, s->role_arn, s->from);
    else
        err_wrap(&f->err, "%s (%s of %s)", url, kind_text(s->kind), s->from);
    err_wrap(&f->err, "no credentials");
    if (tried->size > 0) {
        err_set(&f->err, f->err.code, "%s; before that: %s", f->err.text,
            (const char *)tried->data);
        if (why->hint[0] != '\0')
            err_hint(&f->err, "%s", why->hint);
    }
    if (s->kind == AWS_INSTANCE)
        err_hint(&f->err, "give `access-key-id` and `secret-access-key`, or set "
                          "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    finish(f);
}

/* --- requests
 * ----------------------------------------------------------------------------- */

/* The content of a small file without blanks at its end; not set when it is empty. */
static int
read_token(const char *path, struct secret *out, struct err *e)
{
    char *text = mem_new(TOKEN_MAX + 1);
    size_t n = 0;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = sys_read(fd, text, TOKEN_MAX, &n, e);
    if (rc != 0)
        rc = err_set(e, ERR_AUTH, "cannot read the token: %s", e->text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
        text[--n] = '\0';
    if (rc == 0 && (n == 0 || n == TOKEN_MAX || strlen(text) != n))
        rc = err_set(e, ERR_AUTH, "\"%s\" has no token in it", path);
    if (rc == 0)
        secret_set(out, text);
    sys_close(&fd);
    explicit_bzero(text, TOKEN_MAX);
    mem_free(text);
    return rc;
}

static void on_answer(
    void *arg, const struct err *err, int status, const char *body, size_t n);

static int
send_exchange(struct aws_fetch *f, const struct aws_exchange *x, struct err *e)
{
    f->exchange = f->transport->start(f->transport->arg, x, on_answer, f, e);
    return f->exchange != NULL ? 0 : err_code(e);
}

/* A form for STS; signed when there are keys. The body may hold a token. */
static int
send_form(struct aws_fetch *f, const struct uri_pair *form, size_t n_form,
    const struct sigv4_keys *keys, struct err *e)
{
    struct uri_pair headers[6] = { { "Content-Type",
        "application/x-www-form-urlencoded; charset=utf-8" } };
    struct sigv4_headers signature = { 0 };
    struct aws_exchange x = { .method = "POST",
        .url = f->plan->sts_url,
        .headers = headers,
        .n_headers = 1,
        .timeout_ms = TIMEOUT_MS };
    const char *host = strstr(f->plan->sts_url, "://"), *path;
    char payload[DIGEST_SHA256_HEX_SIZE];
    struct buf body;
    char *only_host;
    int rc = 0;

    host = host != NULL ? host + 3 : f->plan->sts_url;
    path = strchr(host, '/');
    only_host = mem_strndup(host, path != NULL ? (size_t)(path - host) : strlen(host));
    buf_init(&body, 4 * TOKEN_MAX);
    buf_reserve(&body, 3 * TOKEN_MAX + 4096); /* so that growing leaves no copy */
    if (!uri_add_form(&body, form, n_form))
        rc = err_set(e, ERR_AUTH, "the token is too long");
    if (rc == 0 && keys != NULL) {
        struct sigv4_request r = { .method = "POST",
            .host = only_host,
            .path = path != NULL ? path : "/",
            .headers = headers,
            .n_headers = 1,
            .payload = payload,
            .region = f->plan->sts_region,
            .service = "sts",
            .time = wall_now() };

        digest_sha256_hex(body.data, body.size, payload);
        rc = sigv4_sign(keys, &r, &signature, e);
        for (size_t i = 0; rc == 0 && i < signature.n; i++)
            headers[x.n_headers++] = signature.list[i];
    }
    x.body = buf_str(&body);
    x.body_bytes = body.size;
    if (rc == 0)
        rc = send_exchange(f, &x, e);
    sigv4_headers_deinit(&signature);
    explicit_bzero(body.data, body.cap);
    buf_deinit(&body);
    mem_free(only_host);
    return rc;
}

static const char *
session_name(const struct aws_step *s, char out[32])
{
    struct wall now = wall_now();

    if (s->session_name != NULL)
        return s->session_name;
    snprintf(out, 32, "%lld%09d", (long long)now.sec, (int)now.nsec);
    return out;
}

static int
send_web_identity(struct aws_fetch *f, const struct aws_step *s, struct err *e)
{
    struct secret token = { 0 };
    char name[32];
    int rc = read_token(s->token_file, &token, e);

    if (rc == 0) {
        struct uri_pair form[] = { { "Action", "AssumeRoleWithWebIdentity" },
            { "Version", "2011-06-15" }, { "RoleArn", s->role_arn },
            { "RoleSessionName", session_name(s, name) },
            { "WebIdentityToken", secret_reveal(&token) } };

        rc = send_form(f, form, sizeof(form) / sizeof(form[0]), NULL, e);
    }
    secret_wipe(&token);
    return rc;
}

static int
send_role(struct aws_fetch *f, const struct aws_step *s, struct err *e)
{
    struct sigv4_keys keys = aws_creds_keys(&f->creds);
    char name[32], duration[24];
    struct uri_pair form[] = { { "Action", "AssumeRole" }, { "Version", "2011-06-15" },
        { "RoleArn", s->role_arn }, { "RoleSessionName", session_name(s, name) },
        { "DurationSeconds", duration }, { "ExternalId", s->external_id } };

    snprintf(duration, sizeof(duration), "%lld", (long long)s->duration_s);
    return send_form(f, form, s->external_id != NULL ? 6 : 5, &keys, e);
}

static int
send_container(struct aws_fetch *f, const struct aws_step *s, struct err *e)
{
    struct secret token = { 0 };
    struct uri_pair headers[1] = { { "Authorization", "" } };
    struct aws_exchange x = { .method = "GET",
        .url = s->url,
        .headers = headers,
        .timeout_ms = TIMEOUT_MS,
        .local = strncmp(s->url, "https:", 6) != 0 };
    int rc = 0;

    if (s->token_file != NULL)
        rc = read_token(s->token_file, &token, e);
    else
        secret_copy(&token, &s->secret);
    if (rc == 0 && strpbrk(secret_reveal(&token), "\r\n") != NULL)
        rc = err_set(e, ERR_CONFIG, "the token for the container has a line break in it");
    if (rc == 0 && secret_is_set(&token)) {
        headers[0].value = secret_reveal(&token);
        x.n_headers = 1;
    }
    if (rc == 0)
        rc = send_exchange(f, &x, e);
    secret_wipe(&token);
    return rc;
}

static int
send_instance(struct aws_fetch *f, const struct aws_step *s, struct err *e)
{
    static const struct uri_pair lifetime = { "x-aws-ec2-metadata-token-ttl-seconds",
        "21600" };
    struct uri_pair token = { "x-aws-ec2-metadata-token", secret_reveal(&f->token) };
    bool first = f->stage == INSTANCE_TOKEN;
    char *url = mem_printf("%s%s%s", s->url, first ? "/latest/api/token" : ROLES,
        f->stage == INSTANCE_CREDS ? f->role : "");
    struct aws_exchange x = { .method = first ? "PUT" : "GET",
        .url = url,
        .headers = first ? &lifetime : &token,
        .n_headers = first || secret_is_set(&f->token),
        .timeout_ms = METADATA_TIMEOUT_MS,
        .local = true };
    int rc = send_exchange(f, &x, e);

    mem_free(url);
    return rc;
}

/* A text of the JSON tree, before that is freed. */
static void
forget(const char *secret)
{
    char *text;

    memcpy(&text, &secret, sizeof(text)); /* it is const for others only */
    explicit_bzero(text, strlen(text));
}

/* The access token of a login that is still good. */
static int
sso_token(const char *path, struct secret *out, struct err *e)
{
    struct secret text = { 0 };
    struct wall expires = { 0 };
    json_t *root = NULL;
    const char *token, *until;
    int rc = read_token(path, &text, e);

    if (rc == 0)
        root = json_loads(secret_reveal(&text), 0, NULL);
    token = json_string_value(json_object_get(root, "accessToken"));
    until = json_string_value(json_object_get(root, "expiresAt"));
    if (rc == 0 && token == NULL)
        rc = err_set(e, ERR_AUTH, "\"%s\" has no login of SSO in it", path);
    if (rc == 0 && (until == NULL || !wall_parse(until, &expires) ||
                       wall_cmp(expires, wall_now()) <= 0))
        rc = err_set(e, ERR_AUTH, "the login of SSO has expired");
    if (rc == 0)
        secret_set(out, token);
    else
        err_hint(e, "aws sso login");
    if (token != NULL)
        forget(token);
    json_decref(root);
    secret_wipe(&text);
    return rc;
}

static int
send_sso(struct aws_fetch *f, const struct aws_step *s, struct err *e)
{
    struct uri_pair query[] = { { "role_name", s->role_arn },
        { "account_id", s->account } };
    struct secret token = { 0 };
    struct buf url;
    int rc = sso_token(s->token_file, &token, e);

    buf_init(&url, 4096);
    buf_printf(&url, "%s/federation/credentials?", s->url);
    if (rc == 0 && !uri_add_query(&url, query, 2))
        rc = err_set(e, ERR_CONFIG, "the names of account and role are too long");
    if (rc == 0) {
        struct uri_pair header = { "x-amz-sso_bearer_token", secret_reveal(&token) };
        struct aws_exchange x = { .method = "GET",
            .url = buf_str(&url),
            .headers = &header,
            .n_headers = 1,
            .timeout_ms = TIMEOUT_MS };

        rc = send_exchange(f, &x, e);
    }
    secret_wipe(&token);
    buf_deinit(&url);
    return rc;
}

/* --- answers
 * ------------------------------------------------------------------------------ */

static void
on_wait(uv_timer_t *h)
{
    start_exchange(container_of(h, struct aws_fetch, timer));
}

/* Goes on in a turn of the loop, with the exchange that is due then. */
static void
go_on(struct aws_fetch *f, uint64_t wait_ms)
{
    uv_timer_start(&f->timer, on_wait, wait_ms, 0);
}

static void
next_step(struct aws_fetch *f)
{
    f->step++;
    f->tries = 0;
    f->stage = INSTANCE_TOKEN;
    if (f->step == f->plan->n)
        finish(f);
    else
        go_on(f, 0);
}

static void
next_stage(struct aws_fetch *f, enum stage stage)
{
    f->stage = stage;
    f->tries = 0;
    go_on(f, 0);
}

/* After a fault: again if that may help, else the end. */
static void
try_again(struct aws_fetch *f, const struct err *why)
{
    if (++f->tries >= MAX_TRIES) {
        fail(f, why);
        return;
    }
    go_on(f, ((uint64_t)FIRST_WAIT_MS << f->tries) / 2 + rand_below(FIRST_WAIT_MS));
}

static bool
heals(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

static void
take_sts(struct aws_fetch *f, int status, const char *body, size_t n)
{
    char code[AWS_CODE_MAX], message[256];
    struct err e = ERR_NONE;

    if (status == 200) {
        struct aws_creds creds = { 0 };

        if (aws_creds_sts(body, n, &creds, &e) != 0) {
            fail(f, &e);
            return;
        }
        aws_creds_take(&f->creds, &creds);
        next_step(f);
        return;
    }
    aws_creds_sts_fault(body, n, code, message, sizeof(message));
    err_set(&e, heals(status) ? ERR_NETWORK : ERR_AUTH, "%s%s%s (status %d)",
        code[0] != '\0' ? code : "refused without a reason",
        message[0] != '\0' ? ": " : "", message, status);
    /* A token just issued may not be known everywhere yet. */
    if (heals(status) || strcmp(code, "IDPCommunicationError") == 0 ||
        strcmp(code, "InvalidIdentityToken") == 0)
        try_again(f, &e);
    else
        fail(f, &e);
}

static void
take_json(
    struct aws_fetch *f, enum aws_document form, int status, const char *body, size_t n)
{
    struct aws_creds creds = { 0 };
    struct err e = ERR_NONE;
    int rc = aws_creds_json(form, body, n, &creds, &e);

    if (status == 200 && rc == 0) {
        aws_creds_take(&f->creds, &creds);
        next_step(f);
        return;
    }
    aws_creds_deinit(&creds);
    if (status != 200)
        err_set(&e, heals(status) ? ERR_NETWORK : ERR_AUTH, "%s (status %d)",
            rc == ERR_AUTH ? e.text : "refused", status);
    if (status == 401 && form == AWS_DOC_SSO)
        err_hint(&e, "aws sso login");
    if (heals(status))
        try_again(f, &e);
    else
        fail(f, &e);
}

/* Something that can be put in a header, or in a path. */
static bool
is_word(const char *s, size_t n, bool in_path)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f ||
            (in_path && strchr("/?#%", s[i]) != NULL))
            return false;
    return n > 0 && n < 2048;
}

/* One of the two texts before the credentials themselves. */
static void
take_instance_text(struct aws_fetch *f, int status, const char *body, size_t n)
{
    bool is_token = f->stage == INSTANCE_TOKEN;
    struct err e = ERR_NONE;
    size_t line = 0;

    while (line < n && body[line] != '\n' && body[line] != '\r')
        line++;
    if (status != 200 || !is_word(body, line, !is_token)) {
        const char *what = is_token ? "token" : "role of this instance";

        if (status == 200)
            err_set(&e, ERR_PROTOCOL, "the answer is no %s", what);
        else
            err_set(&e, heals(status) ? ERR_NETWORK : ERR_AUTH,
                "there is no %s (status %d)", what, status);
        if (heals(status))
            try_again(f, &e);
        else
            fail(f, &e);
        return;
    }
    if (is_token) {
        char *token = mem_strndup(body, line);

        secret_set(&f->token, token);
        explicit_bzero(token, line);
        mem_free(token);
        next_stage(f, INSTANCE_ROLE);
        return;
    }
    mem_free(f->role);
    f->role = mem_strndup(body, line);
    next_stage(f, INSTANCE_CREDS);
}

static void
take_instance(struct aws_fetch *f, int status, const char *body, size_t n)
{
    if (f->stage == INSTANCE_TOKEN && step_of(f)->without_token &&
        (status == 403 || status == 404 || status == 405)) {
        secret_wipe(&f->token); /* only version 1 here */
        next_stage(f, INSTANCE_ROLE);
    } else if (f->stage != INSTANCE_TOKEN && status == 401 && secret_is_set(&f->token)) {
        struct err e = ERR_NONE;

        err_set(&e, ERR_AUTH, "the token is not accepted (status 401)");
        secret_wipe(&f->token);
        f->stage = INSTANCE_TOKEN;
        try_again(f, &e);
    } else if (f->stage == INSTANCE_CREDS)
        take_json(f, AWS_DOC_INSTANCE, status, body, n);
    else
        take_instance_text(f, status, body, n);
}

static void
on_answer(void *arg, const struct err *err, int status, const char *body, size_t n)
{
    struct aws_fetch *f = arg;
    const struct aws_step *s = step_of(f);

    f->exchange = NULL;
    if (err != NULL && s->kind == AWS_INSTANCE && f->stage == INSTANCE_TOKEN &&
        s->without_token && err->code == ERR_TIMEOUT && f->tries + 1 >= MAX_TRIES) {
        /* The answer to a PUT does not pass a router (a container without host network).
         */
        next_stage(f, INSTANCE_ROLE);
        return;
    }
    if (err != NULL) {
        try_again(f, err);
        return;
    }
    switch (s->kind) {
    case AWS_KEYS:
        break;
    case AWS_WEB_IDENTITY:
    case AWS_ASSUME_ROLE:
        take_sts(f, status, body, n);
        break;
    case AWS_CONTAINER:
        take_json(f, AWS_DOC_CONTAINER, status, body, n);
        break;
    case AWS_INSTANCE:
        take_instance(f, status, body, n);
        break;
    case AWS_SSO:
        take_json(f, AWS_DOC_SSO, status, body, n);
        break;
    }
}

static void
start_exchange(struct aws_fetch *f)
{
    const struct aws_step *s = step_of(f);
    struct err e = ERR_NONE;
    int rc = 0;

    switch (s->kind) {
    case AWS_KEYS:
        aws_creds_set(&f->creds, s->access_key, secret_reveal(&s->secret),
            secret_reveal(&s->token), (struct wall){ 0 });
        next_step(f);
        return;
    case AWS_WEB_IDENTITY:
        rc = send_web_identity(f, s, &e);
        break;
    case AWS_ASSUME_ROLE:
        rc = send_role(f, s, &e);
        break;
    case AWS_CONTAINER:
        rc = send_container(f, s, &e);
        break;
    case AWS_INSTANCE:
        rc = send_instance(f, s, &e);
        break;
    case AWS_SSO:
        rc = send_sso(f, s, &e);
        break;
    }
    if (rc != 0)
        fail(f, &e);
}

struct aws_fetch *
aws_fetch_start(uv_loop_t *loop, const struct aws_plan *plan,
    const struct aws_transport *transport, aws_fetch_cb *done, void *arg)
{
    struct aws_fetch *f = MEM_NEW(struct aws_fetch);

    f->loop = loop;
    f->plan = plan;
    f->transport = transport;
    f->done = done;
    f->arg = arg;
    uv_timer_init(loop, &f->timer);
    go_on(f, 0);
    return f;
}

void
aws_fetch_cancel(struct aws_fetch *f)
{
    if (f == NULL)
        return;
    if (f->exchange != NULL)
        f->transport->cancel(f->transport->arg, f->exchange);
    uv_close((uv_handle_t *)&f->timer, on_closed);
}
