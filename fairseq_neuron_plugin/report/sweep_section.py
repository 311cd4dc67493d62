"""What ablation in the model does (paper, figures 4, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..sweeps.plot import AXIS_NAMES, plot_sweep
from .document import Cell, Column, Figure, Kind, Section, Table
from .figures import figure_svg
from .inputs import Inputs, Named
from .model_section import ModelNames

_METRICS = ("bleu", "perplexity", "loss", "chrf", "ter", "length_ratio", "runaway")
_TEXT = (
    "Neurons are held at one value while the model works, at 0 where nothing else is said: more "
    "and more of them from left to right, taken from the top of a ranking (filled marks) or from "
    "its bottom (open ones). If a ranking finds what matters, the model gets worse sooner from "
    "its top: BLEU and chrF fall, perplexity, loss and TER rise (the paper's figures 4, 5, 7 and "
    "8)."
)
_BANDS = (
    "Bands are 95% intervals over resampled texts; p, in the tables, is the paired bootstrap test "
    "against the model with all its neurons."
)
_HELP = {
    "length_ratio": "words of the translations over words of the references",
    "empty": "share of translations without a word",
    "runaway": "share of translations that reached the length limit",
}


def sweep_section(inputs: Inputs, models: ModelNames) -> Section | None:
    """The curves of each sweep: its first metric at once, the others folded away."""
    if not inputs.sweeps:
        return None
    parts: list[Table | Figure] = []
    for number, sweep in enumerate(inputs.sweeps):
        parts += _sweep(number, sweep, models)
    return Section(
        "sweeps",
        "What neurons do: ablation in the model",
        tuple(
            text
            for text in (_TEXT, _BANDS)
            if text == _TEXT or any(_has_bands(sweep.content) for sweep in inputs.sweeps)
        ),
        tuple(parts),
    )


def _has_bands(content: Mapping[str, Any]) -> bool:
    return any(f"{metric}_low" in row for row in content["rows"] for metric in _METRICS)


def _sweep(number: int, sweep: Named[dict[str, Any]], models: ModelNames) -> list[Table | Figure]:
    content = sweep.content
    rows: Sequence[Mapping[str, Any]] = content["rows"]
    baseline = content.get("baseline")
    metrics = _metrics(rows)
    parts: list[Table | Figure] = []
    for place, metric in enumerate(metrics):
        name = AXIS_NAMES.get(metric, metric)
        parts.append(
            Figure(
                f"{sweep.name}: {name}{_about(content, models)}"
                if place == 0
                else f"{sweep.name}: {name}",
                figure_svg(
                    lambda path, metric=metric: plot_sweep(rows, path, metric, baseline),  # type: ignore[misc]
                    f"sweep{number}-{metric}",
                ),
                _in_words(rows, metric, name),
                _numbers(rows, metrics) if place == 0 else None,
                folded=place > 0,
            )
        )
    return parts


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns to draw: those known here that hold numbers; of others those with an interval."""
    columns = dict.fromkeys(column for row in rows for column in row)
    known = [metric for metric in _METRICS if metric in columns]
    others = [column for column in columns if f"{column}_low" in columns and column not in known]
    return [
        metric
        for metric in (*known, *others)
        if any(isinstance(row.get(metric), int | float) for row in rows)
    ]


def _about(content: Mapping[str, Any], models: ModelNames) -> str:
    settings = content.get("settings") or {}
    found = [
        name for sha256, name in models.all.items() if sha256.startswith(settings.get("model", "-"))
    ]
    facts = [
        *found[:1],
        *(f"{key} {settings[key]}" for key in ("split", "beam", "scope") if key in settings),
    ]
    if settings.get("value", 0) != 0:
        facts.append(f"held at {settings['value']}")
    return f" ({', '.join(facts)})" if facts else ""


def _in_words(rows: Sequence[Mapping[str, Any]], metric: str, name: str) -> str:
    """First and last point of every curve."""
    curves: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if isinstance(row.get(metric), int | float):
            curves.setdefault((row["ranking"], row["order"]), []).append(row)
    parts = []
    for (ranking, order), points in curves.items():
        points.sort(key=lambda row: row["share"])
        first, last = points[0], points[-1]
        parts.append(
            f"{ranking}, {order} first: from {first[metric]:.4g} at {first['share']:.1%} ablated "
            f"to {last[metric]:.4g} at {last['share']:.1%}"
        )
    return f"{name} over the share of ablated neurons. " + "; ".join(parts) + "."


def _numbers(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    columns = [
        Column("ranking"),
        Column("first ablated"),
        Column("ablated", "integer", "number of neurons"),
        Column("share", "percent"),
    ]
    keys: list[str] = []
    for metric in metrics:
        share = metric in ("runaway", "empty")
        kinds: list[tuple[str, Kind, str]] = [
            (metric, "percent" if share else "number", _HELP.get(metric, ""))
        ]
        kinds += [
            (f"{metric}_{end}", "number", f"{end} end of the 95% band") for end in ("low", "high")
        ]
        kinds += [(f"{metric}_p", "p", "paired bootstrap against no ablation")]
        for key, kind, text in kinds:
            if any(row.get(key) is not None for row in rows):
                keys.append(key)
                title = (
                    AXIS_NAMES.get(metric, metric) if key == metric else key.removeprefix(metric)
                )
                columns.append(Column(title.strip("_"), kind, text))
    table = tuple(
        (row["ranking"], row["order"], row["ablated"], row["share"], *(_cell(row, k) for k in keys))
        for row in rows
    )
    return Table("The numbers", tuple(columns), table)


def _cell(row: Mapping[str, Any], key: str) -> Cell:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else None
