#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/err.h"

Test(err, the_outermost_meaning_comes_first)
{
    struct err e = ERR_NONE;

    cr_expect_eq(err_set(&e, ERR_CORRUPT, "bad magic %s", "XYZ"), ERR_CORRUPT);
    cr_expect_eq(err_wrap(&e, "read %s", "a.ltx"), ERR_CORRUPT);
    cr_expect_eq(err_wrap(&e, "sync"), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "sync: read a.ltx: bad magic XYZ");
    cr_expect_eq(err_code(&e), ERR_CORRUPT);
    cr_expect_eq(e.sys_errno, 0);
}

Test(err, a_system_error_gets_the_words_of_the_system_and_its_code)
{
    static const struct {
        int sys_errno;
        enum err_code code;
    } cases[] = {
        { ENOSPC, ERR_NO_SPACE },
        { EDQUOT, ERR_NO_SPACE },
        { ENOENT, ERR_NOT_FOUND },
        { EACCES, ERR_PERMISSION },
        { EPERM, ERR_PERMISSION },
        { EROFS, ERR_PERMISSION },
        { ENOMEM, ERR_MEMORY },
        { EMFILE, ERR_LIMIT },
        { ENFILE, ERR_LIMIT },
        { EEXIST, ERR_EXISTS },
        { EIO, ERR_IO },
        { ENOTDIR, ERR_IO },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NONE;

        cr_expect_eq(err_errno(&e, cases[i].sys_errno, "open %s", "x"), cases[i].code);
        cr_expect_eq(e.sys_errno, cases[i].sys_errno);
        cr_expect_eq(strncmp(e.text, "open x: ", 8), 0, "%s", e.text);
    }
}

Test(err, the_words_of_the_system_start_in_lower_case_but_for_abbreviations)
{
    cr_expect_str_eq(err_errno_text(ENOENT), "no such file or directory");
    cr_expect_str_eq(err_errno_text(EIO), "input/output error");
    cr_expect_str_eq(err_errno_text(EDOTDOT), "RFS specific error");
    cr_expect_str_eq(err_errno_text(99999), "unknown error 99999");
}

Test(err, a_new_error_forgets_the_one_before)
{
    struct err e = ERR_NONE;

    err_errno(&e, EIO, "first");
    err_hint(&e, "try this");
    err_set(&e, ERR_BUSY, "second");
    cr_expect_str_eq(e.text, "second");
    cr_expect_str_eq(e.hint, "");
    cr_expect_eq(e.sys_errno, 0);
}

Test(err, the_first_hint_stays)
{
    struct err e = ERR_NONE;

    err_set(&e, ERR_USAGE, "database path required");
    cr_expect_eq(err_hint(&e, "litestream %s /path/to/db", "sync"), ERR_USAGE);
    err_hint(&e, "something else");
    err_wrap(&e, "sync");
    cr_expect_str_eq(e.hint, "litestream sync /path/to/db");
    cr_expect_str_eq(e.text, "sync: database path required");
}

Test(err, arguments_may_point_into_the_error_itself)
{
    struct err e = ERR_NONE;

    err_set(&e, ERR_IO, "disk");
    err_hint(&e, "look at it");
    err_set(&e, ERR_BUSY, "again <%s> <%s>", e.text, e.hint);
    cr_expect_str_eq(e.text, "again <disk> <look at it>");
    err_wrap(&e, "%s", e.text);
    cr_expect_str_eq(e.text, "again <disk> <look at it>: again <disk> <look at it>");
    err_errno(&e, EIO, "%.5s", e.text);
    cr_expect_str_eq(e.text, "again: input/output error");
    err_hint(&e, "%.5s", e.text);
    cr_expect_str_eq(e.hint, "again");
}

Test(err, a_chain_that_is_too_long_keeps_its_beginning)
{
    struct err e = ERR_NONE;

    err_set(&e, ERR_IO, "%2000s", "x");
    cr_expect_eq(strlen(e.text), ERR_TEXT_MAX - 1);
    for (int i = 0; i < 100; i++)
        err_wrap(&e, "level %d of a deep call", i);
    cr_expect_eq(strncmp(e.text, "level 99 of a deep call: level 98 of", 36), 0);
    cr_expect_eq(strlen(e.text), ERR_TEXT_MAX - 1);
    err_errno(&e, EIO, "%2000s", "x");
    cr_expect_eq(strlen(e.text), ERR_TEXT_MAX - 1);
    err_hint(&e, "%2000s", "x");
    cr_expect_eq(strlen(e.hint), ERR_HINT_MAX - 1);
}

Test(err, every_code_has_a_class_an_exit_status_and_a_name)
{
    for (int code = ERR_OK + 1; code < ERR_N_CODES; code++) {
        cr_expect_neq(err_class_of((enum err_code)code), ERR_CLASS_NONE);
        cr_expect_neq(err_exit_status((enum err_code)code), 0);
        cr_expect_eq(strncmp(err_code_name((enum err_code)code), "ERR_", 4), 0);
    }
    cr_expect_eq(err_exit_status(ERR_OK), 0);
    cr_expect_eq(err_class_of(ERR_OK), ERR_CLASS_NONE);
    cr_expect_eq(err_class_of(ERR_NOT_FOUND), ERR_CLASS_EXPECTED);
    cr_expect_eq(err_class_of(ERR_NETWORK), ERR_CLASS_TRANSIENT);
    cr_expect_eq(err_class_of(ERR_CORRUPT), ERR_CLASS_PERMANENT);
    cr_expect_eq(err_class_of(ERR_CONFIG), ERR_CLASS_USER);
    cr_expect_eq(err_class_of(ERR_BUG), ERR_CLASS_BUG);
    cr_expect_str_eq(err_code_name(ERR_IO), "ERR_IO");
}

Test(err, keeps_what_the_store_calls_it)
{
    static const char *const odd[] = { "", "Access Denied", "a\"b", "a\nb", "\xc3\xa4",
        "TheNameIsLongerThanThereIsRoomFor" };
    struct err e;

    err_set(&e, ERR_PERMISSION, "put");
    cr_expect_str_empty(e.provider);
    cr_expect_eq(err_provider(&e, "AccessDenied"), ERR_PERMISSION);
    err_wrap(&e, "upload");
    cr_expect_str_eq(e.provider, "AccessDenied");
    cr_expect_str_eq(e.text, "upload: put");
    for (size_t i = 1; i < sizeof(odd) / sizeof(odd[0]); i++) {
        err_provider(&e, odd[i]);
        cr_expect_str_eq(e.provider, "AccessDenied", "%s", odd[i]);
    }
    err_provider(&e, "NameOfTwentySeven_Letters..");
    cr_expect_str_eq(e.provider, "NameOfTwentySeven_Letters..");
    err_set(&e, ERR_IO, "another");
    cr_expect_str_empty(e.provider);
}

Test(err, an_unknown_code_ends_the_process, .signal = SIGABRT)
{
    err_class_of((enum err_code)ERR_N_CODES);
}

Test(err, wrapping_no_error_ends_the_process, .signal = SIGABRT)
{
    struct err e = ERR_NONE;

    err_wrap(&e, "sync");
}
