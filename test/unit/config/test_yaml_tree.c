#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "config/yaml_tree.h"

static const char *
error_of(const char *text, size_t size)
{
    static struct err e;
    struct ytree *t = NULL;
    struct ynode *root;

    e = (struct err)ERR_NONE;
    if (ytree_parse(text, size, &t, &root, &e) == 0)
        ytree_free(t);
    return e.text;
}

Test(yaml_tree, keeps_kinds_lines_and_values)
{
    const char *text = "# c\na: 1\nb:\n  - 'x y'\n  - {c: d, e: [f]}\n  - |\n    z\n";
    struct ytree *t;
    struct ynode *root, *list;
    struct err e = ERR_NONE;

    cr_assert_eq(ytree_parse(text, strlen(text), &t, &root, &e), 0, "%s", e.text);
    cr_expect_eq(root->kind, YNODE_MAP);
    cr_expect_eq(root->line, 2);
    cr_expect_eq(root->n, 4, "keys and values");
    cr_expect_str_eq(root->first->value, "a");
    cr_expect(root->first->plain);
    cr_expect_str_eq(root->first->next->value, "1");
    list = root->last;
    cr_expect_eq(list->kind, YNODE_SEQ);
    cr_expect_eq(list->n, 3);
    cr_expect_eq(list->line, 4);
    cr_expect_str_eq(list->first->value, "x y");
    cr_expect_not(list->first->plain);
    cr_expect_eq(list->first->next->kind, YNODE_MAP);
    cr_expect_eq(list->first->next->line, 5);
    cr_expect_str_eq(list->last->value, "z\n");
    cr_expect_eq(list->last->line, 6);
    ytree_free(t);
}

Test(yaml_tree, empty_documents_have_no_root)
{
    static const char *const texts[] = { "", "\n\n", "# only a comment\n" };

    for (size_t i = 0; i < 3; i++) {
        struct ytree *t;
        struct ynode *root;
        struct err e = ERR_NONE;

        cr_assert_eq(ytree_parse(texts[i], strlen(texts[i]), &t, &root, &e), 0);
        cr_expect_null(root);
        cr_expect_eq(ytree_rest_line(t), 0);
        ytree_free(t);
    }
}

Test(yaml_tree, says_where_the_first_document_ends)
{
    static const struct {
        const char *text;
        int line;
    } rows[] = {
        { "a: 1\n", 0 },
        { "---\na: 1\n...\n# c\n", 0 },
        { "a: 1\n---\nb: 2\n", 2 },
        { "  a: 1\nb: 2\n", 2 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ytree *t;
        struct ynode *root;
        struct err e = ERR_NONE;

        cr_assert_eq(ytree_parse(rows[i].text, strlen(rows[i].text), &t, &root, &e), 0);
        cr_expect_eq(
            ytree_rest_line(t), rows[i].line, "%s: %d", rows[i].text, ytree_rest_line(t));
        ytree_free(t);
    }
}

Test(yaml_tree, aliases_point_at_the_last_node_of_that_name)
{
    const char *text = "a: &x 1\nb: *x\nc: &x 2\nd: *x\n";
    struct ytree *t;
    struct ynode *root, *b;
    struct err e = ERR_NONE;

    cr_assert_eq(ytree_parse(text, strlen(text), &t, &root, &e), 0);
    b = root->first->next->next->next;
    cr_expect_eq(b->kind, YNODE_ALIAS);
    cr_expect_str_eq(ynode_follow(b)->value, "1");
    cr_expect_str_eq(ynode_follow(root->last)->value, "2");
    ytree_free(t);
}

Test(yaml_tree, errors_count_lines_as_litestream_does)
{
    static const char *const rows[][2] = {
        { "a:\n\tb: 1\n", "yaml: line 2: found character that cannot start any token" },
        { "\ta: 1\n", "yaml: found character that cannot start any token" },
        { "a: [1\nb: 2\n", "yaml: line 1: did not find expected ',' or ']'" },
        { "a: 'x\n", "yaml: line 2: found unexpected end of stream" },
        { "x: 1\na: 'x\n", "yaml: line 3: found unexpected end of stream" },
        { "a: b: c\n", "yaml: mapping values are not allowed in this context" },
        { "x: 1\na: b: c\n",
            "yaml: line 2: mapping values are not allowed in this context" },
        { "x: 1\n y: 2\n",
            "yaml: line 2: mapping values are not allowed in this context" },
        { "a:\n  - b\n c: d\n", "yaml: line 2: did not find expected key" },
        { "a: *x\n", "line 1: yaml: unknown anchor 'x' referenced" },
        { "a: 1\nb: &x {c: *x}\n", "line 2: yaml: anchor 'x' value contains itself" },
        { "a: 1\nb: \x01\n", "yaml: line 2: control characters are not allowed" },
        { "a: 1\n\nb: \xff\n", "yaml: line 3: invalid leading UTF-8 octet" },
        { "a: !x!y z\n", "yaml: found undefined tag handle" },
        { "a: \"\\q\"\n", "yaml: found unknown escape character" },
        { "a: @x\n", "yaml: found character that cannot start any token" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *got = error_of(rows[i][0], strlen(rows[i][0]));

        cr_expect_str_eq(got, rows[i][1], "%s: %s", rows[i][0], got);
    }
}

Test(yaml_tree, is_bounded_in_depth_and_nodes, .timeout = 60)
{
    size_t size = 4 * (YTREE_MAX_NODES + 10);
    char *text = calloc(1, size + 1);

    memset(text, '[', 1000);
    cr_expect_str_eq(error_of(text, 1000), "yaml: line 1: exceeded max depth of 100");
    for (size_t i = 0; i < size; i += 4)
        memcpy(text + i, "- x\n", 4);
    cr_expect_str_eq(error_of(text, size), "yaml: line 1000000: more than 1000000 nodes");
    free(text);
}
