"""`documents:` of a workflow's step."""

from __future__ import annotations

import pytest

from tests.long_inputs.reader import reader
from tests.long_inputs.test_map_reduce import ORDERS, OSLO, in_oslo
from weaver.errors import StepError, WeaverError
from weaver.testing import ScriptedModel
from weaver.workflows import Workflow

pytestmark = pytest.mark.anyio

FLOW = """
version: weaver/v1
name: counting
inputs: {notes: string}
steps:
  count:
    task: How many orders are from Oslo?
    documents: [orders.csv, "${{ inputs.notes }}"]
    strategy: map_reduce
outputs: {count: "${{ steps.count.output }}"}
"""


def flow(tmp_path, text=FLOW):
    (tmp_path / "orders.csv").write_text(ORDERS[1], encoding="utf-8")
    file = tmp_path / "flow.yaml"
    file.write_text(text, encoding="utf-8")
    return Workflow.from_yaml(file)


async def test_files_beside_the_workflow_and_texts_of_expressions_are_read(tmp_path):
    note = "One more:\n9999;Ana;Oslo;1\n"
    result = await flow(tmp_path).run({"notes": note}, model=reader(in_oslo))
    assert result.output == {"count": str(len(OSLO) + 1)}


async def test_an_expression_never_names_a_file(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("1;Ana;Oslo;1\n" * 5, encoding="utf-8")
    result = await flow(tmp_path).run({"notes": str(secret)}, model=reader(in_oslo))
    assert result.output == {"count": str(len(OSLO))}


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname"])
async def test_files_elsewhere_are_refused(tmp_path, name):
    (tmp_path / "inner").mkdir()
    with pytest.raises(WeaverError) as caught:
        await flow(tmp_path / "inner", FLOW.replace("orders.csv", name)).run(
            {"notes": "x"}, model=reader(in_oslo)
        )
    assert isinstance(caught.value, StepError) or "outside of the workflow's folder" in str(caught.value)


async def test_other_strategies_get_them_whole(tmp_path):
    text = FLOW.replace("[orders.csv, ", "[").replace("strategy: map_reduce", "strategy: sequential")
    model = ScriptedModel("answer")
    await flow(tmp_path, text).run({"notes": "A short text."}, model=model)
    assert "```document 1\nA short text.\n```" in str(model.requests[0].request.messages[-1].content)
