#include "supervisor/commands/live.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/commands/socket.h"

#define ASK_MS 3000

int
live_ask(const struct config *c, json_t **out, struct err *e)
{
    struct client client = { .socket = c->socket.path, .timeout_ms = ASK_MS };

    if (!c->socket.enabled)
        return err_set(e, ERR_UNSUPPORTED,
            "the control socket is off in the configuration: socket.enabled is false");
    return client_call_json(&client, "list", "/list", NULL, out, e);
}

const json_t *
live_db(const json_t *live, const char *path)
{
    json_t *list = json_object_get(live, "databases"), *db;
    size_t i;

    json_array_foreach(list, i, db)
    {
        if (strcmp(socket_text(db, "path"), path) == 0)
            return db;
    }
    return NULL;
}

const json_t *
live_replica(const json_t *db, size_t i)
{
    return json_array_get(json_object_get(db, "replica"), i);
}

const char *
live_txid(const json_t *o, const char *key, char text[LTX_TXID_SIZE])
{
    uint64_t txid = o != NULL ? socket_uint(o, key) : 0;

    if (txid == 0)
        return "-";
    ltx_txid_format(txid, text);
    return text;
}

const char *
live_lag(const json_t *o, char text[DURATION_TEXT_MAX])
{
    const json_t *lag = json_object_get(o, "lag_seconds");

    if (lag == NULL)
        return "-";
    duration_format((int64_t)(json_number_value(lag) * 1e9), text);
    return text;
}
