"""An MCP server with made-up weather."""

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server: MCPServer = MCPServer("weather", log_level="CRITICAL")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def today(city: str) -> str:
    """Today's weather in a city."""
    return f"{city}: 21 degrees Celsius, light rain"


if __name__ == "__main__":
    server.run()
