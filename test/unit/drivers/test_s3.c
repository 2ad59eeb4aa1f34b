#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "config/config.h"
#include "test/unit/drivers/conformance.h"

/*
 * Run by test/servers/rgw.sh and swift.sh, which tell in the environment where their
 * server is. Every test is a process and has a path of its own there.
 */

static const char *
env(const char *name)
{
    const char *value = getenv(name);

    cr_assert_not_null(value, "%s is not set: run by test/servers/rgw.sh", name);
    return value;
}

static struct cfg_replica
replica(const char *path)
{
    struct cfg_replica cfg = { .type = CFG_REPLICA_S3,
        .bucket = env("S3_BUCKET"),
        .region = env("S3_REGION"),
        .endpoint = env("S3_ENDPOINT"),
        .access_key_id = env("S3_KEY"),
        .force_path_style = CFG_ON,
        .storage_class = "",
        .sse_customer_algorithm = "",
        .sse_customer_key_path = "",
        .sse_customer_key_md5 = "",
        .sse_kms_key_id = "",
        .path = path };

    secret_set(&cfg.secret_access_key, env("S3_SECRET"));
    return cfg;
}

static int
open_cfg(uv_loop_t *loop, const struct cfg_replica *cfg, struct drv **out, struct err *e)
{
    struct drv_env surroundings = { .loop = loop, .owner = SYS_OWNER_DEFAULT };

    return drv_open(cfg, &surroundings, out, e);
}

/* Of this test alone. Odd names are names. */
static const char *
own_path(void)
{
    static char path[100];
    struct wall now = wall_now();

    if (path[0] == '\0')
        snprintf(path, sizeof(path), "a b/ü/%ld-%lld%09d", (long)getpid(),
            (long long)now.sec, (int)now.nsec);
    return path;
}

static int
open_s3(uv_loop_t *loop, struct drv **out, struct err *e)
{
    static struct cfg_replica cfg;

    if (cfg.path == NULL) /* other threads of the test open it again */
        cfg = replica(own_path());
    return open_cfg(loop, &cfg, out, e);
}

#define S3_TEST(name) CONFORMANCE_TEST_(s3, open_s3, name)

CONFORMANCE_CHECKS(S3_TEST)

/* --- what only S3 has -----------------------------------------------------------------
 */

static const struct cfg_replica *
small_parts(void)
{
    static struct cfg_replica cfg;

    if (cfg.path == NULL) {
        cfg = replica(own_path());
        cfg.part_size_bytes = (int64_t)5 << 20;
        cfg.concurrency = 2;
    }
    return &cfg;
}

static int
open_parts(uv_loop_t *loop, struct drv **out, struct err *e)
{
    return open_cfg(loop, small_parts(), out, e);
}

/* Sizes around the border of one part, and one of several. */
Test(s3_only, cuts_large_files_where_it_should)
{
    static const size_t sizes[] = { (5 << 20) - 1, 5 << 20, (5 << 20) + 1, 10 << 20,
        (17 << 20) + 3 };
    struct rig r;

    rig_open(&r, open_parts);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct object o = object_make(1, i + 1, sizes[i], 1767225600123);

        cr_assert_eq(rig_put(&r, 2, 1, i + 1, &o), 0);
        cr_expect(rig_holds(&r, 2, 1, i + 1, &o), "%zu bytes", sizes[i]);
        free(o.p);
    }
    rig_close(&r);
}

/* Parts are ready in any order, and their memory is used again. */
Test(s3_only, sends_many_parts_at_a_time)
{
    struct object o = object_make(1, 9, (60 << 20) + 9, 1767225600123);
    struct rig r;

    rig_open(&r, open_s3);
    cr_assert_eq(rig_put(&r, 9, 1, 9, &o), 0);
    cr_expect(rig_holds(&r, 9, 1, 9, &o));
    rig_close(&r);
    free(o.p);
}

Test(s3_only, an_exclusive_file_in_parts_replaces_nothing)
{
    struct object a = object_make(1, 1, (11 << 20) + 5, 1767225600123);
    struct object b = object_make(1, 1, (12 << 20) + 5, 1767225600456);
    struct rig r;

    rig_open(&r, open_parts);
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &a), 0);
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &b), ERR_EXISTS);
    cr_expect(rig_holds(&r, 0, 1, 1, &a));
    rig_close(&r);
    free(a.p);
    free(b.p);
}

/* Lists level 0; the error is in *e. */
static int
try_replica(const struct cfg_replica *cfg, struct err *e)
{
    struct answer a = { .done = false };
    struct drv_list req = { .done = rig_done, .arg = &a };
    struct rig r;
    int rc;

    *e = (struct err)ERR_NONE;
    cr_assert_eq(uv_loop_init(&r.loop), 0);
    rc = open_cfg(&r.loop, cfg, &r.drv, e);
    if (rc != 0) {
        cr_assert_eq(uv_loop_close(&r.loop), 0);
        return rc;
    }
    cr_assert_not_null(drv_list(r.drv, &req, e));
    rc = rig_wait(&r, &a);
    *e = a.err;
    rig_close(&r);
    return rc;
}

