/*
 * loaded - configurations for tests, from text, with variables of their own.
 */
#ifndef TEST_UNIT_CONFIG_LOADED_H
#define TEST_UNIT_CONFIG_LOADED_H

#include "config/config.h"

/* Variables that tests see: A=1, HOST=example.com, KEY=k$y, EMPTY= and those of
 * loaded_set. */
const char *loaded_env(const char *name);
void loaded_set(const char *name, const char *value); /* one at a time */

/* The configuration; the test fails when it is refused. */
struct config *loaded(const char *text);

/* A database /data/app.db with one replica of these lines (indented by six). */
struct config *loaded_replica(const char *keys);

/*
 * What the daemon would die with: from loading, from the replicas, or from its own
 * checks; "" when it would start. Valid until the next call.
 */
const char *refused(const char *text);

/* The texts of all notices, "LINE: TEXT" each with a line feed behind it. */
const char *noticed(const char *text);

#endif
