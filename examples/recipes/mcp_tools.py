"""Tools of an MCP server in every thread (pip install "weaver-reasoning[mcp]").

python mcp_tools.py "Compare the weather of Oslo and Lima today."
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from weaver import Weaver, mcp

SERVER = Path(__file__).parent.parent / "chat" / "weather_server.py"


async def main(question: str) -> None:
    weather = mcp(command=[sys.executable, str(SERVER)], prefix="weather_", allow=["today"])
    async with Weaver(tools=[weather], deadline=60) as weaver:  # the server's process ends with the block
        async with weaver.stream(question) as run:
            async for event in run:
                if type(event).__name__ == "ToolFinished":
                    print("called:", event.as_dict()["tool"])
        print(run.result.answer)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