Test(s3_only, says_what_is_wrong_with_keys_and_bucket)
{
    struct cfg_replica cfg = replica("x");
    struct err e;

    secret_set(&cfg.secret_access_key, "wrong");
    cr_expect_eq(try_replica(&cfg, &e), ERR_AUTH, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "SignatureDoesNotMatch"), "%s", e.text);
    cr_expect_null(strstr(e.text, "wrong"), "%s", e.text);
    secret_set(&cfg.secret_access_key, env("S3_OTHER_SECRET"));
    cfg.access_key_id = env("S3_OTHER_KEY");
    cr_expect_eq(try_replica(&cfg, &e), ERR_PERMISSION, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "AccessDenied"), "%s", e.text);
    cr_expect_not_null(strstr(e.hint, "s3:ListBucket"), "%s", e.hint);
    secret_wipe(&cfg.secret_access_key);
    cfg = replica("x");
    cfg.bucket = "no-such-bucket";
    cr_expect_eq(try_replica(&cfg, &e), ERR_CONFIG, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "NoSuchBucket"), "%s", e.text);
    cfg.bucket = "";
    cr_expect_eq(try_replica(&cfg, &e), ERR_CONFIG, "%s", e.text);
    secret_wipe(&cfg.secret_access_key);
}

Test(s3_only, refuses_parts_that_no_server_takes)
{
    struct object o = object_make(1, 1, 300, 1767225600123);
    static struct cfg_replica cfg;
    struct answer a = { .done = false };
    struct drv_source src;
    struct drv_put req = { .min_txid = 1,
        .max_txid = 1,
        .size = 300,
        .src = &src,
        .done = rig_done,
        .arg = &a };
    struct rig r;
    struct err e;
    FILE *f = tmpfile();

    cfg = replica(own_path());
    cfg.part_size_bytes = 1 << 20;
    cr_assert_eq(fwrite(o.p, 1, o.n, f), o.n);
    cr_assert_eq(fflush(f), 0);
    drv_source_file(&src, fileno(f), 0);
    cr_assert_eq(uv_loop_init(&r.loop), 0);
    cr_assert_eq(open_cfg(&r.loop, &cfg, &r.drv, &e), 0);
    cr_assert_not_null(drv_put(r.drv, &req, &e));
    cr_expect_eq(rig_wait(&r, &a), ERR_CONFIG);
    cr_expect_not_null(
        strstr(a.err.text, "part size must be at least 5242880 bytes"), "%s", a.err.text);
    rig_close(&r);
    fclose(f);
    free(o.p);
}

static int
try_sse(const char *endpoint, const char *key, const char *kms, struct err *e)
{
    struct cfg_replica cfg = replica("x");
    uv_loop_t loop;
    struct drv *d = NULL;
    int rc;

    cfg.endpoint = endpoint;
    cfg.sse_kms_key_id = kms;
    secret_set(&cfg.sse_customer_key, key);
    *e = (struct err)ERR_NONE;
    cr_assert_eq(uv_loop_init(&loop), 0);
    rc = open_cfg(&loop, &cfg, &d, e);
    if (rc == 0) {
        drv_close(d, NULL, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    cr_assert_eq(uv_loop_close(&loop), 0);
    secret_wipe(&cfg.sse_customer_key);
    secret_wipe(&cfg.secret_access_key);
    return rc;
}

Test(s3_only, checks_the_key_of_a_customer)
{
    static const char key[] = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    struct err e;

    cr_expect_eq(try_sse("https://s3.example.com", key, "", &e), 0, "%s", e.text);
    cr_expect_eq(try_sse("http://10.1.2.3:9000", key, "", &e), 0, "%s", e.text);
    cr_expect_eq(try_sse("http://minio.local:9000", key, "", &e), 0, "%s", e.text);
    cr_expect_eq(try_sse("http://s3.example.com", key, "", &e), ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "requires HTTPS"), "%s", e.text);
    cr_expect_eq(try_sse("https://s3.example.com", key, "kms", &e), ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "mutually exclusive"), "%s", e.text);
    cr_expect_eq(try_sse("https://s3.example.com", "MDEy", "", &e), ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "got 3 bytes"), "%s", e.text);
    cr_expect_eq(try_sse("https://s3.example.com", "not base64!", "", &e), ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "valid base64"), "%s", e.text);
    cr_expect_null(strstr(e.text, "not base64!"), "%s", e.text);
}
