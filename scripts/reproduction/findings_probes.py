"""Findings on the classifiers: tables 1, 2, 4 to 6, figure 2."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from reproduction.evidence_views import (
    grid_gaps,
    kept,
    language_models,
    ranked_probes,
    translation_models,
)
from reproduction.finding import Finding, listed, verdict

Evidence = dict[str, Any]
# The paper's strength of either penalty.
PAPERS = 1e-5
# Points of accuracy within which a penalty costs nothing.
MARGIN = 1.0


def probe_findings(evidence: Evidence) -> list[Finding]:
    """Tables 1, 2, 4 to 6, figure 2; `kinds` comes last on the page."""
    return [_above_majority(evidence), _penalty(evidence), _mask(evidence), _retrain(evidence)]


def _above_majority(evidence: Evidence) -> Finding:
    margins = {
        f"{name} {task}": 100 * (probe["accuracy"] - probe["majority_baseline"])
        for name, model in evidence["models"].items()
        for task, probe in ((task, model["probes"][task]) for task in model["tasks"])
    }
    return Finding(
        "accuracy",
        "Classifiers beat the majority baseline",
        verdict([margin > 0 for margin in margins.values()]),
        "points above MAJ: " + listed(margins, "+.1f"),
    )


def _penalty(evidence: Evidence) -> Finding:
    cases, text = [], []
    for name, model in evidence["models"].items():
        cells = {(cell["l1"], cell["l2"]): cell for cell in model.get("grid", {}).get("cells", ())}
        free, papers = cells.get((0, 0)), cells.get((PAPERS, PAPERS))
        if free is None or papers is None:
            continue
        cases.append(
            100 * (papers["accuracy"] - free["accuracy"]) >= -MARGIN
            and papers["top_minus_bottom"] > free["top_minus_bottom"]
        )
        text.append(
            f"{name} {100 * papers['accuracy']:.1f} and {100 * papers['top_minus_bottom']:.1f} "
            f"(without penalty {100 * free['accuracy']:.1f} and "
            f"{100 * free['top_minus_bottom']:.1f})"
        )
    return Finding(
        "grid",
        "With λ1 = λ2 = 1e-5 the accuracy is kept and the top neurons differ more from the bottom "
        "ones than without penalty",
        verdict(cases),
        "accuracy, and points between top and bottom 20% masked: " + ", ".join(text),
    )


def _mask(evidence: Evidence) -> Finding:
    gaps = dict(mask_gaps(evidence["models"], "10%"))
    return Finding(
        "mask",
        "In the classifier the top 10% of neurons keep more than the bottom 10%",
        verdict([gap > 0 for gap in gaps.values()]),
        "points, top over bottom, masked: " + listed(gaps, "+.1f"),
    )


def mask_gaps(models: Evidence, share: str) -> Iterator[tuple[str, float]]:
    """Points that each classifier keeps more with its top neurons than with its bottom ones."""
    for name, model in models.items():
        for task, probe in ranked_probes(model).items():
            top, bottom = (kept(probe, share, order, "mask") for order in ("top", "bottom"))
            yield f"{name} {task}", top - bottom


def _retrain(evidence: Evidence) -> Finding:
    regained, better = {}, []
    for name, model in evidence["models"].items():
        for task, probe in ranked_probes(model).items():
            top, bottom = (kept(probe, "20%", order, "retrain") for order in ("top", "bottom"))
            regained[f"{name} {task}"] = top / probe["accuracy"]
            better.append(top > bottom)
    return Finding(
        "retrain",
        "Retrained on the top 20% of neurons it is nearly as good as on all, better than on the "
        "bottom 20%",
        verdict([*better, *(share >= 95 for share in regained.values())]),
        f"% of the accuracy with all neurons (95 counts as nearly): {listed(regained, '.1f')}; "
        f"above the bottom in {sum(better)} of {len(better)}",
    )


def kinds(evidence: Evidence) -> Finding:
    """As the paper measures it: how far top and bottom 10% are apart, masked."""
    translation = fmean(gap for _, gap in mask_gaps(translation_models(evidence), "10%"))
    language = fmean(gap for _, gap in mask_gaps(language_models(evidence), "10%"))
    return Finding(
        "kinds",
        "Translation models are more distributed than language models",
        verdict([translation < language]),
        f"top 10% over bottom 10%, masked, mean over the properties: {translation:.1f} points in "
        f"translation models, {language:.1f} in language models" + _along_grid(evidence),
    )


def _along_grid(evidence: Evidence) -> str:
    """At how many strengths of the penalty the language models are the more focused ones."""
    gaps = {
        name: grid_gaps(models)
        for name, models in (
            ("translation", translation_models(evidence)),
            ("language", language_models(evidence)),
        )
    }
    cells = [cell for cell in gaps["translation"] if cell in gaps["language"]]
    if not cells:
        return ""
    more = sum(gaps["language"][cell] > gaps["translation"][cell] for cell in cells)
    return (
        f"; of the first task's 20%, over the grids of λ, further apart in language models in "
        f"{more} of {len(cells)} cells"
    )
