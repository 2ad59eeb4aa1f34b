#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_format.h"
#include "supervisor/doctor/doctor.h"

#define GIB ((uint64_t)1 << 30)

static struct doctor_finding f;

/* What a check has to say, as "verdict text"; "" when it says nothing. */
#define ASK(checks, n, asked, facts)                                                     \
    do {                                                                                 \
        bool known = false;                                                              \
        f = (struct doctor_finding){ DOCTOR_OK, "", "" };                                \
        for (size_t i_ = 0; i_ < (n); i_++)                                              \
            if (strcmp((checks)[i_].name, asked) == 0) {                                 \
                known = true;                                                            \
                if (!(checks)[i_].judge(facts, &f))                                      \
                    f.text[0] = '\0';                                                    \
            }                                                                            \
        cr_assert(known, "%s", asked);                                                   \
    } while (0)

static void
ask_host(const char *check, const struct doctor_host *h)
{
    ASK(doctor_host_checks, doctor_n_host_checks, check, h);
}

static void
ask_db(const char *check, const struct doctor_db *d)
{
    ASK(doctor_db_checks, doctor_n_db_checks, check, d);
}

static void
ask_replica(const char *check, const struct doctor_replica *r)
{
    ASK(doctor_replica_checks, doctor_n_replica_checks, check, r);
}

#define EXPECT(verdict_, words)                                                          \
    do {                                                                                 \
        cr_expect_eq(f.verdict, verdict_, "%s", f.text);                                 \
        cr_expect_not_null(strstr(f.text, words), "%s", f.text);                         \
    } while (0)

#define EXPECT_ADVICE(words) cr_expect_not_null(strstr(f.advice, words), "%s", f.advice)

#define EXPECT_NOTHING() cr_expect_str_eq(f.text, "")

/* --- the machine ----------------------------------------------------------------------
 */

static struct doctor_host
good_host(void)
{
    return (struct doctor_host){ .sqlite_version = 3051003,
        .n_dbs = 10,
        .nofile = 1024,
        .n_procs = 30000,
        .inotify_instances = 128,
        .inotify_watches = 8192,
        .now = { 1800000000, 0 },
        .socket = DOCTOR_SOCKET_OFF,
        .socket_path = "/run/l.sock" };
}

Test(doctor, a_good_machine_has_nothing_but_ok)
{
    struct doctor_host h = good_host();

    for (size_t i = 0; i < doctor_n_host_checks; i++) {
        ask_host(doctor_host_checks[i].name, &h);
        EXPECT(DOCTOR_OK, "");
        cr_expect_neq(f.text[0], '\0', "%s", doctor_host_checks[i].name);
    }
}

Test(doctor, knows_the_bad_versions_of_sqlite)
{
    static const struct {
        int version;
        enum doctor_verdict verdict;
    } cases[] = { { 3040001, DOCTOR_FAIL }, { 3044005, DOCTOR_FAIL },
        { 3044006, DOCTOR_OK }, { 3044007, DOCTOR_FAIL }, { 3050006, DOCTOR_FAIL },
        { 3050007, DOCTOR_OK }, { 3051000, DOCTOR_FAIL }, { 3051002, DOCTOR_FAIL },
        { 3051003, DOCTOR_OK }, { 3054001, DOCTOR_OK } };
    struct doctor_host h = good_host();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        h.sqlite_version = cases[i].version;
        ask_host("sqlite", &h);
        cr_expect_eq(f.verdict, cases[i].verdict, "%d: %s", cases[i].version, f.text);
    }
    h.sqlite_version = 3040001;
    ask_host("sqlite", &h);
    EXPECT(DOCTOR_FAIL, "3.40.1");
    EXPECT_ADVICE("3.51.3");
}

Test(doctor, a_configuration_that_the_daemon_refuses_fails)
{
    struct doctor_host h = good_host();

    ask_host("configuration", &h);
    EXPECT(DOCTOR_OK, "10 databases");
    h.problem = "l.yml: line 3: nonsense";
    ask_host("configuration", &h);
    EXPECT(DOCTOR_FAIL, "line 3: nonsense");
}

