#include "workers/compact/merge.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_merge.h"
#include "common/ltx/ltx_name.h"
#include "workers/compact/upload.h"
#include "workers/restore/fetch.h"

/* A remote input is fetched in pieces of this size, one ahead of the reader. */
#define INPUT_CHUNK ((size_t)64 << 10)
#define INPUT_CHUNKS 2

/* What a decoder and a merge keep of an input besides pages. */
#define INPUT_BUFFERS ((size_t)68 << 10)

struct input {
    struct ltx_info info;
    int fd;              /* local copy, -1: none */
    struct fetch *fetch; /* else */
    struct ltx_decoder *dec;
};

struct merge {
    struct merge_options opt;
    struct input *inputs;
    size_t n, n_fetches; /* fetches that are not closed yet */
    struct upload *upload;

    bool good;
    struct ltx_info written;
    struct err err;
};

size_t
merge_max_inputs(uint32_t page_size)
{
    size_t each = INPUT_BUFFERS + INPUT_CHUNKS * INPUT_CHUNK + 3 * (size_t)page_size;
    size_t n = MERGE_MEMORY / each;

    return n < 2 ? 2 : n;
}

/* --- the maker's thread ---------------------------------------------------------------
 */

static int
fetched_read(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    return fetch_read(arg, 0, buf, cap, n, e);
}

static int
open_decoder(struct input *in, struct err *e)
{
    struct ltx_source src = { .read = fetched_read, .arg = in->fetch };
    char name[LTX_NAME_SIZE];
    int rc;

    rc = in->fd >= 0 ? ltx_decoder_open_fd(in->fd, 0, &in->dec, e)
                     : ltx_decoder_open(src, &in->dec, e);
    if (rc == 0 && (ltx_decoder_header(in->dec)->min_txid != in->info.min_txid ||
                       ltx_decoder_header(in->dec)->max_txid != in->info.max_txid))
        rc = err_set(e, ERR_CORRUPT, "the header holds other TXIDs than the name");
    if (rc == 0)
        return 0;
    ltx_name_format(in->info.min_txid, in->info.max_txid, name);
    return err_wrap(e, "open ltx file %d/%s", in->info.level, name);
}

static int
merge_into(struct merge *m, struct ltx_decoder **decs, struct ltx_sink sink,
    const struct cancel *cancel, struct err *e)
{
    struct ltx_encoder *enc = NULL;
    struct ltx_merge *merge = NULL;
    struct ltx_header h;
    int rc = ltx_merge_open(decs, m->n, &merge, e);

    if (rc == 0) {
        h = *ltx_merge_header(merge);
        h.min_txid = m->opt.min_txid;
        rc = ltx_encoder_open(&h, sink, m->opt.spool_dir, &enc, e);
    }
    if (rc == 0)
        rc = ltx_merge_run(merge, enc, cancel, e);
    ltx_encoder_free(enc);
    ltx_merge_free(merge);
    return rc;
}

/* The inputs that are as the first one end at *until; untouched when all are. */
static void
find_page_size_change(struct ltx_decoder *const *decs, size_t n, uint64_t *until)
{
    for (size_t i = 1; i < n; i++)
        if (ltx_decoder_header(decs[i])->page_size !=
            ltx_decoder_header(decs[0])->page_size) {
            *until = ltx_decoder_header(decs[i - 1])->max_txid;
            return;
        }
}

static int
make(void *arg, struct ltx_sink sink, const struct cancel *cancel, struct err *e)
{
    struct merge *m = arg;
    struct ltx_decoder **decs = mem_new_array(m->n, sizeof(decs[0]));
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        rc = open_decoder(&m->inputs[i], e);
        decs[i] = m->inputs[i].dec;
    }
    if (rc == 0 && m->opt.page_size_until != NULL)
        find_page_size_change(decs, m->n, m->opt.page_size_until);
    if (rc == 0)
        rc = merge_into(m, decs, sink, cancel, e);
    for (size_t i = 0; i < m->n; i++)
        ltx_decoder_free(m->inputs[i].dec);
    mem_free(decs);
    return rc;
}

