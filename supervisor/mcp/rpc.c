#include "supervisor/mcp/rpc.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json_text.h"
#include "supervisor/mcp/tools.h"

#define SESSION_PREFIX "mcp-session-"

/* --- replies --------------------------------------------------------------------------
 */

static json_t *
envelope(const json_t *id)
{
    json_t *o = json_object();

    json_object_set_new(o, "jsonrpc", json_string("2.0"));
    json_object_set_new(o, "id", id != NULL ? json_deep_copy(id) : json_null());
    return o;
}

json_t *
rpc_error(const json_t *id, enum rpc_error code, const char *message)
{
    json_t *o = envelope(id), *error = json_object();

    json_object_set_new(error, "code", json_integer(code));
    json_object_set_new(error, "message", json_text_string(message));
    json_object_set_new(o, "error", error);
    return o;
}

json_t *
rpc_result(const json_t *id, json_t *result)
{
    json_t *o = envelope(id);

    json_object_set_new(o, "result", result);
    return o;
}

json_t *
rpc_text(const json_t *id, const char *text, bool is_error)
{
    json_t *result = json_object(), *list = json_array(), *item = json_object();

    json_object_set_new(item, "type", json_string("text"));
    json_object_set_new(item, "text", json_text_string(text));
    json_array_append_new(list, item);
    json_object_set_new(result, "content", list);
    if (is_error)
        json_object_set_new(result, "isError", json_true());
    return rpc_result(id, result);
}

/* --- methods --------------------------------------------------------------------------
 */

static json_t *
initialize(const json_t *params)
{
    static const char *const versions[] = { "2024-11-05", "2025-03-26" };
    const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
    const char *version = versions[1];

    for (size_t i = 0; asked != NULL && i < sizeof(versions) / sizeof(versions[0]); i++)
        if (strcmp(asked, versions[i]) == 0)
            version = versions[i];
    return json_pack("{s:s, s:{s:{}, s:{}}, s:{s:s, s:s}}", "protocolVersion", version,
        "capabilities", "logging", "tools", "serverInfo", "name", "Litestream MCP Server",
        "version", "1.0.0");
}

static void
bad_method(struct rpc_request *r, enum rpc_error code, const char *message)
{
    r->kind = RPC_REPLY;
    r->reply = rpc_error(r->id, code, message);
}

static bool
begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void
call(struct rpc_request *r, json_t *params)
{
    char *message;

    r->tool = json_string_value(json_object_get(params, "name"));
    r->arguments = json_object_get(params, "arguments");
    if (!json_is_object(r->arguments))
        r->arguments = NULL;
    r->kind = RPC_CALL;
    if (r->tool != NULL && tool_find(r->tool) != NULL)
        return;
    message = mem_printf(
        "tool '%.100s' not found: tool not found", r->tool != NULL ? r->tool : "");
    bad_method(r, RPC_BAD_PARAMS, message);
    mem_free(message);
}

static void
dispatch(struct rpc_request *r, const char *method)
{
    json_t *params = json_object_get(r->root, "params");
    char *message;

    r->kind = RPC_REPLY;
    if (strcmp(method, "initialize") == 0) {
        r->kind = RPC_INITIALIZE;
        r->reply = rpc_result(r->id, initialize(params));
    } else if (strcmp(method, "ping") == 0) {
        r->reply = rpc_result(r->id, json_object());
    } else if (strcmp(method, "tools/list") == 0) {
        r->reply = rpc_result(r->id, tool_list());
    } else if (strcmp(method, "tools/call") == 0) {
        call(r, params);
    } else if (strcmp(method, "logging/setLevel") == 0) {
        bad_method(r, RPC_INTERNAL, "session does not support setting logging level");
    } else if (begins_with(method, "prompts/")) {
        bad_method(r, RPC_NO_METHOD, "prompts not supported");
    } else if (begins_with(method, "resources/")) {
        bad_method(r, RPC_NO_METHOD, "resources not supported");
    } else {
        message = mem_printf("Method %.100s not found", method);
        bad_method(r, RPC_NO_METHOD, message);
        mem_free(message);
    }
}

void
rpc_read(const char *text, size_t size, struct rpc_request *out)
{
    json_error_t error;
    const char *version, *method;

    *out = (struct rpc_request){ .kind = RPC_BAD };
    out->root = json_loadb(text, size, JSON_DISABLE_EOF_CHECK, &error);
    if (!json_is_object(out->root)) {
        out->reply = rpc_error(NULL, RPC_PARSE, "request body is not valid json");
        return;
    }
    out->id = json_object_get(out->root, "id");
    version = json_string_value(json_object_get(out->root, "jsonrpc"));
    method = json_string_value(json_object_get(out->root, "method"));
    if (version == NULL || strcmp(version, "2.0") != 0)
        bad_method(out, RPC_INVALID, "Invalid JSON-RPC version");
    else if (out->id == NULL || json_is_null(out->id))
        out->kind = RPC_NOTIFICATION;
    else if (!json_is_string(out->id) && !json_is_number(out->id))
        bad_method(out, RPC_INVALID, "Invalid request id");
    else
        dispatch(out, method != NULL ? method : "");
}

void
rpc_deinit(struct rpc_request *r)
{
    json_decref(r->reply);
    json_decref(r->root);
    *r = (struct rpc_request){ .kind = RPC_BAD };
}

/* --- sessions -------------------------------------------------------------------------
 */

void
rpc_new_session(char out[RPC_SESSION_SIZE])
{
    uint64_t a = rand_u64(), b = rand_u64();

    a = (a & ~UINT64_C(0xf000)) | 0x4000;               /* version 4 */
    b = (b & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62; /* the usual variant */
    snprintf(out, RPC_SESSION_SIZE, SESSION_PREFIX "%08x-%04x-%04x-%04x-%012llx",
        (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xffff,
        (unsigned)(b >> 48), (unsigned long long)(b & 0xffffffffffff));
}

bool
rpc_is_session(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i;

    if (text == NULL || !begins_with(text, SESSION_PREFIX))
        return false;
    text += strlen(SESSION_PREFIX);
    for (i = 0; form[i] != '\0'; i++)
        if (form[i] == '-'
                ? text[i] != '-'
                : strchr("0123456789abcdefABCDEF", text[i]) == NULL || text[i] == '\0')
            return false;
    return text[i] == '\0';
}
