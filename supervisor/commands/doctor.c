#include <stdio.h>

#include <jansson.h>

#include "common/base/duration.h"
#include "common/json/json_text.h"
#include "supervisor/commands/command.h"
#include "supervisor/doctor/run.h"

static const struct command_help help = {
    .about = "Examines this machine, the databases of the configuration file and their\n"
             "replicas, and says what to do where something is not well. Databases are "
             "only\n"
             "looked at; on each replica a small file is written beside its data, read "
             "and\n"
             "deleted again. Status 1 when a check fails, 0 with warnings only.",
    .usage = "\tlitestream doctor [flags]",
};

struct report {
    json_t *list; /* NULL: lines */
    size_t n[3];  /* by verdict */
};

static json_t *
line_json(const struct doctor_line *line)
{
    const struct doctor_finding *f = &line->finding;
    json_t *o = json_object();

    json_object_set_new(o, "check", json_string(line->check));
    json_object_set_new(o, "subject", json_text_string(line->subject));
    json_object_set_new(o, "status", json_string(doctor_verdict_name(f->verdict)));
    json_object_set_new(o, "message", json_text_string(f->text));
    json_object_set_new(o, "advice", json_text_string(f->advice));
    return o;
}

static void
on_line(void *arg, const struct doctor_line *line)
{
    const struct doctor_finding *f = &line->finding;
    struct report *r = arg;

    r->n[f->verdict]++;
    if (r->list != NULL) {
        json_array_append_new(r->list, line_json(line));
        return;
    }
    printf("%-4s  %s%s%s: %s", doctor_verdict_name(f->verdict), line->subject,
        line->subject[0] != '\0' ? ": " : "", line->check, f->text);
    if (f->advice[0] != '\0')
        printf(" - %s", f->advice);
    putchar('\n');
}

static int
examine(const struct config_flags *cf, int64_t timeout_ns, struct report *r, bool json,
    struct err *e)
{
    struct doctor_options opt = {
        .timeout_ms = timeout_ns / DURATION_MS, .say = on_line, .arg = r
    };
    struct config *c = NULL;
    struct err problem;
    int rc;

    if (opt.timeout_ms <= 0)
        return err_set(e, ERR_USAGE, "timeout must be at least 1ms");
    rc = command_load_config(cf, true, &c, e);
    if (rc != 0)
        return rc;
    if (command_check_daemon(c, &problem) != 0)
        opt.problem = problem.text;
    r->list = json ? json_array() : NULL;
    rc = doctor_run(&c, &opt, e);
    config_free(c);
    if (rc == 0 && json)
        rc = json_text_print(stdout, r->list, e);
    else if (rc == 0)
        printf("%zu ok, %zu warnings, %zu failures\n", r->n[DOCTOR_OK], r->n[DOCTOR_WARN],
            r->n[DOCTOR_FAIL]);
    json_decref(r->list);
    return rc;
}

int
cmd_doctor(int argc, char **argv, struct err *e)
{
    struct config_flags cf = { 0 };
    int64_t timeout_ns = 10 * DURATION_SEC;
    bool json = false;
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(cf),
        { .name = "json", .type = FLAG_BOOL, .value = &json, .doc = "Print JSON." },
        { .name = "timeout",
            .type = FLAG_DURATION,
            .value = &timeout_ns,
            .arg = "DURATION",
            .doc = "Longest wait for one answer of a disk or replica; default 10s." },
    };
    struct report r = { 0 };
    int used, status;

    if (!command_flags(&help, flags, sizeof(flags) / sizeof(flags[0]), argc, argv, &used,
            &status, e))
        return status;
    if (argc > used) {
        err_set(e, ERR_USAGE, "too many arguments");
        return command_failed();
    }
    if (examine(&cf, timeout_ns, &r, json, e) != 0 || r.n[DOCTOR_FAIL] > 0)
        return command_failed();
    return 0;
}
