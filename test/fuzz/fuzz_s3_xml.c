/*
 * Any bytes as the answer of an S3 server; the first one chooses the kind. What comes out
 * is the same in one piece and in many, and what is written of it is read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc64/crc64.h"
#include "drivers/s3/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    uint64_t sum;
    size_t n;
};

static void
add(struct sum *s, const char *text)
{
    s->sum =
        crc64_update(s->sum, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
    s->n++;
}

static int
on_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct sum *s = arg;
    const char *keys[] = { entry->key };
    struct buf b;

    (void)e;
    if (entry->key == NULL || entry->size < 0 || entry->code == NULL)
        abort();
    add(s, entry->key);
    add(s, entry->upload_id);
    add(s, entry->code);
    add(s, entry->message);
    buf_init(&b, (size_t)1 << 20);
    if (!s3_xml_write_delete(&b, keys, 1, false))
        abort(); /* a key that came in XML can go in XML */
    buf_deinit(&b);
    return 0;
}

static int
read_in(enum s3_doc doc, const uint8_t *data, size_t size, size_t piece, struct sum *s)
{
    struct s3_xml *x = s3_xml_new(doc, on_entry, s);
    const struct s3_answer *a = s3_xml_answer(x);
    struct err e = ERR_NONE;
    int rc = 0;

    *s = (struct sum){ 0 };
    for (size_t at = 0; at < size && rc == 0; at += piece)
        rc = s3_xml_feed(x, data + at, size - at < piece ? size - at : piece, &e);
    if (rc == 0)
        rc = s3_xml_finish(x, &e);
    if (rc != (rc == 0 ? 0 : (int)e.code))
        abort();
    add(s, a->token);
    add(s, a->upload_id);
    add(s, a->etag);
    add(s, a->location);
    add(s, a->fault.code);
    add(s, a->fault.message);
    if (strlen(a->fault.message) >= sizeof(a->fault.message) ||
        strpbrk(a->fault.message, "\n\r\x1b") != NULL)
        abort();
    s3_xml_free(x);
    return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum whole, pieces;
    enum s3_doc doc;
    int rc;

    if (size == 0)
        return 0;
    doc = (enum s3_doc)(data[0] % (S3_DOC_LOCATION + 1));
    rc = read_in(doc, data + 1, size - 1, SIZE_MAX, &whole);
    if (read_in(doc, data + 1, size - 1, 3, &pieces) != rc)
        abort();
    if (rc == 0 && (whole.sum != pieces.sum || whole.n != pieces.n))
        abort();
    return 0;
}
