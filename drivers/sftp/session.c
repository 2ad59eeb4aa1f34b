#include "drivers/sftp/session.h"

#include <string.h>

#include "common/base/mem.h"
#include "drivers/sftp/ssh_conn.h"

#define READ_BLOCK ((size_t)64 << 10)

struct sftp_session {
    struct ssh_conn *conn;
    const struct cancel *cancel;
    struct buf out; /* the request being made */
    struct buf in;  /* received, from `used` on not looked at */
    size_t used;
    uint32_t last_id;
    unsigned extensions;
    bool broken;
};

int
sftp_nonsense(struct sftp_session *s, const char *what, struct err *e)
{
    s->broken = true;
    return err_set(e, ERR_NETWORK, "sftp: the server's answer makes no sense: %s", what);
}

/* --- packets --------------------------------------------------------------------------
 */

static int
receive_more(struct sftp_session *s, struct err *e)
{
    size_t n = 0;
    int rc;

    if (s->used > 0) {
        memmove(s->in.data, s->in.data + s->used, s->in.size - s->used);
        s->in.size -= s->used;
        s->used = 0;
    }
    if (!buf_reserve(&s->in, READ_BLOCK))
        return err_set(e, ERR_MEMORY, "sftp: no memory for an answer");
    rc = ssh_conn_read(s->conn, s->in.data + s->in.size, READ_BLOCK, &n, s->cancel, e);
    s->in.size += n;
    return rc;
}

static int
next_packet(struct sftp_session *s, struct sftp_in *in, struct err *e)
{
    size_t used;
    int rc;

    for (;;) {
        /* Never NULL: an empty buffer has no memory. */
        const uint8_t *p = s->in.size > 0 ? s->in.data + s->used : (const uint8_t *)"";

        rc = sftp_next(p, s->in.size - s->used, in, &used, e);
        if (rc == 0)
            s->used += used;
        if (rc != ERR_AGAIN)
            break;
        rc = receive_more(s, e);
        if (rc != 0)
            break;
    }
    if (rc != 0 && rc != ERR_CANCELLED)
        s->broken = true;
    if (rc == ERR_PROTOCOL)
        e->code = ERR_NETWORK; /* of the server, not ours */
    return rc != 0 ? err_code(e) : 0;
}

struct buf *
sftp_request_begin(struct sftp_session *s, enum sftp_type type, uint32_t *id)
{
    buf_reset(&s->out);
    sftp_begin(&s->out, type, ++s->last_id);
    *id = s->last_id;
    return &s->out;
}

static int
send_packet(struct sftp_session *s, struct err *e)
{
    int rc;

    if (buf_failed(&s->out))
        return err_set(e, ERR_LIMIT, "sftp: request too long");
    sftp_end(&s->out, 0);
    rc = ssh_conn_write(s->conn, s->out.data, s->out.size, s->cancel, e);
    if (rc != 0)
        s->broken = true; /* maybe half of it was sent */
    return rc;
}

int
sftp_request_send(struct sftp_session *s, struct err *e)
{
    return send_packet(s, e);
}

int
sftp_receive(struct sftp_session *s, struct sftp_reply *r, struct err *e)
{
    int rc = next_packet(s, &r->in, e);

    if (rc != 0)
        return rc;
    r->type = (enum sftp_type)sftp_get_u8(&r->in);
    r->id = sftp_get_u32(&r->in);
    return r->in.bad ? sftp_nonsense(s, "no request id", e) : 0;
}

int
sftp_call(struct sftp_session *s, struct sftp_reply *r, struct err *e)
{
    uint32_t id = s->last_id;
    int rc = send_packet(s, e);

    if (rc == 0)
        rc = sftp_receive(s, r, e);
    if (rc == 0 && r->id != id)
        rc = sftp_nonsense(s, "it is about another request", e);
    return rc;
}

int
sftp_expect(struct sftp_session *s, const struct sftp_reply *r, enum sftp_type type,
    struct err *e)
{
    int rc;

    if (r->type != SFTP_STATUS)
        return r->type == type ? 0 : sftp_nonsense(s, "it is of another kind", e);
    rc = sftp_status_err(r->in, e);
    if (rc == 0 && type != SFTP_STATUS)
        return sftp_nonsense(s, "good, but nothing is there", e);
    return rc;
}

int
sftp_call_status(struct sftp_session *s, struct err *e)
{
    struct sftp_reply r;
    int rc = sftp_call(s, &r, e);

    return rc != 0 ? rc : sftp_expect(s, &r, SFTP_STATUS, e);
}

/* --- life -----------------------------------------------------------------------------
 */

static void
note_extension(struct sftp_session *s, const uint8_t *name, size_t n)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {
        { "posix-rename@openssh.com", SFTP_EXT_POSIX_RENAME },
        { "fsync@openssh.com", SFTP_EXT_FSYNC },
        { "statvfs@openssh.com", SFTP_EXT_STATVFS },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == n && memcmp(known[i].name, name, n) == 0)
            s->extensions |= known[i].bit;
}

static int
agree(struct sftp_session *s, struct err *e)
{
    struct sftp_in in;
    uint32_t version;
    int rc;

    buf_reset(&s->out);
    sftp_begin(&s->out, SFTP_INIT, SFTP_VERSION);
    rc = send_packet(s, e);
    if (rc == 0)
        rc = next_packet(s, &in, e);
    if (rc != 0)
        return rc;
    if (sftp_get_u8(&in) != SFTP_VERSION_REPLY)
        return sftp_nonsense(s, "it tells no version", e);
    version = sftp_get_u32(&in);
    while (in.n > 0 && !in.bad) {
        size_t n, ignored;
        const uint8_t *name = sftp_get_string(&in, &n);

        sftp_get_string(&in, &ignored);
        if (!in.bad)
            note_extension(s, name, n);
    }
    if (version < SFTP_VERSION)
        return err_set(e, ERR_UNSUPPORTED,
            "sftp: the server speaks version %u, version %u is needed", version,
            (unsigned)SFTP_VERSION);
    return 0;
}

int
sftp_session_open(const struct cfg_replica *cfg, const struct cancel *cancel,
    struct sftp_session **out, struct err *e)
{
    struct sftp_session *s = MEM_NEW(struct sftp_session);
    int rc;

    s->cancel = cancel;
    buf_init(&s->out, SFTP_PACKET_MAX);
    buf_init(&s->in, (size_t)SFTP_PACKET_MAX + 4 + READ_BLOCK);
    rc = ssh_conn_open(cfg, cancel, &s->conn, e);
    if (rc == 0)
        rc = agree(s, e);
    if (rc != 0) {
        sftp_session_close(s);
        return rc;
    }
    s->cancel = NULL;
    *out = s;
    return 0;
}

void
sftp_session_close(struct sftp_session *s)
{
    if (s == NULL)
        return;
    ssh_conn_close(s->conn);
    buf_deinit(&s->out);
    buf_deinit(&s->in);
    mem_free(s);
}

bool
sftp_session_verified(const struct sftp_session *s)
{
    return ssh_conn_verified(s->conn);
}

bool
sftp_session_broken(const struct sftp_session *s)
{
    return s->broken;
}

bool
sftp_session_has(const struct sftp_session *s, enum sftp_extension extension)
{
    return (s->extensions & (unsigned)extension) != 0;
}

void
sftp_session_last_words(struct sftp_session *s)
{
    s->cancel = NULL;
    ssh_conn_hurry(s->conn);
}

void
sftp_session_set_cancel(struct sftp_session *s, const struct cancel *cancel)
{
    s->cancel = cancel;
}
