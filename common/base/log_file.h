/*
 * log_file - the log of this process in a file, which may be rotated.
 *
 * Lines are appended (O_APPEND: those of several processes are never torn). Whoever
 * renames the file asks for it to be opened again by its name; the descriptor keeps its
 * number, so that threads in the middle of a line lose nothing.
 */
#ifndef COMMON_BASE_LOG_FILE_H
#define COMMON_BASE_LOG_FILE_H

#include "common/base/err.h"

/*
 * From now on lines go to this file, which is made with mode 0640 where there is none.
 * Processes that are forked afterwards have it as well.
 */
int log_file_use(const char *path, struct err *e);

/* Opens it by its name again. An error leaves the old file in use. 0 without a file. */
int log_file_reopen(struct err *e);

/* The descriptor, -1: no file is in use. */
int log_file_fd(void);

#endif
