#include "common/base/log.h"
#include "workers/sync/engine_impl.h"

/* Who writes over the file is done when nothing has changed for so long. */
#define QUIET_MS 1000
#define QUIET_LOOK_MS 100
#define QUIET_WAIT_MS 30000 /* what goes on changing is captured as it is */

/*
 * A file system that sets the time of a change when it likes, or a program that touches
 * the file, looks the same. So many full images in so long are believed, and no more.
 */
#define BELIEVED 3
#define BELIEVED_IN_MS (10 * 60 * 1000)

/* --- a seal without a checkpoint of ours ----------------------------------------------
 */

/* Every frame of the mark's generation is captured and copied, now. */
static bool
all_is_copied(struct engine *eng)
{
    const struct mark *m = &eng->mark;
    struct wal_index before, after;
    uint32_t n_copied;

    if (!m->set || !m->proven || !dbconn_holds(eng->db) ||
        !dbconn_wal_index(eng->db, &before) || !dbconn_n_copied(eng->db, &n_copied) ||
        !dbconn_wal_index(eng->db, &after))
        return false;
    return wal_salt_equal(before.salt, m->salt) && wal_salt_equal(after.salt, m->salt) &&
           before.last_frame_no == n_copied && after.last_frame_no == n_copied &&
           wal_size_of(dbconn_page_size(eng->db), n_copied) == m->place.off &&
           (n_copied == 0 || wal_sum_equal(before.sum, m->place.sum));
}

void
engine_seal_by_look(struct engine *eng)
{
    const struct engine_report *rep = &eng->report;

    if (eng->sealed || rep->more || rep->again_ms > 0 || rep->replaced ||
        eng->image_reason != NULL || !all_is_copied(eng) ||
        fstat(dbconn_fd(eng->db), &eng->db_at_seal) != 0)
        return;
    eng->sealed = eng->all_copied = true;
}

/* --- the file as it was when nobody could write to it any more ------------------------
 */

static void
take_still(struct engine *eng)
{
    const struct stat *st = &eng->db_at_seal;
    int64_t frame = wal_frame_size(dbconn_page_size(eng->db));

    if (!eng->sealed || !eng->all_copied)
        return;
    eng->still = (struct still){ .set = true,
        .salt = eng->mark.salt,
        .n_copied = (uint32_t)((eng->mark.place.off - WAL_HEADER_SIZE) / frame),
        .size = st->st_size,
        .mtime = st->st_mtim };
}

/*
 * Nothing was copied since, and nothing is being copied: the same generation with as many
 * frames, or the next one with none.
 */
static bool
still_counts(struct engine *eng)
{
    const struct still *s = &eng->still;
    uint32_t n_copied, n_begun;
    struct wal_index index;

    if (!dbconn_holds(eng->db) || !dbconn_n_copied(eng->db, &n_copied) ||
        !dbconn_n_copy_begun(eng->db, &n_begun) || !dbconn_wal_index(eng->db, &index))
        return false;
    if (wal_salt_equal(index.salt, s->salt))
        return n_copied == s->n_copied && n_begun == n_copied;
    return index.salt.s1 == s->salt.s1 + 1 && n_copied == 0 && n_begun == 0;
}

static bool
as_it_was(const struct still *s, const struct stat *now)
{
    return now->st_size == s->size && now->st_mtim.tv_sec == s->mtime.tv_sec &&
           now->st_mtim.tv_nsec == s->mtime.tv_nsec;
}

bool
engine_db_overwritten(struct engine *eng)
{
    struct stat now;

    take_still(eng);
    if (eng->times_lie || !eng->still.set || fstat(dbconn_fd(eng->db), &now) != 0 ||
        as_it_was(&eng->still, &now))
        return false;
    /* Asked after the file: what was copied meanwhile is seen. */
    if (still_counts(eng))
        return true;
    eng->still.set = false;
    return false;
}

/* --- a file that was overwritten ------------------------------------------------------
 */

static bool
is_believed(struct engine *eng)
{
    if (eng->n_overwritten == 0 ||
        mono_since_ms(eng->overwritten_first) > BELIEVED_IN_MS) {
        eng->n_overwritten = 0;
        eng->overwritten_first = mono_now();
    }
    if (eng->n_overwritten++ < BELIEVED)
        return true;
    log_warn(
        "database file seems to be overwritten again and again, and is not looked at "
        "any more",
        LF_STR("path", eng->opt.db_path),
        LF_STR("hint",
            "find out what sets its time of modification; stop litestream before "
            "the file is overwritten"));
    eng->times_lie = true;
    return false;
}

bool
engine_wait_for_overwriting(struct engine *eng)
{
    struct stat now;

    if (!eng->overwritten.set) {
        if (!engine_db_overwritten(eng) || !is_believed(eng))
            return false;
        log_warn("database file was overwritten, capturing all of it",
            LF_STR("path", eng->opt.db_path));
        engine_lose_frozen(eng, "the database file was overwritten");
        engine_disown_db(eng);
        eng->overwritten_since = mono_now();
    }
    if (fstat(dbconn_fd(eng->db), &now) != 0 || !eng->overwritten.set ||
        !as_it_was(&eng->overwritten, &now)) {
        eng->overwritten =
            (struct still){ .set = true, .size = now.st_size, .mtime = now.st_mtim };
        eng->overwritten_at = mono_now();
    }
    if (mono_since_ms(eng->overwritten_at) >= QUIET_MS ||
        mono_since_ms(eng->overwritten_since) >= QUIET_WAIT_MS)
        eng->report.replaced = true;
    else
        eng->report.again_ms = QUIET_LOOK_MS;
    return true;
}
