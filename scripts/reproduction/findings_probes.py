"""Findings on the classifiers: tables 1, 2, 4 to 6, figure 2."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from reproduction.evidence_views import (
    grid_gaps,
    kept,
    language_models,
    ranked_probes,
    top_over_bottom,
    translation_models,
)
from reproduction.finding import Finding, listed, verdict

Evidence = dict[str, Any]
# The paper's strength of either penalty.
PAPERS = 1e-5
# Points of accuracy within which a penalty costs nothing.
MARGIN = 1.0
# Percent of the accuracy with all neurons that counts as nearly all of it.
NEARLY = 95


def probe_findings(evidence: Evidence) -> list[Finding]:
    """Tables 1, 2, 4 to 6, figure 2; `kinds` comes last on the page."""
    return [
        _above_majority(evidence, "", "Classifiers beat the majority baseline"),
        _above_majority(evidence, ".gold", "They also do with tags annotated by hand"),
        _penalty(evidence),
        _keeps_more(
            evidence,
            "mask",
            "masked",
            "In the classifier the top 10% of neurons keep more than the bottom 10%",
        ),
        _keeps_more(
            evidence,
            "retrain",
            "retrained",
            "Retrained on the top 10% of neurons it is better than on the bottom 10%",
        ),
        _retrain_nearly(evidence),
    ]


def _above_majority(evidence: Evidence, which: str, claim: str) -> Finding:
    margins = {
        f"{name} {task}": 100 * (probe["accuracy"] - probe["majority_baseline"])
        for name, model in evidence["models"].items()
        for task, probe in ((task, model["probes"][task + which]) for task in model["tasks"])
    }
    return Finding(
        "accuracy",
        claim,
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
        "With λ1 = λ2 = 1e-5 no accuracy is lost and the top neurons differ more from the bottom "
        "ones than without penalty",
        verdict(cases),
        "accuracy, and points between top and bottom 20% masked: " + ", ".join(text),
    )


def _keeps_more(evidence: Evidence, how: str, verb: str, claim: str) -> Finding:
    gaps = top_over_bottom(evidence["models"], "10%", how)
    return Finding(
        how,
        claim,
        verdict([gap > 0 for gap in gaps.values()]),
        f"points, top over bottom, {verb}: " + listed(gaps, "+.1f"),
    )


def _retrain_nearly(evidence: Evidence) -> Finding:
    regained = {
        f"{name} {task}": kept(probe, "20%", "top", "retrain") / probe["accuracy"]
        for name, model in evidence["models"].items()
        for task, probe in ranked_probes(model).items()
    }
    return Finding(
        "retrain",
        "Retrained on the top 20% of neurons it is nearly as good as on all",
        verdict([share >= NEARLY for share in regained.values()]),
        f"% of the accuracy with all neurons ({NEARLY} counts as nearly, our threshold): "
        + listed(regained, ".1f"),
    )


def kinds(evidence: Evidence) -> Finding:
    """As the paper measures it: how far top and bottom 10% are apart, masked."""
    translation, language = (
        top_over_bottom(models, "10%", "mask")
        for models in (translation_models(evidence), language_models(evidence))
    )
    tagged = (
        fmean(gap for name, gap in gaps.items() if not name.endswith(" position"))
        for gaps in (translation, language)
    )
    means = fmean(translation.values()), fmean(language.values())
    return Finding(
        "kinds",
        "Translation models are more distributed than language models",
        verdict([means[0] < means[1]]),
        "top 10% over bottom 10%, masked, mean over the properties: {:.1f} points in translation "
        "models, {:.1f} in language models; without position {:.1f} and {:.1f}".format(
            *means, *tagged
        )
        + _along_grid(evidence),
    )


def _along_grid(evidence: Evidence) -> str:
    """At how many strengths of the penalty the language models are the more focused ones."""
    gaps = grid_gaps(evidence).values()
    if not gaps:
        return ""
    more = sum(language > translation for translation, language in gaps)
    return (
        f"; of the first task's 20%, over the grids of λ, further apart in language models in "
        f"{more} of {len(gaps)} cells"
    )
