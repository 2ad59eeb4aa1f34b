/*
 * slot - a worker's numbers in shared memory.
 *
 * One cache-aligned struct per worker in a MAP_SHARED area. The worker is the only
 * writer; the supervisor reads copies that are consistent by a sequence counter and never
 * waits.
 */
#ifndef COMMON_IPC_SLOT_H
#define COMMON_IPC_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_MAX_REPLICAS 8
#define SLOT_TEXT_MAX 256

enum slot_phase {
    PHASE_STARTING,
    PHASE_OPENING_DB,
    PHASE_WAITING_DB,
    PHASE_IDLE,
    PHASE_LOOKING,
    PHASE_READING_WAL,
    PHASE_WRITING_LTX,
    PHASE_WRITING_IMAGE,
    PHASE_CHECKPOINTING,
    PHASE_FINAL_SYNC,
    PHASE_CLOSING,
    PHASE_N,
};

const char *slot_phase_name(uint64_t phase); /* "writing an LTX file" */

#define SLOT_N_OPS 4      /* PUT, GET, DELETE, LIST */
#define SLOT_N_BUCKETS 9  /* as DRV_N_BUCKETS */
#define SLOT_N_FAILURES 8 /* as DRV_N_FAILURES */
#define SLOT_CODE_MAX 28
#define SLOT_ERROR_MAX 160

enum slot_op { SLOT_PUT, SLOT_GET, SLOT_DELETE, SLOT_LIST };

/* More about one kind of operation of a driver; see struct drv_stats. */
struct slot_op_stats {
    uint64_t ns;
    uint64_t le[SLOT_N_BUCKETS];
};

/* How often one kind of operation failed in one way; see struct drv_failure. */
struct slot_failure {
    char code[SLOT_CODE_MAX];
    uint32_t op; /* enum slot_op */
    uint64_t n;  /* 0: not used */
};

struct slot_replica {
#define SLOT(name, unit, help)
#define REPLICA(name, unit, help) uint64_t name;
#include "common/ipc/slot.def"
#undef SLOT
#undef REPLICA
    struct slot_op_stats op[SLOT_N_OPS];
    struct slot_failure failures[SLOT_N_FAILURES];
    char error[SLOT_ERROR_MAX]; /* NUL-terminated; what is wrong now, or empty */
};

/* What is read and written as a whole; a multiple of 8 bytes. */
struct slot_data {
    uint64_t incarnation;
#define SLOT(name, unit, help) uint64_t name;
#define REPLICA(name, unit, help)
#include "common/ipc/slot.def"
#undef SLOT
#undef REPLICA
    char last_error[SLOT_TEXT_MAX]; /* NUL-terminated */
    char last_words[SLOT_TEXT_MAX]; /* a broken invariant, written while dying */
    struct slot_replica replica[SLOT_MAX_REPLICAS];
};

#define SLOT_WORDS (sizeof(struct slot_data) / sizeof(uint64_t))

struct slot {
    _Alignas(64) _Atomic uint64_t seq; /* odd while the worker writes */
    _Atomic uint64_t words[SLOT_WORDS];
};

/* An area for n workers, zeroed; NULL when there is no memory. Survives fork. */
struct slot *slot_area_new(size_t n);
void slot_area_free(struct slot *area, size_t n);

/* Worker: publishes its private copy. Supervisor: only while no worker owns the slot. */
void slot_write(struct slot *s, const struct slot_data *data);

/*
 * A consistent copy; false when the writer was busy (or died) in the middle of several
 * attempts, *data is then the newest words, possibly mixed.
 */
bool slot_read(const struct slot *s, struct slot_data *data);

/* As slot_read, of `size` bytes at an offset in struct slot_data; multiples of 8. */
bool slot_read_part(const struct slot *s, size_t offset, void *out, size_t size);

/* One number at a time, by its offset in struct slot_data: of whatever moment. */
uint64_t slot_peek(const struct slot *s, size_t offset);

#endif
