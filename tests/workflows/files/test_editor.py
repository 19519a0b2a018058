"""The schema in a real YAML language server: what an editor underlines, completes and explains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workflows.files.editor import editing, opened
from weaver._workflows.format.json_schema import FILE, schema_text

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(300)]
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
HEAD = "# yaml-language-server: $schema=./weaver-v1.schema.json\nversion: weaver/v1\nname: x\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_an_editor_underlines_nothing_in_an_example(path: Path) -> None:
    async with editing(path.parent) as editor:
        editor.tell(
            "textDocument/didOpen",
            textDocument={
                "uri": path.as_uri(),
                "languageId": "yaml",
                "version": 1,
                "text": path.read_text("utf-8"),
            },
        )
        assert await editor.diagnostics(path.as_uri()) == []


async def test_an_editor_underlines_completes_and_explains(tmp_path: Path) -> None:
    assert FILE.read_text("utf-8") == schema_text()
    (tmp_path / "weaver-v1.schema.json").write_text(schema_text())
    text = HEAD + "steps:\n  a:\n    tusk: hello\n    on_error: ignore\n    timeout: 2 minutes\n    \n"
    async with editing(tmp_path) as editor:
        uri = opened(editor, tmp_path / "flow.yaml", text)
        found = {(d["range"]["start"]["line"], d["message"]) for d in await editor.diagnostics(uri)}
        assert any(line == 5 and "tusk" in message for line, message in found), found
        assert any(line == 6 and "fail_fast" in message for line, message in found), found
        assert any(line == 7 for line, _ in found), found

        document = {"uri": uri}
        completed = await editor.ask(
            "textDocument/completion", textDocument=document, position={"line": 8, "character": 4}
        )
        labels = {item["label"] for item in completed["items"]}
        assert {"task", "for_each", "needs", "join", "if", "output"} <= labels
        assert "steps" not in labels

        hover = await editor.ask(
            "textDocument/hover", textDocument=document, position={"line": 6, "character": 6}
        )
        assert "the rest goes on" in json.dumps(hover)

        top = opened(editor, tmp_path / "top.yaml", HEAD + "\n")
        completed = await editor.ask(
            "textDocument/completion", textDocument={"uri": top}, position={"line": 3, "character": 0}
        )
        assert {"steps", "inputs", "agents", "outputs", "tests"} <= {
            item["label"] for item in completed["items"]
        }
