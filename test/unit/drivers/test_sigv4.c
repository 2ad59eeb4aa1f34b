#include <string.h>

#include <criterion/criterion.h>

#include "drivers/auth/digest.h"
#include "drivers/auth/sigv4.h"
#include "drivers/auth/uri.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define HOST "examplebucket.s3.amazonaws.com"

static const struct sigv4_keys example = { "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };

/* 20130524T000000Z and 20260102T150405Z */
static const struct wall may_2013 = { 1369353600, 0 },
                         jan_2026 = { 1767366245, 999999999 };

static const char delete_body[] =
    "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>db/0000/"
    "0000000000000001-0000000000000001.ltx</Key></Object></Delete>";

/* The signature of a request whose other fields are the usual ones; a static string. */
static const char *
signature(struct sigv4_request r, const char *signed_names)
{
    static char hex[DIGEST_SHA256_HEX_SIZE];
    char expected[512];
    struct sigv4_headers h;
    struct err e;
    const char *at;

    r.region = r.region != NULL ? r.region : "us-east-1";
    r.service = r.service != NULL ? r.service : "s3";
    r.payload = r.payload != NULL ? r.payload : sigv4_empty_payload;
    cr_assert_eq(sigv4_sign(&example, &r, &h, &e), 0);
    cr_assert_eq(h.n, 3);
    cr_expect_str_eq(h.list[0].name, "x-amz-date");
    cr_expect_str_eq(h.list[1].name, "x-amz-content-sha256");
    cr_expect_str_eq(h.list[1].value, r.payload);
    cr_expect_str_eq(h.list[2].name, "Authorization");
    snprintf(expected, sizeof(expected),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/%.8s/us-east-1/s3/aws4_request, "
        "SignedHeaders=%s, Signature=",
        h.list[0].value, signed_names);
    cr_assert_eq(
        strncmp(h.list[2].value, expected, strlen(expected)), 0, "%s", h.list[2].value);
    at = h.list[2].value + strlen(expected);
    cr_assert_eq(strlen(at), 64);
    memcpy(hex, at, 65);
    sigv4_headers_deinit(&h);
    return hex;
}

/* The four examples of the documentation of S3. */
Test(sigv4, signs_as_published)
{
    struct uri_pair range[] = { { "Range", "bytes=0-9" } };
    struct uri_pair put[] = { { "Date", "Fri, 24 May 2013 00:00:00 GMT" },
        { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
    struct uri_pair lifecycle[] = { { "lifecycle", "" } };
    struct uri_pair list[] = { { "prefix", "J" }, { "max-keys", "2" } };
    char hash[DIGEST_SHA256_HEX_SIZE];

    cr_expect_str_eq(signature((struct sigv4_request){ .method = "GET",
                                   .host = HOST,
                                   .path = "/test.txt",
                                   .headers = range,
                                   .n_headers = 1,
                                   .time = may_2013 },
                         "host;range;x-amz-content-sha256;x-amz-date"),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    digest_sha256_hex("Welcome to Amazon S3.", 21, hash);
    cr_expect_str_eq(signature((struct sigv4_request){ .method = "PUT",
                                   .host = HOST,
                                   .path = "/test%24file.text",
                                   .headers = put,
                                   .n_headers = 2,
                                   .payload = hash,
                                   .time = may_2013 },
                         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class"),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    cr_expect_str_eq(signature((struct sigv4_request){ .method = "GET",
                                   .host = HOST,
                                   .path = "/",
                                   .query = lifecycle,
                                   .n_query = 1,
                                   .time = may_2013 },
                         "host;x-amz-content-sha256;x-amz-date"),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    cr_expect_str_eq(signature((struct sigv4_request){ .method = "GET",
                                   .host = HOST,
                                   .path = "/",
                                   .query = list,
                                   .n_query = 2,
                                   .time = may_2013 },
                         "host;x-amz-content-sha256;x-amz-date"),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* The requests of our own, path style. */
Test(sigv4, signs_what_the_driver_sends)
{
    struct uri_pair range[] = { { "range", "bytes=0-" } };
    struct uri_pair list[] = { { "start-after", "db/0000/000000000000000a" },
        { "list-type", "2" }, { "prefix", "db/0000/" } };
    struct uri_pair del[] = { { "delete", "" } };
    struct uri_pair meta[] = { { "x-amz-meta-litestream-timestamp",
        "2026-01-02T15:04:05.12Z" } };
    char md5[DIGEST_MD5_BASE64_SIZE], hash[DIGEST_SHA256_HEX_SIZE];
    struct uri_pair content_md5[] = { { "Content-MD5", md5 } };

    cr_expect_str_eq(
        signature((struct sigv4_request){ .method = "GET",
                      .host = "127.0.0.1:9000",
                      .path = "/bkt/db/0000/0000000000000001-0000000000000001.ltx",
                      .headers = range,
                      .n_headers = 1,
                      .time = jan_2026 },
            "host;range;x-amz-content-sha256;x-amz-date"),
        "fd2bc09b3efe5d1a9d0796b413b1cb9c20cb6425c7eb855727b5e428fabe739c");
    cr_expect_str_eq(signature((struct sigv4_request){ .method = "GET",
                                   .host = "127.0.0.1:9000",
                                   .path = "/bkt",
                                   .query = list,
                                   .n_query = 3,
                                   .time = jan_2026 },
                         "host;x-amz-content-sha256;x-amz-date"),
        "87fe1f8dd4ec941d0817869b1bd6408433035ad3a2ebce67a22f9fada9f69f87");

    digest_md5_base64(delete_body, strlen(delete_body), md5);
    digest_sha256_hex(delete_body, strlen(delete_body), hash);
    cr_expect_str_eq(md5, "vDbZ8qB6x+R2v/FM8cgkAA==");
    cr_expect_str_eq(
        hash, "9d6ab63530019873f1753b41150a71b0cd5bb8ac453c4a50c6946f39cc697b1f");
    cr_expect_str_eq(signature((struct sigv4_request){ .method = "POST",
                                   .host = "127.0.0.1:9000",
                                   .path = "/bkt",
                                   .query = del,
                                   .n_query = 1,
                                   .headers = content_md5,
                                   .n_headers = 1,
                                   .payload = hash,
                                   .time = jan_2026 },
                         "content-md5;host;x-amz-content-sha256;x-amz-date"),
        "48be30ab861f77ec8222b6f05212fe112e16772b974bf98e86f844e28c7f98bd");
    cr_expect_str_eq(
        signature((struct sigv4_request){ .method = "PUT",
                      .host = "127.0.0.1:9000",
                      .path = "/bkt//0000/0000000000000001-0000000000000001.ltx",
                      .headers = meta,
                      .n_headers = 1,
                      .payload = SIGV4_UNSIGNED,
                      .time = jan_2026 },
            "host;x-amz-content-sha256;x-amz-date;x-amz-meta-litestream-timestamp"),
        "f7c7385e57b7c9783790cde5f5d7ebf894a1c8a2418595fbd3fd89716c5bbfd6");
}

Test(sigv4, a_session_token_is_sent_and_signed)
{
    struct sigv4_keys keys = { "AK", "SK", "the/token==" };
    struct sigv4_request r = { .method = "GET",
        .host = "h",
        .path = "/",
        .region = "r",
        .service = "sts",
        .payload = sigv4_empty_payload,
        .time = jan_2026 };
    struct sigv4_headers h;
    struct buf text, names;
    struct err e;

    cr_assert_eq(sigv4_sign(&keys, &r, &h, &e), 0);
    cr_assert_eq(h.n, 4);
    cr_expect_str_eq(h.list[3].name, "x-amz-security-token");
    cr_expect_str_eq(h.list[3].value, "the/token==");
    cr_expect_not_null(strstr(h.list[2].value,
        "Credential=AK/20260102/r/sts/aws4_request, SignedHeaders=host;"
        "x-amz-content-sha256;x-amz-date;x-amz-security-token, "));
    sigv4_headers_deinit(&h);

    buf_init(&text, 4096);
    buf_init(&names, 4096);
    cr_assert_eq(sigv4_canonical(&r, keys.token, &text, &names, &e), 0);
    cr_expect_str_eq(buf_str(&text),
        "GET\n/\n\nhost:h\nx-amz-content-sha256:"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20260102T150405Z\nx-amz-security-token:the/token==\n\n"
        "host;x-amz-content-sha256;x-amz-date;x-amz-security-token\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    buf_deinit(&text);
    buf_deinit(&names);
}

Test(sigv4, values_are_trimmed_and_names_sorted_without_case)
{
    struct uri_pair headers[] = { { "X-Amz-Zeta", "  a   b  " }, { "Content-Type", "" },
        { "X-AMZ-Alpha", "\"x   y\"" } };
    struct uri_pair query[] = { { "b", "~ /+" }, { "a", "2" }, { "a", "1" },
        { "a-b", "" }, { "\xc3\xa4", "=&" } };
    struct sigv4_request r = { .method = "PUT",
        .host = "h:1",
        .path = "/x%20y",
        .query = query,
        .n_query = N(query),
        .headers = headers,
        .n_headers = N(headers),
        .region = "r",
        .service = "s3",
        .payload = SIGV4_UNSIGNED,
        .time = jan_2026 };
    struct buf text, names;
    struct err e;

    buf_init(&text, 4096);
    buf_init(&names, 4096);
    cr_assert_eq(sigv4_canonical(&r, "", &text, &names, &e), 0);
    cr_expect_str_eq(buf_str(&text),
        "PUT\n/x%20y\n%C3%A4=%3D%26&a=1&a=2&a-b=&b=~%20%2F%2B\ncontent-type:\nhost:h:1\n"
        "x-amz-alpha:\"x y\"\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
        "x-amz-date:20260102T150405Z\nx-amz-zeta:a b\n\n"
        "content-type;host;x-amz-alpha;x-amz-content-sha256;x-amz-date;x-amz-zeta\n"
        "UNSIGNED-PAYLOAD");
    buf_deinit(&text);
    buf_deinit(&names);
}

Test(sigv4, a_line_break_makes_no_second_header)
{
    struct uri_pair bad[] = { { "x-amz-storage-class", "A\r\nx-evil: 1" } };
    struct sigv4_request r = { .method = "GET",
        .host = "h",
        .path = "/",
        .region = "r",
        .service = "s3",
        .payload = sigv4_empty_payload,
        .time = jan_2026 };
    struct sigv4_keys keys = { "A\nK", "SK", NULL }, token = { "AK", "SK", "a\nb" };
    char long_secret[2000];
    struct sigv4_keys too_long = { "AK", long_secret, NULL };
    struct sigv4_headers h;
    struct err e;

    cr_expect_eq(sigv4_sign(&keys, &r, &h, &e), ERR_CONFIG);
    cr_expect_eq(sigv4_sign(&token, &r, &h, &e), ERR_CONFIG);
    cr_expect_null(strstr(e.text, "a\nb"));
    memset(long_secret, 'x', sizeof(long_secret));
    long_secret[sizeof(long_secret) - 1] = '\0';
    cr_expect_eq(sigv4_sign(&too_long, &r, &h, &e), ERR_CONFIG);
    cr_expect_null(strstr(e.text, "xxxx"));
    r.headers = bad;
    r.n_headers = 1;
    cr_expect_eq(sigv4_sign(&example, &r, &h, &e), ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "x-amz-storage-class"));
    cr_expect_null(h.authorization.data);
}

Test(sigv4, dates_have_their_form_whatever_the_clock_says)
{
    char date[SIGV4_DATE_SIZE];

    sigv4_date(may_2013, date);
    cr_expect_str_eq(date, "20130524T000000Z");
    sigv4_date((struct wall){ -1, 0 }, date);
    cr_expect_str_eq(date, "19691231T235959Z");
    sigv4_date((struct wall){ INT64_MAX, 0 }, date);
    cr_expect_eq(strlen(date), 16);
    sigv4_date((struct wall){ 253402300800, 0 }, date); /* the year 10000 */
    cr_expect_eq(strlen(date), 16);
}

Test(uri, paths_keep_their_slashes_and_nothing_else)
{
    struct buf b;

    buf_init(&b, 1000);
    cr_assert(uri_add_path(&b, "//a b/./..//%2F+\xff/~-_.*'()"));
    cr_expect_str_eq(buf_str(&b), "//a%20b/./..//%252F%2B%FF/~-_.%2A%27%28%29");
    buf_reset(&b);
    cr_assert(uri_add(&b, "a/b"));
    cr_expect_str_eq(buf_str(&b), "a%2Fb");
    buf_reset(&b);
    cr_assert(uri_add_path(&b, ""));
    cr_expect_str_eq(buf_str(&b), "");
    buf_deinit(&b);
}

Test(uri, forms_keep_their_order)
{
    struct uri_pair form[] = { { "Action", "Do It" }, { "A", "arn:aws:iam::1:role/x" } };
    struct buf b;

    buf_init(&b, 1000);
    cr_assert(uri_add_form(&b, form, N(form)));
    cr_expect_str_eq(buf_str(&b), "Action=Do%20It&A=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx");
    buf_deinit(&b);
    buf_init(&b, 10);
    cr_expect_not(uri_add_form(&b, form, N(form)));
    cr_expect_not(uri_add_query(&b, form, N(form)));
    buf_deinit(&b);
}

Test(digest, knows_the_vectors_of_rfc_4231_and_rfc_4648)
{
    uint8_t key[20], sum[DIGEST_SHA256_BYTES];
    char hex[DIGEST_SHA256_HEX_SIZE], text[DIGEST_BASE64_SIZE(6)];

    memset(key, 0x0b, sizeof(key));
    digest_hmac_sha256(key, sizeof(key), "Hi There", 8, sum);
    digest_hex(sum, sizeof(sum), hex);
    cr_expect_str_eq(
        hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    digest_base64("foobar", 6, text);
    cr_expect_str_eq(text, "Zm9vYmFy");
    digest_base64("foob", 4, text);
    cr_expect_str_eq(text, "Zm9vYg==");
    digest_base64("", 0, text);
    cr_expect_str_eq(text, "");
}

Test(digest, takes_base64_only_as_it_is_written)
{
    static const char *const bad[] = { "", "Zg", "Zg=", "Zg===", "=Zg=", "Zm9v ", " Zm9v",
        "Zm9vZm9\n", "Zm9v====", "Z-9v", "Zm=v" };
    uint8_t out[8];
    size_t n;

    for (size_t i = 0; i < N(bad); i++)
        cr_expect_not(digest_base64_decode(bad[i], out, sizeof(out), &n), "%s", bad[i]);
    cr_assert(digest_base64_decode("Zm9vYg==", out, 4, &n));
    cr_expect_eq(n, 4);
    cr_expect_arr_eq(out, "foob", 4);
    cr_expect_not(digest_base64_decode("Zm9vYg==", out, 3, &n));
    cr_assert(digest_base64_decode("Zm9vYmE=", out, sizeof(out), &n));
    cr_expect_eq(n, 5);
}

Test(digest, pieces_make_the_same_hash)
{
    struct digest_stream *s = digest_stream_new();
    char whole[DIGEST_SHA256_HEX_SIZE], pieces[DIGEST_SHA256_HEX_SIZE];

    digest_sha256_hex(delete_body, strlen(delete_body), whole);
    for (size_t i = 0; delete_body[i] != '\0'; i++)
        digest_stream_add(s, delete_body + i, 1);
    digest_stream_hex(s, pieces);
    digest_stream_free(s);
    digest_stream_free(NULL);
    cr_expect_str_eq(whole, pieces);
}
