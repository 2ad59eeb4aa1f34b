/*
 * proc - which kind of process this is, and how it ends.
 */
#ifndef COMMON_BASE_PROC_H
#define COMMON_BASE_PROC_H

enum proc_role {
    PROC_COMMAND = 1,    /* one-shot: restore, ltx, databases ...; the role at start */
    PROC_SUPERVISOR = 2, /* one loop, no thread, no database */
    PROC_WORKER = 4,     /* one database */
};

/*
 * First thing in a program: a standard descriptor that was closed is opened on /dev/null,
 * so that no file of ours gets its number.
 */
void proc_open_std(void);

void proc_set_role(enum proc_role role);
enum proc_role proc_role(void);

/* Opens a function that belongs to some roles only (an or of enum proc_role). */
void proc_must_be(unsigned roles);

/*
 * Ends a forked child without running the parent's exit handlers; coverage data is
 * written and leaks are checked in instrumented builds.
 */
_Noreturn void proc_exit(int status);

#endif
