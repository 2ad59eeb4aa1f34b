#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/json/json_text.h"

static void
expect_taken(char *got, const char *want)
{
    cr_expect_str_eq(got, want, "%s", got);
    mem_free(got);
}

Test(json_text, is_compact_and_keeps_the_order)
{
    json_t *v = json_pack("{s:i, s:[b,n,s], s:{}}", "b", 1, "a", 1, "x", "c");

    expect_taken(json_text_compact(v, 0), "{\"b\":1,\"a\":[true,null,\"x\"],\"c\":{}}");
    json_decref(v);
}

Test(json_text, is_indented_by_two_with_one_newline_at_the_end)
{
    json_t *v = json_pack(
        "{s:s, s:[i,i], s:[], s:{}}", "path", "/a.db", "n", 1, 2, "none", "empty");

    expect_taken(json_text_indented(v), "{\n"
                                        "  \"path\": \"/a.db\",\n"
                                        "  \"n\": [\n"
                                        "    1,\n"
                                        "    2\n"
                                        "  ],\n"
                                        "  \"none\": [],\n"
                                        "  \"empty\": {}\n"
                                        "}\n");
    json_decref(v);
    v = json_array();
    expect_taken(json_text_indented(v), "[]\n");
    json_decref(v);
}

#define HTML "<a href=\"x\">&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa7</a>"

Test(json_text, escapes_html_where_asked)
{
    json_t *v = json_pack("{s:s}", "<k>", HTML);

    expect_taken(json_text_compact(v, 0),
        "{\"<k>\":\"<a href=\\\"x\\\">&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa7</a>\"}");
    expect_taken(json_text_compact(v, 1),
        "{\"\\u003ck\\u003e\":\"\\u003ca href=\\\"x\\\"\\u003e\\u0026\\u2028\\u2029"
        "\xe2\x80\xa7\\u003c/a\\u003e\"}");
    expect_taken(json_text_indented(v),
        "{\n  \"\\u003ck\\u003e\": \"\\u003ca href=\\\"x\\\"\\u003e\\u0026\\u2028\\u2029"
        "\xe2\x80\xa7\\u003c/a\\u003e\"\n}\n");
    json_decref(v);
}

Test(json_text, escaped_text_means_the_same)
{
    json_t *v = json_pack("{s:s}", "k", HTML), *again;
    char *text = json_text_indented(v);

    again = json_loads(text, 0, NULL);
    cr_expect(json_equal(v, again), "%s", text);
    mem_free(text);
    json_decref(v);
    json_decref(again);
}

static void
expect_string(const char *bytes, const char *want)
{
    json_t *v = json_text_string(bytes);

    cr_assert_not_null(v);
    cr_expect_str_eq(json_string_value(v), want);
    json_decref(v);
}

Test(json_text, a_bad_byte_becomes_the_replacement_character)
{
    expect_string("", "");
    expect_string("plain \xc3\xa4", "plain \xc3\xa4");
    expect_string("a\xff z", "a\xef\xbf\xbd z");
    expect_string("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
    expect_string("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect_string("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd");
    expect_string("\xf4\x90\x80\x80 \xc3\xa4",
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xc3\xa4");
}

Test(json_text, every_pair_of_bytes_gives_a_string)
{
    for (unsigned a = 1; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            const char bytes[] = { (char)a, (char)b, '\x80', '\0' };

            json_decref(json_text_string(bytes));
        }
}

Test(json_text, a_long_bad_string_is_repaired_in_good_time, .timeout = 10)
{
    size_t n = 1 << 20;
    char *bytes = mem_new(n + 1);
    json_t *v;

    memset(bytes, 0xff, n);
    v = json_text_string(bytes);
    cr_expect_eq(json_string_length(v), 3 * n);
    json_decref(v);
    mem_free(bytes);
}

Test(json_text, prints_to_a_stream_and_tells_when_that_fails)
{
    json_t *v = json_pack("[i]", 1);
    struct err e = ERR_NONE;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    cr_expect_eq(json_text_print(f, v, &e), 0);
    fclose(f);
    cr_expect_str_eq(text, "[\n  1\n]\n");
    free(text);
    f = fopen("/dev/full", "w");
    cr_assert_not_null(f);
    cr_expect_eq(json_text_print(f, v, &e), ERR_NO_SPACE);
    fclose(f);
    json_decref(v);
}
