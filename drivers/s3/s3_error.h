/*
 * s3_error - what an answer of S3 means: the error code, what may be tried, and the words
 * for people, which keep the server's own.
 *
 *     s3: PutObject s3://BUCKET/KEY: AccessDenied: Access Denied (status 403)
 *     hint: allow s3:PutObject on arn:aws:s3:::BUCKET/... for ...
 */
#ifndef DRIVERS_S3_S3_ERROR_H
#define DRIVERS_S3_S3_ERROR_H

#include <stdbool.h>

#include "common/base/err.h"
#include "drivers/s3/s3_xml.h"

enum s3_call {
    S3_PUT,
    S3_CREATE_UPLOAD,
    S3_UPLOAD_PART,
    S3_COMPLETE_UPLOAD,
    S3_ABORT_UPLOAD,
    S3_LIST_UPLOADS,
    S3_GET,
    S3_HEAD,
    S3_LIST,
    S3_DELETE,
    S3_DELETE_MANY,
    S3_LOCATION,
    S3_HEAD_BUCKET,
};

struct s3_verdict {
    enum err_code code; /* ERR_OK: status 2xx and no fault */
    bool retry;         /* may heal: again after a wait, the same request */
    bool once;          /* ... but once only, e.g. damaged on the way */
    bool refresh;       /* again, once, with credentials that are looked up anew */
    bool skew;          /* again, once, with the clock of the answer's Date header */
    bool region;        /* again, once, for the region that the answer names */
    bool unsupported;   /* the server does not know this kind of request */
    bool precondition;  /* If-Match or If-None-Match did not hold */
};

/* fault_code: of the body, "" when there was none that could be read. */
void s3_judge(
    enum s3_call call, int status, const char *fault_code, struct s3_verdict *out);

/*
 * Sets *e with the code of the verdict; returns it.
 *
 *   bucket    as configured; an ARN, too
 *   key       "": the request is about the bucket
 *   attempts  how often it was tried; 1 is not told
 */
int s3_error(enum s3_call call, int status, const struct s3_fault *fault,
    const char *bucket, const char *key, int attempts, struct err *e);

/* "PutObject" */
const char *s3_call_name(enum s3_call call);

#endif
