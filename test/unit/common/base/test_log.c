#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/duration.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "test/unit/support/tmp.h"

#define TIME "time=2026-01-02T15:04:05.069Z "

static char line[3 * LOG_LINE_MAX];

static struct wall
fake_now(void)
{
    return (struct wall){ 1767366245, 69455595 };
}

/* What the log has said since the last call. */
static const char *
said(void)
{
    int fd = log_options()->fd;
    ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

    line[n > 0 ? n : 0] = '\0';
    cr_assert_eq(ftruncate(fd, 0), 0);
    return line;
}

static void
start(enum log_format format)
{
    int fd = open(tmp_path("log"), O_RDWR | O_CREAT | O_APPEND, 0600);
    struct log_options options = { LOG_TRACE, format, fd, false };

    setenv("TZ", "UTC0", 1);
    tzset();
    wall_set_source(fake_now);
    log_setup(&options);
}

Test(log, a_text_line_has_time_level_message_and_fields_in_order)
{
    start(LOG_TEXT);
    log_info("initialized db", LF_STR("path", "/data/app.db"), LF_INT("n", -3));
    cr_expect_str_eq(
        said(), TIME "level=INFO msg=\"initialized db\" path=/data/app.db n=-3\n");
    log_warn("gone");
    cr_expect_str_eq(said(), TIME "level=WARN msg=gone\n");
}

Test(log, the_time_of_a_text_line_is_local)
{
    start(LOG_TEXT);
    setenv("TZ", "XXX-5:45", 1);
    tzset();
    log_info("hi");
    cr_expect_str_eq(said(), "time=2026-01-02T20:49:05.069+05:45 level=INFO msg=hi\n");
}

Test(log, every_type_has_its_text)
{
    start(LOG_TEXT);
    log_debug("types", LF_STR("s", "x"), LF_INT("i", INT64_MIN), LF_UINT("u", UINT64_MAX),
        LF_BOOL("yes", true), LF_BOOL("no", false), LF_TXID("txid", 0x1a),
        LF_NS("ns", DURATION_HOUR), LF_MS("ms", 1500), LF_WALL("at", fake_now()),
        LF_STR("null", NULL));
    cr_expect_str_eq(said(),
        TIME "level=DEBUG msg=types s=x i=-9223372036854775808 u=18446744073709551615 "
             "yes=true no=false txid=000000000000001a ns=1h0m0s ms=1.5s "
             "at=2026-01-02T15:04:05.069455595Z null=\"\"\n");
}

Test(log, a_value_is_quoted_when_it_must_be)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        { "plain", "plain" },
        { "", "\"\"" },
        { "a b", "\"a b\"" },
        { "a=b", "\"a=b\"" },
        { "say \"hi\"", "\"say \\\"hi\\\"\"" },
        { "a\\b", "a\\b" },
        { "a\\b c", "\"a\\\\b c\"" },
        { "a\nb", "\"a\\nb\"" },
        { "\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\"" },
        { "\x01\x1b[0m\x7f", "\"\\x01\\x1b[0m\\x7f\"" },
        { "\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac" },
        { "\xff", "\"\\xff\"" },
        { "a\xc3", "\"a\\xc3\"" },
        { "\xc2\xa0", "\"\\u00a0\"" },
        { "\xe2\x80\xa8", "\"\\u2028\"" },
        { "\xf3\xa0\x80\x81", "\"\\U000e0001\"" },
        { "\xef\xbf\xbd", "\"\xef\xbf\xbd\"" },
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
        { "<&>", "<&>" },
        { "[a b]", "\"[a b]\"" },
        { "'single'", "'single'" },
    };

    start(LOG_TEXT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];

        log_info("m", LF_STR("k", cases[i].value));
        snprintf(want, sizeof(want), TIME "level=INFO msg=m k=%s\n", cases[i].text);
        cr_expect_str_eq(said(), want);
    }
}

