#include <string.h>

#include <criterion/criterion.h>

#include "drivers/s3/s3_error.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct s3_verdict
judge(enum s3_call call, int status, const char *code)
{
    struct s3_verdict v;

    s3_judge(call, status, code, &v);
    return v;
}

Test(s3_error, only_an_absent_object_is_not_found)
{
    static const struct {
        enum s3_call call;
        int status;
        const char *code;
        enum err_code expected;
    } cases[] = {
        { S3_GET, 404, "NoSuchKey", ERR_NOT_FOUND },
        { S3_HEAD, 404, "", ERR_NOT_FOUND },
        { S3_GET, 404, "NoSuchBucket", ERR_CONFIG },
        { S3_GET, 404, "", ERR_CONFIG },
        { S3_HEAD_BUCKET, 404, "", ERR_CONFIG },
        { S3_LIST, 404, "", ERR_CONFIG },
        { S3_GET, 403, "AccessDenied", ERR_PERMISSION },
        { S3_HEAD, 403, "", ERR_PERMISSION },
        { S3_UPLOAD_PART, 404, "NoSuchUpload", ERR_IO },
    };

    for (size_t i = 0; i < N(cases); i++)
        cr_expect_eq(judge(cases[i].call, cases[i].status, cases[i].code).code,
            cases[i].expected, "case %zu", i);
}

Test(s3_error, success_is_a_good_status_without_a_fault)
{
    cr_expect_eq(judge(S3_PUT, 200, "").code, ERR_OK);
    cr_expect_eq(judge(S3_GET, 206, "").code, ERR_OK);
    cr_expect_eq(judge(S3_DELETE, 204, "").code, ERR_OK);
    cr_expect_eq(judge(S3_COMPLETE_UPLOAD, 200, "InternalError").code, ERR_NETWORK);
    cr_expect(judge(S3_COMPLETE_UPLOAD, 200, "InternalError").retry);
    cr_expect_eq(judge(S3_COMPLETE_UPLOAD, 200, "AccessDenied").code, ERR_PERMISSION);
    cr_expect_not(judge(S3_COMPLETE_UPLOAD, 200, "AccessDenied").retry);
    cr_expect_neq(judge(S3_COMPLETE_UPLOAD, 200, "NeverHeardOf").code, ERR_OK);
    cr_expect_neq(judge(S3_GET, 100, "").code, ERR_OK);
    cr_expect_neq(judge(S3_GET, 302, "").code, ERR_OK);
    cr_expect_neq(judge(S3_GET, 0, "").code, ERR_OK);
}

Test(s3_error, what_may_heal_is_tried_again)
{
    static const int again[] = { 408, 429, 500, 502, 503, 504, 599 };
    static const int not_again[] = { 301, 307, 400, 401, 403, 404, 405, 409, 411, 412,
        413, 416, 418, 501, 507 };
    static const char *const codes[] = { "SlowDown", "RequestTimeout", "RequestCanceled",
        "InternalError", "ServiceUnavailable", "TooManyRequestsException",
        "BandwidthLimitExceeded" };

    for (size_t i = 0; i < N(again); i++)
        cr_expect(judge(S3_PUT, again[i], "").retry, "%d", again[i]);
    for (size_t i = 0; i < N(not_again); i++)
        cr_expect_not(judge(S3_PUT, not_again[i], "").retry, "%d", not_again[i]);
    for (size_t i = 0; i < N(codes); i++)
        cr_expect(judge(S3_PUT, 400, codes[i]).retry, "%s", codes[i]);
    cr_expect(judge(S3_PUT, 500, "NeverHeardOf").retry);
    cr_expect_not(judge(S3_PUT, 400, "NeverHeardOf").retry);
    cr_expect(judge(S3_PUT, 400, "BadDigest").retry);
    cr_expect(judge(S3_PUT, 400, "BadDigest").once);
    cr_expect_eq(judge(S3_PUT, 400, "XAmzContentSHA256Mismatch").code, ERR_CORRUPT);
    for (size_t i = 0; i < N(again); i++)
        cr_expect_eq(err_class_of(judge(S3_GET, again[i], "").code), ERR_CLASS_TRANSIENT);
}

