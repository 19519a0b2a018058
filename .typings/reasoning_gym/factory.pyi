"""What weaver uses of reasoning-gym, which has no types of its own."""

from collections.abc import Mapping
from typing import Any, Protocol

class Dataset(Protocol):
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float: ...

DATASETS: Mapping[str, tuple[type[Dataset], type[Any]]]

def create_dataset(name: str, **options: Any) -> Dataset: ...
