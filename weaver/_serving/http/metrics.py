"""Counters and histograms in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_MOST_SERIES = 2000
"""Of one metric. Labels are names of models, keys and strategies that the server offers, so there are few."""
Labels = tuple[str, ...]


class Counter:
    """A sum that only grows, by labels."""

    kind = "counter"

    def __init__(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.help, self.labels = name, help_, labels
        self._values: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        """Add to the sum of these labels."""
        if labels in self._values or len(self._values) < _MOST_SERIES:
            self._values[labels] = self._values.get(labels, 0) + by

    def lines(self) -> Iterator[str]:
        """The samples."""
        for labels, value in self._values.items():
            yield f"{self.name}{_label_text(self.labels, labels)} {value:.10g}"


class Gauge(Counter):
    """A value that goes up and down."""

    kind = "gauge"


class Histogram:
    """How often values were at most so large, by labels."""

    kind = "histogram"

    def __init__(
        self, name: str, help_: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = SECONDS
    ) -> None:
        self.name, self.help, self.labels = name, help_, labels
        self._bounds = bounds
        self._values: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        if labels not in self._values:
            if len(self._values) >= _MOST_SERIES:
                return
            self._values[labels] = [0] * (len(self._bounds) + 1), [0.0]
        counts, total = self._values[labels]
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def lines(self) -> Iterator[str]:
        """The samples."""
        for labels, (counts, total) in self._values.items():
            so_far = 0
            for bound, count in zip((*self._bounds, "+Inf"), counts, strict=True):
                so_far += count
                label_text = _label_text((*self.labels, "le"), (*labels, str(bound)))
                yield f"{self.name}_bucket{label_text} {so_far}"
            yield f"{self.name}_sum{_label_text(self.labels, labels)} {total[0]:.10g}"
            yield f"{self.name}_count{_label_text(self.labels, labels)} {so_far}"


class ServeMetrics:
    """What the server counts."""

    def __init__(self) -> None:
        self.requests = Counter(
            "weaver_serve_requests_total", "Requests that were answered.", ("endpoint", "status")
        )
        self.open_requests = Gauge("weaver_serve_open_requests", "Requests being answered.")
        self.disconnects = Counter(
            "weaver_serve_disconnects_total", "Requests whose client left before the end.", ("endpoint",)
        )
        self.runs = Counter("weaver_serve_runs_total", "Runs that ended.", ("model", "strategy", "status"))
        self.tokens = Counter("weaver_serve_tokens_total", "Tokens of runs.", ("model", "key", "kind"))
        self.cost = Counter(
            "weaver_serve_cost_usd_total", "US dollars of runs whose prices are known.", ("model", "key")
        )
        self.seconds = Histogram("weaver_serve_request_seconds", "From request to end.", ("endpoint",))
        self.first = Histogram(
            "weaver_serve_first_text_seconds", "From request to the answer's first text.", ("endpoint",)
        )

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        lines: list[str] = []
        for metric in vars(self).values():
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            lines += metric.lines()
        return "\n".join(lines) + "\n"


_ESCAPES: Mapping[int, str] = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _label_text(names: tuple[str, ...], values: Labels) -> str:
    pairs = [f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True)]
    return "{" + ",".join(pairs) + "}" if pairs else ""
