#include "drivers/xml/xml.h"

#include <limits.h>
#include <string.h>

#include <expat.h>

#include "common/base/mem.h"
#include "common/base/must.h"

#define MAX_DEPTH 16

struct xml {
    XML_Parser parser;
    struct xml_walker walker;
    size_t limit, fed;
    bool begun; /* something but blanks has come */
    int depth;
    size_t path_len[MAX_DEPTH + 1]; /* of the path to each depth */
    char path[XML_PATH_MAX];
    struct buf text;
    int rc; /* of the walk; 0: no fault but those of the parser */
    struct err err;
};

static void
fail(struct xml *x)
{
    x->rc = err_code(&x->err);
    XML_StopParser(x->parser, XML_FALSE);
}

static void
refuse(struct xml *x, const char *what)
{
    err_set(&x->err, ERR_PROTOCOL, "the XML of the answer has %s", what);
    fail(x);
}

static void
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct xml *x = arg;
    const char *colon = strrchr(name, ':');
    size_t len, n;

    (void)attributes;
    if (x->rc != 0)
        return;
    if (x->depth == MAX_DEPTH) {
        refuse(x, "too many levels");
        return;
    }
    name = colon != NULL ? colon + 1 : name;
    len = x->path_len[x->depth];
    n = strlen(name);
    if (n + 2 > sizeof(x->path) - len) {
        refuse(x, "too long a name");
        return;
    }
    if (len > 0)
        x->path[len++] = '/';
    memcpy(x->path + len, name, n + 1);
    x->path_len[++x->depth] = len + n;
    buf_reset(&x->text);
    if (x->walker.begin != NULL && x->walker.begin(x->walker.arg, x->path, &x->err) != 0)
        fail(x);
}

static void
on_end(void *arg, const XML_Char *name)
{
    struct xml *x = arg;

    (void)name;
    if (x->rc != 0)
        return;
    if (x->walker.end != NULL &&
        x->walker.end(x->walker.arg, x->path, buf_str(&x->text), &x->err) != 0) {
        fail(x);
        return;
    }
    buf_reset(&x->text);
    x->path[x->path_len[--x->depth]] = '\0';
}

static void
on_text(void *arg, const XML_Char *text, int n)
{
    struct xml *x = arg;

    if (x->rc == 0 && !buf_add(&x->text, text, (size_t)n))
        refuse(x, "too long a text");
}

static void
on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
    int has_internal_subset)
{
    struct xml *x = arg;

    (void)name;
    (void)sysid;
    (void)pubid;
    (void)has_internal_subset;
    if (x->rc == 0)
        refuse(x, "a DOCTYPE");
}

struct xml *
xml_new(const struct xml_walker *walker, size_t limit)
{
    struct xml *x = MEM_NEW(struct xml);

    x->walker = *walker;
    x->limit = limit;
    buf_init(&x->text, XML_TEXT_MAX);
    x->parser = XML_ParserCreate(NULL);
    must(x->parser != NULL);
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    return x;
}

void
xml_free(struct xml *x)
{
    if (x == NULL)
        return;
    XML_ParserFree(x->parser);
    if (x->text.data != NULL)
        explicit_bzero(x->text.data, x->text.cap); /* STS answers with secrets */
    buf_deinit(&x->text);
    mem_free(x);
}

static int
parse(struct xml *x, const char *bytes, size_t n, bool last, struct err *e)
{
    if (x->rc == 0 && XML_Parse(x->parser, bytes, (int)n, last) == XML_STATUS_OK)
        return 0;
    if (x->rc == 0)
        x->rc =
            err_set(&x->err, ERR_PROTOCOL, "the answer is no XML that can be read (%s)",
                XML_ErrorString(XML_GetErrorCode(x->parser)));
    *e = x->err;
    return err_code(e);
}

int
xml_feed(struct xml *x, const void *bytes, size_t n, struct err *e)
{
    const char *s = bytes;

    if (n > x->limit - x->fed) {
        x->rc = err_set(&x->err, ERR_PROTOCOL,
            "the XML of the answer is larger than %zu bytes", x->limit);
        *e = x->err;
        return err_code(e);
    }
    x->fed += n;
    while (!x->begun && n > 0 && strchr(" \t\r\n", *s) != NULL && *s != '\0') {
        s++;
        n--;
    }
    if (n == 0)
        return 0;
    x->begun = true;
    must(n <= INT_MAX);
    return parse(x, s, n, false, e);
}

int
xml_finish(struct xml *x, struct err *e)
{
    if (!x->begun)
        return err_set(e, ERR_PROTOCOL, "the answer is empty");
    return parse(x, "", 0, true, e);
}

bool
xml_add_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const char *escaped = *text == '&'   ? "&amp;"
                              : *text == '<' ? "&lt;"
                              : *text == '>' ? "&gt;"
                                             : NULL;
        bool blank = strchr("\t\n\r", *text) != NULL;

        if ((unsigned char)*text < ' ' && !blank)
            return false; /* XML 1.0 has no way to write it */
        if (escaped != NULL                          ? !buf_add_str(out, escaped)
            : blank || *text == '"' || *text == '\'' ? !buf_printf(out, "&#%d;", *text)
                                                     : !buf_add_char(out, *text))
            return false;
    }
    return true;
}
