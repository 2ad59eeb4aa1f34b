/*
 * packet - the packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as OpenSSH
 * speaks it.
 *
 *   0  4  bytes that follow
 *   4  1  type
 *   5  4  request id (not in INIT and VERSION)
 *   9     the rest, by type
 *
 * Numbers are big-endian, a string is its length in 4 bytes and its bytes. Pure
 * functions.
 */
#ifndef DRIVERS_SFTP_PACKET_H
#define DRIVERS_SFTP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define SFTP_VERSION 3

enum sftp_type {
    SFTP_INIT = 1,
    SFTP_VERSION_REPLY = 2,
    SFTP_OPEN = 3,
    SFTP_CLOSE = 4,
    SFTP_READ = 5,
    SFTP_WRITE = 6,
    SFTP_FSTAT = 8,
    SFTP_FSETSTAT = 10,
    SFTP_OPENDIR = 11,
    SFTP_READDIR = 12,
    SFTP_REMOVE = 13,
    SFTP_MKDIR = 14,
    SFTP_RMDIR = 15,
    SFTP_STAT = 17,
    SFTP_RENAME = 18,
    SFTP_STATUS = 101,
    SFTP_HANDLE = 102,
    SFTP_DATA = 103,
    SFTP_NAME = 104,
    SFTP_ATTRS = 105,
    SFTP_EXTENDED = 200,
    SFTP_EXTENDED_REPLY = 201,
};

enum sftp_status {
    SFTP_S_OK = 0,
    SFTP_S_EOF = 1,
    SFTP_S_NO_SUCH_FILE = 2,
    SFTP_S_PERMISSION_DENIED = 3,
    SFTP_S_FAILURE = 4,
    SFTP_S_BAD_MESSAGE = 5,
    SFTP_S_NO_CONNECTION = 6,
    SFTP_S_CONNECTION_LOST = 7,
    SFTP_S_UNSUPPORTED = 8,
};

#define SFTP_OPEN_READ 0x01u
#define SFTP_OPEN_WRITE 0x02u
#define SFTP_OPEN_CREATE 0x08u
#define SFTP_OPEN_EXCLUSIVE 0x20u

#define SFTP_ATTR_SIZE 0x01u
#define SFTP_ATTR_OWNER 0x02u
#define SFTP_ATTR_MODE 0x04u
#define SFTP_ATTR_TIMES 0x08u
#define SFTP_ATTR_EXTENDED 0x80000000u

/* The longest packet that is taken from a server; OpenSSH sends up to 256 KiB. */
#define SFTP_PACKET_MAX ((uint32_t)(256 << 10) + 1024)

/* What is read of a file's attributes; `flags` tells which are there. */
struct sftp_attrs {
    uint32_t flags;
    uint64_t size;
    uint32_t mode; /* st_mode */
    uint32_t atime, mtime;
};

static inline bool
sftp_attrs_folder(const struct sftp_attrs *a)
{
    return (a->flags & SFTP_ATTR_MODE) != 0 && (a->mode & 0170000u) == 0040000u;
}

/* --- writing: a packet begins with sftp_begin and is whole after sftp_end */

void sftp_begin(struct buf *b, enum sftp_type type, uint32_t id); /* INIT: id = version */
void sftp_add_u32(struct buf *b, uint32_t v);
void sftp_add_u64(struct buf *b, uint64_t v);
void sftp_add_string(struct buf *b, const void *bytes, size_t n);
void sftp_add_text(struct buf *b, const char *text);
void sftp_add_no_attrs(struct buf *b);
void sftp_add_times(struct buf *b, uint32_t atime, uint32_t mtime);
void sftp_end(struct buf *b, size_t start); /* start: b->size before sftp_begin */

/* --- reading: a number or string beyond the end gives 0 or "" and sets `bad` */

struct sftp_in {
    const uint8_t *p;
    size_t n;
    bool bad;
};

uint8_t sftp_get_u8(struct sftp_in *in);
uint32_t sftp_get_u32(struct sftp_in *in);
uint64_t sftp_get_u64(struct sftp_in *in);

/* The bytes stay in the packet. */
const uint8_t *sftp_get_string(struct sftp_in *in, size_t *n);
void sftp_get_attrs(struct sftp_in *in, struct sftp_attrs *a);

/*
 * The first packet of what was received: 0 with its body (from the type on) in *in and
 * all its bytes in *used; ERR_AGAIN: more bytes are needed; ERR_PROTOCOL: longer than
 * SFTP_PACKET_MAX or empty.
 */
int sftp_next(
    const uint8_t *data, size_t n, struct sftp_in *in, size_t *used, struct err *e);

/*
 * An error for a STATUS packet behind its id; 0 for OK. What it was about is said by the
 * caller's err_wrap.
 */
int sftp_status_err(struct sftp_in in, struct err *e);

#endif
