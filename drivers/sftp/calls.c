#include "drivers/sftp/calls.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"

int
sftp_take_handle(struct sftp_session *s, const struct sftp_reply *r,
    struct sftp_handle *h, struct err *e)
{
    struct sftp_in in = r->in;
    const uint8_t *p;
    size_t n;
    int rc = sftp_expect(s, r, SFTP_HANDLE, e);

    h->n = 0;
    if (rc != 0)
        return rc;
    p = sftp_get_string(&in, &n);
    if (in.bad || n == 0 || n > sizeof(h->bytes))
        return sftp_nonsense(s, "a handle of the wrong size", e);
    memcpy(h->bytes, p, n);
    h->n = n;
    return 0;
}

static int
call_for_handle(
    struct sftp_session *s, const char *path, struct sftp_handle *h, struct err *e)
{
    struct sftp_reply r;
    int rc = sftp_call(s, &r, e);

    if (rc == 0)
        rc = sftp_take_handle(s, &r, h, e);
    return rc != 0 ? err_wrap(e, "open %s", path) : 0;
}

int
sftp_open_file(struct sftp_session *s, const char *path, uint32_t flags,
    struct sftp_handle *h, struct err *e)
{
    uint32_t id;
    struct buf *b = sftp_request_begin(s, SFTP_OPEN, &id);

    sftp_add_text(b, path);
    sftp_add_u32(b, flags);
    sftp_add_no_attrs(b);
    return call_for_handle(s, path, h, e);
}

int
sftp_open_folder(
    struct sftp_session *s, const char *path, struct sftp_handle *h, struct err *e)
{
    uint32_t id;

    sftp_add_text(sftp_request_begin(s, SFTP_OPENDIR, &id), path);
    return call_for_handle(s, path, h, e);
}

int
sftp_close_handle(struct sftp_session *s, struct sftp_handle *h, struct err *e)
{
    uint32_t id;

    if (h->n == 0 || sftp_session_broken(s))
        return 0;
    sftp_add_string(sftp_request_begin(s, SFTP_CLOSE, &id), h->bytes, h->n);
    h->n = 0;
    return sftp_call_status(s, e);
}

static int
call_for_attrs(struct sftp_session *s, struct sftp_attrs *a, struct err *e)
{
    struct sftp_reply r;
    int rc = sftp_call(s, &r, e);

    if (rc == 0)
        rc = sftp_expect(s, &r, SFTP_ATTRS, e);
    if (rc != 0)
        return rc;
    sftp_get_attrs(&r.in, a);
    return r.in.bad ? sftp_nonsense(s, "attributes cut short", e) : 0;
}

int
sftp_stat(struct sftp_session *s, const char *path, struct sftp_attrs *a, struct err *e)
{
    uint32_t id;
    int rc;

    sftp_add_text(sftp_request_begin(s, SFTP_STAT, &id), path);
    rc = call_for_attrs(s, a, e);
    return rc != 0 ? err_wrap(e, "stat %s", path) : 0;
}

int
sftp_fstat(struct sftp_session *s, const struct sftp_handle *h, struct sftp_attrs *a,
    struct err *e)
{
    uint32_t id;

    sftp_add_string(sftp_request_begin(s, SFTP_FSTAT, &id), h->bytes, h->n);
    return call_for_attrs(s, a, e);
}

int
sftp_remove(struct sftp_session *s, const char *path, struct err *e)
{
    uint32_t id;
    int rc;

    sftp_add_text(sftp_request_begin(s, SFTP_REMOVE, &id), path);
    rc = sftp_call_status(s, e);
    return rc != 0 ? err_wrap(e, "remove %s", path) : 0;
}

int
sftp_rmdir(struct sftp_session *s, const char *path, struct err *e)
{
    uint32_t id;
    int rc;

    sftp_add_text(sftp_request_begin(s, SFTP_RMDIR, &id), path);
    rc = sftp_call_status(s, e);
    return rc != 0 ? err_wrap(e, "remove folder %s", path) : 0;
}

