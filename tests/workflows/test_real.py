"""The examples on the real small model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.real import Llama
from weaver import Weaver
from weaver.workflows import Workflow, run_workflow

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(900)]
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
INPUTS: dict[str, dict[str, Any]] = {
    "long-input": {"text": "tea 2 EUR\nno price\ncoffee 3 EUR\n"},
    "map-reduce": {"files": ["Tea comes from China. It is old.", "Coffee comes from Ethiopia."]},
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_on_the_real_model(path: Path, llama: Llama) -> None:
    """Half a billion parameters say little of worth, but every step must get an answer of the right shape."""
    workflow = Workflow.from_yaml(path)
    # Without chance, so that what passes once passes again.
    weaver = Weaver("openai/small", base_url=llama.url, api_key="none", temperature=0.0, seed=1)
    async with weaver:
        result = await run_workflow(
            workflow, INPUTS.get(path.stem, {}), weaver=weaver, approve=lambda question: True, deadline=600
        )
    assert result.status in ("complete", "partial"), result.notes
    assert result.answer.strip()
    assert set(result.output) == set(workflow.outputs)
    steps = {thread.id: thread for thread in result.threads if thread.parent is None}
    assert set(steps) == set(workflow.steps)
    assert all(thread.state == "succeeded" for thread in steps.values()), steps
    assert result.usage.calls >= len(steps)
    assert result.usage.output_tokens > 0
