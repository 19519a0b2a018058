"""A run that survives kill -9: start it, kill it, start it again with the same id. No step is paid twice.

python resume.py brief-1 "Compare Kyoto, Oslo and Porto for a week in May."
"""

from __future__ import annotations

import asyncio
import sys

from weaver import Weaver


async def main(run_id: str, question: str) -> None:
    async with Weaver(durable=True) as weaver:
        result = await weaver.run(question, run_id=run_id)
    print(result.answer)
    print(result.status, "with", result.usage.calls, "calls")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
