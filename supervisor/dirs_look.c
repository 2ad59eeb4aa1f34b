#include "supervisor/dirs_look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"

#define SQLITE_MAGIC "SQLite format 3" /* with its NUL */

enum look_file
look_file(const char *path)
{
    /* a FIFO, or a disk that does not answer at once, must not hold us up */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    char head[sizeof(SQLITE_MAGIC)];
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return LOOK_OTHER;
    n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, head, sizeof(head)) : -1;
    close(fd);
    if (n >= 0 && n < (ssize_t)sizeof(head))
        return LOOK_SHORT;
    return n == (ssize_t)sizeof(head) && memcmp(head, SQLITE_MAGIC, sizeof(head)) == 0
               ? LOOK_DATABASE
               : LOOK_OTHER;
}

/* What an entry of a folder is; links are neither. */
static void
kind_of(const char *path, const struct dirent *entry, bool *is_file, bool *is_folder)
{
    struct stat st;
    char *name;

    *is_file = entry->d_type == DT_REG;
    *is_folder = entry->d_type == DT_DIR;
    if (entry->d_type != DT_UNKNOWN)
        return;
    name = path_join(path, entry->d_name);
    if (lstat(name, &st) == 0) {
        *is_file = S_ISREG(st.st_mode);
        *is_folder = S_ISDIR(st.st_mode);
    }
    mem_free(name);
}

static void
add_item(struct look *l, const char *name, bool is_folder)
{
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 32 : l->cap * 2;
        l->items = mem_resize(l->items, l->cap * sizeof(l->items[0]));
    }
    l->items[l->n++] =
        (struct look_item){ .name = mem_strdup(name), .is_folder = is_folder };
}

static void
take_entry(const struct cfg_db *dir, const char *path, const struct dirent *entry,
    struct look *out)
{
    bool is_file, is_folder;
    char *full;

    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return;
    kind_of(path, entry, &is_file, &is_folder);
    if (is_file && cfg_dir_wants(dir, entry->d_name))
        add_item(out, entry->d_name, false);
    if (!is_folder || !dir->recursive)
        return;
    full = path_join(path, entry->d_name);
    if (!cfg_dir_skips(dir, full))
        add_item(out, entry->d_name, true);
    mem_free(full);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct look_item *)a)->name, ((const struct look_item *)b)->name);
}

int
look_read(const struct cfg_db *dir, const char *path, struct look *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    *out = (struct look){ .items = NULL };
    if (d == NULL) {
        err_errno(e, errno, "read folder %s", path);
        if (fd >= 0)
            close(fd);
        return (int)e->code;
    }
    for (errno = 0; (entry = readdir(d)) != NULL; errno = 0)
        take_entry(dir, path, entry, out);
    if (errno != 0) {
        err_errno(e, errno, "read folder %s", path);
        closedir(d);
        look_deinit(out);
        return (int)e->code;
    }
    closedir(d);
    if (out->n > 0)
        qsort(out->items, out->n, sizeof(out->items[0]), by_name);
    return 0;
}

void
look_deinit(struct look *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->items[i].name);
    mem_free(l->items);
    *l = (struct look){ .items = NULL };
}
