#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/sys.h"
#include "supervisor/doctor/run.h"
#include "test/unit/support/tmp.h"

#define MAX_LINES 128

/* What was said: "fail SUBJECT: CHECK: TEXT". */
struct lines {
    char text[MAX_LINES][1500];
    size_t n;
};

static void
on_line(void *arg, const struct doctor_line *line)
{
    struct lines *l = arg;

    cr_assert_lt(l->n, MAX_LINES);
    snprintf(l->text[l->n++], sizeof(l->text[0]), "%s %s: %s: %s",
        doctor_verdict_name(line->finding.verdict), line->subject, line->check,
        line->finding.text);
}

/* The first line that begins so, "" when there is none. */
static const char *
find(const struct lines *l, const char *start)
{
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->text[i], start, strlen(start)) == 0)
            return l->text[i];
    return "";
}

static void
examine(const char *yaml, int64_t timeout_ms, struct config **c, struct lines *l)
{
    struct doctor_options opt = { .timeout_ms = timeout_ms, .say = on_line, .arg = l };
    struct err e;

    rand_seed();
    cr_assert_eq(
        config_parse(yaml, strlen(yaml), "test.yml", NULL, c, &e), 0, "%s", e.text);
    cr_assert_eq(doctor_run(c, &opt, &e), 0, "%s", e.text);
}

/* Databases /DIR/0.db ... with a replica each. */
static char *
many(size_t n)
{
    char *yaml = mem_strdup("dbs:\n");

    for (size_t i = 0; i < n; i++) {
        char *more = mem_printf("%s  - {path: %s/%zu.db, replica: {path: %s/r/%zu}}\n",
            yaml, tmp_dir(), i, tmp_dir(), i);

        mem_free(yaml);
        yaml = more;
    }
    return yaml;
}

Test(doctor_run, says_all_in_order_of_the_configuration)
{
    static struct lines l;
    char *yaml = many(3), *start;
    size_t at = 0;
    struct config *c;

    examine(yaml, 60000, &c, &l);
    cr_assert_not_null(c);
    cr_expect_eq(
        strncmp(l.text[0], "ok : ", 5), 0, "the machine comes first: %s", l.text[0]);
    for (size_t i = 0; i < 3; i++) {
        start = mem_printf("warn %s/%zu.db: database: is not there", tmp_dir(), i);
        cr_expect_str_neq(find(&l, start), "", "%s", start);
        mem_free(start);
        start = mem_printf("ok %s/%zu.db: file: deleting: ", tmp_dir(), i);
        cr_expect_gt(find(&l, start), l.text[at], "%s", start);
        at = (size_t)(find(&l, start) - l.text[0]) / sizeof(l.text[0]);
        mem_free(start);
    }
    config_free(c);
    mem_free(yaml);
}

Test(doctor_run, folders_that_trials_have_in_common_are_removed)
{
    static struct lines l;
    char *yaml = many(8);
    struct config *c;

    for (int i = 0; i < 20; i++) {
        l.n = 0;
        examine(yaml, 60000, &c, &l);
        config_free(c);
        cr_assert_not(tmp_exists(tmp_path("r")), "time %d", i);
    }
    mem_free(yaml);
}

/* --- a disk that does not answer ------------------------------------------------------
 */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int
hanging_open(const char *path, int flags, mode_t mode)
{
    if (strstr(path, "/1.db") != NULL) {
        pthread_mutex_lock(&gate);
        pthread_mutex_unlock(&gate);
    }
    return sys_posix.open(path, flags, mode);
}

Test(doctor_run, one_that_hangs_keeps_nobody_else)
{
    static struct sys_ops hanging;
    static struct lines l;
    char *yaml = many(3), *start;
    struct config *c;

    hanging = sys_posix;
    hanging.open = hanging_open;
    sys = &hanging;
    pthread_mutex_lock(&gate);
    examine(yaml, 500, &c, &l);
    cr_expect_null(c, "it is still in use");
    for (size_t i = 0; i < 3; i++) {
        start =
            mem_printf("%s %s/%zu.db: database: %s", i == 1 ? "fail" : "warn", tmp_dir(),
                i, i == 1 ? "its disk has not answered within 0.5 s" : "is not there");
        cr_expect_str_neq(find(&l, start), "", "%s", start);
        mem_free(start);
        start = mem_printf("ok %s/%zu.db: file: deleting: ", tmp_dir(), i);
        cr_expect_str_neq(find(&l, start), "", "%s", start);
        mem_free(start);
    }
    pthread_mutex_unlock(&gate);
    mem_free(yaml);
}
