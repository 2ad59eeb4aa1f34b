#include "drivers/s3/s3_error.h"

#include <stdio.h>
#include <string.h>

#define RETRY (1u << 0)
#define ONCE (1u << 1)
#define REFRESH (1u << 2)
#define SKEW (1u << 3)
#define REGION (1u << 4)
#define UNSUPPORTED (1u << 5)
#define PRECONDITION (1u << 6)

static const struct {
    const char *name;
    const char *action; /* what a policy has to allow */
    bool on_bucket;
} calls[] = {
    [S3_PUT] = { "PutObject", "s3:PutObject", false },
    [S3_CREATE_UPLOAD] = { "CreateMultipartUpload", "s3:PutObject", false },
    [S3_UPLOAD_PART] = { "UploadPart", "s3:PutObject", false },
    [S3_COMPLETE_UPLOAD] = { "CompleteMultipartUpload", "s3:PutObject", false },
    [S3_ABORT_UPLOAD] = { "AbortMultipartUpload", "s3:AbortMultipartUpload", false },
    [S3_LIST_UPLOADS] = { "ListMultipartUploads", "s3:ListBucketMultipartUploads", true },
    [S3_GET] = { "GetObject", "s3:GetObject", false },
    [S3_HEAD] = { "HeadObject", "s3:GetObject", false },
    [S3_LIST] = { "ListObjectsV2", "s3:ListBucket", true },
    [S3_DELETE] = { "DeleteObject", "s3:DeleteObject", false },
    [S3_DELETE_MANY] = { "DeleteObjects", "s3:DeleteObject", false },
    [S3_LOCATION] = { "GetBucketLocation", "s3:GetBucketLocation", true },
    [S3_HEAD_BUCKET] = { "HeadBucket", "s3:ListBucket", true },
};

static const struct {
    const char *fault;
    enum err_code code;
    unsigned flags;
} faults[] = {
    { "NoSuchKey", ERR_NOT_FOUND, 0 },
    { "NoSuchUpload", ERR_IO, 0 }, /* begun anew by the next put */
    { "InvalidRange", ERR_RANGE, 0 },

    { "NoSuchBucket", ERR_CONFIG, 0 },
    { "InvalidBucketName", ERR_CONFIG, 0 },
    { "InvalidStorageClass", ERR_CONFIG, 0 },
    { "InvalidObjectState", ERR_CONFIG, 0 },
    { "PermanentRedirect", ERR_CONFIG, REGION },
    { "TemporaryRedirect", ERR_CONFIG, REGION },
    { "AuthorizationHeaderMalformed", ERR_CONFIG, REGION },
    { "IllegalLocationConstraintException", ERR_CONFIG, REGION },

    { "AccessDenied", ERR_PERMISSION, 0 },
    { "AccountProblem", ERR_AUTH, 0 },
    { "InvalidAccessKeyId", ERR_AUTH, REFRESH },
    { "SignatureDoesNotMatch", ERR_AUTH, REFRESH },
    { "ExpiredToken", ERR_AUTH, REFRESH },
    { "ExpiredTokenException", ERR_AUTH, REFRESH },
    { "InvalidToken", ERR_AUTH, REFRESH },
    { "TokenRefreshRequired", ERR_AUTH, REFRESH },
    { "RequestExpired", ERR_AUTH, REFRESH },
    { "RequestTimeTooSkewed", ERR_AUTH, SKEW },

    { "QuotaExceeded", ERR_NO_SPACE, 0 },
    { "EntityTooLarge", ERR_NO_SPACE, 0 },

    { "BadDigest", ERR_CORRUPT, RETRY | ONCE },
    { "InvalidDigest", ERR_CORRUPT, RETRY | ONCE },
    { "XAmzContentSHA256Mismatch", ERR_CORRUPT, RETRY | ONCE },

    { "PreconditionFailed", ERR_MOVED, PRECONDITION },
    { "ConditionalRequestConflict", ERR_BUSY, PRECONDITION },

    { "NotImplemented", ERR_UNSUPPORTED, UNSUPPORTED },
    { "MethodNotAllowed", ERR_UNSUPPORTED, UNSUPPORTED },

    { "SlowDown", ERR_BUSY, RETRY },
    { "Throttling", ERR_BUSY, RETRY },
    { "ThrottlingException", ERR_BUSY, RETRY },
    { "ThrottledException", ERR_BUSY, RETRY },
    { "RequestThrottled", ERR_BUSY, RETRY },
    { "RequestThrottledException", ERR_BUSY, RETRY },
    { "TooManyRequestsException", ERR_BUSY, RETRY },
    { "TooManyRequests", ERR_BUSY, RETRY },
    { "ProvisionedThroughputExceededException", ERR_BUSY, RETRY },
    { "RequestLimitExceeded", ERR_BUSY, RETRY },
    { "BandwidthLimitExceeded", ERR_BUSY, RETRY },
    { "LimitExceededException", ERR_BUSY, RETRY },
    { "EC2ThrottledException", ERR_BUSY, RETRY },
    { "TransactionInProgressException", ERR_BUSY, RETRY },
    { "PriorRequestNotComplete", ERR_BUSY, RETRY },
    { "OperationAborted", ERR_BUSY, RETRY },
    { "ServiceUnavailable", ERR_BUSY, RETRY },
    { "InternalError", ERR_NETWORK, RETRY },
    { "RequestTimeout", ERR_NETWORK, RETRY },
    { "RequestTimeoutException", ERR_NETWORK, RETRY },
    { "RequestCanceled", ERR_NETWORK, RETRY },
};

