#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "drivers/auth/aws.h"
#include "test/unit/support/tmp.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define NOW 1767366245

/* --- a world of the test's own: clocks, environment, and what answers */

static int64_t passed_ms;

static struct wall
now(void)
{
    return wall_from_ms(INT64_C(1000) * NOW + passed_ms);
}

static struct mono
ticks(void)
{
    return (struct mono){ 1000000000 + passed_ms * 1000000 };
}

static struct {
    char name[64], value[256];
} variables[16];
static size_t n_variables;

static const char *
env(const char *name)
{
    for (size_t i = n_variables; i > 0; i--)
        if (strcmp(variables[i - 1].name, name) == 0)
            return variables[i - 1].value;
    return NULL;
}

static void
set(const char *name, const char *value)
{
    cr_assert_lt(n_variables, N(variables));
    snprintf(variables[n_variables].name, sizeof(variables[0].name), "%s", name);
    snprintf(variables[n_variables].value, sizeof(variables[0].value), "%s", value);
    n_variables++;
}

/* The script of the other side: expected beginnings of requests, and their answers. */
static struct exchange {
    const char *request; /* "GET http://..."; then what headers and body contain */
    const char *has;
    int status; /* 0: no answer, HANGS: not even that */
    const char *body;
} script[24];
static size_t n_script, at_script;

#define HANGS (-1)

struct pending {
    uv_timer_t timer;
    aws_answer_cb *done;
    void *arg;
    const struct exchange *x;
};
static int n_pending, n_cancelled;

static void
expect(const char *request, const char *has, int status, const char *body)
{
    cr_assert_lt(n_script, N(script));
    script[n_script++] = (struct exchange){ request, has, status, body };
}

static void
on_pending_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void
on_pending(uv_timer_t *h)
{
    struct pending *p = h->data;
    struct err e;

    n_pending--;
    uv_close((uv_handle_t *)h, on_pending_closed);
    err_set(&e, ERR_TIMEOUT, "timed out");
    p->done(p->arg, p->x->status == 0 ? &e : NULL, p->x->status, p->x->body,
        p->x->body != NULL ? strlen(p->x->body) : 0);
}

static void *
start(void *arg, const struct aws_exchange *x, aws_answer_cb *done, void *done_arg,
    struct err *e)
{
    struct pending *p = MEM_NEW(struct pending);
    char *text = mem_printf("%s %s\n", x->method, x->url);
    const struct exchange *want;

    (void)e;
    cr_assert_lt(at_script, n_script, "not expected: %s", text);
    want = &script[at_script++];
    for (size_t i = 0; i < x->n_headers; i++) {
        char *more =
            mem_printf("%s%s: %s\n", text, x->headers[i].name, x->headers[i].value);

        mem_free(text);
        text = more;
    }
    if (x->body != NULL) {
        char *more = mem_printf("%s%.*s", text, (int)x->body_bytes, x->body);

        mem_free(text);
        text = more;
    }
    cr_expect_eq(strncmp(text, want->request, strlen(want->request)), 0,
        "expected %s, got %s", want->request, text);
    cr_expect_not_null(strstr(text, want->has), "expected %s in %s", want->has, text);
    mem_free(text);
    p->done = done;
    p->arg = done_arg;
    p->x = want;
    uv_timer_init(arg, &p->timer);
    p->timer.data = p;
    if (want->status != HANGS)
        uv_timer_start(&p->timer, on_pending, 0, 0);
    n_pending++;
    return p;
}

static void
cancel(void *arg, void *exchange)
{
    struct pending *p = exchange;

    (void)arg;
    uv_close((uv_handle_t *)&p->timer, on_pending_closed);
    n_cancelled++;
}

/* --- the side of a driver */

static uv_loop_t loop;
static struct aws_transport transport = { start, cancel, &loop };
static struct secret secret;
static struct aws_auth *auth;
static struct err got;
static int n_answers;

static void
open_auth(const char *access_key, const char *secret_text)
{
    struct aws_auth_options o = { .loop = &loop,
        .transport = &transport,
        .access_key = access_key,
        .secret = &secret,
        .region = "",
        .env = env };

    wall_set_source(now);
    mono_set_source(ticks);
    set("HOME", tmp_path("home"));
    secret_set(&secret, secret_text);
    cr_assert_eq(uv_loop_init(&loop), 0);
    auth = aws_auth_open(&o);
}