Test(log, a_group_is_spelled_out_in_text)
{
    start(LOG_TEXT);
    log_info("m", LF_TXID("txid.min", 1), LF_STR("s3.key", "a/b"));
    cr_expect_str_eq(
        said(), TIME "level=INFO msg=m txid.min=0000000000000001 s3.key=a/b\n");
}

Test(log, source_is_added_where_asked)
{
    struct log_options options;
    char want[200];

    start(LOG_TEXT);
    options = *log_options();
    options.source = true;
    log_setup(&options);
    log_info("m");
    snprintf(
        want, sizeof(want), TIME "level=INFO source=test_log.c:%d msg=m\n", __LINE__ - 2);
    cr_expect_str_eq(said(), want);
}

Test(log, levels_below_the_threshold_are_dropped)
{
    start(LOG_TEXT);
    log_set_level(LOG_WARN);
    log_trace("no");
    log_debug("no");
    log_info("no");
    cr_expect_str_eq(said(), "");
    log_error("yes");
    cr_expect_str_eq(said(), TIME "level=ERROR msg=yes\n");
    log_set_level(LOG_TRACE);
    log_trace("yes");
    cr_expect_str_eq(said(), TIME "level=TRACE msg=yes\n");
    cr_expect(log_enabled(LOG_TRACE));
}

static int n_evaluated;

static int
evaluated(void)
{
    return ++n_evaluated;
}

Test(log, fields_of_a_dropped_line_cost_nothing)
{
    start(LOG_TEXT);
    log_set_level(LOG_INFO);
    log_debug("no", LF_INT("n", evaluated()));
    cr_expect_eq(n_evaluated, 0);
}

Test(log, level_names_are_read_in_any_case)
{
    static const struct {
        const char *text;
        bool good;
        enum log_level level;
    } cases[] = {
        { "trace", true, LOG_TRACE },
        { "DEBUG", true, LOG_DEBUG },
        { "Info", true, LOG_INFO },
        { "warn", true, LOG_WARN },
        { "warning", true, LOG_WARN },
        { "WARNING", true, LOG_WARN },
        { "error", true, LOG_ERROR },
        { "", false, LOG_INFO },
        { "fatal", false, LOG_INFO },
        { "info ", false, LOG_INFO },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum log_level level = LOG_TRACE;

        cr_expect_eq(log_level_parse(cases[i].text, &level), cases[i].good);
        cr_expect_eq(level, cases[i].level, "%s", cases[i].text);
    }
    cr_expect_str_eq(log_level_name(LOG_TRACE), "TRACE");
    cr_expect_str_eq(log_level_name(LOG_ERROR), "ERROR");
}

Test(log, a_prefix_goes_before_the_fields_of_every_line)
{
    char name[] = "app.db";
    const struct log_field prefix[] = { LF_STR("system", "store"), LF_STR("db", name),
        LF_INT("n", 1), LF_STR("empty", NULL), LF_STR("surplus", "x"), LF_END };
    const struct log_field none[] = { LF_END };

    start(LOG_TEXT);
    log_set_prefix(prefix);
    name[0] = 'X'; /* it was copied */
    log_info("m", LF_INT("k", 2));
    cr_expect_str_eq(
        said(), TIME "level=INFO msg=m system=store db=app.db n=1 empty=\"\" k=2\n");
    log_set_prefix(prefix + 2);
    log_info("m");
    cr_expect_str_eq(said(), TIME "level=INFO msg=m n=1 empty=\"\" surplus=x\n");
    log_set_prefix(none);
    log_info("m");
    cr_expect_str_eq(said(), TIME "level=INFO msg=m\n");
}

Test(log, a_json_line_has_the_time_with_what_the_clock_gives)
{
    start(LOG_JSON);
    log_info("initialized db", LF_STR("path", "/data/<app>&.db"));
    cr_expect_str_eq(said(),
        "{\"time\":\"2026-01-02T15:04:05.069455595Z\",\"level\":\"INFO\","
        "\"msg\":\"initialized db\",\"path\":\"/data/<app>&.db\"}\n");
}

