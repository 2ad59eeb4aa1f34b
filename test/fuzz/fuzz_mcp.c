/*
 * Any bytes as a request to the MCP server: there is a reply, nothing is to be said, or a
 * tool that exists is called.
 */
#include <stdint.h>
#include <stdlib.h>

#include "supervisor/mcp/rpc.h"
#include "supervisor/mcp/tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(int good)
{
    if (!good)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tool_defaults d = { .config = "/c" };
    struct rpc_request r;

    rpc_read((const char *)data, size, &r);
    expect((r.reply != NULL) == (r.kind != RPC_NOTIFICATION && r.kind != RPC_CALL));
    if (r.kind == RPC_CALL) {
        const struct tool *t = tool_find(r.tool);
        const char *missing = NULL;
        struct tool_argv argv;

        expect(t != NULL);
        if (!tool_is_report(t) && tool_command(t, r.arguments, &d, &argv, &missing)) {
            expect(argv.n >= 2 && argv.n <= TOOL_ARGS_MAX);
            tool_argv_deinit(&argv);
        }
    }
    rpc_deinit(&r);
    return 0;
}
