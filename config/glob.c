#include "config/glob.h"

#include <stddef.h>

/* One character of a set, `\` taken away; false: there is none. */
static bool
set_char(const char **p, unsigned char *c)
{
    if (**p == '\\')
        (*p)++;
    else if (**p == '-' || **p == ']')
        return false;
    if (**p == '\0')
        return false;
    *c = (unsigned char)*(*p)++;
    return true;
}

/* *p is behind `[` and moves behind `]`; false: the set is not well-formed. */
static bool
match_set(const char **p, unsigned char c, bool *hit)
{
    bool negated = **p == '^', found = false;

    if (negated)
        (*p)++;
    for (bool first = true; first || **p != ']'; first = false) {
        unsigned char low, high;

        if (!set_char(p, &low))
            return false;
        high = low;
        if (**p == '-') {
            (*p)++;
            if (!set_char(p, &high))
                return false;
        }
        found = found || (low <= c && c <= high);
    }
    (*p)++;
    *hit = found != negated;
    return true;
}

/* One character of the pattern other than `*` against c; false: not well-formed. */
static bool
match_one(const char **p, unsigned char c, bool *hit)
{
    switch (*(*p)++) {
    case '?':
        *hit = true;
        return true;
    case '[':
        return match_set(p, c, hit);
    case '\\':
        if (**p == '\0')
            return false;
        *hit = (unsigned char)*(*p)++ == c;
        return true;
    default:
        *hit = (unsigned char)(*p)[-1] == c;
        return true;
    }
}

bool
glob_valid(const char *pattern)
{
    bool hit;

    while (*pattern != '\0') {
        if (*pattern == '*')
            pattern++;
        else if (!match_one(&pattern, 'x', &hit))
            return false;
    }
    return true;
}

/* Only the last `*` is ever gone back to, so that no pattern takes long. */
bool
glob_match(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;

    if (!glob_valid(pattern))
        return false;
    while (*name != '\0' || *pattern == '*') {
        const char *p = pattern;
        bool hit = false;

        if (*pattern == '*') {
            star = ++pattern;
            from = name;
            continue;
        }
        if (*pattern != '\0' && match_one(&p, (unsigned char)*name, &hit) && hit) {
            pattern = p;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    return *pattern == '\0';
}
