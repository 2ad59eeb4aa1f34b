/*
 * path - file names as text; nothing here looks at the disk but path_abs and path_expand
 * (current and home folder). Results are the caller's, mem_free().
 */
#ifndef COMMON_BASE_PATH_H
#define COMMON_BASE_PATH_H

#include <stdbool.h>

#include "common/base/err.h"

/*
 * Shortest equal name: double slashes, "." and inner ".." are gone, no slash at the end;
 * "" gives ".". Symbolic links are not looked at. Same rules as Go's path.Clean.
 */
char *path_clean(const char *path);

/* Joins with one slash and cleans; empty parts vanish; all empty gives "". */
char *path_join(const char *a, const char *b);
char *path_join3(const char *a, const char *b, const char *c);

char *path_dir(const char *path);        /* all but the last element, cleaned */
const char *path_base(const char *path); /* behind the last slash, borrowed from path */

/* Absolute and cleaned, seen from the current folder. */
int path_abs(const char *path, char **out, struct err *e);

/* "~" and "~/x" to the home folder ($HOME, else the user database); then path_abs. */
int path_expand(const char *path, char **out, struct err *e);

/*
 * As path_expand, after removing the prefix "sqlite://" or "sqlite3://" (the form of
 * database paths in a configuration).
 */
int path_expand_db(const char *path, char **out, struct err *e);

#endif
