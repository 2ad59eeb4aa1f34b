/*
 * From a file or a text to a struct config: the order of the steps.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "config/build.h"
#include "config/value.h"

static const char *const default_levels[] = { "30s", "5m", "1h" };

int
build_fail(struct err *e, int line, const char *fmt, ...)
{
    va_list ap;
    char text[ERR_TEXT_MAX];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (line <= 0)
        return err_set(e, ERR_CONFIG, "%s", text);
    return err_set(e, ERR_CONFIG, "line %d: %s", line, text);
}

const struct err *
build_fault(struct build *b, int line, const char *fmt, ...)
{
    struct err *e = ARENA_NEW(b->a, struct err);
    va_list ap;
    char text[ERR_TEXT_MAX];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    build_fail(e, line, "%s", text);
    if (b->c->file[0] != '\0')
        err_wrap(e, "%s", b->c->file);
    return e;
}

/* ---- defaults ---- */

void
build_defaults(struct build *b, enum cfg_scope scope, void *base, bool without_inherited)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        struct cfg_option o = cfg_options[i];

        if ((o.scope & scope) == 0 || cfg_type_is_container(o.type) || o.alias_of != NULL)
            continue;
        if (scope == CFG_GLOBAL && (o.scope & CFG_REPLICA) != 0)
            continue;
        if (without_inherited && (o.scope & CFG_GLOBAL) != 0)
            o.def = NULL;
        cfg_value_default(b->a, &o, cfg_field(base, &o));
    }
}

/* Strings that no key of the file is behind. */
static void
fill_replica(struct cfg_replica *r)
{
    r->field = r->url = r->sse_customer_key_md5 = "";
}

static void
find_partners(struct build *b)
{
    for (size_t i = 0; i < cfg_n_options; i++)
        if (!cfg_type_is_container(cfg_options[i].type) &&
            cfg_options[i].alias_of == NULL)
            b->partners[i] = cfg_option_partner(&cfg_options[i]);
}

static const char *
get_env(const char *name)
{
    return getenv(name);
}

void
build_init(struct build *b, expand_env_cb *env)
{
    struct config *c = MEM_NEW(struct config);

    *b = (struct build){ .c = c, .a = &c->arena, .env = env != NULL ? env : get_env };
    arena_init(&c->arena);
    c->file = "";
    find_partners(b);
    build_defaults(b, CFG_GLOBAL, c, false);
    build_defaults(b, CFG_REPLICA, &c->global, false);
    build_defaults(b, CFG_REPLICA, &b->blank_replica, true);
    build_defaults(b, CFG_DB, &b->blank_db, false);
    fill_replica(&c->global);
    fill_replica(&b->blank_replica);
    b->blank_db.dir_path = "";
}

void
build_deinit(struct build *b)
{
    config_free(b->c);
    buf_deinit(&b->type_errors);
}

/* ---- steps ---- */

static void
fill_levels(struct build *b)
{
    static const struct cfg_option *interval;
    size_t n = sizeof(default_levels) / sizeof(default_levels[0]);

    if (b->levels_given)
        return;
    interval = cfg_option_find(CFG_LEVEL, "interval");
    b->c->levels = arena_alloc(b->a, n * sizeof(*b->c->levels));
    for (size_t i = 0; i < n; i++) {
        struct cfg_option o = *interval;

        o.def = default_levels[i];
        build_defaults(b, CFG_LEVEL, &b->c->levels[i], false);
        cfg_value_default(b->a, &o, &b->c->levels[i].interval_ns);
    }
    b->c->n_levels = n;
}

static void
fill_heartbeats(struct config *c)
{
    for (size_t i = 0; i < c->n_dbs; i++)
        if (!cfg_is_set(&c->dbs[i].obj, "heartbeat-interval"))
            c->dbs[i].heartbeat_interval_ns = c->heartbeat_interval_ns;
}

int
build_finish(struct build *b, struct err *e)
{
    int rc;

    fill_levels(b);
    rc = build_entries(b, e);
    if (rc == 0)
        rc = build_check_values(b, e);
    if (rc == 0)
        rc = build_merge(b, e);
    if (rc != 0)
        return rc;
    build_snapshots(b);
    fill_heartbeats(b->c);
    rc = build_resolve(b, e);
    if (rc == 0)
        rc = build_check(b, e);
    b->c->notices = notices_array(&b->notices, b->a, &b->c->n_notices);
    return rc;
}

static int
parse(struct build *b, const char *text, size_t size, expand_env_cb *env, struct err *e)
{
    struct expanded x = { .gaps = NULL };
    struct ytree *tree = NULL;
    struct ynode *root = NULL;
    int rc = expand_text(text, size, env, &x, e);

    if (rc == 0)
        rc = ytree_parse(buf_str(&x.text), x.text.size, &tree, &root, e);
    if (rc == 0 && ytree_rest_line(tree) != 0)
        build_warn(b, ytree_rest_line(tree), "",
            "only the first document of the file is used: nothing from here on is");
    b->expanded = &x;
    if (rc == 0)
        rc = build_decode(b, root, e);
    b->expanded = NULL;
    ytree_free(tree);
    expanded_deinit(&x);
    return rc == 0 ? build_finish(b, e) : rc;
}

int
config_parse(const char *text, size_t size, const char *file,
    const struct config_options *options, struct config **out, struct err *e)
{
    static const struct config_options usual;
    struct build b;
    int rc;

    if (options == NULL)
        options = &usual;
    build_init(&b, options->env);
    b.c->file = arena_strdup(b.a, file);
    rc = parse(&b, text, size, options->no_expand_env ? NULL : b.env, e);
    if (rc == 0) {
        *out = b.c;
        b.c = NULL;
    } else if (file[0] != '\0') {
        err_wrap(e, "%s", file);
    }
    build_deinit(&b);
    return rc;
}

static int
read_file(const char *path, char **text, size_t *size, struct err *e)
{
    struct stat st;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    *text = NULL;
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "config file not found: %s", path);
    if (rc == 0 && fstat(fd, &st) != 0)
        rc = err_errno(e, errno, "stat %s", path);
    if (rc == 0 && S_ISDIR(st.st_mode))
        rc = err_errno(e, EISDIR, "read %s", path);
    if (rc == 0) {
        /* One byte more than fits, so that expanding refuses it; pipes have no size. */
        *text = mem_new(EXPAND_MAX + 1);
        rc = sys_read(fd, *text, EXPAND_MAX + 1, size, e);
    }
    sys_close(&fd);
    return rc == 0 ? 0 : err_wrap(e, "cannot read config");
}

int
config_load(const char *path, const struct config_options *options, struct config **out,
    struct err *e)
{
    char *abs = NULL, *text = NULL;
    size_t size = 0;
    int rc = path_expand_db(path, &abs, e);

    if (rc == 0)
        rc = read_file(abs, &text, &size, e);
    if (rc == 0)
        rc = config_parse(text, size, abs, options, out, e);
    if (text != NULL)
        explicit_bzero(text, size);
    mem_free(text);
    mem_free(abs);
    return rc;
}
