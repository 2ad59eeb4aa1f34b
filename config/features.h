/*
 * features - what a build can do of what a configuration asks for.
 *
 * A setting without effect in a program that replicates data is worse than none, so that
 * the daemon refuses what it does not have yet.
 */
#ifndef CONFIG_FEATURES_H
#define CONFIG_FEATURES_H

#include "config/config.h"
#include "config/options.h"

#define CFG_FEATURE(f) (UINT64_C(1) << (f))
#define CFG_DRIVER(type) CFG_FEATURE(CFG_F_DRIVER_FILE + (unsigned)(type))

/*
 * ERR_UNSUPPORTED for the first key of the file that would need a feature outside of the
 * mask: file, line, key, value, what is missing and what to do. A key that says what
 * holds without it ("socket.enabled: false", a default, an empty string) is fine.
 * A database that is switched off asks for nothing. CFG_F_CORE is always there.
 */
int cfg_require_features(const struct config *c, uint64_t built, struct err *e);

const char *cfg_feature_words(enum cfg_feature f); /* "the control socket" */

#endif
