#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "test/unit/drivers/rig.h"
#include "test/unit/support/tmp.h"

/* A folder with what may lie beside LTX files. */
static void
make_tree(void)
{
    static const char *const folders[] = { "r", "r/generations", "r/generations/a",
        "r/generations/a/wal", "r/generations/b", "r/ltx", "r/ltx/0" };

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        cr_assert_eq(mkdir(tmp_path(folders[i]), 0700), 0);
    tmp_write(tmp_path("r/generations/file"), "1234567", 7);
    tmp_write(tmp_path("r/generations/a/wal/x"), "content of x", 12);
    cr_assert_eq(symlink("/nowhere", tmp_path("r/generations/broken")), 0);
    cr_assert_eq(mkfifo(tmp_path("r/generations/pipe"), 0600), 0);
}

static int
open_file(uv_loop_t *loop, struct drv **out, struct err *e)
{
    static struct cfg_replica cfg = { .type = CFG_REPLICA_FILE };
    struct drv_env env = { .loop = loop, .owner = SYS_OWNER_DEFAULT };

    cfg.path = (char *)tmp_path("r");
    return drv_open(&cfg, &env, out, e);
}

/* A listing as "name/ name=size ...", sorted. */
struct keys {
    struct answer answer;
    char *names[16];
    size_t n;
    struct wall created;
};

static void
on_keys(void *arg, const struct drv_key *keys, size_t n)
{
    struct keys *k = arg;

    for (size_t i = 0; i < n; i++) {
        cr_assert_lt(k->n, 16);
        k->names[k->n++] = keys[i].is_folder ? mem_printf("%s/", keys[i].name)
                                             : mem_printf("%s=%lld", keys[i].name,
                                                   (long long)keys[i].size);
        if (!keys[i].is_folder)
            k->created = keys[i].created;
    }
}

static void
on_done(void *arg, const struct drv_result *res)
{
    struct keys *k = arg;

    rig_done(&k->answer, res);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
list(struct rig *r, const char *folder, struct keys *k)
{
    struct drv_list_keys req = {
        .folder = folder, .entries = on_keys, .done = on_done, .arg = k
    };
    struct err e;

    *k = (struct keys){ 0 };
    cr_assert_not_null(drv_list_keys(r->drv, &req, &e));
    cr_expect_eq(k->n, 0, "nothing is handed over inside the call");
    rig_wait(r, &k->answer);
    qsort(k->names, k->n, sizeof(k->names[0]), by_name);
    return k->answer.rc;
}

static void
keys_free(struct keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        mem_free(k->names[i]);
}

Test(driver_keys, folder_shows_what_lies_directly_below)
{
    struct timespec times[2] = { { 1700000000, 123456789 }, { 1700000000, 123456789 } };
    struct keys k;
    struct rig r;

    make_tree();
    cr_assert_eq(utimensat(AT_FDCWD, tmp_path("r/generations/file"), times, 0), 0);
    rig_open(&r, open_file);
    cr_assert(drv_has_keys(r.drv));
    cr_assert_eq(list(&r, "generations", &k), 0);
    cr_assert_eq(k.n, 3);
    cr_expect_str_eq(k.names[0], "a/");
    cr_expect_str_eq(k.names[1], "b/");
    cr_expect_str_eq(k.names[2], "file=7");
    cr_expect(k.created.sec == 1700000000 && k.created.nsec == 123456789);
    keys_free(&k);
    rig_close(&r);
}

Test(driver_keys, folder_that_is_not_there_is_empty)
{
    struct keys k;
    struct rig r;

    make_tree();
    rig_open(&r, open_file);
    cr_expect_eq(list(&r, "generations/b", &k), 0);
    cr_expect_eq(k.n, 0);
    cr_expect_eq(list(&r, "generations/c", &k), 0);
    cr_expect_eq(k.n, 0);
    cr_expect_eq(list(&r, "generations/file", &k), 0);
    cr_expect_eq(k.n, 0);
    rig_close(&r);
}

static int
get(struct rig *r, const char *key, int64_t off, size_t size, char *buf, int64_t *got)
{
    struct answer a = { 0 };
    struct drv_get_key req = {
        .key = key, .off = off, .size = size, .buf = buf, .done = rig_done, .arg = &a
    };
    struct err e;

    cr_assert_not_null(drv_get_key(r->drv, &req, &e));
    rig_wait(r, &a);
    *got = a.size;
    return a.rc;
}

Test(driver_keys, part_of_an_object_is_read)
{
    char buf[20];
    int64_t got;
    struct rig r;

    make_tree();
    rig_open(&r, open_file);
    cr_expect_eq(get(&r, "generations/a/wal/x", 0, sizeof(buf), buf, &got), 0);
    cr_expect(got == 12 && memcmp(buf, "content of x", 12) == 0);
    cr_expect_eq(get(&r, "generations/a/wal/x", 3, 4, buf, &got), 0);
    cr_expect(got == 4 && memcmp(buf, "tent", 4) == 0);
    cr_expect_eq(get(&r, "generations/a/wal/x", 12, 4, buf, &got), 0);
    cr_expect_eq(got, 0);
    cr_expect_eq(get(&r, "generations/a/wal/x", 13, 4, buf, &got), ERR_RANGE);
    cr_expect_eq(get(&r, "generations/a/wal/y", 0, 4, buf, &got), ERR_NOT_FOUND);
    rig_close(&r);
}

Test(driver_keys, deleting_all_ltx_files_leaves_them_alone)
{
    struct answer a = { 0 };
    struct keys k;
    struct err e;
    struct rig r;

    make_tree();
    rig_open(&r, open_file);
    cr_assert_not_null(drv_del_all(r.drv, rig_done, &a, &e));
    cr_expect_eq(rig_wait(&r, &a), 0);
    cr_expect_eq(list(&r, "generations/a/wal", &k), 0);
    cr_assert_eq(k.n, 1);
    cr_expect_str_eq(k.names[0], "x=12");
    keys_free(&k);
    rig_close(&r);
}
