#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "test/unit/support/tmp.h"

static void
expect_taken(char *got, const char *want, const char *what)
{
    cr_expect_str_eq(got, want, "%s gives \"%s\", not \"%s\"", what, got, want);
    mem_free(got);
}

Test(path, cleans_as_Go_does)
{
    static const struct {
        const char *path, *clean;
    } cases[] = {
        { "", "." },
        { ".", "." },
        { "./", "." },
        { "..", ".." },
        { "/", "/" },
        { "//", "/" },
        { "///a", "/a" },
        { "abc", "abc" },
        { "abc/", "abc" },
        { "abc//def", "abc/def" },
        { "abc/def/", "abc/def" },
        { "/abc", "/abc" },
        { "/abc/", "/abc" },
        { "a/./b", "a/b" },
        { "/./a/.", "/a" },
        { "./a", "a" },
        { "a/../b", "b" },
        { "a/b/../c", "a/c" },
        { "a/b/..", "a" },
        { "a/b/../..", "." },
        { "/a/b/../..", "/" },
        { "a/b/../../..", ".." },
        { "/a/b/../../..", "/" },
        { "a/b/../../../c/../../d", "../../d" },
        { "../../a", "../../a" },
        { "../a/..", ".." },
        { "../a/../..", "../.." },
        { "/..", "/" },
        { "/../a", "/a" },
        { "/../../a/..", "/" },
        { "a/./../b", "b" },
        { "a/./b/../..", "." },
        { "a//../b", "b" },
        { "...", "..." },
        { ".../..", "." },
        { "..a", "..a" },
        { "a..", "a.." },
        { ".a", ".a" },
        { "a/.b/..c", "a/.b/..c" },
        { "/a b/\xc3\xa4", "/a b/\xc3\xa4" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *once = path_clean(cases[i].path);

        expect_taken(path_clean(once), cases[i].clean, "cleaning again");
        expect_taken(once, cases[i].clean, cases[i].path);
    }
}

Test(path, joins_what_is_there_and_cleans_it)
{
    expect_taken(path_join("a", "b"), "a/b", "a b");
    expect_taken(path_join("a/", "/b"), "a/b", "a/ /b");
    expect_taken(path_join("a", ""), "a", "a, nothing");
    expect_taken(path_join("", "b"), "b", "nothing, b");
    expect_taken(path_join("", ""), "", "nothing");
    expect_taken(path_join("/", ""), "/", "/, nothing");
    expect_taken(path_join("/", "a"), "/a", "/ a");
    expect_taken(path_join("a", "../b"), "b", "a ../b");
    expect_taken(path_join("a", ".."), ".", "a ..");
    expect_taken(path_join3("a", "b", "c"), "a/b/c", "a b c");
    expect_taken(path_join3("a", "", "c"), "a/c", "a, nothing, c");
    expect_taken(path_join3("", "", "c"), "c", "nothing, nothing, c");
    expect_taken(path_join3("", "b", ""), "b", "nothing, b, nothing");
    expect_taken(path_join3("", "", ""), "", "nothing at all");
}

Test(path, joins_names_of_any_length)
{
    size_t n = (2u << 20) + 1;
    char *a = mem_new(n + 1), *joined;

    memset(a, 'x', n);
    joined = path_join(a, "b");
    cr_expect_eq(strlen(joined), n + 2);
    cr_expect_str_eq(joined + n, "/b");
    mem_free(joined);
    mem_free(a);
}

Test(path, splits_into_folder_and_base)
{
    static const struct {
        const char *path, *dir, *base;
    } cases[] = {
        { "", ".", "" },
        { "a", ".", "a" },
        { "./a", ".", "a" },
        { "a/b", "a", "b" },
        { "/a", "/", "a" },
        { "/a/b.db", "/a", "b.db" },
        { "//a", "/", "a" },
        { "a/b/", "a/b", "" },
        { "/", "/", "" },
        { "../a", "..", "a" },
        { "a//b", "a", "b" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_taken(path_dir(cases[i].path), cases[i].dir, cases[i].path);
        cr_expect_str_eq(path_base(cases[i].path), cases[i].base);
    }
}

Test(path, becomes_absolute_from_the_current_folder)
{
    struct err e = ERR_NONE;
    char *out, *cwd;

    cr_assert_eq(chdir(tmp_dir()), 0);
    cwd = getcwd(NULL, 0);
    cr_assert_eq(path_abs("a/../b", &out, &e), 0);
    cr_expect_eq(strncmp(out, cwd, strlen(cwd)), 0);
    cr_expect_str_eq(out + strlen(cwd), "/b");
    mem_free(out);
    cr_assert_eq(path_abs("", &out, &e), 0);
    expect_taken(out, cwd, "the empty path");
    cr_assert_eq(path_abs("/x/./y/", &out, &e), 0);
    expect_taken(out, "/x/y", "an absolute path");
    free(cwd);
}

Test(path, says_so_when_the_current_folder_is_gone)
{
    struct err e = ERR_NONE;
    const char *dir = tmp_path("gone");
    char *out = NULL;

    cr_assert_eq(mkdir(dir, 0700), 0);
    cr_assert_eq(chdir(dir), 0);
    cr_assert_eq(rmdir(dir), 0);
    cr_expect_eq(path_abs("a", &out, &e), ERR_NOT_FOUND);
    cr_expect_null(out);
    cr_expect_eq(path_abs("/a", &out, &e), 0, "an absolute path needs none");
    mem_free(out);
}

Test(path, a_tilde_is_the_home_folder_and_another_users_is_not_known)
{
    static const struct {
        const char *path, *want;
    } cases[] = {
        { "~", "/home/me" },
        { "~/", "/home/me" },
        { "~/a/../b", "/home/me/b" },
        { "/~", "/~" },
        { "/a/~/b", "/a/~/b" },
    };
    struct err e = ERR_NONE;
    char *out;

    setenv("HOME", "/home/me/", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(path_expand(cases[i].path, &out, &e), 0);
        expect_taken(out, cases[i].want, cases[i].path);
    }
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(path_expand("~other/x", &out, &e), 0);
    expect_taken(out, "/~other/x", "~other/x");
}

Test(path, without_HOME_the_user_database_is_asked)
{
    struct err e = ERR_NONE;
    char *out;

    unsetenv("HOME");
    cr_assert_eq(path_expand("~/x", &out, &e), 0, "%s", e.text);
    cr_expect_eq(out[0], '/');
    cr_expect_str_eq(path_base(out), "x");
    mem_free(out);
}

Test(path, a_database_may_be_written_as_a_URL)
{
    static const struct {
        const char *path, *want;
    } cases[] = {
        { "sqlite:///data/a.db", "/data/a.db" },
        { "sqlite3:///data/a.db", "/data/a.db" },
        { "sqlite://a.db", "/a.db" },
        { "sqlite://~/a.db", "/home/me/a.db" },
        { "SQLITE:///a.db", "/SQLITE:/a.db" },
        { "sqlite:/a.db", "/sqlite:/a.db" },
        { "/data/a.db", "/data/a.db" },
        { "sqlite://", "/" },
    };
    struct err e = ERR_NONE;
    char *out;

    setenv("HOME", "/home/me", 1);
    cr_assert_eq(chdir("/"), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(path_expand_db(cases[i].path, &out, &e), 0);
        expect_taken(out, cases[i].want, cases[i].path);
    }
}
