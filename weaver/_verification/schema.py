"""A JSON Schema that the answer has to fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver._data.result import Answer
from weaver._json_reading.whole import read_json
from weaver._verification.protocol import Verdict
from weaver.errors import ConfigurationError


class Schema:
    """Checks that the answer is, or ends with, JSON that fits a schema (draft 7; nothing is fetched).

    Raises:
        ConfigurationError: it is not a JSON Schema.
    """

    is_quick = True

    def __init__(self, schema: Mapping[str, Any]) -> None:
        import fastjsonschema

        try:
            refused: dict[str, Any] = dict.fromkeys(("", "http", "https", "file"), _refuse)
            self._validate = fastjsonschema.compile(dict(schema), handlers=refused)
        except Exception as error:
            raise ConfigurationError(f"verify= is not a JSON Schema: {error}.") from error

    def __call__(self, answer: Answer) -> Verdict:
        """Check an answer."""
        import fastjsonschema
        from pydantic_core import to_jsonable_python

        if answer.output is not None:
            value = to_jsonable_python(answer.output)
        elif values := read_json(answer.text):
            value = values[-1].value
        else:
            return Verdict(False, "The answer has no JSON.")
        try:
            self._validate(value)
        except fastjsonschema.JsonSchemaException as error:
            return Verdict(False, f"The answer does not fit the schema: {error}.")
        return Verdict(True)


def _refuse(uri: str) -> Any:
    raise ConfigurationError(f"The schema refers to {uri}, and nothing is fetched.")
