"""A question about files that do not fit a context window: read in pieces at the same time, with sources.

python long_documents.py "How many orders are from Oslo?" orders.csv
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from weaver import Weaver


async def main(question: str, files: list[Path]) -> None:
    async with Weaver(strategy="map_reduce") as weaver:
        result = await weaver.run(question, documents=files)
    print(result.answer)
    for source in result.sources[:5]:
        print(" ", source)
    for note in result.notes:
        print("note:", note)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [Path(name) for name in sys.argv[2:]]))
