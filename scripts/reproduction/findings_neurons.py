"""Findings on neurons: table 3, figures 3 and 6, sections 5 and 6 of the paper."""

from __future__ import annotations

from typing import Any

from reproduction.evidence_views import translation_models
from reproduction.finding import Finding, listed, verdict
from reproduction.label_words import WORDS

Evidence = dict[str, Any]
# A neuron follows the position if first, middle and last third explain so much of its variance.
FOLLOWS = 0.5
# Words of the eight that show what a neuron answers to which must have one label.
MOST = 6


def neuron_findings(evidence: Evidence) -> list[Finding]:
    """In the order of the page."""
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
    cases, text = [], []
    for name, model in evidence["models"].items():
        for task, labels in model["label_words"].items():
            full = [one for one in labels if len(one["words"]) == WORDS]
            good = [one for one in full if one["of_label"] >= MOST]
            cases.append(bool(good))
            text.append(f"{name} {task} {len(good)} of {len(full)}")
    return Finding(
        "words",
        "Neurons are found that answer to the words of one label",
        verdict(cases),
        f"labels whose first neuron is driven by words of which at least {MOST} of {WORDS} have "
        f"the label: {', '.join(text)}",
    )


def _shared(evidence: Evidence) -> Finding:
    cases, text = [], []
    for name, model in evidence["models"].items():
        shared = model["shared"]
        one, several = shared["by_number_of_labels"][1], sum(shared["by_number_of_labels"][2:])
        common = sum(
            count
            for row, counts in enumerate(shared["common_of_properties"])
            for count in counts[:row]
        )
        cases.append(one > 0 and several > 0 and common > 0)
        text.append(f"{name} {several} and {one}")
    return Finding(
        "shared",
        "Some neurons are shared by labels, also of different tasks, others serve one label",
        verdict(cases),
        "neurons that are salient for several labels, and for one: " + ", ".join(text),
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
