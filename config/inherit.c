#include <string.h>

#include "config/build.h"
#include "config/value.h"

static bool
has_line(const struct cfg_obj *obj, const struct cfg_option *o)
{
    size_t index = cfg_option_index(o);

    for (size_t i = 0; i < obj->n_marks; i++)
        if (obj->marks[i].option == index)
            return true;
    return false;
}

bool
build_own(const struct cfg_replica *r, const struct cfg_option *o)
{
    switch (o->type) {
    case CFG_STRING:
    case CFG_SECRET:
    case CFG_STRINGS:
        return !cfg_value_is_zero(o, cfg_field_const(r, o));
    case CFG_BOOL:
    case CFG_TRI:
    case CFG_INT:
    case CFG_INT64:
    case CFG_MODE:
    case CFG_DURATION:
    case CFG_BYTESIZE:
    case CFG_LOG_TYPE:
    case CFG_COMMAND:
    case CFG_EVENTS:
    case CFG_EXEC:
    case CFG_SECTION:
    case CFG_LEVELS:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_MAP:
    case CFG_REPLICA_LIST:
    case CFG_IGNORED:
        break;
    }
    return has_line(&r->obj, o);
}

bool
build_take_text(struct build *b, size_t bytes)
{
    if (bytes > BUILD_MAX_TEXT - b->text_bytes)
        return false;
    b->text_bytes += bytes;
    return true;
}

static int
inherit_one(
    struct build *b, struct cfg_replica *r, const struct cfg_option *o, struct err *e)
{
    const void *from = cfg_field_const(&b->c->global, o);

    if (o->type == CFG_SECRET &&
        !build_take_text(b, strlen(secret_reveal((const struct secret *)from))))
        return err_set(e, ERR_CONFIG, "values of more than %zu bytes", BUILD_MAX_TEXT);
    cfg_value_copy(o, cfg_field(r, o), from);
    return 0;
}

/*
 * A secret and the file it is in are one setting: whoever gives the one does not inherit
 * the other.
 */
int
build_inherit(struct build *b, struct cfg_replica *r, const bool *taken, struct err *e)
{
    bool own[CFG_MAX_OPTIONS];

    for (size_t i = 0; i < cfg_n_options; i++)
        own[i] = cfg_options[i].scope == (CFG_GLOBAL | CFG_REPLICA) &&
                 (taken[i] || build_own(r, &cfg_options[i]));
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i], *partner = b->partners[i];
        int rc;

        if (o->scope != (CFG_GLOBAL | CFG_REPLICA) || cfg_type_is_container(o->type) ||
            o->alias_of != NULL || own[i] ||
            (partner != NULL && own[cfg_option_index(partner)]))
            continue;
        rc = inherit_one(b, r, o, e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int
build_replica_line(const struct config *c, const struct cfg_replica *r, const bool *taken,
    const char *option)
{
    const struct cfg_option *o = cfg_option_find(CFG_REPLICA, option);
    int url = cfg_line_of(&r->obj, "url"), line = 0;

    if (taken != NULL && taken[cfg_option_index(o)])
        line = url;
    if (line == 0)
        line = cfg_line_of(&r->obj, option);
    if (line == 0 && (o->scope & CFG_GLOBAL) != 0)
        line = cfg_line_of(&c->obj, option);
    if (line == 0)
        line = url;
    return line != 0 ? line : r->obj.line;
}
