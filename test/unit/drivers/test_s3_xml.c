#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "drivers/s3/s3_xml.h"
#include "drivers/xml/xml.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

/* What comes out of a document, as text. */
struct seen {
    struct buf text;
    struct s3_xml *xml;
    struct err err;
};

static int
on_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct seen *s = arg;
    char when[WALL_TEXT_MAX] = "-";

    if (strcmp(entry->key, "refused") == 0)
        return err_set(e, ERR_CANCELLED, "not this one");
    if (!wall_is_zero(entry->modified))
        wall_format(entry->modified, WALL_TRIMMED, when);
    buf_printf(&s->text, "[%s%s %lld %s", entry->is_prefix ? "folder " : "", entry->key,
        (long long)entry->size, when);
    if (entry->upload_id != NULL)
        buf_printf(&s->text, " upload %s", entry->upload_id);
    if (entry->code[0] != '\0')
        buf_printf(&s->text, " %s: %s", entry->code, entry->message);
    buf_add_str(&s->text, "]");
    return 0;
}

/* Reads in pieces of so many bytes. */
static int
read_in(struct seen *s, enum s3_doc doc, const char *text, size_t piece)
{
    size_t n = strlen(text);
    int rc = 0;

    *s = (struct seen){ 0 };
    buf_init(&s->text, (size_t)1 << 20);
    s->xml = s3_xml_new(doc, on_entry, s);
    for (size_t at = 0; at < n && rc == 0; at += piece)
        rc = s3_xml_feed(s->xml, text + at, n - at < piece ? n - at : piece, &s->err);
    return rc != 0 ? rc : s3_xml_finish(s->xml, &s->err);
}

static void
forget(struct seen *s)
{
    buf_deinit(&s->text);
    s3_xml_free(s->xml);
}

