#include "config/command.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/mem.h"

struct splitter {
    const char *s;
    char *word; /* room for the rest of the text */
    size_t len;
    bool started; /* a word may be empty: '' */
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int
unbalanced(struct err *e)
{
    return err_set(e, ERR_CONFIG, "invalid command line string");
}

static void
put(struct splitter *sp, char c)
{
    sp->word[sp->len++] = c;
    sp->started = true;
}

static bool
take_escape(struct splitter *sp)
{
    char c = *++sp->s;

    if (c == '\0')
        return false;
    put(sp, c == 't' ? '\t' : c == 'n' ? '\n' : c);
    sp->s++;
    return true;
}

static bool
take_quoted(struct splitter *sp)
{
    char quote = *sp->s++;

    sp->started = true;
    while (*sp->s != quote) {
        if (*sp->s == '\0')
            return false;
        if (*sp->s == '\\' && quote == '"') {
            if (!take_escape(sp))
                return false;
        } else {
            put(sp, *sp->s++);
        }
    }
    sp->s++;
    return true;
}

/* `...` and $(...) are kept as they are, blanks included. */
static bool
take_substitution(struct splitter *sp, char close)
{
    do
        put(sp, *sp->s++);
    while (*sp->s != '\0' && *sp->s != close);
    if (*sp->s == '\0')
        return false;
    put(sp, *sp->s++);
    return true;
}

static int
take_word(struct splitter *sp, struct err *e)
{
    while (*sp->s != '\0' && !is_blank(*sp->s)) {
        char c = *sp->s;

        if (c == '\'' || c == '"') {
            if (!take_quoted(sp))
                return unbalanced(e);
        } else if (c == '\\') {
            if (!take_escape(sp))
                return unbalanced(e);
        } else if (c == '`' || (c == '$' && sp->s[1] == '(')) {
            if (!take_substitution(sp, c == '`' ? '`' : ')'))
                return unbalanced(e);
        } else if (c == '(' || c == ')') {
            return unbalanced(e);
        } else if (strchr(";&|<>", c) != NULL) {
            return err_set(e, ERR_CONFIG,
                "`%c` needs a shell: put it in quotes, or use sh -c '...'", c);
        } else {
            put(sp, c);
            sp->s++;
        }
    }
    return 0;
}

int
cfg_split_command(
    struct arena *a, const char *text, struct cfg_strings *argv, struct err *e)
{
    struct splitter sp = { .s = text, .word = mem_new(strlen(text) + 1) };
    const char **words = mem_new_array(strlen(text) / 2 + 2, sizeof(*words));
    const char **kept;
    size_t n = 0;
    int rc = 0;

    while (rc == 0) {
        while (is_blank(*sp.s))
            sp.s++;
        if (*sp.s == '\0')
            break;
        sp.len = 0;
        sp.started = false;
        rc = take_word(&sp, e);
        if (rc == 0 && sp.started)
            words[n++] = arena_strndup(a, sp.word, sp.len);
    }
    if (rc == 0 && n == 0)
        rc = err_set(e, ERR_CONFIG, "command is empty");
    if (rc == 0) {
        kept = arena_alloc(a, (n + 1) * sizeof(*kept)); /* NULL behind the last */
        memcpy(kept, words, n * sizeof(*kept));
        *argv = (struct cfg_strings){ kept, n };
    }
    mem_free(words);
    mem_free(sp.word);
    return rc;
}
