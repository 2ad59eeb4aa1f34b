/*
 * command - splits a command line into words the way `exec` promises it.
 *
 * Blanks separate; '...' is literal; in "..." and outside of quotes \t is a tab, \n a
 * line feed, \x is x. No variables, no patterns, `#` is ordinary. There is no shell: what
 * only a shell could do is refused by name.
 */
#ifndef CONFIG_COMMAND_H
#define CONFIG_COMMAND_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "config/config.h"

/* At least one word; the words live in the arena. ERR_CONFIG says what is wrong. */
int cfg_split_command(
    struct arena *a, const char *text, struct cfg_strings *argv, struct err *e);

#endif