/* Where the body says nothing: HEAD has none, and a proxy speaks HTML. */
static const struct {
    int status;
    enum err_code code;
    unsigned flags;
} statuses[] = {
    { 301, ERR_CONFIG, REGION },
    { 307, ERR_CONFIG, REGION },
    { 308, ERR_CONFIG, REGION },
    { 400, ERR_CONFIG, REGION }, /* a HEAD for the wrong region has nothing else */
    { 401, ERR_AUTH, REFRESH },
    { 403, ERR_PERMISSION, 0 },
    { 404, ERR_CONFIG, 0 }, /* but see s3_judge: also a HEAD of what is not there */
    { 405, ERR_UNSUPPORTED, UNSUPPORTED },
    { 408, ERR_NETWORK, RETRY },
    { 409, ERR_BUSY, 0 },
    { 412, ERR_MOVED, PRECONDITION },
    { 413, ERR_NO_SPACE, 0 },
    { 416, ERR_RANGE, 0 },
    { 429, ERR_BUSY, RETRY },
    { 501, ERR_UNSUPPORTED, UNSUPPORTED },
    { 503, ERR_BUSY, RETRY },
    { 507, ERR_NO_SPACE, 0 },
};

static bool
find_fault(const char *fault, enum err_code *code, unsigned *flags)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        if (strcmp(faults[i].fault, fault) == 0) {
            *code = faults[i].code;
            *flags = faults[i].flags;
            return true;
        }
    if (strncmp(fault, "KMS.", 4) == 0) {
        *code = ERR_CONFIG;
        *flags = 0;
        return true;
    }
    return false;
}

static void
find_status(int status, enum err_code *code, unsigned *flags)
{
    *code = status >= 500 ? ERR_NETWORK : ERR_PROTOCOL;
    *flags = status >= 500 ? RETRY : 0;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (statuses[i].status == status) {
            *code = statuses[i].code;
            *flags = statuses[i].flags;
        }
}

