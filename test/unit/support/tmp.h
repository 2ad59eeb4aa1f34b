/*
 * tmp - a fresh folder for a test, and files in it.
 */
#ifndef TEST_UNIT_SUPPORT_TMP_H
#define TEST_UNIT_SUPPORT_TMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new empty folder below $TMPDIR or /tmp, removed with all in it when the process ends.
 */
const char *tmp_dir(void);

/* DIR/name as a string that lives until the process ends. */
const char *tmp_path(const char *name);

void tmp_write(const char *path, const void *bytes, size_t n);

/* Whole file, the caller's (free); NULL when it does not exist. */
uint8_t *tmp_read(const char *path, size_t *n);

bool tmp_exists(const char *path);

#endif
