// node mcp-client.mjs URL [TOOL JSON-ARGUMENTS]: drives a server of the Model Context Protocol
// with the official client, which checks answers against the protocol's schemas. MCP_TOKEN: sent
// as bearer. Run in a folder whose node_modules has the client (see npm.sh), through NODE_MODULES.
// One JSON object comes out.
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const sdk = join(process.env.NODE_MODULES, '@modelcontextprotocol/sdk/dist/esm/client');
const { Client } = await import(pathToFileURL(join(sdk, 'index.js')));
const { StreamableHTTPClientTransport } = await import(pathToFileURL(join(sdk, 'streamableHttp.js')));

const [url, tool, args] = process.argv.slice(2);
const headers = process.env.MCP_TOKEN ? { authorization: 'Bearer ' + process.env.MCP_TOKEN } : {};
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: 'check', version: '0' });
const out = {};
try {
    await client.connect(transport);
    out.server = client.getServerVersion();
    out.capabilities = Object.keys(client.getServerCapabilities() ?? {});
    out.session = transport.sessionId;
    await client.ping();
    out.tools = (await client.listTools()).tools;
    if (tool)
        out.result = await client.callTool({ name: tool, arguments: JSON.parse(args ?? '{}') });
    await client.callTool({ name: 'no-such-tool', arguments: {} }).catch(e => { out.unknown = e.code; });
    await transport.terminateSession();
    await client.close();
} catch (e) {
    out.error = String(e);
}
console.log(JSON.stringify(out));
