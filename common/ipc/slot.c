#include "common/ipc/slot.h"

#include <string.h>
#include <sys/mman.h>

#include "common/base/must.h"

#define READ_ATTEMPTS 100

_Static_assert(sizeof(struct slot_data) % sizeof(uint64_t) == 0, "copied by words");

const char *
slot_phase_name(uint64_t phase)
{
    static const char *const names[PHASE_N] = {
        [PHASE_STARTING] = "starting",
        [PHASE_OPENING_DB] = "opening the database",
        [PHASE_WAITING_DB] = "waiting for the database",
        [PHASE_IDLE] = "idle",
        [PHASE_LOOKING] = "looking at the WAL",
        [PHASE_READING_WAL] = "reading the WAL",
        [PHASE_WRITING_LTX] = "writing an LTX file",
        [PHASE_WRITING_IMAGE] = "writing a full image",
        [PHASE_CHECKPOINTING] = "checkpointing",
        [PHASE_FINAL_SYNC] = "final sync",
        [PHASE_CLOSING] = "closing",
    };

    return phase < PHASE_N ? names[phase] : "unknown";
}

struct slot *
slot_area_new(size_t n)
{
    void *p;

    if (n == 0 || n > SIZE_MAX / sizeof(struct slot))
        return NULL;
    p = mmap(NULL, n * sizeof(struct slot), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

void
slot_area_free(struct slot *area, size_t n)
{
    if (area != NULL)
        munmap(area, n * sizeof(struct slot));
}

void
slot_write(struct slot *s, const struct slot_data *data)
{
    uint64_t seq = atomic_load_explicit(&s->seq, memory_order_relaxed);
    uint64_t words[SLOT_WORDS];

    memcpy(words, data, sizeof(words));
    /* A writer that died in the middle left an odd number: go on from there. */
    seq += seq % 2 == 0 ? 1 : 2;
    atomic_store_explicit(&s->seq, seq, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < SLOT_WORDS; i++)
        if (atomic_load_explicit(&s->words[i], memory_order_relaxed) != words[i])
            atomic_store_explicit(&s->words[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&s->seq, seq + 1, memory_order_release);
}

static bool
read_words(const struct slot *s, size_t first, size_t n, uint64_t *words)
{
    bool good = false;

    for (int i = 0; i < READ_ATTEMPTS && !good; i++) {
        uint64_t before = atomic_load_explicit(&s->seq, memory_order_acquire);

        for (size_t w = 0; w < n; w++)
            words[w] = atomic_load_explicit(&s->words[first + w], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        good = before % 2 == 0 &&
               before == atomic_load_explicit(&s->seq, memory_order_relaxed);
    }
    return good;
}

bool
slot_read(const struct slot *s, struct slot_data *data)
{
    uint64_t words[SLOT_WORDS];
    bool good = read_words(s, 0, SLOT_WORDS, words);

    memcpy(data, words, sizeof(*data));
    data->last_error[SLOT_TEXT_MAX - 1] = '\0';
    data->last_words[SLOT_TEXT_MAX - 1] = '\0';
    for (unsigned i = 0; i < SLOT_MAX_REPLICAS; i++)
        data->replica[i].error[SLOT_ERROR_MAX - 1] = '\0';
    return good;
}

bool
slot_read_part(const struct slot *s, size_t offset, void *out, size_t size)
{
    uint64_t words[SLOT_WORDS];
    bool good;

    must(offset % sizeof(uint64_t) == 0 && size % sizeof(uint64_t) == 0);
    must(offset <= sizeof(struct slot_data) && size <= sizeof(struct slot_data) - offset);
    good = read_words(s, offset / sizeof(uint64_t), size / sizeof(uint64_t), words);
    memcpy(out, words, size);
    return good;
}

uint64_t
slot_peek(const struct slot *s, size_t offset)
{
    must(offset % sizeof(uint64_t) == 0 && offset < sizeof(struct slot_data));
    return atomic_load_explicit(
        &s->words[offset / sizeof(uint64_t)], memory_order_relaxed);
}
