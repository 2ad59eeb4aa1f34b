#include <string.h>

#include <criterion/criterion.h>

#include "supervisor/control/api_body.h"

static int
parse(const char *text, struct api_body *b, struct err *e)
{
    return api_body_parse(text, strlen(text), b, e);
}

Test(api_body, takes_all_fields)
{
    struct api_body b;
    struct err e;

    cr_assert_eq(parse("{\"path\":\"/a\",\"replica_url\":\"file:///r\",\"mode\":\"full\","
                       "\"level\":\"debug\",\"timeout\":-5,\"wait\":true}",
                     &b, &e),
        0);
    cr_expect_str_eq(b.path, "/a");
    cr_expect_str_eq(b.replica_url, "file:///r");
    cr_expect_str_eq(b.mode, "full");
    cr_expect_str_eq(b.level, "debug");
    cr_expect_eq(b.timeout_s, -5);
    cr_expect(b.wait);
    api_body_deinit(&b);
}

Test(api_body, is_empty_without_fields)
{
    static const char *const texts[] = { "{}", "null", " { } ", "{\"x\":[{\"path\":1}]}",
        "{\"path\":null,\"timeout\":null,\"wait\":null}", "{} nonsense",
        "{}{\"path\":1}" };
    struct api_body b;
    struct err e;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_eq(parse(texts[i], &b, &e), 0, "%s: %s", texts[i], e.text);
        cr_expect_str_eq(b.path, "");
        cr_expect_str_eq(b.replica_url, "");
        cr_expect_eq(b.timeout_s, 0);
        cr_expect_not(b.wait);
        api_body_deinit(&b);
    }
}

Test(api_body, matches_names_in_any_case_and_takes_the_last)
{
    struct api_body b;
    struct err e;

    cr_assert_eq(
        parse("{\"path\":\"1\",\"PATH\":\"2\",\"Replica_URL\":\"u\",\"WAIT\":true,"
              "\"wait\":false,\"path\":null}",
            &b, &e),
        0);
    /* the same name keeps its place in the object, so null is seen before "PATH" */
    cr_expect_str_eq(b.path, "2");
    cr_expect_str_eq(b.replica_url, "u");
    cr_expect_not(b.wait);
    api_body_deinit(&b);
}

Test(api_body, refuses_what_is_no_object_of_such_fields)
{
    static const char *const texts[][2] = {
        { "", "EOF" },
        { " \n\t", "EOF" },
        { "[]", "an object was expected" },
        { "1", "an object was expected" },
        { "\"x\"", "an object was expected" },
        { "true", "an object was expected" },
        { "{\"path\":1}", "field \"path\" must be a string" },
        { "{\"path\":{}}", "field \"path\" must be a string" },
        { "{\"timeout\":1.0}", "field \"timeout\" must be an integer" },
        { "{\"timeout\":\"1\"}", "field \"timeout\" must be an integer" },
        { "{\"wait\":\"true\"}", "field \"wait\" must be a bool" },
        { "{\"wait\":0}", "field \"wait\" must be a bool" },
        { "{", NULL },
        { "{\"path\":\"/x\"", NULL },
        { "{'path':'x'}", NULL },
        { "{\"path\":\"a\\u0000b\"}", NULL },
        { "{\"path\":\"\xff\"}", NULL },
        { "{\"timeout\":99999999999999999999}", NULL },
    };
    struct api_body b;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct err e = ERR_NONE;

        cr_expect_eq(parse(texts[i][0], &b, &e), ERR_USAGE, "%s", texts[i][0]);
        cr_expect(texts[i][1] == NULL || strcmp(e.text, texts[i][1]) == 0, "%s: %s",
            texts[i][0], e.text);
    }
}

Test(api_body, keeps_a_timeout_within_a_year)
{
    struct api_body b;
    struct err e;

    cr_assert_eq(parse("{\"timeout\":9223372036854775807}", &b, &e), 0);
    cr_expect_eq(b.timeout_s, 31536000);
    api_body_deinit(&b);
    cr_assert_eq(parse("{\"timeout\":-9223372036854775808}", &b, &e), 0);
    cr_expect_eq(b.timeout_s, -31536000);
    api_body_deinit(&b);
}
