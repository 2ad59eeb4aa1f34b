/*
 * keys - what else lies in the folder of a file replica.
 */
#ifndef DRIVERS_FILE_KEYS_H
#define DRIVERS_FILE_KEYS_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/cancel.h"
#include "common/base/err.h"
#include "drivers/driver.h"

struct file_keys {
    struct drv_key *items;
    size_t n, cap;
    struct arena names;
};

/*
 * Files and folders in ROOT/FOLDER, following links; none when there is no such folder.
 * Any thread. *out is zeroed memory; file_keys_deinit() also after an error.
 */
int file_keys_list(const char *root, const char *folder, struct file_keys *out,
    const struct cancel *cancel, struct err *e);
void file_keys_deinit(struct file_keys *k);

#endif
