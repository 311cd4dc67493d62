"""Findings on neurons: table 3, figures 3 and 6, sections 5 and 6 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reproduction.chosen_neurons import WORDS
from reproduction.evidence_views import in_common, translation_models
from reproduction.finding import Finding, listed, verdict
from reproduction.layout import SINGLE

Evidence = dict[str, Any]
# A neuron follows the position if first, middle and last third explain so much of its variance.
FOLLOWS = 0.5
MOST_OF_FIVE = 3
# A neuron answers to a label if as many of its words have it by chance with less than this
# probability, over all labels of a task together (Bonferroni).
BY_CHANCE = 0.05


def neuron_findings(evidence: Evidence) -> list[Finding]:
    """What single neurons do, and what they have in common."""
    return [
        _one_neuron(evidence),
        _label_words(evidence),
        _overlap(evidence),
        _closed_classes(evidence),
        _shared(evidence),
        _position(evidence),
    ]


def _one_neuron(evidence: Evidence) -> Finding:
    explained = {
        name: 100 * max(entry["explained"] for entry in model["position"])
        for name, model in evidence["models"].items()
    }
    return Finding(
        "heatmap",
        "A single neuron follows the position in the sentence",
        verdict([share >= 100 * FOLLOWS for share in explained.values()]),
        f"% of one neuron's variance that the third of the sentence explains ({FOLLOWS:.0%} counts "
        f"as following): {listed(explained, '.0f')}",
    )


def _label_words(evidence: Evidence) -> Finding:
    cases: list[bool | None] = []
    text, found, asked = [], 0, 0
    for name, model in evidence["models"].items():
        for task, labels in model["label_words"].items():
            good = [one for one in labels if answers(one, labels)]
            cases.append(bool(good) if labels else None)
            text.append(f"{name} {task} {len(good)} of {len(labels)}")
            found, asked = found + len(good), asked + len(labels)
    return Finding(
        "words",
        "Neurons are found that answer to the words of one label (at least one in each task)",
        verdict(cases),
        f"labels of whose first neuron's {WORDS} words more have the label than chance explains "
        f"(p < {BY_CHANCE} over all labels of the task): {', '.join(text)}, in all {found} of "
        f"{asked}",
    )


def answers(one: Evidence, labels: Sequence[Evidence]) -> bool:
    """Whether a label's first neuron answers to it, of all the labels that are asked for."""
    return bool(one["probability"] < BY_CHANCE / len(labels))


def _shared(evidence: Evidence) -> Finding:
    cases, text = [], []
    for name, model in evidence["models"].items():
        shared = model["shared"]
        counts, chance = shared["by_number_of_labels"], shared["by_chance"]
        one, several = counts[1], sum(counts[2:])
        common = sum(
            count
            for number, row in enumerate(shared["common_of_properties"])
            for count in row[:number]
        )
        cases.append(several > 0 and common > 0 and one > chance[1])
        text.append(f"{name} {several} and {one} ({sum(chance[2:]):.0f} and {chance[1]:.0f})")
    return Finding(
        "shared",
        "Some neurons are shared by labels, also of different tasks; more than by chance serve one "
        "label alone",
        verdict(cases),
        "neurons that are salient for several labels, and for one (by chance): " + ", ".join(text),
    )


def _overlap(evidence: Evidence) -> Finding:
    found = {
        f"{name} {other}": in_common(model, other)
        for name, model in evidence["models"].items()
        for other in SINGLE
    }
    return Finding(
        "overlap",
        "Cross-model has less than 10% in common with variance and mean distance",
        verdict([share < 10 for share in found.values()]),
        "% in common (10 by chance): " + listed(found, ".0f"),
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
    """As the paper says it of the classifier's neurons; F tells neurons apart one by one."""
    models = translation_models(evidence)
    common = {name: in_common(model, "position") for name, model in models.items()}
    cases, text = [], []
    for name, model in models.items():
        places = [entry["cross-model"] for entry in model["position"]]
        cases.append(sum(place <= model["neurons"] / 10 for place in places) >= MOST_OF_FIVE)
        text.append(f"{name} {', '.join(map(str, places))} of {model['neurons']}")
    return Finding(
        "position",
        "Position neurons stand on top of the cross-model ranking",
        verdict(cases),
        f"places of the five neurons that know most of the position (largest F; {MOST_OF_FIVE} in "
        f"the first tenth count as on top): {'; '.join(text)}; of the first tenth by the "
        "classifier of position, % that are in the first tenth of cross-model (10 by chance): "
        + listed(common, ".0f"),
    )