Test(s3_error, corrections_are_told_apart)
{
    cr_expect(judge(S3_PUT, 403, "ExpiredToken").refresh);
    cr_expect(judge(S3_PUT, 400, "ExpiredToken").refresh);
    cr_expect(judge(S3_PUT, 403, "InvalidAccessKeyId").refresh);
    cr_expect_not(judge(S3_PUT, 403, "AccessDenied").refresh);
    cr_expect_eq(judge(S3_PUT, 403, "SignatureDoesNotMatch").code, ERR_AUTH);
    cr_expect(judge(S3_PUT, 403, "RequestTimeTooSkewed").skew);
    cr_expect(judge(S3_LIST, 400, "AuthorizationHeaderMalformed").region);
    cr_expect(judge(S3_LIST, 301, "PermanentRedirect").region);
    cr_expect(judge(S3_HEAD, 301, "").region);
    cr_expect(judge(S3_HEAD, 400, "").region);
    cr_expect_not(judge(S3_PUT, 400, "InvalidArgument").region);
    cr_expect(judge(S3_PUT, 412, "PreconditionFailed").precondition);
    cr_expect_eq(judge(S3_PUT, 409, "ConditionalRequestConflict").code, ERR_BUSY);
    cr_expect(judge(S3_DELETE_MANY, 501, "NotImplemented").unsupported);
    cr_expect(judge(S3_DELETE_MANY, 400, "MalformedXML").unsupported);
    cr_expect_not(judge(S3_COMPLETE_UPLOAD, 400, "MalformedXML").unsupported);
    cr_expect_eq(judge(S3_PUT, 403, "QuotaExceeded").code, ERR_NO_SPACE);
    cr_expect_eq(judge(S3_PUT, 507, "").code, ERR_NO_SPACE);
    cr_expect_eq(judge(S3_PUT, 400, "KMS.NotFoundException").code, ERR_CONFIG);
    cr_expect_eq(judge(S3_GET, 416, "InvalidRange").code, ERR_RANGE);
}

Test(s3_error, the_text_names_what_where_why_and_the_way_out)
{
    struct s3_fault denied = { .code = "AccessDenied", .message = "Access Denied" },
                    none = { 0 }, gone = { .code = "NoSuchBucket" },
                    region = { .code = "AuthorizationHeaderMalformed",
                        .message = "wrong",
                        .region = "eu-west-1" };
    struct err e = ERR_NONE;

    cr_expect_eq(
        s3_error(S3_PUT, 403, &denied, "bkt", "db/0000/x.ltx", 1, &e), ERR_PERMISSION);
    cr_expect_str_eq(e.text, "s3: PutObject s3://bkt/db/0000/x.ltx: AccessDenied: Access "
                             "Denied (status 403)");
    cr_expect_str_eq(e.hint,
        "allow s3:PutObject on arn:aws:s3:::bkt/* for the account of "
        "these credentials");
    e = (struct err)ERR_NONE;
    s3_error(S3_LIST, 403, &denied, "bkt", "", 1, &e);
    cr_expect_not_null(strstr(e.hint, "allow s3:ListBucket on arn:aws:s3:::bkt for"));
    e = (struct err)ERR_NONE;
    s3_error(S3_GET, 403, &denied, "arn:aws:s3:r:1:accesspoint/ap", "k", 1, &e);
    cr_expect_not_null(
        strstr(e.hint, "s3:GetObject on arn:aws:s3:r:1:accesspoint/ap/object/* for"));
    e = (struct err)ERR_NONE;
    s3_error(S3_UPLOAD_PART, 503, &none, "bkt", "k", 10, &e);
    cr_expect_str_eq(e.text,
        "s3: UploadPart s3://bkt/k: refused without a reason (status "
        "503, tried 10 times)");
    cr_expect_str_eq(e.hint, "");
    e = (struct err)ERR_NONE;
    s3_error(S3_LIST, 404, &gone, "bkt", "", 1, &e);
    cr_expect_not_null(strstr(e.hint, "create the bucket bkt"));
    e = (struct err)ERR_NONE;
    s3_error(S3_LIST, 400, &region, "bkt", "", 1, &e);
    cr_expect_str_eq(e.hint, "set `region: eu-west-1`");
    e = (struct err)ERR_NONE;
    cr_expect_eq(s3_error(S3_PUT, 200, &none, "bkt", "k", 1, &e), ERR_PROTOCOL);
}
