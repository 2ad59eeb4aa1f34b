#include "drivers/auth/aws_ini.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "common/base/sys.h"

struct line {
    const char *section; /* "": before the first, or behind one that cannot be read */
    const char *parent;  /* NULL: not indented below one */
    const char *key;     /* NULL: this is the head of the section */
    const char *value;
};

struct aws_ini {
    char *text; /* cut into strings; wiped */
    size_t size;
    struct line *lines;
    size_t n;
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static char *
trim(char *s)
{
    size_t n;

    while (is_blank(*s))
        s++;
    n = strlen(s);
    while (n > 0 && is_blank(s[n - 1]))
        s[--n] = '\0';
    return s;
}

/* Cuts a comment that stands behind a blank, or at the start. */
static void
cut_comment(char *s)
{
    for (char *at = s; *at != '\0'; at++)
        if ((*at == '#' || *at == ';') && (at == s || is_blank(at[-1]))) {
            *at = '\0';
            return;
        }
}

/* "[ profile  "a b" ]" -> `profile a b`; "" when it is not closed. */
static const char *
section_name(char *s)
{
    char *close = strchr(s, ']'), *to = s + 1;

    if (close == NULL)
        return "";
    *close = '\0';
    for (const char *from = trim(s + 1); *from != '\0'; from++) {
        if (*from == '"' || *from == '\'')
            continue;
        if (is_blank(*from) && (to == s + 1 || to[-1] == ' '))
            continue;
        *to++ = is_blank(*from) ? ' ' : *from;
    }
    *to = '\0';
    return s + 1;
}

/* One line, NUL-terminated; where it belongs follows from the ones before. */
static void
take_line(struct aws_ini *ini, char *s, const char **section, const char **parent)
{
    bool indented = is_blank(*s);
    struct line *line = &ini->lines[ini->n];
    char *equals;

    cut_comment(s);
    s = trim(s);
    if (*s == '\0')
        return;
    if (*s == '[') {
        *section = section_name(s);
        *parent = NULL;
        *line = (struct line){ .section = *section };
        ini->n++;
        return;
    }
    equals = strchr(s, '=');
    if (equals == NULL || equals == s)
        return;
    *equals = '\0';
    *line =
        (struct line){ .section = *section, .key = trim(s), .value = trim(equals + 1) };
    if (indented && *parent != NULL)
        line->parent = *parent;
    else
        *parent = line->value[0] == '\0' ? line->key : NULL;
    ini->n++;
}

int
aws_ini_parse(const char *bytes, size_t n, struct aws_ini **out, struct err *e)
{
    struct aws_ini *ini;
    const char *section = "", *parent = NULL;
    size_t lines = 1;

    if (n > AWS_INI_MAX_BYTES)
        return err_set(e, ERR_CONFIG, "larger than %zu bytes", (size_t)AWS_INI_MAX_BYTES);
    ini = MEM_NEW(struct aws_ini);
    ini->size = n + 1;
    ini->text = mem_new(ini->size);
    if (n > 0)
        memcpy(ini->text, bytes, n);
    for (size_t i = 0; i < n; i++) {
        if (ini->text[i] == '\0')
            ini->text[i] = ' ';
        lines += ini->text[i] == '\n';
    }
    ini->lines = mem_new_array(lines, sizeof(ini->lines[0]));
    for (char *s = ini->text + (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0),
              *next;
         s != NULL; s = next) {
        next = strchr(s, '\n');
        if (next != NULL)
            *next++ = '\0';
        take_line(ini, s, &section, &parent);
    }
    *out = ini;
    return 0;
}

int
aws_ini_read(const char *path, struct aws_ini **out, struct err *e)
{
    char *text = mem_new(AWS_INI_MAX_BYTES + 1);
    size_t n = 0;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = sys_read(fd, text, AWS_INI_MAX_BYTES + 1, &n, e);
    if (rc == 0)
        rc = aws_ini_parse(text, n, out, e);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        err_wrap(e, "cannot read \"%s\"", path);
    sys_close(&fd);
    explicit_bzero(text, n);
    mem_free(text);
    return rc;
}

void
aws_ini_free(struct aws_ini *ini)
{
    if (ini == NULL)
        return;
    explicit_bzero(ini->text, ini->size);
    mem_free(ini->text);
    mem_free(ini->lines);
    mem_free(ini);
}

/* "key" or "parent.key" */
static bool
is_key(const struct line *line, const char *key)
{
    size_t n;

    if (line->key == NULL)
        return false;
    if (line->parent == NULL)
        return strcasecmp(line->key, key) == 0;
    n = strlen(line->parent);
    return strncasecmp(line->parent, key, n) == 0 && key[n] == '.' &&
           strcasecmp(line->key, key + n + 1) == 0;
}

const char *
aws_ini_get(const struct aws_ini *ini, const char *section, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; ini != NULL && i < ini->n; i++)
        if (is_key(&ini->lines[i], key) && strcmp(ini->lines[i].section, section) == 0)
            value = ini->lines[i].value;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool
aws_ini_has(const struct aws_ini *ini, const char *section)
{
    for (size_t i = 0; ini != NULL && i < ini->n; i++)
        if (ini->lines[i].key == NULL && strcmp(ini->lines[i].section, section) == 0)
            return section[0] != '\0';
    return false;
}
