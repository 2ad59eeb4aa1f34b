#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "supervisor/mcp/rpc.h"
#include "supervisor/mcp/tools.h"

static struct rpc_request
read_text(const char *text)
{
    struct rpc_request r;

    rpc_read(text, strlen(text), &r);
    return r;
}

/* The code of the error that is replied; 0: none. */
static int
code_of(const char *text, enum rpc_kind kind)
{
    struct rpc_request r = read_text(text);
    json_t *error = json_object_get(r.reply, "error");
    int code = (int)json_integer_value(json_object_get(error, "code"));

    cr_expect_eq(r.kind, kind, "%s", text);
    rpc_deinit(&r);
    return code;
}

Test(mcp_rpc, requests_are_told_apart)
{
    cr_expect_eq(code_of("nothing", RPC_BAD), RPC_PARSE);
    cr_expect_eq(code_of("[{\"jsonrpc\":\"2.0\"}]", RPC_BAD), RPC_PARSE);
    cr_expect_eq(code_of("{}", RPC_REPLY), RPC_INVALID);
    cr_expect_eq(
        code_of("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", RPC_REPLY),
        RPC_INVALID);
    cr_expect_eq(
        code_of("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}", RPC_NOTIFICATION), 0);
    cr_expect_eq(
        code_of("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", RPC_REPLY), 0);
    cr_expect_eq(code_of("{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_REPLY), RPC_NO_METHOD);
    cr_expect_eq(code_of("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"initialize\"}",
                     RPC_INITIALIZE),
        0);
}

Test(mcp_rpc, a_reply_has_the_id_of_its_request)
{
    struct rpc_request r =
        read_text("{\"jsonrpc\":\"2.0\",\"id\":\"seven\",\"method\":\"ping\"}");

    cr_expect_str_eq(json_string_value(json_object_get(r.reply, "id")), "seven");
    cr_expect_str_eq(json_string_value(json_object_get(r.reply, "jsonrpc")), "2.0");
    rpc_deinit(&r);
}

Test(mcp_rpc, text_that_is_not_utf8_is_shown_all_the_same)
{
    json_t *reply = rpc_text(NULL,
        "a\xff"
        "b",
        true);
    json_t *result = json_object_get(reply, "result");
    json_t *item = json_array_get(json_object_get(result, "content"), 0);

    cr_expect_str_eq(json_string_value(json_object_get(item, "text")), "a\xef\xbf\xbd"
                                                                       "b");
    cr_expect(json_is_true(json_object_get(result, "isError")));
    json_decref(reply);
}

Test(mcp_rpc, sessions_have_one_form)
{
    char a[RPC_SESSION_SIZE], b[RPC_SESSION_SIZE];

    rpc_new_session(a);
    rpc_new_session(b);
    cr_expect_str_neq(a, b);
    cr_expect(rpc_is_session(a), "%s", a);
    cr_expect_eq(a[12 + 14], '4', "%s", a);
    cr_expect_not(rpc_is_session(NULL));
    cr_expect_not(rpc_is_session(""));
    cr_expect_not(rpc_is_session(a + 1));
    a[RPC_SESSION_SIZE - 2] = '\0';
    cr_expect_not(rpc_is_session(a));
}

/* --- commands -------------------------------------------------------------------------
 */

/* "litestream ltx -config c -- p" */
static char *
command(const char *tool, const char *arguments, const char *config)
{
    const struct tool_defaults d = { .config = config };
    json_t *args = json_loads(arguments, 0, NULL);
    const char *missing = NULL;
    struct tool_argv argv;
    char *text = mem_strdup(""), *longer;

    cr_assert_not_null(tool_find(tool));
    if (!tool_command(tool_find(tool), args, &d, &argv, &missing)) {
        mem_free(text);
        text = mem_printf("missing %s", missing);
    } else {
        for (unsigned i = 0; i < argv.n; i++) {
            longer = mem_printf("%s%s%s", text, i > 0 ? " " : "", argv.items[i]);
            mem_free(text);
            text = longer;
        }
        cr_expect_null(argv.items[argv.n]);
        tool_argv_deinit(&argv);
    }
    json_decref(args);
    return text;
}

static void
expect_command(
    const char *tool, const char *arguments, const char *config, const char *expected)
{
    char *got = command(tool, arguments, config);

    cr_expect_str_eq(got, expected);
    mem_free(got);
}

Test(mcp_tools, make_commands)
{
    expect_command("litestream_version", "{}", "/c", "litestream version");
    expect_command("litestream_databases", "{}", "/c", "litestream databases -config /c");
    expect_command("litestream_databases", "{}", "", "litestream databases");
    expect_command("litestream_databases", "{\"config\":\"/d\"}", "/c",
        "litestream databases -config /d");
    expect_command(
        "litestream_ltx", "{\"path\":\"/p\"}", "/c", "litestream ltx -config /c -- /p");
    expect_command("litestream_ltx", "{\"path\":\"file:///p\"}", "/c",
        "litestream ltx -- file:///p");
    expect_command("litestream_ltx", "{}", "/c", "missing path");
    expect_command("litestream_ltx", "{\"path\":7}", "/c", "missing path");
    expect_command("litestream_status", "{}", "/c", "litestream status -config /c");
    expect_command("litestream_reset", "{\"path\":\"-x\"}", "/c",
        "litestream reset -config /c -- -x");
}

Test(mcp_tools, make_a_restore)
{
    expect_command("litestream_restore",
        "{\"path\":\"/p\",\"o\":\"/o\",\"txid\":\"0000000000000001\","
        "\"timestamp\":\"2026-01-01T00:00:00Z\",\"parallelism\":\"3\","
        "\"if_db_not_exists\":true,\"if_replica_exists\":\"true\"}",
        "/c",
        "litestream restore -config /c -o /o -txid 0000000000000001 -timestamp "
        "2026-01-01T00:00:00Z -parallelism 3 -if-db-not-exists -if-replica-exists -- /p");
    expect_command("litestream_restore",
        "{\"path\":\"/p\",\"parallelism\":3,\"if_db_not_exists\":false,"
        "\"if_replica_exists\":0}",
        "/c", "litestream restore -config /c -- /p");
}

Test(mcp_tools, are_listed_by_name_and_truthfully)
{
    json_t *list = tool_list(), *tools = json_object_get(list, "tools"), *t;
    const char *before = "";
    size_t i;

    json_array_foreach(tools, i, t)
    {
        const char *name = json_string_value(json_object_get(t, "name"));
        json_t *hints = json_object_get(t, "annotations");

        cr_expect_gt(strcmp(name, before), 0);
        cr_expect_eq(
            tool_is_report(tool_find(name)), strcmp(name, "litestream_info") == 0);
        cr_expect_not(json_is_true(json_object_get(hints, "readOnlyHint")) &&
                      json_is_true(json_object_get(hints, "destructiveHint")));
        before = name;
    }
    cr_expect_eq(i, 7);
    json_decref(list);
}
