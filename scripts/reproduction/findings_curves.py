"""Findings on the models under ablation: figures 4, 5, 7 and 8.

What counts is what the paper measures, BLEU and perplexity. BLEU also falls where translations get
too short and rises where they were too long; the loss of the references, which knows no length, is
told beside it where a run has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reproduction.evidence_views import (
    at_share,
    curve,
    has_loss,
    language_models,
    lies_lower,
    mean_over_curve,
    translation_models,
)
from reproduction.finding import Finding, listed, verdict
from reproduction.layout import FIRST

Evidence = dict[str, Any]
# A share of neurons where a curve has only begun to fall.
EARLY = 0.05
SINGLE_MODEL = ("variance", "mean-distance")
# Metrics that rise as a model gets worse.
RISING = ("loss", "perplexity")


def curve_findings(evidence: Evidence) -> list[Finding]:
    """Figures 4, 5, 7 and 8."""
    return [
        _top_beats_bottom(evidence),
        *(_beats_single_model(evidence, ranking) for ranking in SINGLE_MODEL),
        _linguistic(evidence),
        *_semantic_tags(evidence),
        _language_model(evidence),
        _linguistic_language_model(evidence),
    ]


def _means(model: Evidence, part: str, ranking: str, metric: str) -> tuple[float, float]:
    """Over the curve, from the top and from the bottom."""
    top, bottom = (
        mean_over_curve(curve(model, part, ranking, order), metric) for order in ("top", "bottom")
    )
    return top, bottom


def _gap(model: Evidence, part: str, ranking: str, metric: str) -> float:
    """How much more the top hurts than the bottom, mean over the curve."""
    top, bottom = _means(model, part, ranking, metric)
    return top - bottom if metric in RISING else bottom - top


def _early(model: Evidence, part: str, ranking: str, order: str) -> Evidence:
    """The row where few neurons are gone."""
    rows = [row for row in curve(model, part, ranking, order) if row["ablated"]]
    return at_share(rows, EARLY)


def _early_gap(model: Evidence, part: str, ranking: str, metric: str) -> float:
    """How much more the top hurts than the bottom where few neurons are gone."""
    top, bottom = (_early(model, part, ranking, order) for order in ("top", "bottom"))
    gap: float = bottom[metric] - top[metric]
    return -gap if metric in RISING else gap


def _hurts_more(model: Evidence, part: str, ranking: str, metric: str) -> bool | None:
    """Whether the top hurts more than the bottom; None where it cannot be told."""
    top, bottom = (curve(model, part, ranking, order) for order in ("top", "bottom"))
    return lies_lower(bottom, top, metric) if metric in RISING else lies_lower(top, bottom, metric)


def _common_neurons(
    key: str, claim: str, models: Evidence, metrics: Sequence[tuple[str, str]]
) -> Finding:
    """Top against bottom of the cross-model ranking, in each model; the first metric decides."""
    which = [(name, part) for name, model in models.items() for part in model["sweeps"]]
    shares = [_early(models[name], part, "cross-model", "top")["share"] for name, part in which]
    text = []
    for metric, measured in metrics:
        gaps = {
            f"{name} {part}": _gap(models[name], part, "cross-model", metric)
            for name, part in which
        }
        early = [_early_gap(models[name], part, "cross-model", metric) for name, part in which]
        text.append(
            f"{measured} from the top than from the bottom, mean over the curve: "
            f"{listed(gaps, '+.2f')}; with {max(shares, default=0):.0%} ablated the top is the "
            f"worse one in {sum(gap > 0 for gap in early)} of {len(early)}"
        )
    cases = [_hurts_more(models[name], part, "cross-model", metrics[0][0]) for name, part in which]
    return Finding(key, claim, verdict(cases), "; ".join(text))


def _top_beats_bottom(evidence: Evidence) -> Finding:
    models = translation_models(evidence)
    metrics = [("bleu", "BLEU lower")]
    if has_loss(models):
        metrics.append(("loss", "bits a symbol (loss of the references) more"))
    return _common_neurons(
        "cross_model",
        "Ablating the cross-model top hurts BLEU more than ablating its bottom",
        models,
        metrics,
    )


def _language_model(evidence: Evidence) -> Finding:
    return _common_neurons(
        "language_model",
        "In language models perplexity rises more from the cross-model top than from its bottom",
        language_models(evidence),
        [("perplexity", "bits a word (log of the perplexity) more")],
    )


def _beats_single_model(evidence: Evidence, ranking: str) -> Finding:
    models = translation_models(evidence)
    both = ("cross-model", ranking)
    cases = _compare_single(models, ranking, "bleu")
    text = "mean BLEU over the curve from the top and from the bottom: " + ", ".join(
        "{} {} {:.2f} and {:.2f}".format(name, one, *_means(model, FIRST, one, "bleu"))
        for name, model in models.items()
        for one in both
    )
    if has_loss(models):
        by_loss = _compare_single(models, ranking, "loss")
        apart = {
            f"{name} {one}": _gap(model, FIRST, one, "loss")
            for name, model in models.items()
            for one in both
        }
        text += (
            f"; by the loss of the references: {verdict(by_loss)}, top and bottom are apart by "
            f"(bits a symbol) {listed(apart, '.2f')}"
        )
    return Finding(
        "methods",
        f"Cross-model beats {ranking} (its top hurts more, its bottom less)",
        verdict(cases),
        text,
    )


def _compare_single(models: Evidence, ranking: str, metric: str) -> list[bool | None]:
    """Whether the cross-model ranking is the better one on both ends, in each model A.

    None where it is the worse one on neither, but one end or both cannot be told.
    """
    cases: list[bool | None] = []
    for model in models.values():
        ends = [
            _worse(model, "cross-model", ranking, "top", metric),
            _worse(model, ranking, "cross-model", "bottom", metric),
        ]
        cases.append(False if False in ends else None if None in ends else True)
    return cases


def _worse(model: Evidence, one: str, other: str, order: str, metric: str) -> bool | None:
    """Whether the model is worse without the neurons of one ranking than of the other."""
    first, second = (curve(model, FIRST, ranking, order) for ranking in (one, other))
    if metric in RISING:
        first, second = second, first
    return lies_lower(first, second, metric)


def _linguistic(evidence: Evidence) -> Finding:
    models = translation_models(evidence)
    which = [(name, task) for name, model in models.items() for task in model["tasks"]]

    def gaps(metric: str) -> str:
        return listed(
            {f"{name} {task}": _gap(models[name], FIRST, task, metric) for name, task in which},
            "+.2f",
        )

    text = f"BLEU lower from the top than from the bottom, mean over the curve: {gaps('bleu')}"
    if has_loss(models):
        text += f"; bits a symbol (loss of the references) more: {gaps('loss')}"
    return Finding(
        "linguistic",
        "Ablating the top of a linguistic ranking hurts BLEU more than ablating its bottom",
        verdict([_hurts_more(models[name], FIRST, task, "bleu") for name, task in which]),
        text,
    )


def _linguistic_language_model(evidence: Evidence) -> Finding:
    models = language_models(evidence)
    which = [(name, task) for name, model in models.items() for task in model["tasks"]]
    gaps = {f"{name} {task}": _gap(models[name], FIRST, task, "perplexity") for name, task in which}
    return Finding(
        "language_model",
        "Ablating the top of a linguistic ranking raises perplexity more than ablating its bottom",
        verdict([_hurts_more(models[name], FIRST, task, "perplexity") for name, task in which]),
        "bits a word more from the top than from the bottom, mean over the curve: "
        + listed(gaps, "+.2f"),
    )


def _semantic_tags(evidence: Evidence) -> Iterator[Finding]:
    for name, model in translation_models(evidence).items():
        if not {"sem", "pos"} <= set(model["tasks"]):
            continue
        tops = {task: curve(model, FIRST, task, "top") for task in ("sem", "pos")}
        means = {task: mean_over_curve(rows, "bleu") for task, rows in tops.items()}
        at = {task: at_share(rows, 0.2) for task, rows in tops.items()}
        text = (
            f"{name}, BLEU from the top, mean over the curve: sem {means['sem']:.2f}, pos "
            f"{means['pos']:.2f}; with {100 * at['sem']['share']:.0f}% ablated: "
        ) + ", ".join(
            f"{task} {row['bleu']:.2f} ({row['bleu_low']:.2f} to {row['bleu_high']:.2f})"
            for task, row in at.items()
        )
        if has_loss({name: model}):
            losses = {task: mean_over_curve(rows, "loss") for task, rows in tops.items()}
            text += f"; loss of the references, mean over the curve: {listed(losses, '.2f')} bits"
        yield Finding(
            "linguistic",
            "Neurons of semantic tags hurt BLEU more than those of parts of speech",
            verdict([lies_lower(tops["sem"], tops["pos"], "bleu")]),
            text,
        )
