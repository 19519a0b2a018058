"""The lines of a part, numbered, so that what a model says of a line leads back to its place."""

from __future__ import annotations

from typing import Any

from weaver._documents.places import source
from weaver._documents.splitting import Batch, Piece
from weaver._runtime.run import Run
from weaver._strategies.long_inputs.combining import Entry


class NumberedLines:
    """The lines of a batch, each with a number that leads back to its place."""

    def __init__(self, batch: Batch) -> None:
        self._places: list[tuple[Piece, int, str]] = []
        rows: list[str] = []
        for piece in batch.pieces:
            rows += [""] if rows else []
            rows.append(f"--- {piece.place}")
            if piece.header:
                rows.append(f"(columns: {piece.header})")
            for number, line in enumerate(piece.text.split("\n"), start=1):
                if text := line.strip():
                    self._places.append((piece, number, text))
                    rows.append(f"{len(self._places)}: {text}")
        self.text = "\n".join(rows)

    def __len__(self) -> int:
        return len(self._places)

    def line(self, number: int) -> str:
        """The text of a line."""
        return self._places[number - 1][2]

    def entry(self, run: Run, number: int, **fields: Any) -> Entry:
        """An entry for a line."""
        piece, line, text = self._places[number - 1]
        return Entry(source(piece.place_of(line), text, run.path), **fields)

    def header(self, number: int) -> str:
        """The names of the columns that a line has, or ""."""
        return self._places[number - 1][0].header or ""
