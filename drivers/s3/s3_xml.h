/*
 * s3_xml - the documents of S3: answers read in pieces, bodies of requests written.
 *
 * Whatever was asked for, the answer may be an <Error> (CompleteMultipartUpload and
 * DeleteObjects send it with status 200, too).
 */
#ifndef DRIVERS_S3_S3_XML_H
#define DRIVERS_S3_S3_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/wall.h"

enum s3_doc {
    S3_DOC_NONE,      /* nothing but an <Error> can come */
    S3_DOC_LIST,      /* ListBucketResult of ListObjectsV2 */
    S3_DOC_UPLOADS,   /* ListMultipartUploadsResult */
    S3_DOC_DELETED,   /* DeleteResult */
    S3_DOC_CREATED,   /* InitiateMultipartUploadResult */
    S3_DOC_COMPLETED, /* CompleteMultipartUploadResult */
    S3_DOC_LOCATION,  /* LocationConstraint */
};

/* Long texts are cut; control characters are "?", so that all can be shown. */
struct s3_fault {
    char code[96];     /* "NoSuchKey"; "": the answer was no <Error> */
    char message[512]; /* of the server */
    char region[72];   /* where it says the bucket is */
    char bucket[128], request_id[128];
};

/* One entry; strings are borrowed for the call. */
struct s3_entry {
    const char *key; /* of a prefix: ends with the delimiter */
    bool is_prefix;
    int64_t size;
    struct wall modified;       /* 0: unreadable. Of an upload: when it began */
    const char *upload_id;      /* S3_DOC_UPLOADS */
    const char *code, *message; /* S3_DOC_DELETED: why not; code "": it is deleted */
};

struct s3_answer {
    struct s3_fault fault;
    bool truncated;      /* more pages */
    char *token;         /* NextContinuationToken, or NextKeyMarker; NULL: none */
    char *upload_marker; /* NextUploadIdMarker */
    char *upload_id;     /* S3_DOC_CREATED */
    char *etag;          /* S3_DOC_COMPLETED; may be missing or empty */
    char *location;      /* S3_DOC_LOCATION: "" is us-east-1 */
};

typedef int s3_entry_cb(void *arg, const struct s3_entry *entry, struct err *e);

struct s3_xml; /* opaque */

/* entry: NULL when there are none. Not 0 with *e set: the reading ends with that. */
struct s3_xml *s3_xml_new(enum s3_doc doc, s3_entry_cb *entry, void *arg);
void s3_xml_free(struct s3_xml *x); /* NULL is fine */

/* ERR_PROTOCOL for what is no such document. */
int s3_xml_feed(struct s3_xml *x, const void *bytes, size_t n, struct err *e);

/*
 * The document is complete and of the kind that was asked for, with what it must have, or
 * an <Error>: then fault.code is set and 0 returned. After an error fault.code may be
 * set.
 */
int s3_xml_finish(struct s3_xml *x, struct err *e);

const struct s3_answer *s3_xml_answer(const struct s3_xml *x); /* until s3_xml_free */

/* --- bodies of requests; false: too long, or a key that XML cannot carry
 * ----------------- */

/* At most S3_MAX_DELETE keys. quiet: only faults are answered. */
#define S3_MAX_DELETE 1000
bool s3_xml_write_delete(struct buf *out, const char *const *keys, size_t n, bool quiet);

/* etags[i] is of part i + 1, as the server gave it, with quotes. */
bool s3_xml_write_complete(struct buf *out, const char *const *etags, size_t n);

#endif