void
s3_judge(enum s3_call call, int status, const char *fault_code, struct s3_verdict *out)
{
    enum err_code code = ERR_OK;
    unsigned flags = 0;
    bool known = fault_code[0] != '\0' && find_fault(fault_code, &code, &flags);

    if (!known && status >= 200 && status < 300) {
        code = fault_code[0] != '\0' ? ERR_NETWORK : ERR_OK; /* <Error> after all */
        flags = fault_code[0] != '\0' ? RETRY : 0;
    } else if (!known) {
        find_status(status, &code, &flags);
        if (status == 404 && call == S3_HEAD)
            code = ERR_NOT_FOUND;
        if (status == 400 && fault_code[0] != '\0')
            flags = 0; /* the body would have said so */
        /* A server that has no DeleteObjects at all does not know what to call it. */
        if (call == S3_DELETE_MANY && status == 400 &&
            (strcmp(fault_code, "InvalidArgument") == 0 ||
                strcmp(fault_code, "MalformedXML") == 0))
            flags |= UNSUPPORTED;
        if (status >= 500 && fault_code[0] != '\0' && status != 501)
            flags |= RETRY;
    }
    *out = (struct s3_verdict){ .code = code,
        .retry = (flags & RETRY) != 0,
        .once = (flags & ONCE) != 0,
        .refresh = (flags & REFRESH) != 0,
        .skew = (flags & SKEW) != 0,
        .region = (flags & REGION) != 0,
        .unsupported = (flags & UNSUPPORTED) != 0,
        .precondition = (flags & PRECONDITION) != 0 };
}

/* What to do about it; NULL: nothing that could be said in general. */
static void
add_hint(enum s3_call call, int status, const struct s3_fault *f, const char *bucket,
    const struct s3_verdict *v, struct err *e)
{
    bool arn = strncmp(bucket, "arn:", 4) == 0;

    if (v->code == ERR_PERMISSION)
        err_hint(e, "allow %s on %s%s%s for the account of these credentials",
            calls[call].action, arn ? "" : "arn:aws:s3:::", bucket,
            calls[call].on_bucket ? ""
            : arn                 ? "/object/*"
                                  : "/*");
    else if (strcmp(f->code, "NoSuchBucket") == 0)
        err_hint(e, "create the bucket %s, or correct `bucket` or `url`", bucket);
    else if (v->skew)
        err_hint(e, "set the clock of this machine");
    else if (v->region && f->region[0] != '\0')
        err_hint(e, "set `region: %s`", f->region);
    else if (v->region)
        err_hint(e, "set `region` to the one of the bucket");
    else if (strcmp(f->code, "InvalidAccessKeyId") == 0 ||
             strcmp(f->code, "SignatureDoesNotMatch") == 0)
        err_hint(e,
            "check `access-key-id` and `secret-access-key`, or where else the keys "
            "come from");
    else if (v->refresh)
        err_hint(e, "the temporary credentials have expired; get new ones");
    else if (strcmp(f->code, "InvalidObjectState") == 0)
        err_hint(e, "the object was archived; restore it from its storage class first");
    else if (status == 404 && v->code == ERR_CONFIG)
        err_hint(e, "check `endpoint`: what answers there does not look like S3");
}

int
s3_error(enum s3_call call, int status, const struct s3_fault *fault, const char *bucket,
    const char *key, int attempts, struct err *e)
{
    struct s3_verdict v;
    char tries[32] = "";

    s3_judge(call, status, fault->code, &v);
    if (v.code == ERR_OK) /* the caller has its own reason to call it an error */
        v.code = ERR_PROTOCOL;
    if (attempts > 1)
        snprintf(tries, sizeof(tries), ", tried %d times", attempts);
    err_set(e, v.code, "s3: %s s3://%s%s%s: %s%s%s (status %d%s)", calls[call].name,
        bucket, key[0] != '\0' ? "/" : "", key,
        fault->code[0] != '\0' ? fault->code : "refused without a reason",
        fault->message[0] != '\0' ? ": " : "", fault->message, status, tries);
    add_hint(call, status, fault, bucket, &v, e);
    return err_provider(e, fault->code);
}

const char *
s3_call_name(enum s3_call call)
{
    return calls[call].name;
}
