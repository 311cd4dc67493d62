"""Sections on neurons: words, sentences, focus, sharing, position, and the kinds of models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from reproduction.evidence_views import (
    grid_gaps,
    language_models,
    shares,
    top_over_bottom,
    translation_models,
)
from reproduction.findings_neurons import answers
from reproduction.heatmap import draw_sentences
from reproduction.layout import SINGLE
from reproduction.markdown import Section, code, folded, table

Evidence = dict[str, Any]
MOST_LABELS = 80  # that a picture can show
MOST_LABEL_WORDS = 8  # labels of a task whose first neuron's words are shown


def neuron_sections(evidence: Evidence, run: Path, pictures: Path) -> Iterator[Section]:
    """Table 3, figures 3 and 6, and what sections 5 and 6 of the paper say."""
    pictures.mkdir(parents=True, exist_ok=True)
    models = evidence["models"]
    yield Section("words", "Words that neurons answer to", list(_words(models)))
    yield Section("heatmap", "A neuron over sentences", list(_heatmaps(models, pictures)))
    yield Section("focus", "Focused and distributed", list(_focus(evidence, run, pictures)))
    yield Section("shared", "Shared neurons", list(_shared(models)))
    yield Section("overlap", "Overlap of the rankings", list(_overlap(models)))
    yield Section("position", "Position in the cross-model ranking", [_position(models)])
    yield Section(
        "kinds",
        "Translation against language model",
        [_kinds(evidence), *_kinds_along_grid(evidence)],
    )


def _words(models: Evidence) -> Iterator[str]:
    for name, model in models.items():
        for ranking, neurons in model["top_words"].items():
            rows = [
                [
                    one["neuron"],
                    *(" ".join(code(word) for word in one[side]) for side in ("highest", "lowest")),
                    100 * one["explained"],
                ]
                for one in neurons
            ]
            header = ["neuron", "highest", "lowest", "variance explained by the word, %"]
            yield f"{name}, first neurons by {ranking}:\n\n{table(header, rows)}"
    yield (
        "The first neuron of each label (of the most frequent ones, and of those for which it is "
        "more than chance), the words that drive it the way "
        "its weight points, how many of them have the label (as most of their occurrences do), how "
        "many of all words that are frequent enough to be shown have it, and the probability of as "
        "many by chance:"
    )
    for name, model in models.items():
        for task, labels in model["label_words"].items():
            rows = [
                [
                    code(one["label"]),
                    f"{one['neuron']} {one['side']}",
                    " ".join(code(word) for word in one["words"]),
                    f"{one['of_label']} of {len(one['words'])}",
                    f"{one['of_all']} of {one['candidates']}",
                    f"{one['probability']:.1g}",
                ]
                for one in labels
                if one in labels[:MOST_LABEL_WORDS] or answers(one, labels)
            ]
            header = ["label", "neuron", "words", "of the label", "of all words", "by chance"]
            yield folded(f"{name}, {task}", table(header, rows))


def _heatmaps(models: Evidence, pictures: Path) -> Iterator[str]:
    yield (
        "The neuron that knows most of the position (largest F) in each model, in the sentences "
        "with its highest activations (the first five) and its lowest; red is above 0, blue below. "
        "Sentences of up to 16 words."
    )
    for name, model in models.items():
        if model["heatmap"]["sentences"]:
            draw_sentences(pictures / f"heatmap.{name}.png", model["heatmap"]["sentences"])
            yield f"{name}, {model['heatmap']['neuron']}:"
            yield f"![heatmap, {name}]({pictures.name}/heatmap.{name}.png)"


def _focus(evidence: Evidence, run: Path, pictures: Path) -> Iterator[str]:
    yield (
        "Neurons that make up 25% of a label's weight, in the translation model (NMT) and the "
        "language model (LM) that reads the same language. Labels with few words cannot weigh many "
        "neurons: compare labels of similar frequency."
    )
    for name, focus in evidence["focus"].items():
        source = run / f"analyses/focus.{name}/focus.png"
        if source.exists() and len(focus["labels"]) <= MOST_LABELS:
            shutil.copyfile(source, pictures / f"focus.{name}.png")
            yield f"![focus, {name}]({pictures.name}/focus.{name}.png)"
        rows = [
            [
                code(one["label"]),
                one["group"] or "",
                *("" if count is None else count for count in one["neurons"]),
                one["test_tokens"],
            ]
            for one in sorted(focus["labels"], key=lambda one: -one["test_tokens"])[:24]
        ]
        header = ["label", "class", "NMT", "LM", "test words"]
        yield f"{name}, the most frequent labels:\n\n{table(header, rows)}"


def _shared(models: Evidence) -> Iterator[str]:
    rows = []
    for name, model in models.items():
        shared = model["shared"]
        counts, chance = shared["by_number_of_labels"], shared["by_chance"]
        pairs = ((counts[0], chance[0]), (counts[1], chance[1]), (sum(counts[2:]), sum(chance[2:])))
        rows.append(
            [name, shared["neurons"], *(f"{found} ({other:.0f})" for found, other in pairs)]
        )
    header = ["model", "neurons", "salient for no label (by chance)", "for one", "for several"]
    yield (
        "Salient: within 25% of the weight of a label, over all tasks of the model.\n\n"
        + table(header, rows)
    )
    for name, model in models.items():
        properties, common = model["shared"]["properties"], model["shared"]["common_of_properties"]
        rows = [[one, *counts] for one, counts in zip(properties, common, strict=True)]
        yield f"{name}, neurons that tasks have in common:\n\n{table(['', *properties], rows)}"


def _overlap(models: Evidence) -> Iterator[str]:
    for name, model in models.items():
        overlap = model["overlap"]
        rows = [
            [one, *(f"{100 * share:.0f}" for share in shares)]
            for one, shares in zip(overlap["names"], overlap["share"], strict=True)
        ]
        yield (
            f"{name}: % of the first {overlap['k']} neurons in common "
            f"({100 * overlap['chance']:.0f} by chance)\n\n" + table(["", *overlap["names"]], rows)
        )


def _position(models: Evidence) -> str:
    rows = [
        [
            f"{name} {entry['neuron']}",
            *(entry[ranking] for ranking in ("cross-model", *SINGLE)),
            model["neurons"],
            100 * entry["explained"],
        ]
        for name, model in models.items()
        for entry in model["position"]
    ]
    header = ["model, neuron", "place: cross-model", "variance", "mean distance", "of"]
    header.append("variance explained by the position, %")
    return (
        "The five neurons that know most of the position (F statistic of first, middle and last "
        "third), and their places in the rankings. How far the first tenths of the rankings by "
        "position (the classifier's and F) and cross-model agree stands under Overlap.\n\n"
        + table(header, rows)
    )


def _kinds(evidence: Evidence) -> str:
    rows = []
    first = next(iter(evidence["models"].values()))
    for kind, models in (
        ("translation", translation_models(evidence)),
        ("language model", language_models(evidence)),
    ):
        for share in shares(first["probes"]["position"]):
            gaps = {
                how: fmean(top_over_bottom(models, share, how).values())
                for how in ("mask", "retrain")
            }
            rows.append([f"{kind}, {share} kept", gaps["mask"], gaps["retrain"]])
    header = ["models", "masked: top less bottom, points", "retrained"]
    return "Mean over the tagged tasks and position.\n\n" + table(header, rows)


def _kinds_along_grid(evidence: Evidence) -> Iterator[str]:
    """The same for other strengths of the penalty, where both kinds of models have a grid."""
    rows = [[f"{l1:g}, {l2:g}", *gaps] for (l1, l2), gaps in grid_gaps(evidence).items()]
    if rows:
        header = ["λ1, λ2", "translation models", "language models"]
        yield (
            "By the strength of the penalty: top less bottom 20%, masked, in points, of the first "
            "task, on the held-out part of the grids, mean over the models:"
            "\n\n" + table(header, rows)
        )
