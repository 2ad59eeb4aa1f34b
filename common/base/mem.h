/*
 * mem - allocation with two promises.
 *
 * mem_new and its kin cannot fail: they end the process, which for a worker means a
 * restart. They are for sizes known to the code. A size that comes from outside is
 * bounded first and then goes through mem_try, which can fail; so does what grows with
 * the number of databases in the supervisor. All memory is zeroed and is given back with
 * mem_free (NULL is fine).
 */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

#define MEM_NEW(type) ((type *)mem_new(sizeof(type)))

void *mem_new(size_t bytes);
void *mem_new_array(size_t n, size_t bytes);  /* n * bytes must not overflow */
void *mem_try(size_t n, size_t bytes);        /* NULL: overflow or no memory */
void *mem_resize(void *p, size_t bytes);      /* new bytes are not zeroed; cannot fail */
char *mem_strdup(const char *s);              /* NULL gives NULL */
char *mem_strndup(const char *s, size_t len); /* exactly len bytes and a NUL */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p);

/*
 * For a program of many small processes, once, before anything is allocated: what is
 * freed goes back to the system instead of being kept for the next time.
 */
void mem_setup(void);

/* Gives unused memory back to the system; some microseconds. */
void mem_trim(void);

/*
 * For a process that forks many others which live long: between these two the heap has no
 * holes, so that what a child allocates lies together at its end, and not in dozens of
 * pages each of which would have to be copied from its parent's. A child stays sealed.
 * Not nested.
 */
void mem_seal(void);
void mem_unseal(void);

#endif