Test(doctor, descriptors_are_one_per_database_and_some)
{
    struct doctor_host h = good_host();

    h.n_dbs = 1000;
    ask_host("descriptors", &h);
    EXPECT(DOCTOR_FAIL, "too few for 1000");
    EXPECT_ADVICE("1064");
    h.nofile = 1063;
    ask_host("descriptors", &h);
    EXPECT(DOCTOR_FAIL, "");
    h.nofile = 1064;
    ask_host("descriptors", &h);
    EXPECT(DOCTOR_OK, "");
    h.nofile = -1;
    ask_host("descriptors", &h);
    EXPECT(DOCTOR_OK, "without limit");
    h.nofile = 64;
    h.of_daemon = true;
    ask_host("descriptors", &h);
    EXPECT(DOCTOR_FAIL, "the daemon");
}

Test(doctor, processes_are_one_per_database)
{
    struct doctor_host h = good_host();

    h.n_dbs = 1000;
    h.n_procs = 1000;
    ask_host("processes", &h);
    EXPECT(DOCTOR_FAIL, "1000");
    EXPECT_ADVICE("1256");
    h.n_procs = 1001;
    ask_host("processes", &h);
    EXPECT(DOCTOR_WARN, "");
    h.n_procs = 1256;
    ask_host("processes", &h);
    EXPECT(DOCTOR_OK, "");
    h.n_procs = -1;
    ask_host("processes", &h);
    EXPECT(DOCTOR_OK, "");
}

Test(doctor, too_few_watches_are_a_warning)
{
    struct doctor_host h = good_host();

    h.n_dbs = 8000;
    h.n_dirs = 200;
    ask_host("inotify", &h);
    EXPECT(DOCTOR_WARN, "8200");
    EXPECT_ADVICE("fs.inotify.max_user_watches=16392");
    h.inotify_watches = 8264;
    ask_host("inotify", &h);
    EXPECT(DOCTOR_OK, "");
    h.inotify_instances = 7;
    ask_host("inotify", &h);
    EXPECT(DOCTOR_WARN, "");
    h.inotify_instances = -1;
    ask_host("inotify", &h);
    EXPECT_NOTHING();
}

Test(doctor, a_clock_is_not_before_the_program_nor_behind_a_replica)
{
    struct doctor_host h = good_host();

    h.now.sec = 86400;
    ask_host("clock", &h);
    EXPECT(DOCTOR_FAIL, "1970-01-02T00:00:00Z");
    h = good_host();
    h.newest = (struct wall){ h.now.sec + 300, 0 };
    ask_host("clock", &h);
    EXPECT(DOCTOR_OK, "");
    h.newest.sec++;
    ask_host("clock", &h);
    EXPECT(DOCTOR_FAIL, "301 s younger");
}

Test(doctor, a_daemon_is_told_and_none_is_no_fault)
{
    struct doctor_host h = good_host();

    ask_host("control socket", &h);
    EXPECT(DOCTOR_OK, "off");
    h.socket = DOCTOR_SOCKET_SILENT;
    ask_host("control socket", &h);
    EXPECT(DOCTOR_OK, "no daemon answers on /run/l.sock");
    h.socket = DOCTOR_SOCKET_LIVE;
    h.daemon_pid = 77;
    ask_host("control socket", &h);
    EXPECT(DOCTOR_OK, "pid 77");
}

/* --- a database -----------------------------------------------------------------------
 */

static struct doctor_db
good_db(void)
{
    struct doctor_space space = { .known = true,
        .free_bytes = 50 * GIB,
        .total_bytes = 100 * GIB,
        .fs_magic = 0xef53 };
    struct doctor_db d = { .header_size = DOCTOR_HEADER_SIZE,
        .size = 40960,
        .wal_size = 4152,
        .space = space,
        .meta_space = space };

    memcpy(d.header, "SQLite format 3", 16);
    ltx_put_u16(d.header + 16, 4096);
    d.header[18] = d.header[19] = 2;
    return d;
}

