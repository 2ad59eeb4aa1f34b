/*
 * share - a configuration that several owners use. It is freed, secrets and all, when the
 * last of them lets go: after a reload the old one lives on until the databases that are
 * only in it have ended.
 */
#ifndef CONFIG_SHARE_H
#define CONFIG_SHARE_H

#include "config/config.h"

struct cfg_share; /* opaque */

/* One owner, the caller. `take`: c is freed with the last owner, else it is borrowed. */
struct cfg_share *cfg_share_new(struct config *c, bool take);

struct cfg_share *cfg_share_get(struct cfg_share *s); /* one owner more; returns s */
void cfg_share_put(struct cfg_share *s);              /* one less; NULL is fine */

const struct config *cfg_share_config(const struct cfg_share *s);

#endif
