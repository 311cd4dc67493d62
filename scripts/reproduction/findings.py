"""The paper's findings as yes or no, each with the figures that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from reproduction.evidence_views import (
    at_share,
    curve,
    kept,
    language_models,
    lies_lower,
    mean_over_curve,
    ranked_probes,
    translation_models,
)

Evidence = dict[str, Any]
FIRST = "A"
# A share of neurons where a curve has only begun to fall.
EARLY = 0.05


@dataclass(frozen=True)
class Finding:
    """One claim of the paper, and whether it holds here.

    Attributes:
        key: of the section of the page, see published.yaml.
        claim: in a few words.
        verdict: ``yes``, ``no``, ``in part (2 of 3)``, or ``undecided``.
        figures: what it rests on.
    """

    key: str
    claim: str
    verdict: str
    figures: str


def verdict(cases: Sequence[bool | None]) -> str:
    """``yes`` if all cases hold, ``no`` if none does; None is a case that cannot be told."""
    if not cases:
        return "not asked"
    told = [case for case in cases if case is not None]
    if not told:
        return "undecided"
    held = sum(told)
    if len(told) == len(cases) and held in (0, len(cases)):
        return "yes" if held else "no"
    unclear = len(cases) - len(told)
    rest = f", {unclear} undecided" if unclear else ""
    return f"in part ({held} of {len(cases)}{rest})"


def all_findings(evidence: Evidence) -> list[Finding]:
    """In the order of the page."""
    found = [
        _above_majority(evidence),
        _mask(evidence),
        _retrain(evidence),
        _top_beats_bottom(evidence),
        _beats_single_model(evidence),
        _overlap(evidence),
        _linguistic(evidence),
        *_semantic_tags(evidence),
        _language_model(evidence),
        _closed_classes(evidence),
        _position(evidence),
        _kinds(evidence),
    ]
    return [finding for finding in found if finding.verdict != "not asked"]


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
        "points above MAJ: " + _listed(margins, "+.1f"),
    )


def _mask(evidence: Evidence) -> Finding:
    gaps = dict(_gaps(evidence["models"], "10%", "mask"))
    return Finding(
        "mask",
        "In the classifier the top 10% of neurons keep more than the bottom 10%",
        verdict([gap > 0 for gap in gaps.values()]),
        "points, top over bottom, masked: " + _listed(gaps, "+.1f"),
    )


def _gaps(models: Evidence, share: str, how: str) -> Iterator[tuple[str, float]]:
    for name, model in models.items():
        for task, probe in ranked_probes(model).items():
            top, bottom = (kept(probe, share, order, how) for order in ("top", "bottom"))
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
        f"% of the accuracy with all neurons (95 counts as nearly): {_listed(regained, '.1f')}; "
        f"above the bottom in {sum(better)} of {len(better)}",
    )


def _losses(model: Evidence, part: str, ranking: str, metric: str) -> tuple[float, float]:
    """Mean over the curve, from the top and from the bottom."""
    top, bottom = (
        mean_over_curve(curve(model, part, ranking, order), metric) for order in ("top", "bottom")
    )
    return top, bottom


def _gap(model: Evidence, part: str, ranking: str) -> float:
    """How much more the top hurts than the bottom, in BLEU or in bits of a language model."""
    metric = "perplexity" if model["is_lm"] else "bleu"
    top, bottom = _losses(model, part, ranking, metric)
    return top - bottom if model["is_lm"] else bottom - top


def _hurts_more(model: Evidence, part: str, ranking: str) -> bool | None:
    """Whether the top hurts more than the bottom; None where it cannot be told."""
    top, bottom = (curve(model, part, ranking, order) for order in ("top", "bottom"))
    if model["is_lm"]:
        return lies_lower(bottom, top, "perplexity")
    return lies_lower(top, bottom, "bleu")


def _common_neurons(key: str, claim: str, models: Evidence, measured: str) -> Finding:
    """Top against bottom of the cross-model ranking, in each model."""
    which = [(name, part) for name, model in models.items() for part in model["sweeps"]]
    gaps = {f"{name} {part}": _gap(models[name], part, "cross-model") for name, part in which}
    early = [_early_gap(models[name], part, "cross-model") for name, part in which]
    text = (
        f"{measured} from the top than from the bottom, mean over the curve: "
        f"{_listed(gaps, '+.2f')}; without {EARLY:.0%} the top is the worse one in "
        f"{sum(gap > 0 for gap in early)} of {len(early)}"
    )
    cases = [_hurts_more(models[name], part, "cross-model") for name, part in which]
    return Finding(key, claim, verdict(cases), text)


def _early_gap(model: Evidence, part: str, ranking: str) -> float:
    """How much more the top hurts than the bottom where few neurons are gone."""
    metric = "perplexity" if model["is_lm"] else "bleu"
    top, bottom = (
        at_share([row for row in curve(model, part, ranking, order) if row["ablated"]], EARLY)
        for order in ("top", "bottom")
    )
    gap = bottom[metric] - top[metric]
    return -gap if model["is_lm"] else gap


def _top_beats_bottom(evidence: Evidence) -> Finding:
    return _common_neurons(
        "cross_model",
        "Ablating the cross-model top hurts BLEU more than ablating its bottom",
        translation_models(evidence),
        "BLEU lower",
    )


def _language_model(evidence: Evidence) -> Finding:
    return _common_neurons(
        "language_model",
        "In language models perplexity rises more from the cross-model top than from its bottom",
        language_models(evidence),
        "bits a word (log of the perplexity) more",
    )


def _beats_single_model(evidence: Evidence) -> Finding:
    cases, text = [], []
    for name, model in translation_models(evidence).items():
        found = {
            ranking: _losses(model, FIRST, ranking, "bleu")
            for ranking in ("cross-model", "variance", "mean-distance")
        }
        ours = found["cross-model"]
        for ranking, (top, bottom) in found.items():
            text.append(f"{name} {ranking} {top:.2f} and {bottom:.2f}")
            if ranking != "cross-model":
                cases.append(ours[0] < top and ours[1] > bottom)
    return Finding(
        "methods",
        "Cross-model beats variance and mean distance (its top hurts more, its bottom less)",
        verdict(cases),
        "mean BLEU over the curve from the top and from the bottom: " + ", ".join(text),
    )


def _overlap(evidence: Evidence) -> Finding:
    found = {}
    for name, model in evidence["models"].items():
        overlap = model["overlap"]
        row = overlap["share"][overlap["names"].index("cross-model")]
        for other in ("variance", "mean-distance"):
            found[f"{name} {other}"] = 100 * row[overlap["names"].index(other)]
    return Finding(
        "overlap",
        "Cross-model has less than 10% in common with variance and mean distance",
        verdict([share < 10 for share in found.values()]),
        "% in common (10 by chance): " + _listed(found, ".0f"),
    )


def _linguistic(evidence: Evidence) -> Finding:
    gaps = {
        f"{name} {task}": _gap(model, FIRST, task)
        for name, model in translation_models(evidence).items()
        for task in model["tasks"]
    }
    return Finding(
        "linguistic",
        "Ablating the top of a linguistic ranking hurts BLEU more than ablating its bottom",
        verdict(
            [
                _hurts_more(model, FIRST, task)
                for model in translation_models(evidence).values()
                for task in model["tasks"]
            ]
        ),
        "BLEU lower from the top than from the bottom, mean over the curve: "
        + _listed(gaps, "+.2f"),
    )


def _semantic_tags(evidence: Evidence) -> Iterator[Finding]:
    for name, model in translation_models(evidence).items():
        if not {"sem", "pos"} <= set(model["tasks"]):
            continue
        tops = {task: curve(model, FIRST, task, "top") for task in ("sem", "pos")}
        means = {task: mean_over_curve(rows, "bleu") for task, rows in tops.items()}
        at = {task: at_share(rows, 0.2) for task, rows in tops.items()}
        yield Finding(
            "linguistic",
            "Neurons of semantic tags hurt BLEU more than those of parts of speech",
            verdict([lies_lower(tops["sem"], tops["pos"], "bleu")]),
            f"{name}, BLEU from the top, mean over the curve: sem {means['sem']:.2f}, pos "
            f"{means['pos']:.2f}; without {100 * at['sem']['share']:.0f}%: "
            + ", ".join(
                f"{task} {row['bleu']:.2f} ({row['bleu_low']:.2f} to {row['bleu_high']:.2f})"
                for task, row in at.items()
            ),
        )


def _closed_classes(evidence: Evidence) -> Finding:
    cases, text = [], []
    for name, focus in evidence["focus"].items():
        means = {(group["kind"], group["group"]): group["mean"] for group in focus["groups"]}
        for kind in ("NMT", "LM"):
            if (kind, "open") in means and (kind, "closed") in means:
                closed, opened = means[kind, "closed"], means[kind, "open"]
                cases.append(closed < opened)
                text.append(f"{kind} {name} {closed:.1f} and {opened:.1f}")
    return Finding(
        "focus",
        "Closed classes are focused, open ones distributed",
        verdict(cases),
        "neurons for 25% of the weight, mean of closed and of open classes: " + ", ".join(text),
    )


def _position(evidence: Evidence) -> Finding:
    """Yes where three of the five neurons that know most of the position are in the first tenth."""
    cases, text = [], []
    for name, model in translation_models(evidence).items():
        places = [entry["cross-model"] for entry in model["position"]]
        tenth = model["neurons"] / 10
        cases.append(sum(place <= tenth for place in places) >= 3)
        text.append(f"{name} {', '.join(map(str, places))} of {model['neurons']}")
    return Finding(
        "position",
        "Position neurons stand on top of the cross-model ranking",
        verdict(cases),
        "places of the five neurons that know most of the position (largest F): " + "; ".join(text),
    )


def _kinds(evidence: Evidence) -> Finding:
    """As the paper measures it: how far top and bottom 10% are apart, masked."""
    translation = fmean(gap for _, gap in _gaps(translation_models(evidence), "10%", "mask"))
    language = fmean(gap for _, gap in _gaps(language_models(evidence), "10%", "mask"))
    return Finding(
        "kinds",
        "Translation models are more distributed than language models",
        verdict([translation < language]),
        f"top 10% over bottom 10%, masked, mean over the properties: {translation:.1f} points in "
        f"translation models, {language:.1f} in language models",
    )


def _listed(values: dict[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())
