"""The table that a sweep prints: what one looks at first. All numbers are in its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .common import format_table

_COUNTS = ("sentences", "tokens")  # the same in every row
_DIGITS = {"loss": 4, "length_ratio": 3, "empty": 3, "runaway": 3, "p": 3}
_INTERVAL_DIGITS = {"loss": 4, "perplexity": 2}
_SHORT = {"length_ratio": "length"}


def format_sweep(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], metrics: Sequence[str], main: str
) -> str:
    """A line a point.

    Args:
        rows: of ``sweep.json``.
        columns: of the evaluator.
        metrics: those of the columns that have an interval and a p-value.
        main: the metric of which both are shown.
    """
    hidden = {f"{metric}_{end}" for metric in metrics for end in ("low", "high")}
    shown = [column for column in columns if column not in (*hidden, *_COUNTS)]
    header = ["ranking", "order", "ablated"]
    for column in shown:
        header.append(_SHORT.get(column, column))
        if column == main and main in metrics:
            header.append("p")
    cells = []
    for row in rows:
        cells.append([row["ranking"] or row["name"], row["order"], row["ablated"]])
        for column in shown:
            both = column == main and main in metrics
            cells[-1].append(_with_interval(row, column) if both else _number(row, column))
            if both:
                cells[-1].append(_digits(row[f"{column}_p"], _DIGITS["p"]))
        cells[-1].append(_digits(row["seconds"], 2))
    return format_table([*header, "seconds"], cells)


def _with_interval(row: Mapping[str, Any], metric: str) -> str:
    digits = _INTERVAL_DIGITS.get(metric, 1)
    ends = (_digits(row[f"{metric}_{end}"], digits) for end in ("low", "high"))
    return f"{_number(row, metric)} [{', '.join(ends)}]"


def _number(row: Mapping[str, Any], column: str) -> str:
    return _digits(row[column], _DIGITS.get(column, 2))


def _digits(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
