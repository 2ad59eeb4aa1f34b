/*
 * xml - walks a document that comes in pieces and tells its elements by their path.
 *
 *     <D:a xmlns:D="..."><D:b>text</D:b></D:a>    end("a/b", "text"), end("a", "")
 *
 * Names without their prefixes, since servers differ in them. For answers of servers that
 * may be hostile: size, depth, length of a name and of a text are limited, and a DOCTYPE,
 * the door of all entities, is refused. Blanks in front of the document are skipped (S3
 * sends them to keep a connection alive).
 */
#ifndef DRIVERS_XML_XML_H
#define DRIVERS_XML_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct xml; /* opaque */

#define XML_TEXT_MAX ((size_t)16 << 10)
#define XML_PATH_MAX 256

struct xml_walker {
    /* Either may be NULL. Not 0 with *e set: the walk ends with that. */
    int (*begin)(void *arg, const char *path, struct err *e);
    /* text: what stands directly in the element, behind its last child; NUL-terminated.
     */
    int (*end)(void *arg, const char *path, const char *text, struct err *e);
    void *arg;
};

/* limit: bytes of the whole document. */
struct xml *xml_new(const struct xml_walker *walker, size_t limit);
void xml_free(struct xml *x); /* NULL is fine */

/* ERR_PROTOCOL for what is no such document; nothing is fed after an error. */
int xml_feed(struct xml *x, const void *bytes, size_t n, struct err *e);

/* The document is complete? */
int xml_finish(struct xml *x, struct err *e);

/* Adds a text with what has a meaning in XML escaped; false also for what has no form. */
bool xml_add_text(struct buf *out, const char *text);

#endif
