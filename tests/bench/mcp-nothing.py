"""A server on the official SDK whose one tool does nothing: `mcp-nothing.py`, or `mcp-nothing.py PORT` for HTTP."""
import sys

from mcp.server import MCPServer

server = MCPServer("nothing", log_level="ERROR")


@server.tool()
def noop() -> dict[str, str]:
    return {}


if len(sys.argv) > 1:
    server.run("streamable-http", port=int(sys.argv[1]), json_response=True, stateless_http=True)
else:
    server.run("stdio")
