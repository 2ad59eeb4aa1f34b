#include "drivers/sftp/packet.h"

#include <string.h>
#include <strings.h>

#include "common/ltx/ltx_format.h"

/* Of a server's own words, in an error. */
#define WORDS_MAX 200

/* --- writing --------------------------------------------------------------------------
 */

void
sftp_add_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];

    ltx_put_u32(raw, v);
    buf_add(b, raw, sizeof(raw));
}

void
sftp_add_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];

    ltx_put_u64(raw, v);
    buf_add(b, raw, sizeof(raw));
}

void
sftp_begin(struct buf *b, enum sftp_type type, uint32_t id)
{
    sftp_add_u32(b, 0); /* the length is known at the end */
    buf_add_char(b, (char)type);
    sftp_add_u32(b, id);
}

void
sftp_add_string(struct buf *b, const void *bytes, size_t n)
{
    sftp_add_u32(b, (uint32_t)n);
    buf_add(b, bytes, n);
}

void
sftp_add_text(struct buf *b, const char *text)
{
    sftp_add_string(b, text, strlen(text));
}

void
sftp_add_no_attrs(struct buf *b)
{
    sftp_add_u32(b, 0);
}

void
sftp_add_times(struct buf *b, uint32_t atime, uint32_t mtime)
{
    sftp_add_u32(b, SFTP_ATTR_TIMES);
    sftp_add_u32(b, atime);
    sftp_add_u32(b, mtime);
}

void
sftp_end(struct buf *b, size_t start)
{
    if (!buf_failed(b))
        ltx_put_u32(b->data + start, (uint32_t)(b->size - start - 4));
}

/* --- reading --------------------------------------------------------------------------
 */

static const uint8_t *
take(struct sftp_in *in, size_t n)
{
    const uint8_t *p = in->p;

    if (in->bad || n > in->n) {
        in->bad = true;
        return NULL;
    }
    in->p += n;
    in->n -= n;
    return p;
}

uint8_t
sftp_get_u8(struct sftp_in *in)
{
    const uint8_t *p = take(in, 1);

    return p != NULL ? *p : 0;
}

uint32_t
sftp_get_u32(struct sftp_in *in)
{
    const uint8_t *p = take(in, 4);

    return p != NULL ? ltx_get_u32(p) : 0;
}

uint64_t
sftp_get_u64(struct sftp_in *in)
{
    const uint8_t *p = take(in, 8);

    return p != NULL ? ltx_get_u64(p) : 0;
}

const uint8_t *
sftp_get_string(struct sftp_in *in, size_t *n)
{
    uint32_t size = sftp_get_u32(in);
    const uint8_t *p = take(in, size);

    *n = p != NULL ? size : 0;
    return p != NULL ? p : (const uint8_t *)"";
}

void
sftp_get_attrs(struct sftp_in *in, struct sftp_attrs *a)
{
    memset(a, 0, sizeof(*a));
    a->flags = sftp_get_u32(in);
    if ((a->flags & SFTP_ATTR_SIZE) != 0)
        a->size = sftp_get_u64(in);
    if ((a->flags & SFTP_ATTR_OWNER) != 0)
        sftp_get_u64(in);
    if ((a->flags & SFTP_ATTR_MODE) != 0)
        a->mode = sftp_get_u32(in);
    if ((a->flags & SFTP_ATTR_TIMES) != 0) {
        a->atime = sftp_get_u32(in);
        a->mtime = sftp_get_u32(in);
    }
    if ((a->flags & SFTP_ATTR_EXTENDED) != 0) {
        uint32_t pairs = sftp_get_u32(in);
        size_t n;

        for (uint32_t i = 0; i < pairs && !in->bad; i++) {
            sftp_get_string(in, &n);
            sftp_get_string(in, &n);
        }
    }
}

int
sftp_next(const uint8_t *data, size_t n, struct sftp_in *in, size_t *used, struct err *e)
{
    uint32_t size;

    if (n < 4)
        return err_set(e, ERR_AGAIN, "part of a packet");
    size = ltx_get_u32(data);
    if (size == 0 || size > SFTP_PACKET_MAX)
        return err_set(e, ERR_PROTOCOL,
            "the server sent a packet of %u bytes: this is not SFTP (does the login print something?)",
            size);
    if (n - 4 < size)
        return err_set(e, ERR_AGAIN, "part of a packet");
    *in = (struct sftp_in){ .p = data + 4, .n = size };
    *used = 4 + (size_t)size;
    return 0;
}

/* --- status ---------------------------------------------------------------------------
 */

static bool
says_full(const char *words)
{
    return strcasestr(words, "no space") != NULL || strcasestr(words, "quota") != NULL ||
           strcasestr(words, "disk full") != NULL;
}

/* The server's words as one printable line. */
static void
copy_words(const uint8_t *p, size_t n, char out[WORDS_MAX + 1])
{
    size_t used = n < WORDS_MAX ? n : WORDS_MAX;

    for (size_t i = 0; i < used; i++)
        out[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
    out[used] = '\0';
}

int
sftp_status_err(struct sftp_in in, struct err *e)
{
    uint32_t status = sftp_get_u32(&in);
    char words[WORDS_MAX + 1];
    size_t n;
    const uint8_t *p;

    if (in.bad)
        return err_set(e, ERR_NETWORK, "the server's answer is cut short");
    if (status == SFTP_S_OK)
        return 0;
    p = sftp_get_string(&in, &n); /* some servers leave it out */
    copy_words(p, n, words);
    switch (status) {
    case SFTP_S_EOF:
        return err_set(e, ERR_END, "end of file");
    case SFTP_S_NO_SUCH_FILE:
        return err_set(e, ERR_NOT_FOUND, "no such file");
    case SFTP_S_PERMISSION_DENIED:
        return err_set(e, ERR_PERMISSION, "permission denied");
    case SFTP_S_UNSUPPORTED:
        return err_set(e, ERR_UNSUPPORTED, "not supported by the server");
    case SFTP_S_NO_CONNECTION:
    case SFTP_S_CONNECTION_LOST:
        return err_set(e, ERR_NETWORK, "connection lost: %s", words);
    default:
        return err_set(e, says_full(words) ? ERR_NO_SPACE : ERR_IO, "%s (status %u)",
            words[0] != '\0' ? words : "failure", status);
    }
}
