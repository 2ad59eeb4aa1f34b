#include "supervisor/control/db_view.h"

#include <stdio.h>
#include <string.h>

void
db_view_of(const struct db_entry *d, struct db_view *out)
{
    db_entry_info(d, &out->info);
    db_entry_slot(d, &out->slot);
    out->n_replicas = (unsigned)out->info.db->n_replicas;
    if (out->n_replicas > SLOT_MAX_REPLICAS)
        out->n_replicas = SLOT_MAX_REPLICAS;
}

const char *
db_view_status(const struct db_view *v, bool once)
{
    switch (v->info.state) {
    case DB_DISABLED:
    case DB_STOPPING:
        return "stopped";
    case DB_WAITING:
    case DB_RUNNING:
    case DB_FAILED:
        break;
    }
    return once ? "open" : "replicating";
}

const char *
db_view_state(const struct db_view *v)
{
    switch (v->info.state) {
    case DB_DISABLED:
        return "stopped";
    case DB_WAITING:
        return v->info.restarts > 0 ? "restarting" : "starting";
    case DB_STOPPING:
        return "stopping";
    case DB_FAILED:
        return "failed";
    case DB_RUNNING:
        break;
    }
    switch (v->slot.state) {
    case WS_WAITING:
        return "no database";
    case WS_RUNNING:
        return v->slot.sync_errors_in_row > 0 ? "error" : "running";
    case WS_STOPPING:
        return "stopping";
    default:
        return v->slot.sync_errors_in_row > 0 ? "error" : "starting";
    }
}

bool
db_view_replica_in_sync(const struct db_view *v, unsigned i)
{
    const struct slot_replica *r = &v->slot.replica[i];

    return v->info.pid > 0 && v->slot.state == WS_RUNNING && v->slot.txid > 0 &&
           v->slot.sync_errors_in_row == 0 && i < v->slot.n_replicas &&
           r->txid >= v->slot.txid && r->errors_in_row == 0 && r->error[0] == '\0';
}

bool
db_view_in_sync(const struct db_view *v)
{
    for (unsigned i = 0; i < v->n_replicas; i++)
        if (!db_view_replica_in_sync(v, i))
            return false;
    return v->n_replicas > 0;
}

int64_t
db_view_replica_last_sync_ms(const struct db_view *v, unsigned i, int64_t now_ms)
{
    return db_view_replica_in_sync(v, i) ? now_ms
                                         : (int64_t)v->slot.replica[i].last_ok_ms;
}

int64_t
db_view_last_sync_ms(const struct db_view *v, int64_t now_ms)
{
    int64_t oldest = now_ms;

    for (unsigned i = 0; i < v->n_replicas; i++) {
        int64_t at = db_view_replica_last_sync_ms(v, i, now_ms);

        if (at < oldest)
            oldest = at;
    }
    return v->n_replicas > 0 ? oldest : 0;
}

/* Not longer than its worker has been trying: what was before nobody knows. */
int64_t
db_view_replica_lag_ms(const struct db_view *v, unsigned i, int64_t now_ms)
{
    int64_t since = db_view_replica_last_sync_ms(v, i, now_ms);

    if (v->info.state == DB_DISABLED || v->slot.state == WS_WAITING)
        return -1;
    if (since == 0)
        since =
            wall_is_zero(v->info.started_at) ? now_ms : wall_to_ms(v->info.started_at);
    return since < now_ms ? now_ms - since : 0;
}

int64_t
db_view_lag_ms(const struct db_view *v, int64_t now_ms)
{
    int64_t worst = -1;

    for (unsigned i = 0; i < v->n_replicas; i++) {
        int64_t lag = db_view_replica_lag_ms(v, i, now_ms);

        if (lag > worst)
            worst = lag;
    }
    return worst;
}

uint64_t
db_view_replicated_txid(const struct db_view *v)
{
    uint64_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < v->n_replicas; i++)
        if (v->slot.replica[i].txid < lowest)
            lowest = v->slot.replica[i].txid;
    return v->n_replicas > 0 ? lowest : 0;
}

const char *
db_view_error(const struct db_view *v)
{
    if (v->info.state == DB_WAITING || v->info.state == DB_FAILED)
        return v->info.obituary;
    if (v->info.state != DB_RUNNING || v->slot.last_error[0] != '\0')
        return v->info.state == DB_RUNNING ? v->slot.last_error : "";
    for (unsigned i = 0; i < v->n_replicas; i++)
        if (v->slot.replica[i].error[0] != '\0')
            return v->slot.replica[i].error;
    return "";
}

static const char *
plain_label(const struct cfg_db *db, unsigned i)
{
    const struct cfg_replica *r = &db->replicas[i];

    return r->name[0] != '\0' ? r->name : cfg_replica_type_name(r->type);
}

void
db_view_replica_label(const struct cfg_db *db, unsigned i, char out[])
{
    const char *label = plain_label(db, i);
    bool shared = false;

    for (unsigned k = 0; k < db->n_replicas; k++)
        shared = shared || (k != i && strcmp(plain_label(db, k), label) == 0);
    if (shared)
        snprintf(out, DB_VIEW_LABEL_MAX, "%.64s-%u", label, i + 1);
    else
        snprintf(out, DB_VIEW_LABEL_MAX, "%.64s", label);
}
