/*
 * Secrets that are in files of their own: read when they are needed, not while loading.
 */
#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "config/build.h"

#define SECRET_FILE_MAX 65536

/* The content of a file without blanks around it; *text is the caller's. */
static int
read_trimmed(const char *name, char **text, struct err *e)
{
    char *path = NULL;
    size_t size = 0, start = 0;
    int fd = -1;
    int rc = path_expand(name, &path, e);

    *text = mem_new(SECRET_FILE_MAX + 1);
    if (rc == 0)
        rc = sys_open(path, O_RDONLY, 0, &fd, e);
    if (rc == 0)
        rc = sys_read(fd, *text, SECRET_FILE_MAX, &size, e);
    if (rc == 0 && size == SECRET_FILE_MAX)
        rc = err_set(e, ERR_CONFIG, "larger than %d bytes", SECRET_FILE_MAX - 1);
    while (size > 0 && isspace((unsigned char)(*text)[size - 1]))
        size--;
    while (start < size && isspace((unsigned char)(*text)[start]))
        start++;
    memmove(*text, *text + start, size - start);
    (*text)[size - start] = '\0';
    if (rc == 0 && (size == start || strlen(*text) != size - start))
        rc = err_set(e, ERR_CONFIG, "%s", size == start ? "empty" : "not a text");
    sys_close(&fd);
    mem_free(path);
    return rc;
}

static void
free_text(char *text)
{
    explicit_bzero(text, SECRET_FILE_MAX);
    mem_free(text);
}

static int
read_secret(const char *key, const char *name, struct secret *out, struct err *e)
{
    char *text;
    int rc = read_trimmed(name, &text, e);

    if (rc == 0)
        secret_set(out, text);
    else
        err_wrap(e, "cannot read %s \"%s\"", key, name);
    free_text(text);
    return rc;
}

/* The name of an access key is no secret and lives in the arena. */
static int
read_name(
    const char *key, const char *name, struct arena *a, const char **out, struct err *e)
{
    char *text;
    int rc = read_trimmed(name, &text, e);

    if (rc == 0)
        *out = arena_strdup(a, text);
    else
        err_wrap(e, "cannot read %s \"%s\"", key, name);
    free_text(text);
    return rc;
}

static int
read_option(struct arena *a, const struct cfg_option *file, void *base, struct err *e)
{
    const struct cfg_option *secret = cfg_option_partner(file);
    const char *name = *(const char **)cfg_field(base, file);

    if (name[0] == '\0')
        return 0;
    if (secret->type == CFG_SECRET)
        return read_secret(file->name, name, cfg_field(base, secret), e);
    return read_name(file->name, name, a, cfg_field(base, secret), e);
}

/* Is it an option that names the file of another one? */
static bool
is_file_key(const struct cfg_option *o)
{
    size_t len = strlen(o->name);

    return o->type == CFG_STRING && len > 5 && strcmp(o->name + len - 5, "-file") == 0 &&
           cfg_option_partner(o) != NULL;
}

/* Puts file, line and object in front of what is wrong with the file of a key. */
static int
name_place(const struct config *c, int line, const char *field, struct err *e)
{
    if (field[0] != '\0')
        err_wrap(e, "%s", field);
    if (line > 0)
        err_wrap(e, "line %d", line);
    return c->file[0] != '\0' ? err_wrap(e, "%s", c->file) : (int)e->code;
}

static int
read_replica(struct config *c, struct cfg_replica *r, struct err *e)
{
    const char *key = "sse-customer-key-path";
    int rc = 0;

    for (size_t i = 0; i < cfg_n_options && rc == 0; i++)
        if ((cfg_options[i].scope & CFG_REPLICA) != 0 &&
            (cfg_options[i].kinds & (1u << r->type)) != 0 &&
            is_file_key(&cfg_options[i]) &&
            read_option(&c->arena, &cfg_options[i], r, e) != 0) {
            key = cfg_options[i].name;
            rc = (int)e->code;
        }
    if (rc == 0 && r->type == CFG_REPLICA_S3 && r->sse_customer_key_path[0] != '\0')
        rc = read_secret(key, r->sse_customer_key_path, &r->sse_customer_key, e);
    return rc == 0 ? 0 : name_place(c, build_replica_line(c, r, NULL, key), r->field, e);
}

int
cfg_read_secrets(struct config *c, struct cfg_db *db, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < db->n_replicas && rc == 0; i++)
        rc = read_replica(c, &db->replicas[i], e);
    return rc;
}

int
config_read_secrets(struct config *c, struct err *e)
{
    int rc = 0;

    if (c->mcp_auth_token_file[0] != '\0' &&
        read_secret(
            "mcp-auth-token-file", c->mcp_auth_token_file, &c->mcp_auth_token, e) != 0)
        rc = name_place(c, cfg_line_of(&c->obj, "mcp-auth-token-file"), "", e);
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++)
        rc = cfg_read_secrets(c, &c->dbs[i], e);
    return rc;
}
