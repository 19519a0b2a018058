"""A nightly batch from cron: one question a line, answers as JSON lines; what is done is never done twice.

    0 3 * * *  cd /srv/questions && python batch.py questions.txt answers.jsonl

Every line is a durable run whose id is made of its text. After a crash the next start goes on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from weaver import Weaver, WeaverError


async def answered(questions: list[str]) -> list[dict[str, object]]:
    """Answer all at once; Weaver keeps to the endpoint's limits."""
    results: list[dict[str, object]] = [{} for _ in questions]

    async with Weaver(durable=True, deadline=120) as weaver:

        async def answer(place: int, question: str) -> None:
            run_id = "batch-" + hashlib.sha256(question.encode()).hexdigest()[:16]
            try:
                result = await weaver.run(question, run_id=run_id)
                results[place] = {"question": question, "answer": result.answer, "status": result.status}
            except WeaverError as error:
                results[place] = {"question": question, "error": str(error), "status": "failed"}

        async with asyncio.TaskGroup() as group:
            for place, question in enumerate(questions):
                group.create_task(answer(place, question))
    return results


def main(source: Path, target: Path) -> int:
    lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    results = asyncio.run(answered(lines))
    target.write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
    return int(any(result["status"] == "failed" for result in results))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
