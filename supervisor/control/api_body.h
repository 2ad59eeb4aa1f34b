/*
 * api_body - the JSON object that a request to the control socket carries.
 *
 * One shape for all requests: each takes the fields that it needs. Names are matched
 * without regard to case, unknown ones are ignored, the last of several counts, null is
 * as if absent, `null` as a whole is an empty object, and what stands behind the object
 * is ignored.
 */
#ifndef SUPERVISOR_CONTROL_API_BODY_H
#define SUPERVISOR_CONTROL_API_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct api_body {
    char *path; /* "" when absent, as all of these */
    char *replica_url;
    char *mode;
    char *level;
    int64_t timeout_s; /* 0: absent; within a year of 0 */
    bool wait;
};

/* ERR_USAGE with the words of the parser; *out needs no clean-up then. */
int api_body_parse(const char *text, size_t size, struct api_body *out, struct err *e);
void api_body_deinit(struct api_body *b);

#endif