#define JSON_HEAD                                                                        \
    "{\"time\":\"2026-01-02T15:04:05.069455595Z\",\"level\":\"INFO\",\"msg\":\"m\""

Test(log, every_type_has_its_json)
{
    start(LOG_JSON);
    log_info("m", LF_INT("i", INT64_MIN), LF_UINT("u", INT64_MAX), LF_BOOL("yes", true),
        LF_TXID("txid", 0x1a), LF_MS("took", 1500), LF_STR("null", NULL),
        LF_WALL("at", ((struct wall){ 0, 0 })));
    cr_expect_str_eq(said(),
        JSON_HEAD ",\"i\":-9223372036854775808,\"u\":9223372036854775807,\"yes\":true,"
                  "\"txid\":\"000000000000001a\",\"took\":1500000000,\"null\":\"\","
                  "\"at\":\"1970-01-01T00:00:00Z\"}\n");
    log_info("m", LF_UINT("u", UINT64_MAX));
    cr_expect_not_null(strstr(said(), "\"u\":1.8446744073709552e19"), "%s", line);
}

Test(log, groups_nest_in_json)
{
    start(LOG_JSON);
    log_info("m", LF_INT("txid.min", 1), LF_INT("n", 5), LF_INT("txid.max", 2),
        LF_INT("a.b.c", 3), LF_INT("a.b.level", 4));
    cr_expect_str_eq(said(), JSON_HEAD ",\"txid\":{\"min\":1,\"max\":2},\"n\":5,"
                                       "\"a\":{\"b\":{\"c\":3,\"level\":4}}}\n");
}

Test(log, an_attribute_cannot_hide_what_every_json_line_has)
{
    start(LOG_JSON);
    log_info("m", LF_INT("level", 9), LF_STR("msg", "x"), LF_STR("time", "y"),
        LF_STR("source", "z"));
    cr_expect_str_eq(said(),
        JSON_HEAD ",\"ltx_level\":9,\"ltx_msg\":\"x\",\"ltx_time\":\"y\","
                  "\"ltx_source\":\"z\"}\n");
}

Test(log, source_in_json_is_an_object)
{
    struct log_options options;
    char want[300];

    start(LOG_JSON);
    options = *log_options();
    options.source = true;
    log_setup(&options);
    log_write(LOG_INFO, "common/base/x.c", 7, "do_it", "m", LF_END);
    snprintf(want, sizeof(want),
        "\"source\":{\"function\":\"do_it\",\"file\":\"x.c\",\"line\":7},\"msg\":\"m\"}\n");
    cr_expect_not_null(strstr(said(), want), "%s", line);
}

Test(log, json_is_valid_whatever_a_value_holds)
{
    static const char *const values[] = { "\xff\xfe", "a\xc3", "\x01\n\"\\/",
        "\xed\xa0\x80", "\xe2\x80\xa8", "{\"a\":1}" };

    start(LOG_JSON);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        json_t *obj;

        log_info("m", LF_STR("k", values[i]));
        obj = json_loads(said(), JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(obj, "%s", line);
        cr_expect(json_is_string(json_object_get(obj, "k")));
        json_decref(obj);
    }
}

Test(log, a_pretty_line_is_for_people)
{
    struct log_options options;

    start(LOG_PRETTY);
    log_info("initialized db", LF_STR("path", "/data/my app.db"), LF_INT("txid.min", 1));
    cr_expect_str_eq(
        said(), "15:04:05 INF initialized db path=\"/data/my app.db\" txid.min=1\n");
    log_trace("m");
    cr_expect_str_eq(said(), "15:04:05 TRACE m\n");
    log_debug("m");
    cr_expect_str_eq(said(), "15:04:05 DBG m\n");
    log_warn("m");
    cr_expect_str_eq(said(), "15:04:05 WRN m\n");
    options = *log_options();
    options.source = true;
    log_setup(&options);
    log_write(LOG_ERROR, "common/base/x.c", 7, "do_it", "m", LF_END);
    cr_expect_str_eq(said(), "15:04:05 ERR x.c:7 m\n");
}