static const char page[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult" XMLNS ">"
    "<Name>bkt</Name><Prefix>a&amp;b/</Prefix><KeyCount>2</KeyCount>"
    "<IsTruncated>true</IsTruncated><NextContinuationToken>1/x==</NextContinuationToken>"
    "<Contents><Key>a&amp;b/&#x31;.ltx</Key><LastModified>2026-01-02T15:04:05.120Z"
    "</LastModified><ETag>&quot;d41d&quot;</ETag><Size>10485760</Size><Owner><ID>1</ID>"
    "</Owner><StorageClass>STANDARD</StorageClass></Contents>"
    "<Contents>\n <Size>0</Size>\n <Key>z</Key></Contents>"
    "<CommonPrefixes><Prefix>a&amp;b/c/</Prefix></CommonPrefixes></ListBucketResult>";

Test(s3_xml, a_page_of_a_listing_is_read_in_any_pieces)
{
    for (size_t piece = 1; piece < sizeof(page); piece += piece < 20 ? 1 : 37) {
        struct seen s;

        cr_assert_eq(read_in(&s, S3_DOC_LIST, page, piece), 0, "%s", s.err.text);
        cr_expect_str_eq(buf_str(&s.text),
            "[a&b/1.ltx 10485760 2026-01-02T15:04:05.12Z][z 0 -][folder a&b/c/ 0 -]");
        cr_expect(s3_xml_answer(s.xml)->truncated);
        cr_expect_str_eq(s3_xml_answer(s.xml)->token, "1/x==");
        cr_expect_str_eq(s3_xml_answer(s.xml)->fault.code, "");
        forget(&s);
    }
}

Test(s3_xml, prefixes_of_names_and_their_absence_do_not_matter)
{
    struct seen s;

    cr_assert_eq(read_in(&s, S3_DOC_LIST,
                     "<x:ListBucketResult xmlns:x='urn:y'><x:IsTruncated>false"
                     "</x:IsTruncated><x:Contents><x:Key>k</x:Key><x:Size>1</x:Size>"
                     "</x:Contents></x:ListBucketResult>",
                     7),
        0);
    cr_expect_str_eq(buf_str(&s.text), "[k 1 -]");
    forget(&s);
    cr_assert_eq(
        read_in(&s, S3_DOC_LIST,
            "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", 99),
        0);
    cr_expect_str_eq(buf_str(&s.text), "");
    cr_expect_not(s3_xml_answer(s.xml)->truncated);
    forget(&s);
}

Test(s3_xml, uploads_and_deletions_are_told_one_by_one)
{
    struct seen s;

    cr_assert_eq(
        read_in(&s, S3_DOC_UPLOADS,
            "<ListMultipartUploadsResult" XMLNS "><IsTruncated>true</IsTruncated>"
            "<NextKeyMarker>k2</NextKeyMarker><NextUploadIdMarker>u2"
            "</NextUploadIdMarker><Upload><Key>k1</Key><UploadId>u1</UploadId>"
            "<Initiator><ID>i</ID></Initiator><Initiated>2026-01-02T15:04:05.000Z"
            "</Initiated></Upload></ListMultipartUploadsResult>",
            11),
        0);
    cr_expect_str_eq(buf_str(&s.text), "[k1 0 2026-01-02T15:04:05Z upload u1]");
    cr_expect_str_eq(s3_xml_answer(s.xml)->token, "k2");
    cr_expect_str_eq(s3_xml_answer(s.xml)->upload_marker, "u2");
    forget(&s);
    cr_assert_eq(read_in(&s, S3_DOC_DELETED,
                     "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>"
                     "<Code>AccessDenied</Code><Message>no</Message></Error><Deleted>"
                     "<Key>c</Key></Deleted><Error><Key>d</Key></Error></DeleteResult>",
                     5),
        0);
    cr_expect_str_eq(
        buf_str(&s.text), "[a 0 -][b 0 - AccessDenied: no][c 0 -][d 0 - unknown: ]");
    cr_expect_str_eq(s3_xml_answer(s.xml)->fault.code, "");
    forget(&s);
}

Test(s3_xml, multipart_answers_are_read)
{
    struct seen s;

    cr_assert_eq(
        read_in(&s, S3_DOC_CREATED,
            "<InitiateMultipartUploadResult" XMLNS "><Bucket>b</Bucket><Key>k</Key>"
            "<UploadId>2~abc</UploadId></InitiateMultipartUploadResult>",
            13),
        0);
    cr_expect_str_eq(s3_xml_answer(s.xml)->upload_id, "2~abc");
    forget(&s);
    cr_assert_eq(
        read_in(&s, S3_DOC_COMPLETED,
            " \n\n <?xml version=\"1.0\"?>\n \n<CompleteMultipartUploadResult" XMLNS
            "><ETag>&quot;e-3&quot;</ETag></CompleteMultipartUploadResult>",
            2),
        0);
    cr_expect_str_eq(s3_xml_answer(s.xml)->etag, "\"e-3\"");
    forget(&s);
    cr_assert_eq(read_in(&s, S3_DOC_LOCATION, "<LocationConstraint" XMLNS "/>", 50), 0);
    cr_expect_str_eq(s3_xml_answer(s.xml)->location, "");
    forget(&s);
    cr_assert_eq(
        read_in(&s, S3_DOC_LOCATION, "<LocationConstraint>EU</LocationConstraint>", 1),
        0);
    cr_expect_str_eq(s3_xml_answer(s.xml)->location, "EU");
    forget(&s);
}

Test(s3_xml, an_error_may_come_instead_of_anything)
{
    for (int doc = S3_DOC_NONE; doc <= S3_DOC_LOCATION; doc++) {
        struct seen s;
        const struct s3_fault *f;

        cr_assert_eq(read_in(&s, (enum s3_doc)doc,
                         "  <Error><Code>AuthorizationHeaderMalformed</Code><Message>The "
                         "region 'a' is wrong;\nexpecting 'eu-west-1'</Message><Region>"
                         "eu-west-1</Region><RequestId>7</RequestId><BucketName>b"
                         "</BucketName></Error>",
                         3),
            0);
        f = &s3_xml_answer(s.xml)->fault;
        cr_expect_str_eq(f->code, "AuthorizationHeaderMalformed");
        cr_expect_str_eq(f->message, "The region 'a' is wrong;?expecting 'eu-west-1'");
        cr_expect_str_eq(f->region, "eu-west-1");
        cr_expect_str_eq(f->request_id, "7");
        cr_expect_str_eq(f->bucket, "b");
        forget(&s);
    }
}

Test(s3_xml, long_words_of_a_server_are_cut_between_characters)
{
    char text[3000] = "<Error><Code>X</Code><Message>a";
    struct seen s;

    for (int i = 0; i < 600; i++)
        strncat(text, "\xc3\xa4", sizeof(text) - strlen(text) - 1);
    strncat(text, "</Message></Error>", sizeof(text) - strlen(text) - 1);
    cr_assert_eq(read_in(&s, S3_DOC_NONE, text, 4096), 0);
    cr_expect_eq(strlen(s3_xml_answer(s.xml)->fault.message), 511);
    cr_expect_eq((unsigned char)s3_xml_answer(s.xml)->fault.message[510], 0xa4);
    forget(&s);
}

Test(s3_xml, what_is_no_such_document_is_refused)
{
    static const struct {
        enum s3_doc doc;
        const char *text, *words;
    } cases[] = {
        { S3_DOC_LIST, "", "empty" },
        { S3_DOC_LIST, " \n ", "empty" },
        { S3_DOC_LIST, "<html><body>Welcome</body></html>", "<html> and no <ListBucket" },
        { S3_DOC_LIST, "Service unavailable", "no XML" },
        { S3_DOC_LIST, "{\"error\": 1}", "no XML" },
        { S3_DOC_LIST,
            "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents>",
            "no XML" },
        { S3_DOC_LIST, "<ListBucketResult><Contents><Key>a</Key></Contents>", "size" },
        { S3_DOC_LIST, "<ListBucketResult><Contents><Size>1</Size></Contents>", "key" },
        { S3_DOC_LIST, "<ListBucketResult><Contents><Size>-1</Size></Contents>",
            "number" },
        { S3_DOC_LIST, "<ListBucketResult><Contents><Size/></Contents>", "empty size" },
        { S3_DOC_LIST,
            "<ListBucketResult><Contents><Size>9223372036854775808</Size></Contents>",
            "number" },
        { S3_DOC_LIST,
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "no token" },
        { S3_DOC_UPLOADS, "<ListMultipartUploadsResult><Upload><Key>a</Key></Upload>",
            "without an id" },
        { S3_DOC_UPLOADS,
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
            "</ListMultipartUploadsResult>",
            "no marker" },
        { S3_DOC_CREATED,
            "<InitiateMultipartUploadResult></InitiateMultipartUploadResult>",
            "no upload id" },
        { S3_DOC_NONE, "<Error><Message>x</Message></Error>", "without a code" },
        { S3_DOC_COMPLETED, "<DeleteResult/>", "<DeleteResult> and no <CompleteMulti" },
        { S3_DOC_LIST,
            "<!DOCTYPE x [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;\">]><ListBucketResult/>",
            "a DOCTYPE" },
        { S3_DOC_LIST, "<ListBucketResult>&nbsp;</ListBucketResult>", "no XML" },
        { S3_DOC_LIST, "<ListBucketResult/><ListBucketResult/>", "no XML" },
        { S3_DOC_LIST,
            "<ListBucketResult><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
            "levels" },
        { S3_DOC_LIST, "<ListBucketResult><Contents><Key>\xff</Key>", "no XML" },
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct seen s;

        cr_expect_eq(
            read_in(&s, cases[i].doc, cases[i].text, 9), ERR_PROTOCOL, "case %zu", i);
        cr_expect_not_null(
            strstr(s.err.text, cases[i].words), "case %zu: %s", i, s.err.text);
        cr_expect_str_eq(buf_str(&s.text),
            strstr(cases[i].text, "<Size>1</Size></Contents>") != NULL &&
                    strstr(cases[i].text, "<Key>") != NULL
                ? "[a 1 -]"
                : "");
        forget(&s);
    }
}

Test(s3_xml, names_texts_and_documents_have_limits)
{
    char piece[4096], name[400];
    struct seen s;
    size_t fed = 0;
    int rc = 0;

    memset(piece, 'k', sizeof(piece));
    cr_assert_eq(
        read_in(&s, S3_DOC_LIST, "<ListBucketResult><Contents><Key>", 99), ERR_PROTOCOL);
    forget(&s);
    s = (struct seen){ .xml = s3_xml_new(S3_DOC_LIST, NULL, NULL) };
    cr_assert_eq(s3_xml_feed(s.xml, "<ListBucketResult><Key>", 23, &s.err), 0);
    while (rc == 0 && fed < 2 * XML_TEXT_MAX) {
        rc = s3_xml_feed(s.xml, piece, sizeof(piece), &s.err);
        fed += sizeof(piece);
    }
    cr_expect_eq(rc, ERR_PROTOCOL);
    cr_expect_not_null(strstr(s.err.text, "too long a text"));
    cr_expect_eq(s3_xml_finish(s.xml, &s.err), ERR_PROTOCOL);
    s3_xml_free(s.xml);

    memset(name, 'n', sizeof(name));
    s = (struct seen){ .xml = s3_xml_new(S3_DOC_LIST, NULL, NULL) };
    cr_assert_eq(s3_xml_feed(s.xml, "<ListBucketResult><", 19, &s.err), 0);
    s3_xml_feed(s.xml, name, sizeof(name), &s.err);
    rc = s3_xml_feed(s.xml, ">", 1, &s.err); /* expat may wait for more of it */
    cr_expect(rc == ERR_PROTOCOL || s3_xml_finish(s.xml, &s.err) == ERR_PROTOCOL);
    cr_expect_not_null(strstr(s.err.text, "too long a name"));
    s3_xml_free(s.xml);

    memset(piece, ' ', sizeof(piece));
    s = (struct seen){ .xml = s3_xml_new(S3_DOC_COMPLETED, NULL, NULL) };
    for (rc = 0, fed = 0; rc == 0 && fed < ((size_t)64 << 20); fed += sizeof(piece))
        rc = s3_xml_feed(s.xml, piece, sizeof(piece), &s.err);
    cr_expect_eq(rc, ERR_PROTOCOL);
    cr_expect_not_null(strstr(s.err.text, "larger than"));
    s3_xml_free(s.xml);
}

Test(s3_xml, who_takes_entries_may_end_the_reading)
{
    struct seen s;

    cr_expect_eq(
        read_in(&s, S3_DOC_LIST,
            "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents>"
            "<Contents><Key>refused</Key><Size>1</Size></Contents><Contents><Key>b"
            "</Key><Size>1</Size></Contents></ListBucketResult>",
            999),
        ERR_CANCELLED);
    cr_expect_str_eq(buf_str(&s.text), "[a 1 -]");
    forget(&s);
}

Test(s3_xml, bodies_are_written_as_published)
{
    const char *keys[] = { "db/0000/0000000000000001-0000000000000001.ltx" };
    const char *odd[] = { "a<b>&\"'\tc\xc3\xa4" };
    const char *bad[] = { "a\x01" };
    const char *etags[] = { "\"e1\"", "e2" };
    struct buf b;

    buf_init(&b, 4096);
    cr_assert(s3_xml_write_delete(&b, keys, 1, false));
    cr_expect_str_eq(buf_str(&b),
        "<Delete" XMLNS "><Object><Key>db/0000/0000000000000001-0000000000000001.ltx"
        "</Key></Object></Delete>");
    cr_expect_eq(b.size, 138);
    buf_reset(&b);
    cr_assert(s3_xml_write_delete(&b, odd, 1, true));
    cr_expect_str_eq(buf_str(&b),
        "<Delete" XMLNS "><Quiet>true</Quiet><Object><Key>a&lt;b&gt;&amp;&#34;&#39;&#9;c"
        "\xc3\xa4</Key></Object></Delete>");
    buf_reset(&b);
    cr_expect_not(s3_xml_write_delete(&b, bad, 1, true));
    buf_reset(&b);
    cr_assert(s3_xml_write_complete(&b, etags, 2));
    cr_expect_str_eq(buf_str(&b),
        "<CompleteMultipartUpload" XMLNS "><Part><ETag>&#34;e1&#34;</ETag><PartNumber>1"
        "</PartNumber></Part><Part><ETag>e2</ETag><PartNumber>2</PartNumber></Part>"
        "</CompleteMultipartUpload>");
    buf_deinit(&b);
    buf_init(&b, 100);
    cr_expect_not(s3_xml_write_complete(&b, etags, 2));
    cr_expect_not(s3_xml_write_delete(&b, keys, 1, false));
    buf_deinit(&b);
}
