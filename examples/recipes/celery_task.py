"""A Celery task (pip install celery): a worker that is killed and started again pays for nothing twice.

    celery -A celery_task worker            # and in a program: ask.delay("...", "brief-1")

Several machines: Weaver(journal="postgresql://...") instead of the file of one machine (docs/durability.md).
"""

from __future__ import annotations

import os

from celery import Celery

from weaver import Weaver, WeaverError

app = Celery("answers", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.task_acks_late = True  # a task whose worker dies is given to another one


@app.task(bind=True, autoretry_for=(WeaverError,), retry_backoff=True, max_retries=3)  # type: ignore[untyped-decorator,unused-ignore]
def ask(self: object, question: str, run_id: str) -> dict[str, str]:  # noqa: ARG001 - Celery's signature
    """Answer in a durable run: the next attempt goes on with what this one has finished."""
    result = Weaver(durable=True, deadline=120).run_sync(question, run_id=run_id)
    return {"answer": result.answer, "status": result.status}
