#include "drivers/file/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"

static int
add(struct file_keys *k, const char *name, const struct stat *st, struct err *e)
{
    if (k->n == k->cap) {
        size_t cap = k->cap > 0 ? k->cap * 2 : 64;
        struct drv_key *more = mem_try(cap, sizeof(*more));

        if (more == NULL)
            return err_set(e, ERR_MEMORY, "no memory for a listing of %zu files", cap);
        if (k->n > 0)
            memcpy(more, k->items, k->n * sizeof(*more));
        mem_free(k->items);
        k->items = more;
        k->cap = cap;
    }
    k->items[k->n++] = (struct drv_key){
        .name = arena_strdup(&k->names, name),
        .is_folder = S_ISDIR(st->st_mode),
        .size = st->st_size,
        .created = { st->st_mtim.tv_sec, (int32_t)st->st_mtim.tv_nsec },
    };
    return 0;
}

static int
list_dir(DIR *dir, struct file_keys *out, const struct cancel *cancel, struct err *e)
{
    struct dirent *entry;
    struct stat st;
    int rc = 0;

    while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) != 0) {
            if (errno == ENOENT)
                continue; /* deleted since, or a link to nowhere */
            return err_errno(e, errno, "stat %s", entry->d_name);
        }
        if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
            rc = add(out, entry->d_name, &st, e);
    }
    return rc == 0 && errno != 0 ? err_errno(e, errno, "read folder") : rc;
}

int
file_keys_list(const char *root, const char *folder, struct file_keys *out,
    const struct cancel *cancel, struct err *e)
{
    char *path = path_join(root, folder);
    DIR *dir = NULL;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, e);

    if (rc == ERR_NOT_FOUND || (rc != 0 && e->sys_errno == ENOTDIR)) {
        rc = 0;
        goto out;
    }
    if (rc != 0)
        goto out;
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = err_errno(e, errno, "open folder");
        goto out;
    }
    fd = -1; /* closedir closes it */
    rc = list_dir(dir, out, cancel, e);
out:
    if (rc != 0)
        err_wrap(e, "list %s", path);
    if (dir != NULL)
        closedir(dir);
    sys_close(&fd);
    mem_free(path);
    return rc;
}

void
file_keys_deinit(struct file_keys *k)
{
    mem_free(k->items);
    arena_deinit(&k->names);
    *k = (struct file_keys){ 0 };
}
