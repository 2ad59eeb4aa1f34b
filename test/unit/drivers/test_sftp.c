#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "config/config.h"
#include "test/unit/drivers/conformance.h"
#include "test/unit/support/tmp.h"

/*
 * Run by test/servers/sshd.sh, which tells in the environment where its server is. Every
 * test is a process and has a folder of its own there.
 */

static const char *
env(const char *name)
{
    const char *value = getenv(name);

    cr_assert_not_null(value, "%s is not set: run by test/servers/sshd.sh", name);
    return value;
}

/* The first line of a file of the server's. */
static char *
first_line(const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s", env(folder), name), line[2000];
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f, "%s", path);
    cr_assert_not_null(fgets(line, sizeof(line), f));
    fclose(f);
    mem_free(path);
    return mem_strdup(line);
}

static struct cfg_replica
replica(const char *path)
{
    static char host[64];
    struct cfg_replica cfg = { .type = CFG_REPLICA_SFTP,
        .host = host,
        .user = env("SFTP_USER"),
        .path = path,
        .key_path = "",
        .host_key = "",
        .concurrent_writes = true };

    snprintf(host, sizeof(host), "127.0.0.1:%s", env("SFTP_PORT"));
    secret_set(&cfg.password, env("SFTP_PASS"));
    return cfg;
}

static int
open_cfg(uv_loop_t *loop, const struct cfg_replica *cfg, struct drv **out, struct err *e)
{
    struct drv_env surroundings = { .loop = loop, .owner = SYS_OWNER_DEFAULT };

    return drv_open(cfg, &surroundings, out, e);
}

/* A folder of this test's own. */
static const char *
root_name(void)
{
    static char name[64];
    struct wall now = wall_now();

    if (name[0] == '\0')
        snprintf(name, sizeof(name), "%ld-%lld%09d", (long)getpid(), (long long)now.sec,
            (int)now.nsec);
    return name;
}

static int
open_with(uv_loop_t *loop, bool concurrent, struct drv **out, struct err *e)
{
    static struct cfg_replica cfg;
    static char path[100];

    /* Other threads of the test open it again. Odd names are names. */
    if (path[0] == '\0') {
        snprintf(path, sizeof(path), "a b/ü/%s", root_name());
        cfg = replica(path);
        cfg.concurrent_writes = concurrent;
    }
    return open_cfg(loop, &cfg, out, e);
}

static int
open_sftp(uv_loop_t *loop, struct drv **out, struct err *e)
{
    return open_with(loop, true, out, e);
}

/* One write request at a time. */
static int
open_single(uv_loop_t *loop, struct drv **out, struct err *e)
{
    return open_with(loop, false, out, e);
}

#define CONCURRENT(name) CONFORMANCE_TEST_(sftp, open_sftp, name)
#define SINGLE(name) CONFORMANCE_TEST_(sftp_single, open_single, name)

CONFORMANCE_CHECKS(CONCURRENT)
CONFORMANCE_CHECKS(SINGLE)

/* --- what only SFTP has ---------------------------------------------------------------
 */

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

Test(sftp_only, names_files_as_litestream_does)
{
    struct object o = object_make(1, 0x2a, 300, 1767225600123);
    char *path = mem_printf("%s/a b/ü/%s/ltx/3/0000000000000001-000000000000002a.ltx",
        env("SFTP_HOME"), root_name());
    struct stat st;
    struct rig r;

    rig_open(&r, open_sftp);
    cr_assert_eq(rig_put(&r, 3, 1, 0x2a, &o), 0);
    cr_assert_eq(stat(path, &st), 0, "%s", path);
    cr_expect_eq(st.st_size, 300);
    cr_expect_eq(st.st_mtim.tv_sec, 1767225600);
    rig_close(&r);
    free(o.p);
    mem_free(path);
}

Test(sftp_only, says_which_credentials_were_refused)
{
    struct cfg_replica cfg = replica("x");
    struct err e;

    secret_set(&cfg.password, "wrong");
    cr_expect_eq(try_replica(&cfg, &e), ERR_AUTH, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "unable to authenticate user alice"), "%s", e.text);
    cr_expect_not_null(strstr(e.text, "password"), "%s", e.text);
    cr_expect_null(strstr(e.text, "wrong"), "%s", e.text);
    secret_set(&cfg.password, "");
    unsetenv("SSH_AUTH_SOCK");
    cr_expect_eq(try_replica(&cfg, &e), ERR_AUTH, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "tried: nothing"), "%s", e.text);
}

static int
try_key(const char *name, const char *phrase, struct err *e)
{
    struct cfg_replica cfg = replica("x");
    char *path = mem_printf("%s/%s", env("SFTP_KEYS"), name);
    int rc;

    secret_wipe(&cfg.password);
    secret_set(&cfg.key_passphrase, phrase);
    cfg.key_path = path;
    rc = try_replica(&cfg, e);
    secret_wipe(&cfg.key_passphrase);
    mem_free(path);
    return rc;
}

