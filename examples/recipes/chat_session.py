"""A chat that goes on tomorrow: the conversation is in a SQLite file.

python chat_session.py zoe "I live in Oslo."
python chat_session.py zoe "Where do I live?"
"""

from __future__ import annotations

import asyncio
import sys

from weaver import SQLiteSession, Weaver

FILE = "chat.sqlite"


async def main(name: str, question: str) -> None:
    async with Weaver(sessions=FILE, instructions="Answer in one sentence.") as weaver:
        result = await weaver.run(question, session=name)  # runs on one session wait for each other
    print(result.answer)
    print(len(await SQLiteSession(name, FILE).read()), "messages are kept")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
