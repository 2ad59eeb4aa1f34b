/*
 * calls - the operations of SFTP one at a time: request, answer. Nothing else may be
 * under way on the session. Errors name the path.
 */
#ifndef DRIVERS_SFTP_CALLS_H
#define DRIVERS_SFTP_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/sftp/session.h"

/* An open file or folder at the server; the protocol allows 256 bytes. */
struct sftp_handle {
    uint8_t bytes[256];
    size_t n; /* 0: none */
};

int sftp_take_handle(struct sftp_session *s, const struct sftp_reply *r,
    struct sftp_handle *h, struct err *e);

int sftp_open_file(struct sftp_session *s, const char *path, uint32_t flags,
    struct sftp_handle *h, struct err *e);
int sftp_open_folder(
    struct sftp_session *s, const char *path, struct sftp_handle *h, struct err *e);

/* h is none afterwards. Nothing is done on a broken session; a none is fine. */
int sftp_close_handle(struct sftp_session *s, struct sftp_handle *h, struct err *e);

int sftp_stat(
    struct sftp_session *s, const char *path, struct sftp_attrs *a, struct err *e);
int sftp_fstat(struct sftp_session *s, const struct sftp_handle *h, struct sftp_attrs *a,
    struct err *e);
int sftp_remove(struct sftp_session *s, const char *path, struct err *e);
int sftp_rmdir(struct sftp_session *s, const char *path, struct err *e);

/* With all its parents; what is there is fine. */
int sftp_make_folders(struct sftp_session *s, const char *path, struct err *e);

int sftp_rename(struct sftp_session *s, const char *from, const char *to, bool replace,
    struct err *e);

/* 0 where the server cannot do it. */
int sftp_fsync(struct sftp_session *s, const struct sftp_handle *h, struct err *e);
int sftp_set_times(
    struct sftp_session *s, const struct sftp_handle *h, int64_t seconds, struct err *e);

/* Bytes that may still be written where `path` is; false: the server does not tell. */
bool sftp_free_bytes(struct sftp_session *s, const char *path, uint64_t *bytes);

#endif
