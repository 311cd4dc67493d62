"""Sections on the models under ablation: figures 4, 5, 7 and 8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairseq_neuron_plugin.sweeps.plot import plot_sweep
from reproduction.evidence_views import curve, has_loss, language_models, translation_models
from reproduction.layout import FIRST, SINGLE
from reproduction.markdown import Section, folded, table

Evidence = dict[str, Any]
ORDERS = ("top", "bottom")
LOSS = "By the loss of the references, teacher-forced, which knows no length (bits a symbol):"


def curve_sections(evidence: Evidence, pictures: Path) -> Iterator[Section]:
    """A section a figure, with a picture and a table for each kind of model."""
    translation, language = translation_models(evidence), language_models(evidence)
    common = {
        name: {f"model {part}": (part, "cross-model") for part in model["sweeps"]}
        for name, model in (translation | language).items()
    }
    single = {name: {one: (FIRST, one) for one in ("cross-model", *SINGLE)} for name in translation}
    tasks = {
        name: {task: (FIRST, task) for task in model["tasks"]}
        for name, model in (translation | language).items()
    }
    others = {name: tasks[name] | {"variance": (FIRST, "variance")} for name in language}
    yield Section(
        "cross_model",
        "Translation without its cross-model neurons",
        list(_translations(translation, common, pictures / "figure4")),
    )
    yield Section(
        "methods",
        "Cross-model correlation against variance and distance from the mean",
        list(_translations(translation, single, pictures / "figure5")),
    )
    yield Section(
        "linguistic",
        "Translation without the neurons of a linguistic task",
        list(_translations(translation, tasks, pictures / "figure7")),
    )
    yield Section(
        "language_model",
        "Language models",
        [
            *_figures(language, common, "perplexity", pictures / "figure8"),
            "By the rankings of model A's classifiers, and by variance:",
            *_figures(language, others, "perplexity", pictures / "figure8.tasks"),
        ],
    )


def _translations(
    models: Evidence, curves: dict[str, dict[str, tuple[str, str]]], path: Path
) -> Iterator[str]:
    """By BLEU, with pictures, and by the loss, where it was measured."""
    yield from _figures(models, curves, "bleu", path)
    if has_loss(models):
        tables = (
            name + _table(_rows(model, curves[name]), "loss") for name, model in models.items()
        )
        yield folded("The same by the loss of the references", "\n\n".join([LOSS, *tables]))


def _rows(model: Evidence, curves: dict[str, tuple[str, str]]) -> dict[str, list[Evidence]]:
    """The rows of each curve, top and bottom, by the name that it is shown under."""
    return {
        shown: [row for order in ORDERS for row in curve(model, part, ranking, order)]
        for shown, (part, ranking) in curves.items()
    }


def _figures(
    models: Evidence, curves: dict[str, dict[str, tuple[str, str]]], metric: str, path: Path
) -> Iterator[str]:
    for name, model in models.items():
        found = _rows(model, curves[name])
        rows = [{**row, "ranking": shown} for shown, some in found.items() for row in some]
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = path.with_name(f"{path.name}.{name}.png")
        unablated = {row[metric] for row in rows if row["ablated"] == 0}
        # A line for the unablated model, unless there are several.
        plot_sweep(rows, picture, metric, baseline=None if len(unablated) == 1 else {})
        yield f"![{name}]({path.parent.name}/{picture.name})"
        yield f"{name}, {_NAMES[metric]}" + _table(found, metric)


_NAMES = {"bleu": "BLEU (with 95% interval; length against the reference)", "perplexity":
          "perplexity (with 95% interval)"}  # fmt: skip


def _table(curves: dict[str, list[Evidence]], metric: str) -> str:
    """A line a share; top and bottom of each ranking side by side."""
    shares = sorted({row["ablated"] for rows in curves.values() for row in rows})
    header = ["ablated"]
    header += [f"{name}, {order}" for name in curves for order in ORDERS]
    lines = []
    for ablated in shares:
        cells: list[str] = []
        share = 0.0
        for rows in curves.values():
            for order in ORDERS:
                row = next(
                    row for row in rows if row["order"] == order and row["ablated"] == ablated
                )
                share = row["share"]
                cells.append(_cell(row, metric))
        lines.append([f"{ablated} ({100 * share:.0f}%)", *cells])
    return ":\n\n" + table(header, lines)


def _cell(row: Evidence, metric: str) -> str:
    if metric == "loss":
        return f"{row[metric]:.2f}"
    digits = 1 if row[metric] < 1000 else 0
    text = f"{row[metric]:.{digits}f}"
    if row.get(f"{metric}_low") is not None:
        text += f" ({row[f'{metric}_low']:.{digits}f}–{row[f'{metric}_high']:.{digits}f})"
    if "length_ratio" in row:
        text += f" {row['length_ratio']:.2f}"
    return text