static void
on_done(void *arg, const struct err *err)
{
    (void)arg;
    n_answers++;
    got = err != NULL ? *err : (struct err)ERR_NONE;
}

/* Waits for keys; returns the code of the answer. */
static int
wait_keys(void)
{
    struct aws_auth_wait w = { .done = on_done };
    int before = n_answers;

    aws_auth_wait(auth, &w);
    cr_expect_eq(n_answers, before, "no answer inside the call");
    while (n_answers == before)
        uv_run(&loop, UV_RUN_ONCE);
    cr_expect_eq(n_answers, before + 1);
    return got.code;
}

static uint64_t
expect_keys(const char *key, const char *token)
{
    struct sigv4_keys keys;
    uint64_t generation = 0;

    cr_assert(aws_auth_keys(auth, &keys, &generation), "there are no keys");
    cr_expect_str_eq(keys.access_key, key);
    cr_expect_str_eq(keys.token, token);
    return generation;
}

static bool
has_keys(void)
{
    struct sigv4_keys keys;
    uint64_t generation;

    return aws_auth_keys(auth, &keys, &generation);
}

static void
on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void
close_auth(void)
{
    bool closed = false;

    aws_auth_close(auth, on_closed, &closed);
    aws_auth_close(auth, on_closed, &closed);
    cr_expect_not(closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect(closed);
    cr_expect_eq(uv_loop_close(&loop), 0);
    cr_expect_eq(at_script, n_script, "%zu requests were expected", n_script);
    secret_wipe(&secret);
}

#define CREDS(key, expires)                                                              \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" key                                       \
    "\",\"SecretAccessKey\":\"S\",\"Token\":\"T-" key "\",\"Expiration\":\"" expires     \
    "\"}"
#define IN_AN_HOUR "2026-01-02T16:04:05Z"
#define STS(kind, key)                                                                   \
    "<" kind "Response><" kind "Result><Credentials><AccessKeyId>" key                   \
    "</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T-" key             \
    "</SessionToken><Expiration>" IN_AN_HOUR "</Expiration></Credentials></" kind        \
    "Result></" kind "Response>"

static void
expect_instance(const char *creds)
{
    expect("PUT http://169.254.169.254/latest/api/token\n",
        "x-aws-ec2-metadata-token-ttl-seconds: 21600", 200, "imds/tok==\n");
    expect("GET http://169.254.169.254/latest/meta-data/iam/security-credentials/\n",
        "x-aws-ec2-metadata-token: imds/tok==\n", 200, "my-role\nother");
    expect(
        "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/my-role\n",
        "x-aws-ec2-metadata-token: imds/tok==\n", 200, creds);
}

/* --- the tests */

Test(aws_auth, keys_of_the_replica_are_there_at_once_and_for_ever)
{
    uint64_t generation;

    open_auth("AK", "SK");
    generation = expect_keys("AK", "");
    passed_ms = INT64_C(1000) * 3600 * 24 * 3650;
    expect_keys("AK", "");
    cr_expect_not(aws_auth_refused(auth, generation), "nothing else can be had");
    expect_keys("AK", "");
    close_auth();
}

Test(aws_auth, an_instance_is_asked_with_a_token)
{
    open_auth("", "");
    cr_expect_not(has_keys());
    expect_instance(CREDS("I", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    expect_keys("I", "T-I");
    close_auth();
}

Test(aws_auth, an_instance_of_the_first_version_will_do)
{
    open_auth("", "");
    expect("PUT http://169.254.169.254/latest/api/token\n", "", 404, "");
    expect("GET http://169.254.169.254/latest/meta-data/iam/security-credentials/\n", "",
        200, "r");
    expect("GET http://169.254.169.254/latest/meta-data/iam/security-credentials/r\n", "",
        200, CREDS("I", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    close_auth();
}

Test(aws_auth, version_one_can_be_forbidden)
{
    open_auth("", "");
    set("AWS_EC2_METADATA_V1_DISABLED", "true");
    close_auth();
    open_auth("", "");
    expect("PUT http://169.254.169.254/latest/api/token\n", "", 403, "");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(
        strstr(got.text, "there is no token (status 403)"), "%s", got.text);
    close_auth();
}

Test(aws_auth, an_instance_that_forgot_its_token_gives_a_new_one)
{
    open_auth("", "");
    expect("PUT http://169.254.169.254/latest/api/token\n", "", 200, "old");
    expect("GET http://169.254.169.254/latest/meta-data/iam/security-credentials/\n",
        "old", 401, "");
    expect_instance(CREDS("I", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    close_auth();
}

Test(aws_auth, what_was_tried_is_told_in_one_error)
{
    open_auth("", "");
    set("AWS_EC2_METADATA_V1_DISABLED", "true");
    close_auth();
    open_auth("AK", "");
    for (int i = 0; i < 3; i++)
        expect("PUT http://169.254.169.254/latest/api/token\n", "", 0, NULL);
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(
        strstr(got.text,
            "no credentials: http://169.254.169.254 (instance metadata of the "
            "instance): timed out; before that: the replica has no "
            "`secret-access-key`; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "are not set; AWS_WEB_IDENTITY_TOKEN_FILE is not set; there is no "
            "profile \"default\" in "),
        "%s", got.text);
    cr_expect_not_null(strstr(got.hint, "access-key-id"));
    /* Not asked again for those who come right after. */
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(strstr(got.text, "instance metadata"));
    passed_ms += 60000;
    expect("PUT http://169.254.169.254/latest/api/token\n", "", 403, "");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    close_auth();
}

Test(aws_auth, new_ones_are_fetched_before_the_old_ones_end)
{
    open_auth("", "");
    expect_instance(CREDS("A", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0);
    passed_ms += 50 * 60000;
    expect_keys("A", "T-A");
    uv_run(&loop, UV_RUN_NOWAIT);
    passed_ms += 6 * 60000; /* less than 5 minutes are left */
    expect_instance(CREDS("B", "2026-01-02T17:04:05Z"));
    expect_keys("A", "T-A"); /* used meanwhile, by many */
    expect_keys("A", "T-A");
    for (int i = 0; i < 50 && at_script < n_script; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_DEFAULT);
    expect_keys("B", "T-B");
    close_auth();
}

Test(aws_auth, short_lives_are_not_spent_on_fetching)
{
    open_auth("", "");
    expect_instance(CREDS("A", "2026-01-02T15:04:15Z")); /* ten seconds */
    cr_assert_eq(wait_keys(), 0);
    passed_ms += 4000;
    expect_keys("A", "T-A");
    uv_run(&loop, UV_RUN_DEFAULT);
    passed_ms += 2000;
    expect_instance(CREDS("B", IN_AN_HOUR));
    expect_keys("A", "T-A");
    uv_run(&loop, UV_RUN_DEFAULT);
    expect_keys("B", "T-B");
    close_auth();
}

Test(aws_auth, the_old_ones_of_an_instance_outlive_its_service)
{
    open_auth("", "");
    expect_instance(CREDS("A", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0);
    passed_ms += 61 * 60000;
    cr_expect_not(has_keys());
    for (int i = 0; i < 3; i++)
        expect("PUT http://169.254.169.254/latest/api/token\n", "", 500, "");
    cr_expect_eq(wait_keys(), 0);
    expect_keys("A", "T-A");
    uv_run(&loop, UV_RUN_DEFAULT);
    passed_ms += 4 * 60000;
    expect_keys("A", "T-A"); /* left in peace for 5 to 10 minutes */
    uv_run(&loop, UV_RUN_DEFAULT);
    passed_ms += 7 * 60000;
    expect_instance(CREDS("B", "2026-01-02T17:04:05Z"));
    expect_keys("A", "T-A");
    uv_run(&loop, UV_RUN_DEFAULT);
    expect_keys("B", "T-B");
    close_auth();
}

Test(aws_auth, refused_keys_are_fetched_anew_but_not_endlessly)
{
    uint64_t first, second;

    open_auth("", "");
    expect_instance(CREDS("A", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0);
    first = expect_keys("A", "T-A");
    cr_expect(aws_auth_refused(auth, first));
    cr_expect_not(has_keys());
    expect_instance(CREDS("B", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0);
    second = expect_keys("B", "T-B");
    cr_expect_neq(first, second);
    cr_expect(aws_auth_refused(auth, first), "another request still has the old ones");
    expect_keys("B", "T-B");
    cr_expect_not(aws_auth_refused(auth, second), "too soon");
    expect_keys("B", "T-B");
    passed_ms += 11000;
    cr_expect(aws_auth_refused(auth, second));
    expect_instance(CREDS("C", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0);
    expect_keys("C", "T-C");
    close_auth();
}

Test(aws_auth, many_who_wait_make_one_fetch_and_may_leave)
{
    struct aws_auth_wait w[5];

    open_auth("", "");
    for (size_t i = 0; i < N(w); i++) {
        w[i] = (struct aws_auth_wait){ .done = on_done };
        aws_auth_wait(auth, &w[i]);
    }
    expect_instance(CREDS("A", IN_AN_HOUR));
    aws_auth_wait_cancel(auth, &w[2]);
    aws_auth_wait_cancel(auth, &w[2]);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect_eq(n_answers, 4);
    close_auth();
    cr_expect_eq(n_answers, 4);
}

static struct aws_auth_wait again;

static void
on_done_wait_again(void *arg, const struct err *err)
{
    (void)arg;
    n_answers++;
    cr_expect_not_null(err);
    if (n_answers < 3)
        aws_auth_wait(auth, &again);
}

Test(aws_auth, who_waits_again_from_its_answer_gets_the_next_one)
{
    set("AWS_EC2_METADATA_DISABLED", "true");
    open_auth("", "");
    again.done = on_done_wait_again;
    aws_auth_wait(auth, &again);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect_eq(n_answers, 3);
    close_auth();
}

Test(aws_auth, closing_ends_what_is_under_way)
{
    struct aws_auth_wait w = { .done = on_done };

    open_auth("", "");
    aws_auth_wait(auth, &w);
    expect("PUT http://169.254.169.254/latest/api/token\n", "", HANGS, NULL);
    while (n_pending == 0)
        uv_run(&loop, UV_RUN_NOWAIT);
    close_auth();
    cr_expect_eq(n_cancelled, 1);
    cr_expect_eq(n_answers, 1);
    cr_expect_eq(got.code, ERR_CANCELLED);
}

Test(aws_auth, containers_get_their_token_and_it_is_read_anew)
{
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/c");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", tmp_path("token"));
    tmp_write(tmp_path("token"), "Bearer one\n", 11);
    open_auth("", "");
    expect("GET http://127.0.0.1:1/c\n", "Authorization: Bearer one\n", 200,
        CREDS("A", IN_AN_HOUR));
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    passed_ms += 59 * 60000;
    tmp_write(tmp_path("token"), "Bearer two", 10);
    expect("GET http://127.0.0.1:1/c\n", "Authorization: Bearer two\n", 200,
        CREDS("B", "2026-01-02T17:04:05Z"));
    expect_keys("A", "T-A");
    uv_run(&loop, UV_RUN_DEFAULT);
    expect_keys("B", "T-B");
    close_auth();
}

Test(aws_auth, a_container_that_fails_for_good_says_why)
{
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok");
    open_auth("", "");
    expect("GET http://169.254.170.2/v2/x\n", "Authorization: tok\n", 503, "busy");
    expect("GET http://169.254.170.2/v2/x\n", "Authorization: tok\n", 400,
        "{\"code\":\"NoId\",\"message\":\"no such task\"}");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(
        strstr(got.text, "NoId: no such task (status 400)"), "%s", got.text);
    cr_expect_null(strstr(got.text, "tok;"));
    close_auth();
}

Test(aws_auth, web_identity_sends_the_file_as_it_is_now)
{
    set("AWS_WEB_IDENTITY_TOKEN_FILE", tmp_path("jwt"));
    set("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    set("AWS_ROLE_SESSION_NAME", "me");
    set("AWS_REGION", "eu-west-3");
    open_auth("", "");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(strstr(got.text, "cannot read the token"), "%s", got.text);
    tmp_write(tmp_path("jwt"), "a.b.c\n", 6);
    passed_ms += 60000;
    expect("POST https://sts.eu-west-3.amazonaws.com/\n",
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1"
        "%3Arole%2Fx&RoleSessionName=me&WebIdentityToken=a.b.c",
        400,
        "<ErrorResponse><Error><Code>IDPCommunicationError</Code><Message>m</Message>"
        "</Error></ErrorResponse>");
    expect("POST https://sts.eu-west-3.amazonaws.com/\n", "WebIdentityToken=a.b.c", 200,
        STS("AssumeRoleWithWebIdentity", "W"));
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    expect_keys("W", "T-W");
    close_auth();
}

Test(aws_auth, a_token_that_has_expired_is_not_sent_thrice)
{
    set("AWS_WEB_IDENTITY_TOKEN_FILE", tmp_path("jwt"));
    set("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    tmp_write(tmp_path("jwt"), "geheim", 6);
    open_auth("", "");
    expect("POST https://sts.us-east-1.amazonaws.com/\n", "", 400,
        "<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>Token expired"
        "</Message></Error></ErrorResponse>");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(
        strstr(got.text, "ExpiredTokenException: Token expired (status 400)"), "%s",
        got.text);
    cr_expect_not_null(strstr(got.text, "role arn:aws:iam::1:role/x of the environment"));
    cr_expect_null(strstr(got.text, "geheim"));
    close_auth();
}

Test(aws_auth, roles_are_assumed_one_with_the_keys_of_the_other)
{
    static const char config[] =
        "[profile base]\naws_access_key_id = BK\naws_secret_access_key = BS\n"
        "[profile one]\nrole_arn = arn:1\nsource_profile = base\n"
        "[profile two]\nrole_arn = arn:2\nsource_profile = one\nexternal_id = X\n";

    tmp_write(tmp_path("config"), config, strlen(config));
    set("AWS_CONFIG_FILE", tmp_path("config"));
    set("AWS_PROFILE", "two");
    set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2");
    open_auth("", "");
    expect("POST http://127.0.0.1:2/\n",
        "Credential=BK/20260102/us-east-1/sts/aws4_request", 200,
        STS("AssumeRole", "ONE"));
    expect("POST http://127.0.0.1:2/\n", "x-amz-security-token: T-ONE\n", 200,
        STS("AssumeRole", "TWO"));
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    expect_keys("TWO", "T-TWO");
    close_auth();
}

Test(aws_auth, files_are_read_again_when_their_keys_are_refused)
{
    static const char old[] = "[default]\naws_access_key_id=A\naws_secret_access_key=S\n",
                      new[] =
                          "[default]\naws_access_key_id=Bee\naws_secret_access_key=S\n";
    uint64_t generation;

    tmp_write(tmp_path("creds"), old, strlen(old));
    set("AWS_SHARED_CREDENTIALS_FILE", tmp_path("creds"));
    open_auth("", "");
    generation = expect_keys("A", "");
    cr_expect_not(aws_auth_refused(auth, generation), "nothing has changed");
    tmp_write(tmp_path("creds"), new, strlen(new));
    cr_expect(aws_auth_refused(auth, generation));
    cr_expect_eq(wait_keys(), 0);
    expect_keys("Bee", "");
    close_auth();
}

static void
write_login(const char *expires)
{
    char *text = mem_printf(
        "{\"accessToken\":\"geheim\",\"expiresAt\":\"%s\",\"region\":\"r\"}", expires);

    tmp_write(tmp_path("home/.aws/sso/cache/"
                       "a0f1490a20d0211c997b44bc357e1972deab8ae3.json"),
        text, strlen(text));
    mem_free(text);
}

Test(aws_auth, sso_uses_the_login_that_there_is)
{
    static const char config[] =
        "[profile p]\nsso_session = s\nsso_account_id = 12\nsso_role_name = My Role\n"
        "[sso-session s]\nsso_region = eu-north-1\n";
    struct sys_owner owner = SYS_OWNER_DEFAULT;

    tmp_write(tmp_path("config"), config, strlen(config));
    set("AWS_CONFIG_FILE", tmp_path("config"));
    set("AWS_PROFILE", "p");
    open_auth("", "");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_str_eq(got.hint, "aws sso login");
    cr_assert_eq(sys_mkdirs(tmp_path("home/.aws/sso/cache"), &owner, &got), 0);
    passed_ms += 60000;
    write_login("2026-01-02T15:00:00Z");
    cr_expect_eq(wait_keys(), ERR_AUTH);
    cr_expect_not_null(strstr(got.text, "the login of SSO has expired"), "%s", got.text);
    write_login(IN_AN_HOUR);
    passed_ms += 60000;
    expect("GET https://portal.sso.eu-north-1.amazonaws.com/federation/credentials?"
           "account_id=12&role_name=My%20Role\n",
        "x-amz-sso_bearer_token: geheim\n", 200,
        "{\"roleCredentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"S\","
        "\"sessionToken\":\"T-A\",\"expiration\":1767370000000}}");
    cr_assert_eq(wait_keys(), 0, "%s", got.text);
    expect_keys("A", "T-A");
    close_auth();
}
