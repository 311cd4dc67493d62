"""What the page and its findings ask of the evidence: curves, probes, kinds of models."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from statistics import fmean
from typing import Any

Evidence = dict[str, Any]


def curve(model: Evidence, part: str, ranking: str, order: str) -> list[Evidence]:
    """Rows of one curve, the unablated model first."""
    return [
        row
        for row in model["sweeps"][part]["rows"]
        if row["ranking"] == ranking and row["order"] == order
    ]


def mean_over_curve(rows: Sequence[Evidence], metric: str) -> float:
    """Mean over the points at which something is ablated; perplexity as its logarithm, in bits.

    Perplexity itself explodes where half the neurons are gone, and that point would decide alone.
    """
    values = [row[metric] for row in rows if row["ablated"]]
    return fmean(map(log2, values) if metric == "perplexity" else values)


def has_loss(models: dict[str, Evidence]) -> bool:
    """Whether the sweeps of these models also measured the loss of the references."""
    sweeps = [sweep for model in models.values() for sweep in model["sweeps"].values()]
    return bool(sweeps) and all("loss" in row for sweep in sweeps for row in sweep["rows"])


def at_share(rows: Sequence[Evidence], share: float) -> Evidence:
    """The row next to a share of neurons."""
    return min(rows, key=lambda row: abs(row["share"] - share))


def lies_lower(one: Sequence[Evidence], other: Sequence[Evidence], metric: str) -> bool | None:
    """Whether the first of two curves lies lower on average.

    None where that cannot be told: their 95% intervals overlap at every point, or are apart at one
    point one way and at another the other way, or the other way than the means.
    """
    low, high = f"{metric}_low", f"{metric}_high"
    ways = {
        left[high] < right[low]
        for left, right in zip(one, other, strict=True)
        if left[high] < right[low] or right[high] < left[low]
    }
    lower = mean_over_curve(one, metric) < mean_over_curve(other, metric)
    return lower if ways == {lower} else None


def kept(probe: Evidence, share: str, order: str, how: str) -> float:
    """Accuracy with a share of the neurons, ``mask`` or ``retrain``, in percent."""
    return next(
        100 * row[how]
        for row in probe["ablation"]
        if row["share"] == share and row["order"] == order
    )


def shares(probe: Evidence) -> list[str]:
    return list(dict.fromkeys(row["share"] for row in probe["ablation"] if row["share"] != "all"))


def ranked_probes(model: Evidence) -> dict[str, Evidence]:
    """Probes of the tagged tasks and of position, on the models' own text."""
    return {name: model["probes"][name] for name in (*model["tasks"], "position")}


def top_over_bottom(models: Evidence, share: str, how: str) -> dict[str, float]:
    """Points that each classifier keeps more with its top neurons than with its bottom ones."""
    return {
        f"{name} {task}": kept(probe, share, "top", how) - kept(probe, share, "bottom", how)
        for name, model in models.items()
        for task, probe in ranked_probes(model).items()
    }


def grid_gaps(evidence: Evidence) -> dict[tuple[float, float], tuple[float, float]]:
    """Points between top and bottom neurons in each cell that the λ grids of both kinds have.

    Means over the translation and over the language models.
    """
    translation, language = (
        _mean_gaps(models) for models in (translation_models(evidence), language_models(evidence))
    )
    return {cell: (gap, language[cell]) for cell, gap in translation.items() if cell in language}


def _mean_gaps(models: dict[str, Evidence]) -> dict[tuple[float, float], float]:
    found: dict[tuple[float, float], list[float]] = {}
    for model in models.values():
        for cell in model.get("grid", {}).get("cells", ()):
            gap = 100 * cell["top_minus_bottom"]
            found.setdefault((cell["l1"], cell["l2"]), []).append(gap)
    return {cell: fmean(gaps) for cell, gaps in found.items()}


def in_common(model: Evidence, ranking: str) -> float:
    """Percent of its first tenth that a ranking has in common with the cross-model one."""
    overlap = model["overlap"]
    one, other = (overlap["names"].index(name) for name in ("cross-model", ranking))
    return 100 * float(overlap["share"][one][other])


def translation_models(evidence: Evidence) -> dict[str, Evidence]:
    return {name: one for name, one in evidence["models"].items() if not one["is_lm"]}


def language_models(evidence: Evidence) -> dict[str, Evidence]:
    return {name: one for name, one in evidence["models"].items() if one["is_lm"]}
