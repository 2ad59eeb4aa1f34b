/*
 * messages - the channel between the supervisor and one worker.
 *
 * A stream of messages: struct msg_head, then the payload that belongs to the id. Both
 * ends run on one machine from one binary, so fields are in native byte order; only
 * fixed-width fields occur. The table is messages.def. EOF on the channel means that the
 * other side is gone: a worker then makes its final sync and ends.
 */
#ifndef COMMON_IPC_MESSAGES_H
#define COMMON_IPC_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

enum worker_state {
    WS_STARTING = 1, /* before the database is open */
    WS_WAITING = 2,  /* the database does not exist yet */
    WS_RUNNING = 4,
    WS_STOPPING = 8,
    WS_ANY = 15,
};

enum msg_sender { MSG_FROM_SUPERVISOR = 1, MSG_FROM_WORKER = 2 };

#define MSG_TEXT_MAX 512

/* Requests that wait for their answer at a time. */
#define MSG_MAX_REQUESTS 64

/* Look at the WAL now, whatever the interval says. Answered by DONE when it is through.
 */
struct msg_sync {
    uint32_t
        wait; /* 1: answer when every replica has it, 0: when it is in a local file */
    uint32_t reserved;
};

/* Final sync, upload, close, end. Answered by DONE just before the worker ends. */
struct msg_stop {
    int64_t timeout_ms; /* for the uploads; 0: one attempt without a limit */
    uint32_t skip;      /* 1: no upload any more (second signal) */
    uint32_t reserved;
};

struct msg_log_level {
    uint32_t level; /* enum log_level */
    uint32_t reserved;
};

/* The log file was rotated: open it by its name again. */
struct msg_log_reopen {
    uint64_t reserved;
};

/* The watch that the supervisor holds for this worker saw something, or was just set. */
struct msg_wal_event {
    uint32_t armed;  /* 1: the watch is set from now on; 0: it fired and is gone */
    uint32_t failed; /* 1: it could not be set: poll */
};

/* A snapshot of the newest position now, on every replica. Answered when all are there.
 */
struct msg_snapshot {
    uint64_t reserved;
};

enum msg_checkpoint_mode {
    MSG_CHECKPOINT_PASSIVE = 1, /* what can be copied without waiting */
    MSG_CHECKPOINT_FULL,        /* all of the WAL */
    MSG_CHECKPOINT_RESTART,     /* and the next writer begins it anew */
    MSG_CHECKPOINT_TRUNCATE,    /* and it is cut to nothing */
};

/* A checkpoint now. Answered with its result; not complete is no error when PASSIVE. */
struct msg_checkpoint {
    uint32_t mode; /* enum msg_checkpoint_mode */
    uint32_t reserved;
};

/* The database is open and the first sync is done. */
struct msg_ready {
    uint64_t txid;
};

/* Answer to a request: code 0 or enum err_code with its words. */
struct msg_done {
    int32_t code;
    uint32_t complete;        /* CHECKPOINT: 1: the whole WAL is in the database */
    uint64_t txid;            /* local position */
    uint64_t replicated_txid; /* lowest over the replicas */
    char text[MSG_TEXT_MAX];  /* NUL-terminated */
};

/* Watch the WAL for me: one event, then the watch is gone. */
struct msg_watch {
    uint32_t arm; /* 0: forget it */
    uint32_t reserved;
};

enum msg_id {
#define MSG(id, name, sender, payload, states) MSG_##name = id,
#include "common/ipc/messages.def"
#undef MSG
};

struct msg_head {
    uint32_t size;        /* bytes with this header, at most MSG_MAX */
    uint16_t id;          /* enum msg_id */
    uint16_t request;     /* echoed by the answer; 0: none wanted */
    uint32_t incarnation; /* a late word from an earlier life is dropped */
    uint32_t reserved;
};

#define MSG_MAX 1024

struct msg {
    struct msg_head head;
    union {
        struct msg_sync sync;
        struct msg_stop stop;
        struct msg_log_level log_level;
        struct msg_wal_event wal_event;
        struct msg_snapshot snapshot;
        struct msg_checkpoint checkpoint;
        struct msg_ready ready;
        struct msg_done done;
        struct msg_watch watch;
    } u;
};

const char *msg_name(uint16_t id); /* "SYNC", NULL: not in the table */

/* Appends the message of m->head.id to b; size is filled in. */
void msg_encode(struct buf *b, const struct msg *m);

/*
 * Takes the first whole message out of the bytes received so far.
 *
 *   from     who may have sent it
 *   state    the worker's state (enum worker_state)
 *   returns  0: *m is filled, *used bytes are consumed; ERR_AGAIN: more bytes are needed;
 *            ERR_PROTOCOL: unknown id, wrong size, sender or state, unterminated text
 */
int msg_decode(const uint8_t *data, size_t n, enum msg_sender from, unsigned state,
    struct msg *m, size_t *used, struct err *e);

#endif
