/*
 * replica_url - what a replica's URL says, as settings.
 *
 * Keys of the replica itself win over the URL, the URL over inherited keys. One parser
 * for the file, the command line and the control socket; parameters are understood in
 * both spellings everywhere.
 */
#ifndef CONFIG_REPLICA_URL_H
#define CONFIG_REPLICA_URL_H

#include "config/build.h"
#include "config/url.h"

struct replica_url {
    struct build *b;
    struct arena *scratch;
    struct cfg_replica *r;
    const char *text;
    const struct url *u; /* s3: NULL for an access point */
    int line;
    bool *taken;     /* by option index: settings the URL gave */
    bool path_style; /* what it gave wants path style, unless told otherwise */
};

/* "webdavs" and "gcs" are understood; false: no such scheme. */
bool replica_url_type(const char *scheme, enum cfg_replica_type *type);

/*
 * Fills r from r->url_text. r->type is set already. ERR_CONFIG: the URL is no good.
 *
 *   taken       CFG_MAX_OPTIONS entries, false
 *   path_style  s3: the endpoint it names wants path style
 */
int replica_url_apply(
    struct build *b, struct cfg_replica *r, bool *taken, bool *path_style, struct err *e);

/* ---- between the two files of this module ---- */

int replica_url_s3(struct replica_url *x, struct err *e);

/* Puts a value in a string or secret that neither the replica nor the URL has set yet. */
void replica_url_give(struct replica_url *x, const char *name, const char *value);

/* Parameters by the table of s3 (oss: endpoint only); others are warned about. */
int replica_url_query(struct replica_url *x, const char *query, struct err *e);

/* Cleaned and without the slash in front: "" or "." for an empty one. */
const char *replica_url_key(struct arena *a, const char *path);

/* http:// for what looks local, else https://, unless there is a scheme. */
const char *replica_url_endpoint(struct arena *a, const char *endpoint);

#endif
