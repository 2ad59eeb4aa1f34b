#include "supervisor/commands/socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/json/json_text.h"

/* The daemon's own deadline comes first: it can say what is missing. */
#define GRACE_MS 500

struct client
socket_client(const struct socket_args *a)
{
    return (struct client){ .socket = a->socket,
        .timeout_ms = a->timeout_s > 0 ? a->timeout_s * 1000 + GRACE_MS : 0 };
}

static int
check(const struct socket_command *c, const struct socket_args *a, int n_arguments,
    struct err *e)
{
    int most = c->hint != NULL || c->optional ? 1 : 0;

    if (n_arguments > most)
        return err_set(e, ERR_USAGE, "too many arguments");
    if (n_arguments < most && !c->optional) {
        err_set(e, ERR_USAGE, "database path required");
        err_hint(e, "%s", c->hint);
        return ERR_USAGE;
    }
    if (!a->any_timeout && a->timeout_s <= 0)
        return err_set(e, ERR_USAGE, "timeout must be greater than 0");
    return 0;
}

int
socket_command(const struct socket_command *c, const struct socket_args *a, int argc,
    char **argv, struct err *e)
{
    char *path = NULL;
    int used, status, rc;

    if (!command_flags(c->help, c->flags, c->n_flags, argc, argv, &used, &status, e))
        return status;
    rc = check(c, a, argc - used, e);
    if (rc == 0 && argc > used)
        rc = path_expand_db(argv[used], &path, e);
    if (rc == 0)
        rc = c->run(a, path, c->arg, e);
    mem_free(path);
    return rc == 0 ? 0 : command_failed();
}

json_t *
socket_request(const struct socket_args *a, const char *path)
{
    json_t *body = json_object();

    json_object_set_new(body, "path", json_text_string(path));
    if (a->timeout_s > 0)
        json_object_set_new(body, "timeout", json_integer(a->timeout_s));
    return body;
}

const char *
socket_text(const json_t *reply, const char *key)
{
    const char *text = json_string_value(json_object_get(reply, key));

    return text != NULL ? text : "";
}

uint64_t
socket_uint(const json_t *reply, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(reply, key));
}

void
socket_time(const char *text, const char *none, char *out, size_t size)
{
    size_t whole = strcspn(text, ".");
    size_t fraction = text[whole] == '.' ? 1 + strspn(text + whole + 1, "0123456789") : 0;

    if (text[0] == '\0')
        snprintf(out, size, "%s", none);
    else
        snprintf(out, size, "%.*s%s", (int)whole, text, text + whole + fraction);
}

int
socket_print(const struct socket_args *a, json_t *out, struct err *e)
{
    const char *key;
    json_t *value;
    int rc = 0;

    if (a->json) {
        rc = json_text_print(stdout, out, e);
    } else {
        json_object_foreach(out, key, value)
        {
            if (json_is_string(value))
                printf("%s: %s\n", key, json_string_value(value));
            else if (json_is_boolean(value))
                printf("%s: %s\n", key, json_is_true(value) ? "true" : "false");
            else
                printf("%s: %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
        }
    }
    json_decref(out);
    return rc;
}

int
socket_switch(const char *verb, const char *state, const char *path_of_request,
    const struct socket_args *a, const char *db, struct err *e)
{
    struct client c = socket_client(a);
    json_t *body = socket_request(a, db), *reply, *out;
    int rc = client_call_json(&c, verb, path_of_request, body, &reply, e);

    json_decref(body);
    if (rc != 0)
        return rc;
    out = json_object();
    json_object_set(out, "status", json_object_get(reply, "status"));
    json_object_set(out, "db_path", json_object_get(reply, "path"));
    json_object_set_new(out, "state", json_string(state));
    json_object_set(out, "txid", json_object_get(reply, "txid"));
    json_object_set_new(out, "socket", json_text_string(a->socket));
    json_decref(reply);
    return socket_print(a, out, e);
}
