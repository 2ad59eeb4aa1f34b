#include "common/base/secret.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/must.h"

/*
 * Secrets lie together in blocks of their own, one behind the other, and a block goes
 * when its last secret does. The system hands a forked child zeros in place of a block:
 * nothing has to be wiped there, which with thousands of databases would make every
 * worker copy the pages that it wipes.
 */
#define BLOCK_SIZE ((size_t)64 << 10)

struct block {
    size_t size; /* 0: this is a child, and the block is its parent's */
    size_t used;
    size_t n_live;
    struct block *next;
    char bytes[];
};

static struct block *blocks; /* the newest first; it is the one that is filled */
static bool wipe_by_hand;    /* the system cannot do it */

/* The header of a block is at a multiple of its size below each of its secrets. */
static struct block *
block_of(char *value)
{
    size_t off = (uintptr_t)value % BLOCK_SIZE;

    return (struct block *)(void *)(value - off);
}

static bool
keep_from_children(void *p, size_t size)
{
#ifdef MADV_DONTDUMP /* best effort: no secrets in core dumps */
    (void)madvise(p, size, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK /* Linux, since 4.14 */
    return madvise(p, size, MADV_WIPEONFORK) == 0;
#elif defined(INHERIT_ZERO) /* BSD */
    return minherit(p, size, INHERIT_ZERO) == 0;
#else
    (void)p;
    (void)size;
    return false;
#endif
}

static void
add_block(size_t need)
{
    size_t size =
        (sizeof(struct block) + need + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
    char *p = mmap(NULL, size + BLOCK_SIZE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool out_of_memory = p == MAP_FAILED;
    struct block *b;
    size_t front;

    must(!out_of_memory);
    front = (BLOCK_SIZE - (uintptr_t)p % BLOCK_SIZE) % BLOCK_SIZE;
    b = (struct block *)(void *)(p + front);
    if (front > 0)
        munmap(p, front);
    if (front < BLOCK_SIZE)
        munmap(p + front + size, BLOCK_SIZE - front);
    if (!keep_from_children(b, size))
        wipe_by_hand = true;
    *b = (struct block){ .size = size, .used = sizeof(*b), .next = blocks };
    blocks = b;
}

static char *
new_value(const char *text)
{
    size_t n = strlen(text) + 1;
    char *value;

    must(n < SIZE_MAX / 2);
    if (blocks != NULL && blocks->size == 0)
        blocks = NULL; /* a child: those are its parent's */
    if (blocks == NULL || blocks->size - blocks->used < n)
        add_block(n);
    value = (char *)blocks + blocks->used;
    /* a long one has a block for itself, so that block_of() finds the others */
    blocks->used = blocks->size > BLOCK_SIZE ? blocks->size : blocks->used + n;
    blocks->n_live++;
    memcpy(value, text, n);
    return value;
}

static void
free_block(struct block *b)
{
    struct block **at = &blocks;

    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    munmap(b, b->size);
}

void
secret_wipe(struct secret *s)
{
    struct block *b = s->value != NULL ? block_of(s->value) : NULL;

    if (b != NULL && b->size > 0) {
        explicit_bzero(s->value, strlen(s->value));
        if (--b->n_live == 0)
            free_block(b);
    }
    s->value = NULL;
}

void
secret_forked(void)
{
    struct block *b = wipe_by_hand ? blocks : NULL, *next;

    for (; b != NULL; b = next) {
        next = b->next;
        explicit_bzero(b, b->used);
    }
    blocks = NULL;
}

void
secret_set(struct secret *s, const char *value)
{
    /* value may be the one that s holds */
    char *copy = value != NULL && value[0] != '\0' ? new_value(value) : NULL;

    secret_wipe(s);
    s->value = copy;
}

void
secret_copy(struct secret *to, const struct secret *from)
{
    secret_set(to, from->value);
}

bool
secret_is_set(const struct secret *s)
{
    return s->value != NULL && s->value[0] != '\0';
}

const char *
secret_reveal(const struct secret *s)
{
    return s->value != NULL ? s->value : "";
}
