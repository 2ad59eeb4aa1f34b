#include "common/base/path.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/base/mem.h"

char *
path_clean(const char *path)
{
    bool rooted = path[0] == '/';
    char *out = mem_new(strlen(path) + 3);
    size_t len = 0, keep; /* keep: what ".." must not remove */
    const char *s = path;

    if (rooted)
        out[len++] = '/';
    keep = len;
    while (*s != '\0') {
        size_t n = strcspn(s, "/");

        if (n == 0 || (n == 1 && s[0] == '.')) {
            /* nothing */
        } else if (n == 2 && s[0] == '.' && s[1] == '.') {
            if (len > keep) {
                while (len > keep && out[len - 1] != '/')
                    len--;
                if (len > keep)
                    len--;
            } else if (!rooted) {
                if (len > 0)
                    out[len++] = '/';
                memcpy(out + len, "..", 2);
                len += 2;
                keep = len;
            }
        } else {
            if (len > (rooted ? 1u : 0u))
                out[len++] = '/';
            memcpy(out + len, s, n);
            len += n;
        }
        s += n;
        if (*s == '/')
            s++;
    }
    if (len == 0)
        out[len++] = '.';
    out[len] = '\0';
    return out;
}

char *
path_join3(const char *a, const char *b, const char *c)
{
    bool a_b = a[0] != '\0' && b[0] != '\0';
    bool any_c = (a[0] != '\0' || b[0] != '\0') && c[0] != '\0';
    char *joined = mem_printf("%s%s%s%s%s", a, a_b ? "/" : "", b, any_c ? "/" : "", c);
    char *clean;

    if (joined[0] == '\0')
        return joined;
    clean = path_clean(joined);
    mem_free(joined);
    return clean;
}

char *
path_join(const char *a, const char *b)
{
    return path_join3(a, b, "");
}

char *
path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir, *clean;

    if (slash == NULL)
        return mem_strdup(".");
    dir = mem_strndup(path, (size_t)(slash - path) + 1);
    clean = path_clean(dir);
    mem_free(dir);
    return clean;
}

const char *
path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

int
path_abs(const char *path, char **out, struct err *e)
{
    char *cwd;

    if (path[0] == '/') {
        *out = path_clean(path);
        return 0;
    }
    cwd = getcwd(NULL, 0);
    if (cwd == NULL)
        return err_errno(e, errno, "find the current folder");
    *out = path_join(cwd, path);
    free(cwd);
    return 0;
}

static const char *
home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *pw;

    if (home != NULL && home[0] != '\0')
        return home;
    pw = getpwuid(getuid());
    return pw != NULL && pw->pw_dir != NULL && pw->pw_dir[0] != '\0' ? pw->pw_dir : NULL;
}

int
path_expand(const char *path, char **out, struct err *e)
{
    const char *home;
    char *joined;
    int rc;

    if (path[0] != '~' || (path[1] != '\0' && path[1] != '/'))
        return path_abs(path, out, e);
    home = home_folder();
    if (home == NULL)
        return err_set(
            e, ERR_CONFIG, "cannot expand path %s, no home directory available", path);
    joined = path_join(home, path + 1);
    rc = path_abs(joined, out, e);
    mem_free(joined);
    return rc;
}

int
path_expand_db(const char *path, char **out, struct err *e)
{
    if (strncmp(path, "sqlite://", 9) == 0)
        path += 9;
    else if (strncmp(path, "sqlite3://", 10) == 0)
        path += 10;
    return path_expand(path, out, e);
}
