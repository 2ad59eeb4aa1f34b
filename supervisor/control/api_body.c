#include "supervisor/control/api_body.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/base/mem.h"

#define TIMEOUT_MAX_S INT64_C(31536000)

enum field_type { FIELD_STRING, FIELD_INT, FIELD_BOOL };

static const struct field {
    const char *name;
    enum field_type type;
    size_t offset;
} fields[] = {
    { "path", FIELD_STRING, offsetof(struct api_body, path) },
    { "replica_url", FIELD_STRING, offsetof(struct api_body, replica_url) },
    { "mode", FIELD_STRING, offsetof(struct api_body, mode) },
    { "level", FIELD_STRING, offsetof(struct api_body, level) },
    { "timeout", FIELD_INT, offsetof(struct api_body, timeout_s) },
    { "wait", FIELD_BOOL, offsetof(struct api_body, wait) },
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static void *
at(struct api_body *b, const struct field *f)
{
    return (char *)b + f->offset;
}

static int
wrong_type(const struct field *f, struct err *e)
{
    static const char *const wanted[] = {
        [FIELD_STRING] = "a string", [FIELD_INT] = "an integer", [FIELD_BOOL] = "a bool"
    };

    return err_set(
        e, ERR_USAGE, "field \"%s\" must be %s", f->name, wanted[(size_t)f->type]);
}

static int
take_int(const struct field *f, const json_t *value, int64_t *out, struct err *e)
{
    if (!json_is_integer(value))
        return wrong_type(f, e);
    *out = json_integer_value(value);
    if (*out > TIMEOUT_MAX_S)
        *out = TIMEOUT_MAX_S;
    if (*out < -TIMEOUT_MAX_S)
        *out = -TIMEOUT_MAX_S;
    return 0;
}

static int
take_field(struct api_body *b, const struct field *f, const json_t *value, struct err *e)
{
    char **text;

    if (json_is_null(value))
        return 0;
    switch (f->type) {
    case FIELD_STRING:
        if (!json_is_string(value))
            return wrong_type(f, e);
        text = at(b, f);
        mem_free(*text);
        *text = mem_strdup(json_string_value(value));
        return 0;
    case FIELD_INT:
        return take_int(f, value, at(b, f), e);
    case FIELD_BOOL:
        if (!json_is_boolean(value))
            return wrong_type(f, e);
        *(bool *)at(b, f) = json_is_true(value);
        return 0;
    }
    return 0;
}

static int
take_object(struct api_body *b, json_t *object, struct err *e)
{
    const char *name;
    json_t *value;
    int rc = 0;

    json_object_foreach(object, name, value)
    {
        for (size_t i = 0; i < N_FIELDS && rc == 0; i++)
            if (strcasecmp(fields[i].name, name) == 0)
                rc = take_field(b, &fields[i], value, e);
    }
    return rc;
}

static bool
is_blank(const char *text, size_t size)
{
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    return size == 0;
}

int
api_body_parse(const char *text, size_t size, struct api_body *out, struct err *e)
{
    json_error_t why;
    json_t *value;
    int rc = 0;

    if (is_blank(text, size))
        return err_set(e, ERR_USAGE, "EOF");
    value = json_loadb(text, size, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &why);
    if (value == NULL)
        return err_set(
            e, ERR_USAGE, "line %d column %d: %s", why.line, why.column, why.text);
    *out = (struct api_body){ .path = mem_strdup(""),
        .replica_url = mem_strdup(""),
        .mode = mem_strdup(""),
        .level = mem_strdup("") };
    if (json_is_object(value))
        rc = take_object(out, value, e);
    else if (!json_is_null(value))
        rc = err_set(e, ERR_USAGE, "an object was expected");
    json_decref(value);
    if (rc != 0)
        api_body_deinit(out);
    return rc;
}

void
api_body_deinit(struct api_body *b)
{
    mem_free(b->path);
    mem_free(b->replica_url);
    mem_free(b->mode);
    mem_free(b->level);
    *b = (struct api_body){ .path = NULL };
}