Test(sftp_only, logs_in_with_a_key)
{
    struct err e;

    cr_expect_eq(try_key("user", "", &e), 0, "%s", e.text);
    cr_expect_eq(try_key("user_rsa", "", &e), 0, "%s", e.text);
    cr_expect_eq(try_key("user_ecdsa", "", &e), 0, "%s", e.text);
    cr_expect_eq(try_key("user_enc", "key pass", &e), 0, "%s", e.text);
    cr_expect_eq(try_key("other", "", &e), ERR_AUTH, "%s", e.text);
}

Test(sftp_only, says_what_is_wrong_with_a_key)
{
    struct err e;

    cr_expect_eq(try_key("none", "", &e), ERR_CONFIG, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "cannot read sftp key path"), "%s", e.text);
    cr_expect_eq(try_key("user_enc", "", &e), ERR_CONFIG, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "key-passphrase"), "%s", e.text);
    cr_expect_eq(try_key("user_enc", "bad", &e), ERR_CONFIG, "%s", e.text);
    cr_expect_null(strstr(e.text, "bad"), "%s", e.text);
    cr_expect_eq(try_key("user.pub", "", &e), ERR_CONFIG, "%s", e.text);
}

static int
try_host_key(const char *line, struct err *e)
{
    struct cfg_replica cfg = replica("x");
    int rc;

    cfg.host_key = line;
    rc = try_replica(&cfg, e);
    secret_wipe(&cfg.password);
    return rc;
}

Test(sftp_only, takes_only_the_pinned_host_key)
{
    static const char *const types[] = { "ed25519", "rsa", "ecdsa" };
    struct err e;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char *name = mem_printf("host_%s.pub", types[i]);
        char *line = first_line("SFTP_HOST_KEYS", name);

        cr_expect_eq(try_host_key(line, &e), 0, "%s: %s", types[i], e.text);
        mem_free(line);
        mem_free(name);
    }
}

Test(sftp_only, refuses_another_host_key)
{
    char *line = first_line("SFTP_KEYS", "other.pub");
    struct err e;

    cr_expect_eq(try_host_key(line, &e), ERR_AUTH, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "host key mismatch"), "%s", e.text);
    mem_free(line);
    cr_expect_eq(try_host_key("ssh-ed25519 nonsense", &e), ERR_CONFIG, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "cannot parse sftp host key"), "%s", e.text);
    cr_expect_eq(try_host_key("ssh-ed25519", &e), ERR_CONFIG, "%s", e.text);
}

Test(sftp_only, refuses_a_key_that_known_hosts_contradicts)
{
    struct cfg_replica cfg = replica("x");
    char *other = first_line("SFTP_KEYS", "other.pub"), *path;
    struct err e;
    FILE *f;

    setenv("HOME", tmp_path("."), 1);
    cr_assert_eq(mkdir(tmp_path(".ssh"), 0700), 0);
    path = mem_strdup(tmp_path(".ssh/known_hosts"));
    f = fopen(path, "w");
    cr_assert_not_null(f);
    fprintf(f, "[127.0.0.1]:%s %s", env("SFTP_PORT"), other);
    fclose(f);
    cr_expect_eq(try_replica(&cfg, &e), ERR_AUTH, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "known_hosts"), "%s", e.text);
    mem_free(path);
    mem_free(other);
}

Test(sftp_only, says_what_cannot_be_reached)
{
    struct cfg_replica cfg = replica("x");
    struct err e;

    cfg.host = "127.0.0.1:1";
    cr_expect_eq(try_replica(&cfg, &e), ERR_NETWORK, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "127.0.0.1:1: connection refused"), "%s", e.text);
    cfg.host = "no-such-host.invalid";
    cr_expect_eq(try_replica(&cfg, &e), ERR_NETWORK, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "lookup no-such-host.invalid"), "%s", e.text);
    cfg.host = "host:port";
    cr_expect_eq(try_replica(&cfg, &e), ERR_CONFIG, "%s", e.text);
    cfg.host = "[::1]:0";
    cr_expect_eq(try_replica(&cfg, &e), ERR_CONFIG, "%s", e.text);
}

Test(sftp_only, says_when_the_folder_may_not_be_written)
{
    struct cfg_replica cfg = replica("/proc/nowhere/x");
    struct object o = object_make(1, 1, 300, 1767225600123);
    struct answer a = { .done = false };
    struct drv_source src;
    struct drv_put req = { .level = 0,
        .min_txid = 1,
        .max_txid = 1,
        .size = 300,
        .src = &src,
        .done = rig_done,
        .arg = &a };
    struct rig r;
    struct err e;
    FILE *f = tmpfile();

    cr_assert_eq(fwrite(o.p, 1, o.n, f), o.n);
    cr_assert_eq(fflush(f), 0);
    drv_source_file(&src, fileno(f), 0);
    cr_assert_eq(uv_loop_init(&r.loop), 0);
    cr_assert_eq(open_cfg(&r.loop, &cfg, &r.drv, &e), 0);
    cr_assert_not_null(drv_put(r.drv, &req, &e));
    cr_expect_neq(rig_wait(&r, &a), 0);
    cr_expect_not_null(strstr(a.err.text, "/proc/nowhere/x"), "%s", a.err.text);
    rig_close(&r);
    fclose(f);
    free(o.p);
}
