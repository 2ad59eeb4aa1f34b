/*
 * aws - credentials of AWS for one replica: found, kept, and got anew before they expire.
 *
 * They are asked for when a request needs them, never by a clock: an idle replica makes
 * no requests. From some minutes before they expire a new set is fetched while the old
 * one is still used; one fetch at a time, however many wait. When a fetch fails, the old
 * set serves until it expires, that of instance metadata also longer (the service is
 * known to be away for a while). Keys of the shared files are read again when a server
 * refuses them and a file has changed.
 */
#ifndef DRIVERS_AUTH_AWS_H
#define DRIVERS_AUTH_AWS_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/base/secret.h"
#include "drivers/auth/aws_fetch.h"
#include "drivers/auth/aws_files.h"
#include "drivers/auth/sigv4.h"

struct aws_auth; /* opaque */

struct aws_auth_options {
    uv_loop_t *loop;
    const struct aws_transport *transport; /* borrowed until closed */
    const char *access_key;                /* of the replica; "": none; borrowed */
    const struct secret *secret;           /* the same */
    const char *region;                    /* the same; "": not known */
    aws_env_cb *env;                       /* aws_getenv but in tests */
};

struct aws_auth *aws_auth_open(const struct aws_auth_options *options);

/* Ends what is under way; `closed` comes from the loop. Those who wait get ERR_CANCELLED
 * from the loop, before that. */
void aws_auth_close(struct aws_auth *a, void (*closed)(void *arg), void *arg);

/*
 * True when there are credentials that can be used now: *keys is borrowed until the next
 * turn of the loop, *generation tells them from others, see aws_auth_refused. May begin a
 * fetch behind the scenes.
 */
bool aws_auth_keys(struct aws_auth *a, struct sigv4_keys *keys, uint64_t *generation);

/* Somebody who waits for credentials; memory of the caller. */
struct aws_auth_wait {
    /* Once, from the loop. err NULL: aws_auth_keys has them. */
    void (*done)(void *arg, const struct err *err);
    void *arg;
    struct aws_auth_wait *next; /* of aws_auth */
    bool waiting;
};

/*
 * Begins a fetch unless one is under way, or failed just now: then its error comes again.
 * Not after aws_auth_close.
 */
void aws_auth_wait(struct aws_auth *a, struct aws_auth_wait *w);
void aws_auth_wait_cancel(
    struct aws_auth *a, struct aws_auth_wait *w); /* done never comes */

/*
 * A server refused keys of this generation. True when it is worth to try once more, with
 * others: they are there already, or may come of a new fetch. Not more than one fetch in
 * 10 seconds comes of it.
 */
bool aws_auth_refused(struct aws_auth *a, uint64_t generation);

/* Settings of the shared files for the same profile; valid until closed. */
const struct aws_files *aws_auth_files(const struct aws_auth *a);

#endif
