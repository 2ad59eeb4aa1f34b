/*
 * names - temporary names on an SFTP server: NAME.PID.NANOSECONDS.tmp, as Litestream has
 * them.
 */
#ifndef DRIVERS_SFTP_NAMES_H
#define DRIVERS_SFTP_NAMES_H

#include <stdbool.h>

/* A name that nobody has: of this process and this moment. The caller's. */
char *sftp_tmp_path(const char *path);

/* An LTX name with two numbers and ".tmp" behind it; `name` is without folder. */
bool sftp_tmp_name_is_ours(const char *name);

#endif