Test(doctor, a_good_database_has_nothing_but_ok)
{
    struct doctor_db d = good_db();

    for (size_t i = 0; i < doctor_n_db_checks; i++) {
        ask_db(doctor_db_checks[i].name, &d);
        EXPECT(DOCTOR_OK, "");
        cr_expect_neq(f.text[0], '\0', "%s", doctor_db_checks[i].name);
    }
}

Test(doctor, a_missing_database_is_a_warning_and_not_judged_further)
{
    struct doctor_db d = { .open_errno = ENOENT };

    ask_db("database", &d);
    EXPECT(DOCTOR_WARN, "waits");
    d.restored_if_missing = true;
    ask_db("database", &d);
    EXPECT(DOCTOR_WARN, "restored");
    ask_db("wal mode", &d);
    EXPECT_NOTHING();
    ask_db("wal size", &d);
    EXPECT_NOTHING();
    ask_db("checkpoints", &d);
    EXPECT_NOTHING();
    ask_db("file system", &d);
    EXPECT_NOTHING();
    ask_db("space", &d);
    EXPECT_NOTHING();
}

Test(doctor, what_cannot_be_opened_or_is_no_database_fails)
{
    struct doctor_db d = { .open_errno = EACCES };

    ask_db("database", &d);
    EXPECT(DOCTOR_FAIL, "permission denied");
    d.open_errno = EISDIR;
    ask_db("database", &d);
    EXPECT(DOCTOR_FAIL, "folder");
    d = good_db();
    d.header[0] = 'X';
    ask_db("database", &d);
    EXPECT(DOCTOR_FAIL, "not a SQLite database");
    ask_db("wal mode", &d);
    EXPECT_NOTHING();
    d = good_db();
    ltx_put_u16(d.header + 16, 4097);
    ask_db("database", &d);
    EXPECT(DOCTOR_FAIL, "");
    d = good_db();
    d.header_size = 99;
    ask_db("database", &d);
    EXPECT(DOCTOR_FAIL, "");
}

Test(doctor, pages_of_65536_bytes_and_empty_files_are_databases)
{
    struct doctor_db d = good_db();

    ltx_put_u16(d.header + 16, 1);
    ask_db("database", &d);
    EXPECT(DOCTOR_OK, "65536");
    d = (struct doctor_db){ .size = 0 };
    ask_db("database", &d);
    EXPECT(DOCTOR_OK, "empty");
}

Test(doctor, without_wal_mode_is_a_warning)
{
    struct doctor_db d = good_db();

    d.header[18] = d.header[19] = 1;
    ask_db("wal mode", &d);
    EXPECT(DOCTOR_WARN, "off");
    EXPECT_ADVICE("journal_mode");
}

Test(doctor, folders_must_be_writable)
{
    struct doctor_db d = good_db();

    d.folder_errno = EROFS;
    ask_db("folder", &d);
    EXPECT(DOCTOR_FAIL, "beside it: read-only");
    d = good_db();
    d.meta_errno = EACCES;
    ask_db("folder", &d);
    EXPECT(DOCTOR_FAIL, "local folder: permission denied");
}

Test(doctor, network_file_systems_are_no_place_for_a_wal)
{
    struct doctor_db d = good_db();

    d.space.fs_magic = 0x6969;
    ask_db("file system", &d);
    EXPECT(DOCTOR_FAIL, "NFS");
    d.space.fs_magic = 0xff534d42;
    ask_db("file system", &d);
    EXPECT(DOCTOR_FAIL, "CIFS");
    d.space.fs_magic = 0x65735546;
    ask_db("file system", &d);
    EXPECT(DOCTOR_WARN, "FUSE");
    d.space.fs_magic = 0x01021994;
    ask_db("file system", &d);
    EXPECT(DOCTOR_OK, "local");
}

Test(doctor, a_wal_that_outgrows_its_database_is_a_warning)
{
    struct doctor_db d = good_db();

    d.wal_size = GIB;
    ask_db("wal size", &d);
    EXPECT(DOCTOR_WARN, "1.1 GB");
    d.size = 2 * GIB;
    ask_db("wal size", &d);
    EXPECT(DOCTOR_OK, "");
}

