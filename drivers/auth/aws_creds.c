#include "drivers/auth/aws_creds.h"

#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "common/base/mem.h"
#include "drivers/xml/xml.h"

#define LIMIT ((size_t)64 << 10)

void
aws_creds_set(struct aws_creds *c, const char *access_key, const char *secret,
    const char *token, struct wall expires)
{
    aws_creds_deinit(c);
    c->access_key = mem_strdup(access_key);
    secret_set(&c->secret, secret);
    secret_set(&c->token, token);
    c->expires = expires;
}

void
aws_creds_take(struct aws_creds *to, struct aws_creds *from)
{
    aws_creds_deinit(to);
    *to = *from;
    *from = (struct aws_creds){ 0 };
}

void
aws_creds_deinit(struct aws_creds *c)
{
    mem_free(c->access_key);
    secret_wipe(&c->secret);
    secret_wipe(&c->token);
    *c = (struct aws_creds){ 0 };
}

struct sigv4_keys
aws_creds_keys(const struct aws_creds *c)
{
    return (struct sigv4_keys){ .access_key = c->access_key,
        .secret = secret_reveal(&c->secret),
        .token = secret_reveal(&c->token) };
}

/* For people: nothing that a terminal takes for more than text. */
static void
show(char *to, size_t size, const char *text)
{
    size_t n = text != NULL ? strnlen(text, size - 1) : 0;

    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    to[n] = '\0';
}

/* Credentials that cannot be sent are none. */
static int
check(const char *access_key, const char *secret, struct err *e)
{
    if (access_key == NULL || access_key[0] == '\0')
        return err_set(e, ERR_PROTOCOL, "the answer has no access key id");
    if (secret == NULL || secret[0] == '\0')
        return err_set(e, ERR_PROTOCOL, "the answer has no secret access key");
    return 0;
}

/* --- JSON
 * --------------------------------------------------------------------------------- */

static const struct form {
    const char *access_key, *secret, *token, *expires;
} forms[] = {
    [AWS_DOC_CONTAINER] = { "AccessKeyId", "SecretAccessKey", "Token", "Expiration" },
    [AWS_DOC_INSTANCE] = { "AccessKeyId", "SecretAccessKey", "Token", "Expiration" },
    [AWS_DOC_PROCESS] = { "AccessKeyId", "SecretAccessKey", "SessionToken",
        "Expiration" },
    [AWS_DOC_SSO] = { "accessKeyId", "secretAccessKey", "sessionToken", "expiration" },
};

static const char *
string_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* jansson gives the memory of strings back as it is. */
static void
wipe_string(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);
    void *bytes;

    if (text == NULL)
        return;
    memcpy(&bytes, &text, sizeof(bytes));
    explicit_bzero(bytes, json_string_length(value));
}

static int
refused(const json_t *root, struct err *e)
{
    const char *code = string_of(root, "Code"), *message = string_of(root, "Message");
    char shown[96], words[256];

    if (code == NULL)
        code = string_of(root, "code");
    if (message == NULL)
        message = string_of(root, "message");
    show(shown, sizeof(shown), code);
    show(words, sizeof(words), message);
    return err_set(e, ERR_AUTH, "%s%s%s", code != NULL ? shown : "no credentials",
        message != NULL ? ": " : "", words);
}

static int
read_expires(const json_t *object, const char *name, struct wall *out, struct err *e)
{
    const json_t *value = json_object_get(object, name);

    *out = (struct wall){ 0 };
    if (value == NULL || json_is_null(value))
        return 0;
    if (json_is_integer(value)) {
        *out = wall_from_ms(json_integer_value(value));
        return 0;
    }
    if (json_is_string(value) && json_string_value(value)[0] == '\0')
        return 0;
    if (json_is_string(value) && wall_parse(json_string_value(value), out))
        return 0;
    return err_set(e, ERR_PROTOCOL, "the answer has an expiration that is no time");
}

static int
take_object(
    enum aws_document form, const json_t *root, struct aws_creds *out, struct err *e)
{
    const struct form *f = &forms[form];
    const json_t *o =
        form == AWS_DOC_SSO ? json_object_get(root, "roleCredentials") : root;
    const char *code = string_of(root, "Code");
    const char *access_key = string_of(o, f->access_key),
               *secret = string_of(o, f->secret);
    struct wall expires;
    int rc;

