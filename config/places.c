/*
 * The places that databases write to, by names that can be compared.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/crc64/crc64.h"
#include "config/diff.h"
#include "config/options.h"
#include "config/value.h"

static const char *const account_keys[] = { "username", "creds", "jwt", "jwt-file",
    "nkey", "token", "token-file" };

#define N_ACCOUNT_KEYS (sizeof(account_keys) / sizeof(account_keys[0]))

/* s3 and oss do not clean the path of a key, the others do. */
const char *
cfg_place_name(struct arena *arena, const struct cfg_replica *r)
{
    bool exact = r->type == CFG_REPLICA_S3 || r->type == CFG_REPLICA_OSS;
    char *path = exact ? mem_strdup(r->path) : path_clean(r->path);
    const char *place = r->bucket, *service = r->endpoint, *name;

    if (r->type == CFG_REPLICA_SFTP || r->type == CFG_REPLICA_FILE) {
        place = r->type == CFG_REPLICA_SFTP ? r->user : "";
        service = r->type == CFG_REPLICA_SFTP ? r->host : "";
    } else if (r->type == CFG_REPLICA_WEBDAV) {
        place = r->webdav_username; /* who may have a root of its own */
        service = r->webdav_url;
    } else if (r->type == CFG_REPLICA_NATS) {
        service = r->servers.n > 0 ? r->servers.items[0] : "";
    } else if (r->type == CFG_REPLICA_ABS && service[0] == '\0') {
        service = r->account_name;
    } else if (r->type == CFG_REPLICA_OSS) {
        service = "";
    }
    name = arena_printf(
        arena, "%s %s %s %s", cfg_replica_type_name(r->type), service, place, path);
    mem_free(path);
    return name;
}

bool
cfg_same_account(const struct cfg_replica *a, const struct cfg_replica *b)
{
    for (size_t i = 0; i < N_ACCOUNT_KEYS; i++) {
        const struct cfg_option *o = cfg_option_find(CFG_REPLICA, account_keys[i]);

        if (!cfg_value_equal(o, cfg_field_const(a, o), cfg_field_const(b, o)))
            return false;
    }
    return true;
}

/* A checksum: secrets are no part of a name. */
static uint64_t
account_sum(const struct cfg_replica *r)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < N_ACCOUNT_KEYS; i++) {
        const struct cfg_option *o = cfg_option_find(CFG_REPLICA, account_keys[i]);
        const void *field = cfg_field_const(r, o);
        const char *text =
            o->type == CFG_SECRET ? secret_reveal(field) : *(const char *const *)field;

        sum = crc64_update(sum, text, strlen(text) + 1);
    }
    return sum;
}

size_t
cfg_db_places(
    struct arena *arena, const struct cfg_db *db, const char **names, size_t max)
{
    size_t n = 0;

    if (db->meta_path[0] != '\0' && n < max)
        names[n++] = arena_printf(arena, "file   %s", db->meta_path);
    for (size_t i = 0; i < db->n_replicas && n < max; i++) {
        const struct cfg_replica *r = &db->replicas[i];
        const char *name = cfg_place_name(arena, r);

        names[n++] = r->type == CFG_REPLICA_NATS
                         ? arena_printf(arena, "%s %016" PRIx64, name, account_sum(r))
                         : name;
    }
    return n;
}
