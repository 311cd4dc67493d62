"""Automatic tags for the text of the probes, as in the paper."""

from __future__ import annotations

import sys

from reproduction.layout import SPLITS, Layout
from reproduction.runner import Step


def annotation_steps(layout: Layout) -> list[Step]:
    """A tagger a task and language: trained, measured, and put to use on the models' own text."""
    return [
        _tagger(layout, language, task)
        for language in dict.fromkeys(model.language for model in layout.models)
        for task in layout.tasks(language)
    ]


def _tagger(layout: Layout, language: str, task: str) -> Step:
    given, config = layout.tasks(language)[task], layout.config
    texts = [
        path
        for split in SPLITS
        for path in (
            layout.words(language, "auto", split),
            layout.tags(language, "auto", task, split),
        )
    ]
    command = (
        sys.executable,
        "-m",
        "reproduction.tagger",
        "--language",
        language,
        "--train",
        *layout.data_files(given.train),
        "--test",
        *layout.data_files(given.test),
        "--column",
        given.column,
        "--epochs",
        str(config.tagger.epochs),
        "--train-sentences",
        str(config.tagger.train_sentences),
        "--seed",
        str(config.seed),
        "--apply",
        *texts,
        "--output",
        f"taggers/{language}.{task}",
    )
    return Step(
        f"tagger.{language}.{task}",
        "train tagger",
        f"taggers/{language}.{task}/accuracy.json",
        command,
        needs=(f"probe-text/{language}.done",),
        seconds=layout.seconds("train tagger"),
        folder=f"taggers/{language}.{task}",
    )
