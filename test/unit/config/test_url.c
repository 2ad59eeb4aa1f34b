#include <string.h>

#include <criterion/criterion.h>

#include "config/url.h"

static struct arena a;

static void
start(void)
{
    arena_init(&a);
}

static void
stop(void)
{
    arena_deinit(&a);
}

TestSuite(url, .init = start, .fini = stop);

Test(url, is_word_characters_and_two_slashes)
{
    cr_expect(url_is("s3://b"));
    cr_expect(url_is("S3://"));
    cr_expect(url_is("a_1://x"));
    cr_expect_not(url_is("s3:/b"));
    cr_expect_not(url_is("://b"));
    cr_expect_not(url_is("a-b://c"));
    cr_expect_not(url_is("/s3://b"));
    cr_expect_not(url_is(""));
    cr_expect_str_eq(url_scheme(&a, "S3://b"), "s3");
    cr_expect_null(url_scheme(&a, "b"));
}

Test(url, is_taken_apart)
{
    static const struct {
        const char *text, *host, *user, *password, *path, *escaped, *query;
    } rows[] = {
        { "s3://b", "b", NULL, NULL, "", "", "" },
        { "s3://b/", "b", NULL, NULL, "/", "/", "" },
        { "S3://B/a%20b?x=1#y", "B", NULL, NULL, "/a b", "/a%20b", "x=1" },
        { "sftp://u:p%40q@h:22//x", "h:22", "u", "p@q", "//x", "//x", "" },
        { "sftp://u@h", "h", "u", NULL, "", "", "" },
        { "sftp://u:@h", "h", "u", "", "", "", "" },
        { "sftp://u:a@b@h", "h", "u", "a@b", "", "", "" },
        { "file:///a b", "", NULL, NULL, "/a b", "/a%20b", "" },
        { "file:///a[1]!", "", NULL, NULL, "/a[1]!", "/a[1]!", "" },
        { "file:///a[1]\"", "", NULL, NULL, "/a[1]\"", "/a%5B1%5D%22", "" },
        { "file:///\xc3\xa4", "", NULL, NULL, "/\xc3\xa4", "/%C3%A4", "" },
        { "nats://h1:1,h2:2/b", "h1:1,h2:2", NULL, NULL, "/b", "/b", "" },
        { "s3://[::1]:9000/b", "[::1]:9000", NULL, NULL, "/b", "/b", "" },
        { "s3://b?a=b", "b", NULL, NULL, "", "", "a=b" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct url u;
        struct err e = ERR_NONE;

        cr_assert_eq(
            url_parse(&a, rows[i].text, &u, &e), 0, "%s: %s", rows[i].text, e.text);
        cr_expect_str_eq(u.host, rows[i].host, "%s: %s", rows[i].text, u.host);
        cr_expect_eq(u.has_user, rows[i].user != NULL, "%s", rows[i].text);
        cr_expect_eq(u.has_password, rows[i].password != NULL, "%s", rows[i].text);
        if (rows[i].user != NULL)
            cr_expect_str_eq(u.user, rows[i].user, "%s: %s", rows[i].text, u.user);
        if (rows[i].password != NULL)
            cr_expect_str_eq(u.password, rows[i].password, "%s", rows[i].text);
        cr_expect_str_eq(u.path, rows[i].path, "%s: %s", rows[i].text, u.path);
        cr_expect_str_eq(u.escaped, rows[i].escaped, "%s: %s", rows[i].text, u.escaped);
        cr_expect_str_eq(u.query, rows[i].query, "%s: %s", rows[i].text, u.query);
    }
}

Test(url, may_be_malformed)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "s3:b", "no scheme" },
        { "s3://b/%zz", "invalid URL escape \"%zz\"" },
        { "s3://b/%4", "invalid URL escape \"%4\"" },
        { "s3://b/%00", "invalid URL escape \"%00\"" },
        { "sftp://u:%x@h", "invalid URL escape in the user part (a % is written %25)" },
        { "sftp://%x@h", "invalid URL escape in the user part (a % is written %25)" },
        { "sftp://u[:p@h", "invalid userinfo" },
        { "s3://a b/", "invalid character \" \" in host name" },
        { "s3://[::1/b", "missing ']' in host" },
        { "s3://b/\n", "invalid control character in URL" },
        { "sftp://h:x/p", "invalid port after host (in a password, / ? # @ are %2F %3F "
                          "%23 %40)" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct url u;
        struct err e = ERR_NONE;

        cr_expect_eq(url_parse(&a, rows[i].text, &u, &e), ERR_CONFIG, "%s", rows[i].text);
        cr_expect_str_eq(e.text, rows[i].error, "%s: %s", rows[i].text, e.text);
    }
}

