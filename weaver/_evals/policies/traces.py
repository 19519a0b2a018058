"""Examples of the runs that are kept on this machine, with the rewards that people and programs gave them."""

from __future__ import annotations

from weaver._evals.policies.examples import Example, example_of_log
from weaver._tracing.store.decisions import decisions_of
from weaver._tracing.store.sqlite import Store


def examples_of_traces(store: Store) -> list[Example]:
    """Return an example of each kept run that has decided whether to fork, and that somebody has judged.

    Raises:
        TraceStoreError: the store cannot be read.
    """
    examples: list[Example] = []
    for row in store.runs(limit=None):
        example = example_of_log(row.run_id, row.model, decisions_of(store.spans(row)))
        if example is not None:
            examples.append(example)
    return examples
