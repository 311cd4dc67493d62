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
from reproduction.layout import FIRST, SINGLE

Evidence = dict[str, Any]
# A share of neurons where a curve has only begun to fall.
EARLY = 0.05
# Metrics that rise as a model gets worse.
RISING = ("loss", "perplexity")


# One curve from the top and one from the bottom: model, part and ranking, by what it is called.
Pairs = dict[str, tuple[Evidence, str, str]]


def curve_findings(evidence: Evidence) -> list[Finding]:
    """Figures 4, 5, 7 and 8."""
    translation, language = translation_models(evidence), language_models(evidence)
    by_bleu = [("bleu", "BLEU lower")]
    if has_loss(translation):
        by_bleu.append(("loss", "bits a symbol (loss of the references) more"))
    by_perplexity = [("perplexity", "bits a word (log of the perplexity) more")]
    return [
        _top_hurts_more(
            "cross_model",
            "Ablating the cross-model top hurts BLEU more than ablating its bottom",
            _cross_model(translation),
            by_bleu,
        ),
        *(_beats_single_model(translation, ranking) for ranking in SINGLE),
        _top_hurts_more(
            "linguistic",
            "Ablating the top of a linguistic ranking hurts BLEU more than ablating its bottom",
            _linguistic(translation),
            by_bleu,
        ),
        *_semantic_tags(translation),
        _top_hurts_more(
            "language_model",
            "In language models perplexity rises more from the cross-model top than from its "
            "bottom",
            _cross_model(language),
            by_perplexity,
        ),
        _top_hurts_more(
            "language_model",
            "Ablating the top of a linguistic ranking raises perplexity more than ablating its "
            "bottom",
            _linguistic(language),
            by_perplexity,
        ),
    ]


def _cross_model(models: Evidence) -> Pairs:
    return {
        f"{name} {part}": (model, part, "cross-model")
        for name, model in models.items()
        for part in model["sweeps"]
    }


def _linguistic(models: Evidence) -> Pairs:
    return {
        f"{name} {task}": (model, FIRST, task)
        for name, model in models.items()
        for task in model["tasks"]
    }


def _both(model: Evidence, part: str, ranking: str) -> tuple[list[Evidence], list[Evidence]]:
    """The curves from the top and from the bottom."""
    return curve(model, part, ranking, "top"), curve(model, part, ranking, "bottom")


def _means(model: Evidence, part: str, ranking: str, metric: str) -> tuple[float, float]:
    """Over the curve, from the top and from the bottom."""
    top, bottom = (mean_over_curve(rows, metric) for rows in _both(model, part, ranking))
    return top, bottom


def _gap(model: Evidence, part: str, ranking: str, metric: str) -> float:
    """How much more the top hurts than the bottom, mean over the curve."""
    top, bottom = _means(model, part, ranking, metric)
    return top - bottom if metric in RISING else bottom - top


def _early(model: Evidence, part: str, ranking: str) -> tuple[Evidence, Evidence]:
    """The rows where few neurons are gone, of the top and of the bottom."""
    top, bottom = (
        at_share([row for row in rows if row["ablated"]], EARLY)
        for rows in _both(model, part, ranking)
    )
    return top, bottom


def _is_worse(one: float, other: float, metric: str) -> bool:
    return one > other if metric in RISING else one < other


def _hurts_more(one: list[Evidence], other: list[Evidence], metric: str) -> bool | None:
    """Whether the model is worse along the first of two curves; None where it cannot be told."""
    return lies_lower(other, one, metric) if metric in RISING else lies_lower(one, other, metric)


def _top_hurts_more(
    key: str, claim: str, pairs: Pairs, metrics: Sequence[tuple[str, str]]
) -> Finding:
    """Top against bottom of a ranking, in each model; the first metric decides."""
    early = [_early(*pair) for pair in pairs.values()]
    share = max((top["share"] for top, _ in early), default=0)
    text = []
    for metric, measured in metrics:
        gaps = {name: _gap(*pair, metric) for name, pair in pairs.items()}
        worse = [_is_worse(top[metric], bottom[metric], metric) for top, bottom in early]
        text.append(
            f"{measured} from the top than from the bottom, mean over the curve: "
            f"{listed(gaps, '+.2f')}; with {share:.0%} ablated the top is the worse one in "
            f"{sum(worse)} of {len(worse)}"
        )
    cases = [_hurts_more(*_both(*pair), metrics[0][0]) for pair in pairs.values()]
    return Finding(key, claim, verdict(cases), "; ".join(text))


def _beats_single_model(models: Evidence, ranking: str) -> Finding:
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
        top, bottom = _both(model, FIRST, "cross-model")
        other_top, other_bottom = _both(model, FIRST, ranking)
        ends = [_hurts_more(top, other_top, metric), _hurts_more(other_bottom, bottom, metric)]
        cases.append(False if False in ends else None if None in ends else True)
    return cases


def _semantic_tags(models: Evidence) -> Iterator[Finding]:
    for name, model in models.items():
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