Test(log, a_terminal_gets_colours)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
    struct log_options options = { LOG_TRACE, LOG_PRETTY, -1, false };
    char got[200] = "", name[64];
    ssize_t n;

    if (master < 0)
        cr_skip_test("no terminals here");
    cr_assert_eq(grantpt(master), 0);
    cr_assert_eq(unlockpt(master), 0);
    cr_assert_eq(ptsname_r(master, name, sizeof(name)), 0);
    slave = open(name, O_RDWR | O_NOCTTY);
    cr_assert_geq(slave, 0);
    start(LOG_PRETTY);
    options.fd = slave;
    log_setup(&options);
    log_warn("slow", LF_INT("n", 1));
    n = read(master, got, sizeof(got) - 1);
    cr_assert_gt(n, 0);
    cr_expect_str_eq(
        got, "\x1b[2m15:04:05\x1b[0m \x1b[93mWRN\x1b[0m slow \x1b[2mn=\x1b[0m1\r\n");
    close(slave);
    close(master);
}

static void
expect_cut(enum log_format format, const char *value)
{
    size_t len;

    start(format);
    log_info("message", LF_STR("long", value), LF_INT("n", 7));
    len = strlen(said());
    cr_expect_leq(len, LOG_LINE_MAX);
    cr_expect_gt(len, LOG_LINE_MAX / 8, "more than needed was cut: %zu", len);
    cr_expect_eq(line[len - 1], '\n');
    cr_expect_eq(strchr(line, '\n'), line + len - 1, "one line");
    cr_expect_not_null(strstr(line, "message"));
    cr_expect_not_null(strstr(line, "..."));
    cr_expect_not_null(
        strstr(line, format == LOG_JSON ? "\"n\":7}" : " n=7\n"), "%s", line + len - 20);
    if (format == LOG_JSON) {
        json_t *obj = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        cr_expect_not_null(obj, "%s", line);
        json_decref(obj);
    }
}

Test(log, a_long_value_is_cut_and_the_line_stays_whole)
{
    static const char *const patterns[] = { "x", "\n", "\x01", "\xc3\xa4", "\xff", "x y ",
        "\xf0\x9f\x98\x80", "\"" };

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct buf b;

        buf_init(&b, 1 << 20);
        while (b.size < 100000)
            buf_add_str(&b, patterns[i]);
        expect_cut(LOG_TEXT, buf_str(&b));
        expect_cut(LOG_JSON, buf_str(&b));
        expect_cut(LOG_PRETTY, buf_str(&b));
        buf_deinit(&b);
    }
}

Test(log, a_line_of_every_length_ends_in_one_newline)
{
    static char value[LOG_LINE_MAX + 100];

    start(LOG_TEXT);
    for (size_t n = LOG_LINE_MAX - 200; n < sizeof(value); n++) {
        size_t len;

        memset(value, 'x', n);
        log_info("m", LF_STR("k", value));
        len = strlen(said());
        cr_assert_leq(len, LOG_LINE_MAX);
        cr_assert_eq(strchr(line, '\n'), line + len - 1, "value of %zu", n);
    }
}

Test(log, what_cannot_be_cut_enough_is_left_out)
{
    struct log_field fields[301];

    for (int i = 0; i < 300; i++)
        fields[i] = LF_STR("a_key_that_alone_is_long", "and a value");
    fields[300] = LF_END;
    start(LOG_TEXT);
    log_write_fields(LOG_INFO, "x.c", 1, "f", "message", fields);
    cr_expect_str_eq(said(), TIME "level=INFO msg=message\n");
}

