#include "drivers/s3/s3_xml.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/xml/xml.h"

#define LIMIT                                                                            \
    ((size_t)16 << 20) /* of an answer; a page of 1000 long keys has under 3 MiB */
#define NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

enum field {
    F_NONE,
    F_CODE,
    F_MESSAGE,
    F_REGION,
    F_BUCKET,
    F_REQUEST_ID,
    F_TRUNCATED,
    F_TOKEN,
    F_KEY_MARKER,
    F_UPLOAD_MARKER,
    F_UPLOAD_ID,
    F_ETAG,
    F_LOCATION,
    F_ENTRY, /* ends one */
    F_PREFIX_ENTRY,
    F_ENTRY_KEY,
    F_ENTRY_SIZE,
    F_ENTRY_TIME,
    F_ENTRY_UPLOAD,
    F_ENTRY_CODE,
    F_ENTRY_MESSAGE,
};

static const struct place {
    enum s3_doc doc; /* S3_DOC_NONE: any */
    const char *path;
    enum field field;
} places[] = {
    { S3_DOC_NONE, "Error/Code", F_CODE },
    { S3_DOC_NONE, "Error/Message", F_MESSAGE },
    { S3_DOC_NONE, "Error/Region", F_REGION },
    { S3_DOC_NONE, "Error/BucketName", F_BUCKET },
    { S3_DOC_NONE, "Error/RequestId", F_REQUEST_ID },
    { S3_DOC_LIST, "ListBucketResult/IsTruncated", F_TRUNCATED },
    { S3_DOC_LIST, "ListBucketResult/NextContinuationToken", F_TOKEN },
    { S3_DOC_LIST, "ListBucketResult/Contents", F_ENTRY },
    { S3_DOC_LIST, "ListBucketResult/Contents/Key", F_ENTRY_KEY },
    { S3_DOC_LIST, "ListBucketResult/Contents/Size", F_ENTRY_SIZE },
    { S3_DOC_LIST, "ListBucketResult/Contents/LastModified", F_ENTRY_TIME },
    { S3_DOC_LIST, "ListBucketResult/CommonPrefixes", F_PREFIX_ENTRY },
    { S3_DOC_LIST, "ListBucketResult/CommonPrefixes/Prefix", F_ENTRY_KEY },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/IsTruncated", F_TRUNCATED },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/NextKeyMarker", F_KEY_MARKER },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/NextUploadIdMarker", F_UPLOAD_MARKER },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/Upload", F_ENTRY },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/Upload/Key", F_ENTRY_KEY },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/Upload/UploadId", F_ENTRY_UPLOAD },
    { S3_DOC_UPLOADS, "ListMultipartUploadsResult/Upload/Initiated", F_ENTRY_TIME },
    { S3_DOC_DELETED, "DeleteResult/Deleted", F_ENTRY },
    { S3_DOC_DELETED, "DeleteResult/Deleted/Key", F_ENTRY_KEY },
    { S3_DOC_DELETED, "DeleteResult/Error", F_ENTRY },
    { S3_DOC_DELETED, "DeleteResult/Error/Key", F_ENTRY_KEY },
    { S3_DOC_DELETED, "DeleteResult/Error/Code", F_ENTRY_CODE },
    { S3_DOC_DELETED, "DeleteResult/Error/Message", F_ENTRY_MESSAGE },
    { S3_DOC_CREATED, "InitiateMultipartUploadResult/UploadId", F_UPLOAD_ID },
    { S3_DOC_COMPLETED, "CompleteMultipartUploadResult/ETag", F_ETAG },
    { S3_DOC_LOCATION, "LocationConstraint", F_LOCATION },
};

static const char *const roots[] = {
    [S3_DOC_NONE] = "Error",
    [S3_DOC_LIST] = "ListBucketResult",
    [S3_DOC_UPLOADS] = "ListMultipartUploadsResult",
    [S3_DOC_DELETED] = "DeleteResult",
    [S3_DOC_CREATED] = "InitiateMultipartUploadResult",
    [S3_DOC_COMPLETED] = "CompleteMultipartUploadResult",
    [S3_DOC_LOCATION] = "LocationConstraint",
};