Test(doctor, a_wal_restarted_while_nobody_replicates_is_a_warning)
{
    struct doctor_db d = good_db();

    d.has_wal = d.has_mark = true;
    d.wal_salt1 = d.mark_salt1 = 5;
    ask_db("checkpoints", &d);
    EXPECT(DOCTOR_OK, "cannot be seen");
    d.wal_salt1 = 6;
    ask_db("checkpoints", &d);
    EXPECT(DOCTOR_WARN, "restarted");
    d.locked = true;
    ask_db("checkpoints", &d);
    EXPECT(DOCTOR_OK, "");
    d.locked = d.has_wal = false;
    ask_db("checkpoints", &d);
    EXPECT(DOCTOR_OK, "");
}

Test(doctor, another_litestream_is_told_from_the_one_with_the_lock)
{
    struct doctor_db d = good_db();

    d.locked = true;
    snprintf(d.holder, sizeof(d.holder), "%s", "77");
    d.n_users = 2;
    d.users[0] = (struct doctor_user){ 77, "litestream" };
    d.users[1] = (struct doctor_user){ 78, "app" };
    ask_db("lock", &d);
    EXPECT(DOCTOR_OK, "pid 77");
    snprintf(d.users[1].name, sizeof(d.users[1].name), "%s", "litestream");
    ask_db("lock", &d);
    EXPECT(DOCTOR_WARN, "pid 78");
    d.n_users = 0;
    d.holder[0] = '\0';
    ask_db("lock", &d);
    EXPECT(DOCTOR_OK, "does not say");
    d = good_db();
    d.n_users = 1;
    d.users[0] = (struct doctor_user){ 79, "litestream" };
    ask_db("lock", &d);
    EXPECT(DOCTOR_WARN, "pid 79");
}

Test(doctor, little_space_is_a_warning_and_next_to_none_a_failure)
{
    struct doctor_db d = good_db();

    d.space.free_bytes = GIB - 1;
    ask_db("space", &d);
    EXPECT(DOCTOR_WARN, "1.1 GB free");
    d.space.total_bytes = 4 * GIB; /* a small disk has little to give */
    ask_db("space", &d);
    EXPECT(DOCTOR_OK, "");
    d.space.free_bytes = ((uint64_t)16 << 20) - 1;
    ask_db("space", &d);
    EXPECT(DOCTOR_FAIL, "");
    d.size = 60 * GIB;
    ask_db("local space", &d);
    EXPECT(DOCTOR_WARN, "54 GB free");
}

/* --- a replica ------------------------------------------------------------------------
 */

static struct doctor_replica
good_replica(void)
{
    return (struct doctor_replica){ .again = { .code = ERR_EXISTS },
        .same = true,
        .found = true,
        .gone = true,
        .n_files = 3,
        .n_snapshots = 1,
        .probe = "p/.litestream-doctor-1" };
}

/* Only so many steps were reached. */
static struct doctor_replica
stopped_replica(void)
{
    struct err not_reached = { .code = ERR_CANCELLED };

    return (struct doctor_replica){ .list = not_reached,
        .put = not_reached,
        .again = not_reached,
        .get = not_reached,
        .find = not_reached,
        .del = not_reached,
        .clean = not_reached };
}

static struct err
fault(enum err_code code, const char *text, const char *hint)
{
    struct err e = { .code = code };

    snprintf(e.text, sizeof(e.text), "%s", text);
    snprintf(e.hint, sizeof(e.hint), "%s", hint);
    return e;
}

Test(doctor, a_good_replica_is_ok)
{
    struct doctor_replica r = good_replica();

    ask_replica("replica", &r);
    EXPECT(DOCTOR_OK, "1 snapshot");
    ask_replica("writing", &r);
    EXPECT(DOCTOR_OK, "written, listed and read");
    ask_replica("conditional writes", &r);
    EXPECT(DOCTOR_OK, "honoured");
    ask_replica("deleting", &r);
    EXPECT(DOCTOR_OK, "deleted");
    ask_replica("left over", &r);
    EXPECT_NOTHING();
    ask_replica("replica space", &r);
    EXPECT_NOTHING();
    r.n_snapshots = 0;
    ask_replica("replica", &r);
    EXPECT(DOCTOR_OK, "no snapshot yet");
    r.n_files = 0;
    ask_replica("replica", &r);
    EXPECT(DOCTOR_OK, "empty");
    r.of_folder = true;
    ask_replica("replica", &r);
    cr_expect_str_eq(f.text, "answers");
}

