#include "config/suggest.h"

#include <string.h>

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t
suggest_distance(const char *a, const char *b, size_t most)
{
    size_t rows[3][SUGGEST_WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t na = strlen(a), nb = strlen(b);

    if (na > SUGGEST_WORD_MAX || nb > SUGGEST_WORD_MAX)
        return most + 1;
    for (size_t k = 0; k <= nb; k++)
        above[k] = before[k] = k;
    for (size_t i = 1; i <= na; i++) {
        size_t *next = before;

        row[0] = i;
        for (size_t k = 1; k <= nb; k++) {
            row[k] = least(above[k] + 1, row[k - 1] + 1);
            row[k] = least(row[k], above[k - 1] + (a[i - 1] != b[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                row[k] = least(row[k], before[k - 2] + 1);
        }
        before = above;
        above = row;
        row = next;
    }
    return least(above[nb], most + 1);
}

size_t
suggest_tolerance(const char *word)
{
    return strlen(word) / 3 + 1;
}