struct s3_xml {
    struct xml *xml;
    enum s3_doc doc;
    s3_entry_cb *entry;
    void *arg;
    bool is_error; /* the root says so */
    struct s3_answer answer;

    /* The entry that is being read. */
    char *key, *upload_id, *code, *message;
    bool has_size;
    int64_t size;
    struct wall modified;
};

static void
replace(char **to, const char *text)
{
    mem_free(*to);
    *to = text != NULL ? mem_strdup(text) : NULL;
}

/* For people: cut, and nothing in it that a terminal or a log takes for more than text.
 */
static void
show(char *to, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);

    if (text[n] != '\0') /* not in the middle of a character */
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    to[n] = '\0';
}

static int
read_size(const char *text, int64_t *size, struct err *e)
{
    int64_t n = 0;

    for (const char *s = text; *s != '\0'; s++)
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, INT64_C(10), &n) ||
            __builtin_add_overflow(n, (int64_t)(*s - '0'), &n))
            return err_set(e, ERR_PROTOCOL, "the listing has a size that is no number");
    if (text[0] == '\0')
        return err_set(e, ERR_PROTOCOL, "the listing has an empty size");
    *size = n;
    return 0;
}

static void
forget_entry(struct s3_xml *x)
{
    replace(&x->key, NULL);
    replace(&x->upload_id, NULL);
    replace(&x->code, NULL);
    replace(&x->message, NULL);
    x->has_size = false;
    x->size = 0;
    x->modified = (struct wall){ 0 };
}

static int
tell_entry(struct s3_xml *x, bool is_prefix, bool failed, struct err *e)
{
    struct s3_entry entry = { .key = x->key,
        .is_prefix = is_prefix,
        .size = x->size,
        .modified = x->modified,
        .upload_id = x->upload_id,
        .code = x->code != NULL ? x->code
                : failed        ? "unknown"
                                : "",
        .message = x->message != NULL ? x->message : "" };
    int rc = 0;

    if (x->key == NULL)
        rc = err_set(e, ERR_PROTOCOL, "the answer has an entry without a key");
    else if (x->doc == S3_DOC_LIST && !is_prefix && !x->has_size)
        rc = err_set(e, ERR_PROTOCOL, "the listing has an entry without a size");
    else if (x->doc == S3_DOC_UPLOADS && x->upload_id == NULL)
        rc = err_set(e, ERR_PROTOCOL, "the listing has an upload without an id");
    else if (x->entry != NULL)
        rc = x->entry(x->arg, &entry, e);
    forget_entry(x);
    return rc;
}

static enum field
field_of(const struct s3_xml *x, const char *path)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if ((places[i].doc == S3_DOC_NONE || places[i].doc == x->doc) &&
            strcmp(places[i].path, path) == 0)
            return places[i].field;
    return F_NONE;
}

static int
on_begin(void *arg, const char *path, struct err *e)
{
    struct s3_xml *x = arg;

    if (strchr(path, '/') != NULL)
        return 0;
    x->is_error = strcmp(path, "Error") == 0;
    if (x->is_error || strcmp(path, roots[x->doc]) == 0)
        return 0;
    return err_set(
        e, ERR_PROTOCOL, "the answer is a <%.40s> and no <%s>", path, roots[x->doc]);
}

