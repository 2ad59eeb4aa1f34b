#include "config/share.h"

#include "common/base/mem.h"
#include "common/base/must.h"

struct cfg_share {
    struct config *config;
    bool taken;
    size_t n_owners;
};

struct cfg_share *
cfg_share_new(struct config *c, bool take)
{
    struct cfg_share *s = MEM_NEW(struct cfg_share);

    *s = (struct cfg_share){ .config = c, .taken = take, .n_owners = 1 };
    return s;
}

struct cfg_share *
cfg_share_get(struct cfg_share *s)
{
    s->n_owners++;
    return s;
}

void
cfg_share_put(struct cfg_share *s)
{
    if (s == NULL)
        return;
    must(s->n_owners > 0);
    if (--s->n_owners > 0)
        return;
    if (s->taken)
        config_free(s->config);
    mem_free(s);
}

const struct config *
cfg_share_config(const struct cfg_share *s)
{
    return s->config;
}
