"""An MCP server with made-up prices."""

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server: MCPServer = MCPServer("prices", log_level="CRITICAL")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def night(city: str) -> str:
    """What a night in a hotel costs."""
    return f"{city}: 90 euros a night"


if __name__ == "__main__":
    server.run()