Test(doctor, a_replica_out_of_reach_is_one_failure)
{
    struct doctor_replica r = stopped_replica();

    r.list = fault(ERR_NETWORK, "connection refused", "");
    ask_replica("replica", &r);
    EXPECT(DOCTOR_FAIL, "reached: connection refused");
    EXPECT_ADVICE("network");
    r.list = fault(ERR_AUTH, "no", "set password");
    ask_replica("replica", &r);
    EXPECT(DOCTOR_FAIL, "listed: no");
    EXPECT_ADVICE("set password");
    ask_replica("writing", &r);
    EXPECT_NOTHING();
    ask_replica("conditional writes", &r);
    EXPECT_NOTHING();
    ask_replica("deleting", &r);
    EXPECT_NOTHING();
    ask_replica("left over", &r);
    EXPECT_NOTHING();
}

Test(doctor, what_cannot_be_written_or_read_fails)
{
    struct doctor_replica r = good_replica();

    r.same = false;
    ask_replica("writing", &r);
    EXPECT(DOCTOR_FAIL, "other bytes");
    r = good_replica();
    r.found = false;
    ask_replica("writing", &r);
    EXPECT(DOCTOR_FAIL, "missing in the listing");
    r = good_replica();
    r.get = fault(ERR_PERMISSION, "no get", "");
    ask_replica("writing", &r);
    EXPECT(DOCTOR_FAIL, "no get");
    r = stopped_replica();
    r.list.code = ERR_OK;
    r.put = fault(ERR_PERMISSION, "no put", "");
    r.clean.code = ERR_OK;
    ask_replica("writing", &r);
    EXPECT(DOCTOR_FAIL, "no put");
    ask_replica("left over", &r);
    EXPECT_NOTHING();
    r.clean = fault(ERR_TIMEOUT, "slow", "");
    ask_replica("left over", &r);
    EXPECT(DOCTOR_WARN, "slow");
}

Test(doctor, a_second_writer_that_is_not_kept_out_is_a_warning)
{
    struct doctor_replica r = good_replica();

    r.again.code = ERR_OK;
    r.same = false;
    ask_replica("conditional writes", &r);
    EXPECT(DOCTOR_WARN, "not honoured");
    ask_replica("writing", &r);
    EXPECT(DOCTOR_OK, "");
    r = good_replica();
    r.same = false;
    ask_replica("conditional writes", &r);
    EXPECT(DOCTOR_WARN, "replaced");
    r.again = fault(ERR_NETWORK, "cut", "");
    ask_replica("conditional writes", &r);
    EXPECT(DOCTOR_WARN, "not known: cut");
}

Test(doctor, what_cannot_be_deleted_fails_and_is_named)
{
    struct doctor_replica r = good_replica();

    r.del = fault(ERR_PERMISSION, "no del", "");
    ask_replica("deleting", &r);
    EXPECT(DOCTOR_FAIL, "no del");
    EXPECT_ADVICE("p/.litestream-doctor-1");
    r = good_replica();
    r.gone = false;
    ask_replica("deleting", &r);
    EXPECT(DOCTOR_FAIL, "still there");
    r = good_replica();
    r.clean = fault(ERR_IO, "no rmdir", "");
    ask_replica("deleting", &r);
    EXPECT(DOCTOR_FAIL, "no rmdir");
}

Test(doctor, a_replica_on_this_machine_has_room_for_two_snapshots)
{
    struct doctor_replica r = good_replica();

    r.space = (struct doctor_space){
        .known = true, .free_bytes = 10 * GIB, .total_bytes = 100 * GIB
    };
    r.db_size = 5 * GIB;
    ask_replica("replica space", &r);
    EXPECT(DOCTOR_OK, "");
    r.db_size++;
    ask_replica("replica space", &r);
    EXPECT(DOCTOR_WARN, "11 GB");
}
