/*
 * session - requests and answers of SFTP on one connection.
 *
 * Requests are numbered; several may be under way, answers come in any order. Calls wait
 * (ssh_conn.h): for the threads of jobs. A session that had trouble below the level of
 * SFTP is broken: nothing more can be done with it.
 */
#ifndef DRIVERS_SFTP_SESSION_H
#define DRIVERS_SFTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/cancel.h"
#include "common/base/err.h"
#include "config/config.h"
#include "drivers/sftp/packet.h"

struct sftp_session; /* opaque */

/* What OpenSSH has beyond version 3. */
enum sftp_extension {
    SFTP_EXT_POSIX_RENAME = 1, /* replaces in one step */
    SFTP_EXT_FSYNC = 2,
    SFTP_EXT_STATVFS = 4,
};

struct sftp_reply {
    enum sftp_type type;
    uint32_t id;
    struct sftp_in in; /* behind the id; valid until the next call */
};

int sftp_session_open(const struct cfg_replica *cfg, const struct cancel *cancel,
    struct sftp_session **out, struct err *e);
void sftp_session_close(struct sftp_session *s); /* NULL is fine */

bool sftp_session_verified(const struct sftp_session *s); /* the server's key is known */
bool sftp_session_broken(const struct sftp_session *s);
bool sftp_session_has(const struct sftp_session *s, enum sftp_extension extension);

/*
 * Of the calls that follow; NULL: none. A receiving call that was cancelled leaves its
 * answer to come, a sending one breaks the session.
 */
void sftp_session_set_cancel(struct sftp_session *s, const struct cancel *cancel);

/* After a cancelled call: what is tidied up now is not cancelled, but waits shortly. */
void sftp_session_last_words(struct sftp_session *s);

/*
 * A request: sftp_request_begin, then what belongs to the type by sftp_add_*, then
 * sftp_request_send. *id tells which answer is its.
 */
struct buf *sftp_request_begin(struct sftp_session *s, enum sftp_type type, uint32_t *id);
int sftp_request_send(struct sftp_session *s, struct err *e);

/* The next answer, of whichever request. */
int sftp_receive(struct sftp_session *s, struct sftp_reply *r, struct err *e);

/* Sends what was begun and waits for its answer, the only one that is missing. */
int sftp_call(struct sftp_session *s, struct sftp_reply *r, struct err *e);

/* The same for a request that is answered by a status. */
int sftp_call_status(struct sftp_session *s, struct err *e);

/*
 * The type that is expected; a status is an error instead, anything else breaks the
 * session.
 */
int sftp_expect(struct sftp_session *s, const struct sftp_reply *r, enum sftp_type type,
    struct err *e);

/* The answer makes no sense. */
int sftp_nonsense(struct sftp_session *s, const char *what, struct err *e);

#endif