Test(url, parameters_are_decoded_and_bad_ones_left_out)
{
    struct url_param *p;
    size_t n = url_params(&a, "a=1&b=x%2Fy+z&=&c&%zz=1&d=1;e=2&a=2", &p);

    cr_assert_eq(n, 5, "%zu", n);
    cr_expect_str_eq(p[0].name, "a");
    cr_expect_str_eq(p[0].value, "1");
    cr_expect_str_eq(p[1].value, "x/y z");
    cr_expect_str_eq(p[2].name, "");
    cr_expect_str_eq(p[3].name, "c");
    cr_expect_str_eq(p[3].value, "");
    cr_expect_str_eq(p[4].value, "2");
    cr_expect_eq(url_params(&a, "", &p), 0);
    cr_expect_eq(url_params(&a, "&&&", &p), 0);
}

Test(url, shows_no_secrets)
{
    static const char *const rows[][2] = {
        { "plain:text", "plain:text" },
        { "s3://b/p?region=x", "s3://b/p?region=x" },
        { "sftp://u:secret@h/p", "sftp://u:xxxxx@h/p" },
        { "sftp://u:sec@ret@h/p", "sftp://u:xxxxx@h/p" },
        { "sftp://u@h/p@q", "sftp://u@h/p@q" },
        { "sftp://u:se/cr#et@h/p", "sftp://u:xxxxx@h/p" },
        { "sftp://u:s@cr/et@h/p", "sftp://u:xxxxx@h/p" },
        { "sftp://h:22/p@q", "sftp://h:22/p@q" },
        { "nats://token@h/b", "nats://xxxxx@h/b" },
        { "nats://u:p@h,v:q@i/b", "nats://u:xxxxx@i/b" },
        { "s3://b?sseCustomerKey=abc&x=1", "s3://b?sseCustomerKey=xxxxx&x=1" },
        { "s3://b?x=1&sse-customer-key=abc#f", "s3://b?x=1&sse-customer-key=xxxxx" },
        { "s3://b?sseCustomerKeyMD5=abc", "s3://b?sseCustomerKeyMD5=abc" },
        { "abs://c/p?sig=abc&sv=1", "abs://c/p?sig=xxxxx&sv=1" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(url_without_password(&a, rows[i][0]), rows[i][1], "%s: %s",
            rows[i][0], url_without_password(&a, rows[i][0]));
    cr_expect_str_eq(url_without_details(&a, "https://u:p@hb.example:8/ping/abc?x"),
        "https://hb.example:8");
    cr_expect_str_eq(url_without_details(&a, ""), "");
    cr_expect_str_eq(url_without_details(&a, "x"), "x");
    cr_expect_str_eq(url_without_details(&a, "hb.example/ping/abc"), "hb.example/...");
    cr_expect_str_eq(url_masked(&a, "s3:/u:secret@b/p"), "xxxxx@b/p");
    cr_expect_str_eq(url_masked(&a, "b/p?secret=abc&x=1"), "b/p?secret=xxxxx&x=1");
    cr_expect_str_eq(url_masked(&a, "sftp://u:p@h"), "sftp://u:xxxxx@h");
    cr_expect_str_eq(url_masked(&a, "/backup"), "/backup");
}

Test(url, a_path_is_escaped_byte_by_byte)
{
    cr_expect_str_eq(url_escape_path(&a, "team a/b#1.db"), "team%20a/b%231.db");
    cr_expect_str_eq(url_escape_path(&a, "\xc3\xa4$&+,:;=@-_.~"), "%C3%A4$&+,:;=@-_.~");
    cr_expect_str_eq(url_escape_path(&a, "100%"), "100%25");
}