Test(log, surplus_fields_are_dropped_and_not_read_beyond)
{
    start(LOG_TEXT);
#define FIVE                                                                             \
    LF_INT("a", 1), LF_INT("b", 2), LF_INT("c", 3), LF_INT("d", 4), LF_INT("e", 5)
    log_info("m", FIVE, FIVE, FIVE, FIVE, FIVE, FIVE);
    cr_expect_not_null(strstr(said(), "msg=m a=1 b=2"));
    cr_expect_not_null(strstr(line, "d=4\n"), "%s", line);
}

Test(log, errno_survives)
{
    struct log_options options = { LOG_INFO, LOG_TEXT, -1, false };

    log_setup(&options);
    errno = EXDEV;
    log_info("into nowhere");
    cr_expect_eq(errno, EXDEV);
}

#define N_WRITERS 8
#define N_LINES 500

static void
write_many(int fd, int writer)
{
    struct log_options options = { LOG_INFO, LOG_TEXT, fd, false };
    static char value[LOG_LINE_MAX];

    log_setup(&options);
    for (int i = 0; i < N_LINES; i++) {
        /* short ones, long ones and some that are cut */
        size_t n = (size_t)(i * 37 + writer * 411) % sizeof(value);

        memset(value, 'a' + writer, n);
        value[n] = '\0';
        log_info(
            "from a writer", LF_INT("i", i), LF_STR("v", value), LF_STR("end", "end"));
    }
}

static void
check_line(char *text, int *n_by_writer)
{
    char *v = strstr(text, " v=");
    char letter = v != NULL ? v[3] : '\0';
    size_t n = v != NULL ? strspn(v + 3, (char[]){ letter, '\0' }) : 0;

    cr_assert_eq(strncmp(text, "time=", 5), 0, "torn: %.60s", text);
    cr_assert_not_null(v, "torn: %.60s", text);
    if (letter == '"') { /* the empty value */
        cr_assert_str_eq(v, " v=\"\" end=end");
        return;
    }
    n += strncmp(v + 3 + n, "...", 3) == 0 ? 3 : 0;
    cr_assert_str_eq(v + 3 + n, " end=end", "torn: %s", v + 3 + n);
    n_by_writer[letter - 'a']++;
}

/* Writers share the write end, which may be one that does not wait. */
static void
expect_whole_lines(int flags)
{
    int ends[2], n_by_writer[N_WRITERS] = { 0 }, n_lines = 0;
    pid_t pids[N_WRITERS];
    char *text = NULL;
    size_t cap = 0;
    FILE *f;

    cr_assert_eq(pipe(ends), 0);
    fcntl(ends[1], F_SETFL, flags);
    for (int w = 0; w < N_WRITERS; w++) {
        pids[w] = fork();
        if (pids[w] == 0) {
            close(ends[0]);
            write_many(ends[1], w);
            _exit(0);
        }
    }
    close(ends[1]);
    f = fdopen(ends[0], "r");
    for (ssize_t n; (n = getline(&text, &cap, f)) > 0; n_lines++) {
        cr_assert_eq(text[n - 1], '\n');
        text[n - 1] = '\0';
        check_line(text, n_by_writer);
    }
    for (int w = 0; w < N_WRITERS; w++) {
        int status;

        cr_assert_eq(waitpid(pids[w], &status, 0), pids[w]);
        cr_expect_eq(status, 0);
        cr_expect_geq(n_by_writer[w], N_LINES - 1);
    }
    cr_expect_eq(n_lines, N_WRITERS * N_LINES);
    free(text);
    fclose(f);
}

Test(log, lines_of_many_processes_on_one_pipe_stay_whole)
{
    expect_whole_lines(0);
}

Test(log, lines_stay_whole_on_a_pipe_that_does_not_wait)
{
    expect_whole_lines(O_NONBLOCK);
}

Test(log, a_reader_that_is_gone_loses_the_line_and_nothing_else)
{
    int ends[2];
    struct log_options options = { LOG_INFO, LOG_TEXT, -1, false };

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    options.fd = ends[1];
    log_setup(&options);
    log_info("into nowhere");
    close(ends[1]);
}