    if (form == AWS_DOC_INSTANCE && code != NULL && strcmp(code, "Success") != 0)
        return refused(root, e);
    if (form == AWS_DOC_PROCESS &&
        json_integer_value(json_object_get(root, "Version")) != 1)
        return err_set(e, ERR_PROTOCOL, "the answer has no \"Version\": 1");
    if (access_key == NULL && (json_object_get(root, "message") != NULL ||
                                  json_object_get(root, "code") != NULL))
        return refused(root, e);
    rc = check(access_key, secret, e);
    if (rc == 0)
        rc = read_expires(o, f->expires, &expires, e);
    if (rc == 0)
        aws_creds_set(out, access_key, secret, string_of(o, f->token), expires);
    return rc;
}

int
aws_creds_json(enum aws_document form, const char *bytes, size_t n, struct aws_creds *out,
    struct err *e)
{
    const struct form *f = &forms[form];
    json_error_t where;
    json_t *root, *o;
    int rc;

    if (n > LIMIT)
        return err_set(e, ERR_PROTOCOL, "the answer is larger than %zu bytes", LIMIT);
    root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, ERR_PROTOCOL, "the answer is no JSON object");
    }
    rc = take_object(form, root, out, e);
    o = form == AWS_DOC_SSO ? json_object_get(root, "roleCredentials") : root;
    wipe_string(o, f->secret);
    wipe_string(o, f->token);
    json_decref(root);
    return rc;
}

/* --- STS
 * ---------------------------------------------------------------------------------- */

struct sts {
    char *access_key;
    struct secret secret, token;
    struct wall expires;
    bool bad_time;
    char code[AWS_CODE_MAX], message[256];
};

static bool
ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0 && (n == m || path[n - m - 1] == '/');
}

static int
on_end(void *arg, const char *path, const char *text, struct err *e)
{
    struct sts *s = arg;

    (void)e;
    if (ends_with(path, "Result/Credentials/AccessKeyId") ||
        ends_with(path, "Credentials/AccessKeyId")) {
        mem_free(s->access_key);
        s->access_key = mem_strdup(text);
    } else if (ends_with(path, "Credentials/SecretAccessKey"))
        secret_set(&s->secret, text);
    else if (ends_with(path, "Credentials/SessionToken"))
        secret_set(&s->token, text);
    else if (ends_with(path, "Credentials/Expiration"))
        s->bad_time = !wall_parse(text, &s->expires);
    else if (ends_with(path, "Error/Code"))
        show(s->code, sizeof(s->code), text);
    else if (ends_with(path, "Error/Message"))
        show(s->message, sizeof(s->message), text);
    return 0;
}

static int
read_sts(const char *bytes, size_t n, struct sts *s, struct err *e)
{
    struct xml *x = xml_new(&(struct xml_walker){ .end = on_end, .arg = s }, LIMIT);
    int rc = xml_feed(x, bytes, n, e);

    if (rc == 0)
        rc = xml_finish(x, e);
    xml_free(x);
    return rc;
}

static void
sts_deinit(struct sts *s)
{
    mem_free(s->access_key);
    secret_wipe(&s->secret);
    secret_wipe(&s->token);
}

int
aws_creds_sts(const char *bytes, size_t n, struct aws_creds *out, struct err *e)
{
    struct sts s = { 0 };
    int rc = read_sts(bytes, n, &s, e);

    if (rc == 0 && s.code[0] != '\0')
        rc = err_set(
            e, ERR_AUTH, "%s%s%s", s.code, s.message[0] != '\0' ? ": " : "", s.message);
    if (rc == 0)
        rc = check(s.access_key, secret_reveal(&s.secret), e);
    if (rc == 0 && s.bad_time)
        rc = err_set(e, ERR_PROTOCOL, "the answer has an expiration that is no time");
    if (rc == 0)
        aws_creds_set(out, s.access_key, secret_reveal(&s.secret),
            secret_reveal(&s.token), s.expires);
    sts_deinit(&s);
    return rc;
}

void
aws_creds_sts_fault(
    const char *bytes, size_t n, char code[AWS_CODE_MAX], char *message, size_t size)
{
    struct sts s = { 0 };
    struct err e;

    (void)read_sts(bytes, n, &s, &e); /* what came before the fault counts */
    memcpy(code, s.code, AWS_CODE_MAX);
    show(message, size, s.message);
    sts_deinit(&s);
}