/* --- the loop -------------------------------------------------------------------------
 */

static void
merge_free(struct merge *m)
{
    for (size_t i = 0; i < m->n; i++)
        sys_close(&m->inputs[i].fd);
    mem_free(m->inputs);
    mem_free(m);
}

static void
on_fetch_closed(void *arg)
{
    struct merge *m = arg;

    if (--m->n_fetches > 0)
        return;
    if (m->opt.done != NULL)
        m->opt.done(m->opt.arg, m->good ? &m->written : NULL, m->good ? NULL : &m->err);
    merge_free(m);
}

/* Closes the inputs; the answer comes when the last of them is closed. */
static void
finish(struct merge *m)
{
    m->n_fetches++; /* ours */
    for (size_t i = 0; i < m->n; i++) {
        if (m->inputs[i].fetch != NULL)
            fetch_close(m->inputs[i].fetch, on_fetch_closed, m);
        m->inputs[i].fetch = NULL;
    }
    on_fetch_closed(m);
}

static void
on_stop(void *arg)
{
    struct merge *m = arg;

    for (size_t i = 0; i < m->n; i++)
        if (m->inputs[i].fetch != NULL)
            fetch_stop(m->inputs[i].fetch);
}

static void
on_uploaded(void *arg, const struct ltx_info *written, const struct err *e)
{
    struct merge *m = arg;

    m->upload = NULL;
    m->good = e == NULL;
    if (m->good)
        m->written = *written;
    else
        m->err = *e;
    finish(m);
}

/* The local copy, unless it is not the file that the destination lists. */
static int
open_local(struct merge *m, struct input *in, struct err *e)
{
    char name[LTX_NAME_SIZE];
    struct stat st;
    char *path;
    int rc;

    if (in->info.level != 0 || m->opt.l0_dir == NULL)
        return 0;
    ltx_name_format(in->info.min_txid, in->info.max_txid, name);
    path = path_join(m->opt.l0_dir, name);
    rc = sys_open(path, O_RDONLY, 0, &in->fd, e);
    mem_free(path);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0 && (fstat(in->fd, &st) != 0 || st.st_size != in->info.size))
        sys_close(&in->fd);
    return rc != 0 ? err_wrap(e, "open local ltx file") : 0;
}

static int
open_input(struct merge *m, struct input *in, struct err *e)
{
    struct fetch_files files = fetch_ltx_files(&in->info, 1);
    int rc = open_local(m, in, e);

    if (rc != 0 || in->fd >= 0)
        return rc;
    files.chunk = INPUT_CHUNK;
    rc = fetch_open(m->opt.loop, m->opt.drv, &files, INPUT_CHUNKS, &in->fetch, e);
    if (rc == 0)
        m->n_fetches++;
    return rc;
}

int
merge_start(const struct merge_options *options, struct merge **out, struct err *e)
{
    struct merge *m = MEM_NEW(struct merge);
    struct upload_options up = { .loop = options->loop,
        .drv = options->drv,
        .level = options->level,
        .min_txid = options->min_txid,
        .max_txid = options->files[options->n - 1].max_txid,
        .make = make,
        .stop = on_stop,
        .done = on_uploaded,
        .arg = m };
    int rc = 0;

    must(options->n > 0);
    m->opt = *options;
    m->n = options->n;
    m->inputs = mem_new_array(m->n, sizeof(m->inputs[0]));
    for (size_t i = 0; i < m->n; i++) {
        m->inputs[i] = (struct input){ .info = options->files[i], .fd = -1 };
        up.bound += options->files[i].size;
    }
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        rc = open_input(m, &m->inputs[i], e);
    if (rc == 0)
        rc = upload_start(&up, &m->upload, e);
    if (rc == 0) {
        *out = m;
        return 0;
    }
    m->opt.done = NULL; /* nothing was started: nobody is told */
    finish(m);
    return rc;
}

void
merge_cancel(struct merge *m)
{
    if (m != NULL)
        upload_cancel(m->upload);
}
