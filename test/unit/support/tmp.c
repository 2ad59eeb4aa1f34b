#include "test/unit/support/tmp.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PATHS 256

static char dir[512];
static pid_t dir_owner;
static char *paths[MAX_PATHS];
static size_t n_paths;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void
clean_up(void)
{
    if (dir[0] != '\0' && dir_owner == getpid())
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < n_paths; i++)
        free(paths[i]);
    n_paths = 0;
}

const char *
tmp_dir(void)
{
    const char *base = getenv("TMPDIR");

    if (dir[0] != '\0')
        return dir;
    snprintf(dir, sizeof(dir), "%s/ls-unit.XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        abort();
    }
    dir_owner = getpid();
    atexit(clean_up);
    return dir;
}

const char *
tmp_path(const char *name)
{
    char *p = NULL;

    if (n_paths == MAX_PATHS || asprintf(&p, "%s/%s", tmp_dir(), name) < 0)
        abort();
    return paths[n_paths++] = p;
}

void
tmp_write(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");

    if (f == NULL || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
        perror(path);
        abort();
    }
}

uint8_t *
tmp_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    long size;

    if (f == NULL)
        return NULL;
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    data = malloc((size_t)size + 1);
    if (size < 0 || data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size)
        abort();
    fclose(f);
    *n = (size_t)size;
    return data;
}

bool
tmp_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
