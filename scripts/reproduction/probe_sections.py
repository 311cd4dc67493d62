"""Sections on the classifiers: accuracy, λ, and what few neurons are worth."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reproduction.evidence_views import kept, ranked_probes, shares
from reproduction.markdown import Section, folded, table

Evidence = dict[str, Any]
ORDERS = ("top", "bottom", "random")


def probe_sections(evidence: Evidence, run: Path, pictures: Path) -> Iterator[Section]:
    """Tables 1, 2 and 4, figure 2."""
    parts = [_accuracies(evidence), _word_kinds(evidence), _months(evidence)]
    yield Section("accuracy", "Accuracy of the classifiers", parts)
    grids = list(_grids(evidence, run, pictures))
    if grids:
        yield Section("grid", "Strength of the penalty", grids)
    for key, how, title in (
        ("mask", "mask", "All but a few neurons masked out"),
        ("retrain", "retrain", "Trained again on a few neurons"),
    ):
        yield Section(key, title, [_few_neurons(evidence, how)])


def _accuracies(evidence: Evidence) -> str:
    rows = []
    for name, model in evidence["models"].items():
        for task in (*model["tasks"], "position"):
            probe = model["probes"][task]
            gold = model["probes"].get(f"{task}.gold")
            rows.append(
                [
                    f"{name} {task}",
                    len(probe["labels"]),
                    100 * probe["majority_baseline"],
                    100 * probe["accuracy"],
                    100 * (probe["accuracy"] - probe["majority_baseline"]),
                    100 * probe["control"]["selectivity"] if probe.get("control") else "",
                    *(
                        (100 * gold["majority_baseline"], 100 * gold["accuracy"])
                        if gold
                        else ("", "")
                    ),
                ]
            )
    header = ["model, task", "tags in the test", "MAJ", "classifier", "above MAJ", "selectivity"]
    text = table([*header, "MAJ, gold tags", "classifier, gold tags"], rows)
    seen = ", ".join(
        f"{found['seen']} of {found['sentences']} ({name})"
        for name, found in evidence["annotated_seen"].items()
    )
    return (
        "Accuracy in % on the test sentences. First with automatic tags over the source side of "
        "the training data, as in the paper, then, trained and tested anew, with tags annotated by "
        f"hand. Of their test sentences the models had these in training: {seen}. Selectivity: "
        "accuracy less that of a control task with random tags for words (Hewitt and Liang "
        "2019)." + _unconverged(evidence) + "\n\n" + text
    )


def _unconverged(evidence: Evidence) -> str:
    """Which classifiers the solver gave up on."""
    names = [
        f"{name} {task}"
        for name, model in evidence["models"].items()
        for task, probe in model["probes"].items()
        if probe["converged"] is False
    ]
    return f" Not at the optimum to the last digit: {', '.join(names)}." if names else ""


def _word_kinds(evidence: Evidence) -> str:
    rows = [
        [
            f"{name} {task}",
            one["kind"],
            one["words"],
            one["majority"],
            one["accuracy"],
            one["accuracy"] - one["majority"],
        ]
        for name, model in evidence["models"].items()
        for task, kinds in model["word_kinds"].items()
        for one in kinds
    ]
    header = ["model, task", "words that are", "test words", "MAJ", "classifier", "above MAJ"]
    return (
        "Where the classifiers gain and lose (accuracy in %, automatic tags). Ambiguous is a word "
        "whose most frequent tag has less than 90% of it in training: there context has to decide. "
        "Of a word that is not in the dictionary the model reads `<unk>`, the baseline the "
        "word.\n\n" + table(header, rows)
    )


def _months(evidence: Evidence) -> str:
    rows = []
    for name, model in evidence["models"].items():
        probe = model["probes"].get("months")
        if probe is None:
            continue
        month = probe["labels"].get("month", {"f1": float("nan"), "support": 0})
        rows.append([name, month["support"], 100 * probe["accuracy"], 100 * month["f1"]])
    if not rows:
        return "Months: the text has hardly any; no classifier was trained."
    header = ["model", "months among the test words", "accuracy %", "F1 of months %"]
    return "Months are so rare that accuracy says nothing; F1 of the label does:\n\n" + table(
        header, rows
    )


def _grids(evidence: Evidence, run: Path, pictures: Path) -> Iterator[str]:
    if any("grid" in model for model in evidence["models"].values()):
        yield (
            "The frame is the cell that `--grid auto` would pick; the classifiers of this page "
            "have the penalties of their signatures."
        )
    for name, model in evidence["models"].items():
        if "grid" not in model:
            continue
        task = model["tasks"][0]
        source = run / f"probes/{name}.{task}.grid/grid.png"
        if source.exists():
            pictures.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, pictures / f"grid.{name}.png")
            yield f"![λ grid, {name}]({pictures.name}/grid.{name}.png)"
        rows = [
            [
                f"{cell['l1']:g}, {cell['l2']:g}{'' if cell['converged'] else ' *'}",
                *(100 * cell[key] for key in ("accuracy", "top", "bottom", "top_minus_bottom")),
            ]
            for cell in model["grid"]["cells"]
        ]
        header = ["λ1, λ2", "all neurons", "top 20%", "bottom 20%", "top less bottom"]
        yield folded(
            f"{name}, {task}: the table",
            f"{name}, {task}: accuracy in % on a held-out fifth of the training sentences, the "
            "other neurons masked out; * not at the optimum to the last digit, as cells follow one "
            "another in few steps:\n\n" + table(header, rows),
        )


def _few_neurons(evidence: Evidence, how: str) -> str:
    rows = []
    header = ["model, task", "all"]
    for name, model in evidence["models"].items():
        for task, probe in ranked_probes(model).items():
            columns = [(share, order) for share in shares(probe) for order in ORDERS]
            header = ["model, task", "all", "none"]
            header += [f"{share} {order}" for share, order in columns]
            values = (kept(probe, share, order, how) for share, order in columns)
            counts = [row["support"] for row in probe["labels"].values()]
            none = 100 * max(counts) / sum(counts)
            rows.append([f"{name} {task}", 100 * probe["accuracy"], none, *values])
    return (
        "Accuracy in % with that share of the neurons; none: that of the most frequent tag for "
        "every word.\n\n" + table(header, rows)
    )