static int
on_end(void *arg, const char *path, const char *text, struct err *e)
{
    struct s3_xml *x = arg;
    struct s3_answer *a = &x->answer;

    switch (field_of(x, path)) {
    case F_NONE:
        break;
    case F_CODE:
        show(a->fault.code, sizeof(a->fault.code), text);
        break;
    case F_MESSAGE:
        show(a->fault.message, sizeof(a->fault.message), text);
        break;
    case F_REGION:
        show(a->fault.region, sizeof(a->fault.region), text);
        break;
    case F_BUCKET:
        show(a->fault.bucket, sizeof(a->fault.bucket), text);
        break;
    case F_REQUEST_ID:
        show(a->fault.request_id, sizeof(a->fault.request_id), text);
        break;
    case F_TRUNCATED:
        a->truncated = strcmp(text, "true") == 0;
        break;
    case F_TOKEN:
    case F_KEY_MARKER:
        replace(&a->token, text[0] != '\0' ? text : NULL);
        break;
    case F_UPLOAD_MARKER:
        replace(&a->upload_marker, text[0] != '\0' ? text : NULL);
        break;
    case F_UPLOAD_ID:
        replace(&a->upload_id, text);
        break;
    case F_ETAG:
        replace(&a->etag, text);
        break;
    case F_LOCATION:
        replace(&a->location, text);
        break;
    case F_ENTRY:
        return tell_entry(x, false, strcmp(path, "DeleteResult/Error") == 0, e);
    case F_PREFIX_ENTRY:
        return tell_entry(x, true, false, e);
    case F_ENTRY_KEY:
        replace(&x->key, text);
        break;
    case F_ENTRY_SIZE:
        x->has_size = true;
        return read_size(text, &x->size, e);
    case F_ENTRY_TIME:
        if (!wall_parse(text, &x->modified))
            x->modified = (struct wall){ 0 };
        break;
    case F_ENTRY_UPLOAD:
        replace(&x->upload_id, text);
        break;
    case F_ENTRY_CODE:
        replace(&x->code, text);
        break;
    case F_ENTRY_MESSAGE:
        replace(&x->message, text);
        break;
    }
    return 0;
}

struct s3_xml *
s3_xml_new(enum s3_doc doc, s3_entry_cb *entry, void *arg)
{
    struct s3_xml *x = MEM_NEW(struct s3_xml);

    x->doc = doc;
    x->entry = entry;
    x->arg = arg;
    x->xml = xml_new(
        &(struct xml_walker){ .begin = on_begin, .end = on_end, .arg = x }, LIMIT);
    return x;
}

void
s3_xml_free(struct s3_xml *x)
{
    if (x == NULL)
        return;
    xml_free(x->xml);
    forget_entry(x);
    mem_free(x->answer.token);
    mem_free(x->answer.upload_marker);
    mem_free(x->answer.upload_id);
    mem_free(x->answer.etag);
    mem_free(x->answer.location);
    mem_free(x);
}

int
s3_xml_feed(struct s3_xml *x, const void *bytes, size_t n, struct err *e)
{
    return xml_feed(x->xml, bytes, n, e);
}

int
s3_xml_finish(struct s3_xml *x, struct err *e)
{
    const struct s3_answer *a = &x->answer;
    int rc = xml_finish(x->xml, e);

    if (rc != 0)
        return rc;
    if (x->is_error) {
        if (a->fault.code[0] == '\0')
            return err_set(e, ERR_PROTOCOL, "the answer is an <Error> without a code");
        return 0;
    }
    if (x->doc == S3_DOC_CREATED && (a->upload_id == NULL || a->upload_id[0] == '\0'))
        return err_set(e, ERR_PROTOCOL, "the answer has no upload id");
    if (x->doc == S3_DOC_LIST && a->truncated && a->token == NULL)
        return err_set(
            e, ERR_PROTOCOL, "the listing goes on, but does not say where (no token)");
    if (x->doc == S3_DOC_UPLOADS && a->truncated && a->token == NULL)
        return err_set(
            e, ERR_PROTOCOL, "the listing goes on, but does not say where (no marker)");
    return 0;
}

const struct s3_answer *
s3_xml_answer(const struct s3_xml *x)
{
    return &x->answer;
}

bool
s3_xml_write_delete(struct buf *out, const char *const *keys, size_t n, bool quiet)
{
    must(n <= S3_MAX_DELETE);
    buf_add_str(out, "<Delete xmlns=\"" NAMESPACE "\">");
    if (quiet)
        buf_add_str(out, "<Quiet>true</Quiet>");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, "<Object><Key>");
        if (!xml_add_text(out, keys[i]))
            return false;
        buf_add_str(out, "</Key></Object>");
    }
    return buf_add_str(out, "</Delete>") && !buf_failed(out);
}

bool
s3_xml_write_complete(struct buf *out, const char *const *etags, size_t n)
{
    buf_add_str(out, "<CompleteMultipartUpload xmlns=\"" NAMESPACE "\">");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, "<Part><ETag>");
        if (!xml_add_text(out, etags[i]))
            return false;
        buf_printf(out, "</ETag><PartNumber>%zu</PartNumber></Part>", i + 1);
    }
    return buf_add_str(out, "</CompleteMultipartUpload>") && !buf_failed(out);
}
