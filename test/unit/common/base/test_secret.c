#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/secret.h"

Test(secret, nothing_and_empty_are_not_set)
{
    struct secret s = { NULL };

    cr_expect_not(secret_is_set(&s));
    cr_expect_str_eq(secret_reveal(&s), "");
    secret_set(&s, "");
    cr_expect_not(secret_is_set(&s));
    secret_set(&s, NULL);
    cr_expect_not(secret_is_set(&s));
    secret_wipe(&s);
}

Test(secret, keeps_a_copy_until_wiped)
{
    char value[] = "hunter2";
    struct secret s = { NULL };

    secret_set(&s, value);
    value[0] = 'X';
    cr_expect(secret_is_set(&s));
    cr_expect_str_eq(secret_reveal(&s), "hunter2");
    secret_wipe(&s);
    cr_expect_not(secret_is_set(&s));
    secret_wipe(&s);
}

Test(secret, a_new_value_replaces_the_old_one_and_an_empty_one_removes_it)
{
    struct secret s = { NULL };

    secret_set(&s, "first");
    secret_set(&s, "second");
    cr_expect_str_eq(secret_reveal(&s), "second");
    secret_set(&s, "");
    cr_expect_not(secret_is_set(&s));
}

Test(secret, can_be_set_from_itself)
{
    struct secret s = { NULL };

    secret_set(&s, "hunter2");
    secret_set(&s, secret_reveal(&s) + 3);
    cr_expect_str_eq(secret_reveal(&s), "ter2");
    secret_copy(&s, &s);
    cr_expect_str_eq(secret_reveal(&s), "ter2");
    secret_wipe(&s);
}

Test(secret, copies_are_independent)
{
    struct secret a = { NULL }, b = { NULL };

    secret_set(&a, "hunter2");
    secret_copy(&b, &a);
    secret_wipe(&a);
    cr_expect_str_eq(secret_reveal(&b), "hunter2");
    secret_copy(&b, &a);
    cr_expect_not(secret_is_set(&b));
}

/* Runs a check in a child; is what it returns true there? */
static bool
in_child(bool (*check)(struct secret *s), struct secret *s)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        secret_forked();
        _exit(check(s) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
is_unset(struct secret *s)
{
    return !secret_is_set(s) && strcmp(secret_reveal(s), "") == 0;
}

/* Every byte that the parent had there. */
static bool
is_gone(struct secret *s)
{
    for (size_t i = 0; i < sizeof("hunter2"); i++)
        if (s->value[i] != '\0')
            return false;
    return true;
}

static bool
takes_a_value_of_its_own(struct secret *s)
{
    secret_set(s, "mine");
    if (!secret_is_set(s) || strcmp(secret_reveal(s), "mine") != 0)
        return false;
    secret_wipe(s);
    return is_unset(s);
}

Test(secret, is_not_there_in_a_child)
{
    struct secret s = { NULL };

    secret_set(&s, "hunter2");
    cr_expect(in_child(is_unset, &s));
    cr_expect(in_child(is_gone, &s));
    cr_expect(in_child(takes_a_value_of_its_own, &s));
    cr_expect_str_eq(secret_reveal(&s), "hunter2", "the parent keeps it");
    secret_wipe(&s);
}

Test(secret, long_ones_and_many_of_them_have_room)
{
    static char text[200000];
    struct secret s[400] = { 0 };

    for (size_t i = 0; i < 400; i++) {
        size_t len = i % 50 == 7 ? 199999 - i : 1 + i * 3;

        memset(text, 'a' + (int)(i % 26), len);
        text[len] = '\0';
        secret_set(&s[i], text);
    }
    for (size_t i = 0; i < 400; i++) {
        size_t len = i % 50 == 7 ? 199999 - i : 1 + i * 3;

        cr_expect_eq(strlen(secret_reveal(&s[i])), len);
        cr_expect_eq(secret_reveal(&s[i])[len - 1], 'a' + (int)(i % 26));
    }
    cr_expect(in_child(is_unset, &s[7]), "a long one");
    cr_expect(in_child(is_unset, &s[399]));
    for (size_t i = 0; i < 400; i++)
        secret_wipe(&s[i * 3 % 400]);
}

static size_t
mapped_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    size_t kib = 0;

    cr_assert_not_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "VmSize: %zu", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

Test(secret, memory_goes_back_when_the_last_one_of_a_block_is_wiped)
{
    static struct secret s[2000];
    size_t before;

    secret_set(&s[0], "x");
    secret_wipe(&s[0]);
    before = mapped_kib();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 2000; i++)
            secret_set(&s[i], "forty characters that nobody should know");
        for (size_t i = 0; i < 2000; i++)
            secret_wipe(&s[i]);
    }
    cr_expect_lt(
        mapped_kib(), before + 256, "%zu KB before, %zu after", before, mapped_kib());
}
