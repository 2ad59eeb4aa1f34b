#include <string.h>

#include "supervisor/doctor/doctor.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A step that was taken and went wrong. */
static bool
failed(const struct err *e)
{
    return e->code != ERR_OK && e->code != ERR_CANCELLED;
}

/* The driver's own hint goes first. */
static bool
advise_by(struct doctor_finding *f, const struct err *e, const char *else_this)
{
    return doctor_advise(f, "%s", e->hint[0] != '\0' ? e->hint : else_this);
}

static bool
judge_list(const struct doctor_replica *r, struct doctor_finding *f)
{
    if (r->list.code == ERR_CANCELLED)
        return false;
    if (r->list.code == ERR_PERMISSION || r->list.code == ERR_AUTH) {
        doctor_say(f, DOCTOR_FAIL, "cannot be listed: %s", r->list.text);
        return advise_by(
            f, &r->list, "check the credentials, and allow listing below its path");
    }
    if (r->list.code == ERR_UNSUPPORTED || r->list.code == ERR_CONFIG) {
        doctor_say(f, DOCTOR_FAIL, "%s", r->list.text);
        return advise_by(f, &r->list, "correct the configuration");
    }
    if (r->list.code != ERR_OK) {
        doctor_say(f, DOCTOR_FAIL, "cannot be reached: %s", r->list.text);
        return advise_by(f, &r->list, "check its address, the network and the server");
    }
    if (r->of_folder)
        return doctor_say(f, DOCTOR_OK, "answers");
    if (r->n_files == 0)
        return doctor_say(f, DOCTOR_OK, "answers, and is empty");
    if (r->n_snapshots > 0)
        return doctor_say(f, DOCTOR_OK, "answers, and has %zu snapshots", r->n_snapshots);
    return doctor_say(f, DOCTOR_OK, "answers, and has no snapshot yet");
}

static bool
judge_write(const struct doctor_replica *r, struct doctor_finding *f)
{
    if (r->put.code == ERR_CANCELLED)
        return false;
    if (failed(&r->put))
        doctor_say(f, DOCTOR_FAIL, "no file can be written: %s", r->put.text);
    else if (failed(&r->get))
        doctor_say(
            f, DOCTOR_FAIL, "a file that was written cannot be read: %s", r->get.text);
    else if (r->get.code == ERR_OK && !r->same && r->again.code != ERR_OK)
        doctor_say(f, DOCTOR_FAIL, "a file was read with other bytes than were written");
    else if (failed(&r->find))
        doctor_say(
            f, DOCTOR_FAIL, "a file that was written cannot be listed: %s", r->find.text);
    else if (r->find.code == ERR_OK && !r->found)
        doctor_say(f, DOCTOR_FAIL, "a file that was written is missing in the listing");
    else
        return doctor_say(f, DOCTOR_OK, "a file was written, listed and read");
    if (r->put.code == ERR_NO_SPACE)
        return doctor_advise(f, "make room there");
    return advise_by(
        f, &r->put, "allow reading and writing below the path of the replica");
}

static bool
judge_exclusive(const struct doctor_replica *r, struct doctor_finding *f)
{
    if (r->again.code == ERR_CANCELLED)
        return false;
    if (r->again.code == ERR_EXISTS && (r->get.code != ERR_OK || r->same))
        return doctor_say(
            f, DOCTOR_OK, "honoured: a second writer cannot replace a file");
    if (r->again.code == ERR_EXISTS)
        doctor_say(
            f, DOCTOR_WARN, "a file was refused and has replaced the one that was there");
    else if (r->again.code == ERR_OK)
        doctor_say(f, DOCTOR_WARN, "not honoured: a second writer can replace files");
    else
        doctor_say(f, DOCTOR_WARN, "not known: %s", r->again.text);
    return doctor_advise(f, "make sure that only one daemon writes to this replica");
}

static bool
judge_delete(const struct doctor_replica *r, struct doctor_finding *f)
{
    const struct err *e = failed(&r->del) ? &r->del : &r->clean;

    if (r->put.code != ERR_OK)
        return false;
    if (failed(e))
        doctor_say(f, DOCTOR_FAIL, "no file can be deleted: %s", e->text);
    else if (r->del.code == ERR_OK && !r->gone)
        doctor_say(f, DOCTOR_FAIL, "a file is still there after it was deleted");
    else
        return doctor_say(f, DOCTOR_OK, "the file was deleted");
    return doctor_advise(f,
        "allow deleting, or set retention: {enabled: false} and let the store remove old "
        "files; then delete %s",
        r->probe != NULL ? r->probe : ".litestream-doctor-*");
}

/* What a failed write may have left. */
static bool
judge_left(const struct doctor_replica *r, struct doctor_finding *f)
{
    if (!failed(&r->put) || !failed(&r->clean))
        return false;
    doctor_say(f, DOCTOR_WARN,
        "parts of the file that could not be written may be left: %s", r->clean.text);
    return doctor_advise(
        f, "delete %s", r->probe != NULL ? r->probe : ".litestream-doctor-*");
}

static bool
judge_room(const struct doctor_replica *r, struct doctor_finding *f)
{
    return doctor_judge_space(&r->space, 2 * r->db_size, "for snapshots and changes", f);
}

const struct doctor_replica_check doctor_replica_checks[] = {
    { "replica", judge_list },
    { "writing", judge_write },
    { "conditional writes", judge_exclusive },
    { "deleting", judge_delete },
    { "left over", judge_left },
    { "replica space", judge_room },
};

const size_t doctor_n_replica_checks = COUNT(doctor_replica_checks);
