"""Sweeps of every model, and the report of it all."""

from __future__ import annotations

import shlex

from reproduction.analyses import linguistic_tasks
from reproduction.layout import FIRST, SINGLE, Layout, Model
from reproduction.runner import Step


def sweep_steps(layout: Layout) -> list[Step]:
    """One sweep a model: of the first one all its rankings, of the others the cross-model one."""
    return [
        _sweep(layout, model, part) for model in layout.models for part in layout.config.part_names
    ]


def swept(layout: Layout, model: Model, part: str) -> list[str]:
    """Names of the rankings along which a model is ablated."""
    if part != FIRST:
        return ["cross-model"]
    tasks = [task for task in linguistic_tasks(layout, model) if task != "position"]
    return ["cross-model", *SINGLE, *tasks]


def _sweep(layout: Layout, model: Model, part: str) -> Step:
    sweeps, direction, corpus = layout.config.sweeps, model.direction, layout.corpus(model)
    rankings = [model.ranking(part, name) for name in swept(layout, model, part)]
    folder = model.sweep(part)
    common = (
        "--path",
        model.checkpoint(part),
        "--ranking",
        *rankings,
        "--ablate",
        sweeps.points,
        "--order",
        "top,bottom",
        "--output-dir",
        folder,
    )
    if model.is_lm:
        kind = "score"
        command = ("fairseq-neuron-eval-lm", model.bin(part), *shlex.split(sweeps.language_model))
    else:
        kind = "translate"
        command = (
            "fairseq-neuron-generate",
            model.bin(part),
            *shlex.split(sweeps.translation),
            "--source-lang",
            direction.source,
            "--target-lang",
            direction.target,
            "--tokenizer",
            corpus.tokenizer,
            "--reference",
            layout.text(direction.corpus, "raw", direction.target),
        )
    points = 2 * len(rankings) * sweeps.points.count(",") + 1
    return Step(
        f"sweep.{model.name}.{part}",
        kind,
        f"{folder}/sweep.json",
        (*command, *common),
        needs=(model.checkpoint(part), *rankings),
        seconds=points * layout.seconds(kind),
        folder=folder,
        resumes=True,
    )


def report_step(layout: Layout, needs: tuple[str, ...]) -> Step:
    """The HTML page of all that the package's report shows."""
    return Step(
        "report",
        "report",
        "report.html",
        (
            "fairseq-neuron-report",
            "acts",
            "probes",
            "rankings",
            "sweeps",
            "--title",
            layout.config.title,
            "--output",
            "report.html",
            "--force",
        ),
        needs=needs,
        seconds=layout.seconds("report"),
    )