/* Version 3 has no status for "it is there already". */
static int
make_folder(struct sftp_session *s, const char *path, struct err *e)
{
    struct sftp_attrs a;
    struct err failed;
    uint32_t id;
    struct buf *b = sftp_request_begin(s, SFTP_MKDIR, &id);
    int rc;

    sftp_add_text(b, path);
    sftp_add_no_attrs(b);
    rc = sftp_call_status(s, &failed);
    if (rc == 0)
        return 0;
    if (!sftp_session_broken(s) && rc != ERR_NOT_FOUND &&
        sftp_stat(s, path, &a, e) == 0 && sftp_attrs_folder(&a))
        return 0;
    *e = failed;
    return err_wrap(e, "make folder %s", path);
}

int
sftp_make_folders(struct sftp_session *s, const char *path, struct err *e)
{
    int rc = make_folder(s, path, e);
    char *parent;

    if (rc == 0 || sftp_session_broken(s) || strchr(path, '/') == NULL)
        return rc;
    parent = path_dir(path);
    if (strcmp(parent, path) != 0 && strcmp(parent, "/") != 0 &&
        sftp_make_folders(s, parent, e) == 0)
        rc = make_folder(s, path, e);
    mem_free(parent);
    return rc;
}

int
sftp_rename(
    struct sftp_session *s, const char *from, const char *to, bool replace, struct err *e)
{
    uint32_t id;
    struct buf *b = sftp_request_begin(s, replace ? SFTP_EXTENDED : SFTP_RENAME, &id);
    int rc;

    if (replace)
        sftp_add_text(b, "posix-rename@openssh.com");
    sftp_add_text(b, from);
    sftp_add_text(b, to);
    rc = sftp_call_status(s, e);
    return rc != 0
               ? err_wrap(e, "sftp: cannot rename temporary ltx file \"%s\" to \"%s\"",
                     from, to)
               : 0;
}

int
sftp_fsync(struct sftp_session *s, const struct sftp_handle *h, struct err *e)
{
    struct buf *b;
    uint32_t id;
    int rc;

    if (!sftp_session_has(s, SFTP_EXT_FSYNC))
        return 0;
    b = sftp_request_begin(s, SFTP_EXTENDED, &id);
    sftp_add_text(b, "fsync@openssh.com");
    sftp_add_string(b, h->bytes, h->n);
    rc = sftp_call_status(s, e);
    if (rc == ERR_UNSUPPORTED) /* offered, but not by the file system */
        return 0;
    return rc != 0 ? err_wrap(e, "sync file") : 0;
}

int
sftp_set_times(
    struct sftp_session *s, const struct sftp_handle *h, int64_t seconds, struct err *e)
{
    uint32_t id, t = seconds < 0            ? 0
                     : seconds > UINT32_MAX ? UINT32_MAX
                                            : (uint32_t)seconds;
    struct buf *b = sftp_request_begin(s, SFTP_FSETSTAT, &id);
    int rc;

    sftp_add_string(b, h->bytes, h->n);
    sftp_add_times(b, t, t);
    rc = sftp_call_status(s, e);
    return rc != 0 ? err_wrap(e, "sftp: cannot set file timestamps") : 0;
}

bool
sftp_free_bytes(struct sftp_session *s, const char *path, uint64_t *bytes)
{
    struct sftp_reply r;
    struct err ignored;
    struct buf *b;
    uint64_t unit, available;
    uint32_t id;

    if (!sftp_session_has(s, SFTP_EXT_STATVFS) || sftp_session_broken(s))
        return false;
    b = sftp_request_begin(s, SFTP_EXTENDED, &id);
    sftp_add_text(b, "statvfs@openssh.com");
    sftp_add_text(b, path);
    if (sftp_call(s, &r, &ignored) != 0 || r.type != SFTP_EXTENDED_REPLY)
        return false;
    sftp_get_u64(&r.in); /* f_bsize */
    unit = sftp_get_u64(&r.in);
    sftp_get_u64(&r.in); /* f_blocks */
    sftp_get_u64(&r.in); /* f_bfree */
    available = sftp_get_u64(&r.in);
    if (r.in.bad || __builtin_mul_overflow(unit, available, bytes))
        return false;
    return true;
}
