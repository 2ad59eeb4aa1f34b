/*
 * replay - what the L0 files of a folder say the database is.
 *
 * Applies them in order as a restore does and checks on the way what every engine must
 * keep: TXIDs without gaps, the first file a full image, pages that a growth added are in
 * the file, a change of page size comes as a full image.
 */
#ifndef TEST_UNIT_WORKERS_REPLAY_H
#define TEST_UNIT_WORKERS_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

struct replay {
    uint8_t *image;
    uint32_t page_size, commit;
    uint64_t txid;     /* newest file that was applied */
    unsigned n_images; /* full ones among them */
};

void replay_free(struct replay *r);

/* Applies the files behind r->txid; what is wrong goes to stderr. */
bool replay_forward(struct replay *r, const char *l0_dir);

/* The image against a file; says where they differ. */
bool replay_equals(const struct replay *r, const char *path);

#endif
