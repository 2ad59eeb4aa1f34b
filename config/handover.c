/*
 * Secrets of one database on their way from the supervisor to its worker: a fork keeps
 * none (secret.h). A text and its NUL for each secret option of each replica, in the
 * order of the table; an empty one is not set.
 */
#include <stdint.h>
#include <string.h>

#include "common/base/must.h"
#include "config/config.h"
#include "config/options.h"

static bool
is_secret(const struct cfg_option *o)
{
    return o->type == CFG_SECRET && (o->scope & CFG_REPLICA) != 0;
}

/* Without `out` only counts. */
static size_t
pack_replica(const struct cfg_replica *r, struct buf *out)
{
    size_t total = 0;

    for (size_t i = 0; i < cfg_n_options; i++)
        if (is_secret(&cfg_options[i])) {
            const struct secret *s = cfg_field_const(r, &cfg_options[i]);
            const char *text = secret_reveal(s);
            size_t n = strlen(text) + 1;

            total += n;
            if (out != NULL)
                buf_add(out, text, n);
        }
    return total;
}

void
config_pack_secrets(const struct cfg_db *db, struct buf *out)
{
    size_t total = 0;
    bool out_of_memory;

    for (size_t i = 0; i < db->n_replicas; i++)
        total += pack_replica(&db->replicas[i], NULL);
    buf_init(out, total);
    buf_reserve(out, total); /* at once: growing would leave copies behind */
    for (size_t i = 0; i < db->n_replicas; i++)
        pack_replica(&db->replicas[i], out);
    out_of_memory = buf_failed(out);
    must(!out_of_memory);
}

static void
unpack_replica(struct cfg_replica *r, const struct buf *in, size_t *at)
{
    for (size_t i = 0; i < cfg_n_options; i++)
        if (is_secret(&cfg_options[i])) {
            const char *text = (const char *)in->data + *at;

            must(*at < in->size);
            /* most are not set: what is not written to stays shared with the supervisor
             */
            if (text[0] != '\0')
                secret_set(cfg_field(r, &cfg_options[i]), text);
            *at += strlen(text) + 1;
        }
}

void
config_unpack_secrets(struct cfg_replica *replicas, size_t n, const struct buf *in)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        unpack_replica(&replicas[i], in, &at);
    must(at == in->size);
}

void
config_forget_pack(struct buf *pack)
{
    if (pack->data != NULL)
        explicit_bzero(pack->data, pack->size);
    buf_deinit(pack);
}
