#include "common/base/log.h"
#include "common/base/must.h"
#include "workers/sync/engine_impl.h"

/* A WAL of this many frames ends a snapshot that keeps it from being checkpointed. */
#define DEFAULT_MAX_PAGES 121359

uint32_t
engine_page_size(const struct engine *eng)
{
    return eng->db != NULL ? dbconn_page_size(eng->db) : 0;
}

void
engine_note_caught_up(struct engine *eng)
{
    const struct engine_report *rep = &eng->report;

    if (!rep->more && rep->again_ms == 0 && !rep->replaced && eng->mark.set &&
        eng->mark.proven && eng->image_reason == NULL)
        eng->caught_up = true;
    engine_seal_by_look(eng);
}

static int
freeze(struct engine *eng, struct err *e)
{
    struct frozen_at at = { .wal_fd = eng->wal_fd,
        .db_fd = dbconn_fd(eng->db),
        .place = eng->mark.place,
        .all_copied = eng->sealed && eng->all_copied,
        .commit = eng->commit,
        .page_size = dbconn_page_size(eng->db),
        .txid = eng->txid,
        .spool_dir = eng->opt.meta };
    int rc = wal_read_header(eng->wal_fd, &at.wal, e);

    if (rc == ERR_AGAIN || rc == ERR_NOT_FOUND ||
        (rc == 0 && !wal_salt_equal(at.wal.salt, eng->mark.salt)))
        return err_set(e, ERR_AGAIN, "the WAL was just restarted");
    return rc == 0 ? frozen_new(&at, &eng->frozen, e) : rc;
}

int
engine_freeze(struct engine *eng, struct frozen **out, struct err *e)
{
    bool lost;
    int rc;

    must(eng->frozen == NULL);
    if (eng->db == NULL || eng->job != NULL || eng->txid == 0)
        return err_set(e, ERR_AGAIN, "the database is not captured yet");
    rc = engine_hold(eng, &lost, e);
    if (rc != 0)
        return rc;
    /* Others may copy frames up to our mark: all of them must be known. */
    if (!eng->caught_up)
        return err_set(e, ERR_AGAIN, "the database is not captured yet");
    rc = freeze(eng, e);
    if (rc == ERR_MOVED)
        return err_set(e, ERR_AGAIN, "the WAL was just restarted");
    if (rc == 0)
        *out = eng->frozen;
    return rc;
}

void
engine_thaw(struct engine *eng, struct frozen *f)
{
    must(eng->frozen == f);
    frozen_free(f);
    eng->frozen = NULL;
}

void
engine_lose_frozen(struct engine *eng, const char *why)
{
    if (eng->frozen != NULL)
        frozen_invalidate(eng->frozen, why);
}

static bool
wal_is_too_long(const struct engine *eng)
{
    int64_t pages = eng->opt.max_frozen_wal_pages;

    return eng->mark.place.off >
           wal_size_of(dbconn_page_size(eng->db), pages > 0 ? pages : DEFAULT_MAX_PAGES);
}

bool
engine_save_frozen(struct engine *eng, bool *saved)
{
    struct wal_place place = eng->mark.place;
    struct wal_header h;
    struct err e;
    int rc;

    *saved = false;
    if (eng->frozen == NULL)
        return true;
    rc = wal_read_header(eng->wal_fd, &h, &e);
    if (rc == ERR_NOT_FOUND) { /* cut to nothing: there are no frames */
        h = (struct wal_header){ .page_size = dbconn_page_size(eng->db) };
        place = (struct wal_place){ .off = WAL_HEADER_SIZE };
    } else if (rc != 0) {
        engine_lose_frozen(eng, "the header of the WAL cannot be read");
        return true;
    }
    switch (frozen_before_checkpoint(eng->frozen, &h, &place, eng->commit)) {
    case FROZEN_SAVED:
        *saved = true;
        return true;
    case FROZEN_OVER:
        return true;
    case FROZEN_TOO_MUCH:
        break;
    }
    if (!wal_is_too_long(eng)) {
        log_debug("checkpoint skipped, snapshot in progress", LF_STR("mode", "PASSIVE"));
        return false;
    }
    engine_lose_frozen(eng, "the WAL has grown too long to wait for it");
    return true;
}

void
engine_end_save(struct engine *eng, bool saved, bool complete)
{
    if (saved)
        frozen_after_checkpoint(eng->frozen, complete);
}
