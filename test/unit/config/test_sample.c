/*
 * The shipped sample: valid as it is, complete, and true when its lines are taken into
 * use.
 */
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "config/options.h"
#include "config/value.h"
#include "test/unit/config/loaded.h"
#include "test/unit/support/tmp.h"

#define SAMPLE FIXTURES "/../../packaging/litestream.yml"

static char *
sample(void)
{
    size_t n;
    char *text = (char *)tmp_read(SAMPLE, &n);

    cr_assert_not_null(text, "%s", SAMPLE);
    text = realloc(text, n + 1);
    text[n] = '\0';
    return text;
}

/* Takes the `#` away from lines that are settings: those without exactly one blank. */
static char *
uncommented(void)
{
    char *text = sample(), *out = text;
    bool start = true;

    for (const char *s = text; *s != '\0'; s++) {
        bool setting = start && s[0] == '#' && s[1] != '#' && s[1] != '\n' &&
                       !(s[1] == ' ' && s[2] != ' ');

        start = *s == '\n';
        if (!setting)
            *out++ = *s;
    }
    *out = '\0';
    return text;
}

Test(sample, is_valid_and_does_nothing)
{
    char *text = sample();
    struct config *c = loaded(text);

    cr_expect_eq(c->n_dbs, 0);
    cr_expect_eq(c->obj.n_marks, 0);
    cr_expect_eq(c->n_notices, 0);
    config_free(c);
    free(text);
}

Test(sample, all_its_settings_are_good)
{
    char *text = uncommented();
    struct config *c = loaded(text);
    struct err e = ERR_NONE;

    cr_expect_gt(c->n_dbs, 8);
    cr_expect_eq(config_check_replicas(c, &e), 0, "%s", e.text);
    cr_expect_eq(config_check_daemon(c, &e), 0, "%s", e.text);
    for (size_t i = 0; i < c->n_notices; i++)
        cr_expect(strstr(c->notices[i].text, "max-sync-ltx-files") != NULL, "%d: %s",
            c->notices[i].line, c->notices[i].text);
    config_free(c);
    free(text);
}

struct seen {
    bool option[CFG_MAX_OPTIONS];
    struct arena a;
};

/* Examples, for which a default would be of no use. */
static bool
is_example(const struct cfg_option *o)
{
    static const char *const names[] = { "path", "meta-path", "dir", "pattern", "url",
        "type", "bucket", "endpoint", "force-path-style", "sign-payload",
        "require-content-md5", "part-size", "concurrency", "account-name", "host", "user",
        "webdav-url", "cmd", "interval", "snapshot-interval", "logging.level",
        "snapshot.interval", "snapshot.retention", "heartbeat-interval", "retention",
        "name" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(o->name, names[i]) == 0)
            return true;
    return false;
}

static void
look(struct seen *seen, const struct cfg_obj *obj, const void *base, const void *global)
{
    for (size_t i = 0; i < obj->n_marks; i++) {
        const struct cfg_option *o = &cfg_options[obj->marks[i].option];
        _Alignas(max_align_t) char def[64] = { 0 };
        const void *field = cfg_field_const(
            (o->scope & CFG_REPLICA) != 0 && global != NULL ? global : base, o);

        seen->option[obj->marks[i].option] = true;
        if (cfg_type_is_container(o->type) || is_example(o))
            continue;
        cfg_value_default(&seen->a, o, def);
        cr_expect(cfg_value_equal(o, field, def), "line %d: %s: the default is not %s",
            obj->marks[i].line, o->name, cfg_value_text(&seen->a, o, field));
    }
}

Test(sample, has_every_documented_key_with_its_default)
{
    char *text = uncommented();
    struct config *c = loaded(text);
    struct seen seen = { .option = { false } };

    arena_init(&seen.a);
    look(&seen, &c->obj, c, &c->global);
    for (size_t i = 0; i < c->n_levels; i++)
        look(&seen, &c->levels[i].obj, &c->levels[i], NULL);
    for (size_t i = 0; i < c->n_hooks; i++)
        look(&seen, &c->hooks[i].obj, &c->hooks[i], NULL);
    for (size_t i = 0; i < c->n_dbs; i++) {
        look(&seen, &c->dbs[i].obj, &c->dbs[i], NULL);
        for (size_t k = 0; k < c->dbs[i].n_replicas; k++)
            look(&seen, &c->dbs[i].replicas[k].obj, &c->dbs[i].replicas[k], NULL);
    }
    for (size_t i = 0; i < cfg_n_options; i++)
        cr_expect(seen.option[i] || cfg_options[i].doc == NULL ||
                      cfg_options[i].type == CFG_SECTION || cfg_options[i].unused != NULL,
            "%s is missing", cfg_options[i].name);
    arena_deinit(&seen.a);
    config_free(c);
    free(text);
}

Test(sample, its_examples_are_the_defaults_where_there_is_one)
{
    char *text = uncommented();
    struct config *c = loaded(text), *empty = loaded("");

    cr_assert_eq(c->n_levels, empty->n_levels);
    for (size_t i = 0; i < c->n_levels; i++) {
        cr_expect_eq(c->levels[i].interval_ns, empty->levels[i].interval_ns);
        cr_expect_eq(c->levels[i].retention_ns, 0);
    }
    cr_expect_eq(c->snapshot.interval_ns, empty->snapshot.interval_ns);
    cr_expect_eq(c->snapshot.retention_ns, empty->snapshot.retention_ns);
    cr_expect_eq(config_log_level(c), config_log_level(empty));
    for (size_t i = 0; i < c->n_dbs; i++) {
        cr_expect_eq(c->dbs[i].snapshot.interval_ns, empty->snapshot.interval_ns);
        cr_expect_eq(c->dbs[i].snapshot.retention_ns, empty->snapshot.retention_ns);
        cr_expect_eq(c->dbs[i].heartbeat_interval_ns, empty->heartbeat_interval_ns);
        for (size_t k = 0; k < c->dbs[i].n_replicas; k++) {
            const struct cfg_replica *r = &c->dbs[i].replicas[k];

            cr_expect_eq(r->snapshot.interval_ns, empty->snapshot.interval_ns);
            cr_expect_eq(r->snapshot.retention_ns, empty->snapshot.retention_ns);
            cr_expect(r->part_size_bytes == 0 ||
                      r->part_size_bytes == (r->type == CFG_REPLICA_S3 ? 5 : 6) << 20);
        }
    }
    config_free(empty);
    config_free(c);
    free(text);
}
