"""The models, trained by stock ``fairseq-train`` with the plugin's user directory."""

from __future__ import annotations

import shlex

from reproduction.layout import USER_DIR, Layout, Model
from reproduction.runner import Step


def training_steps(layout: Layout) -> list[Step]:
    """A model a part, each with a seed of its own."""
    return [
        _train(layout, model, part, layout.config.seed + number)
        for model in layout.models
        for number, part in enumerate(layout.config.part_names)
    ]


def _train(layout: Layout, model: Model, part: str, seed: int) -> Step:
    training, direction = layout.config.training, model.direction
    flags = training.language_model if model.is_lm else training.translation
    languages = ("--source-lang", direction.source, "--target-lang", direction.target)
    binarised = (
        "test.bin"
        if model.is_lm
        else (f"test.{direction.source}-{direction.target}.{direction.target}.bin")
    )
    kind = "train language model" if model.is_lm else "train translation"
    return Step(
        f"train.{model.name}.{part}",
        kind,
        model.checkpoint(part),
        (
            "fairseq-train",
            model.bin(part),
            "--user-dir",
            str(USER_DIR),
            *(() if model.is_lm else languages),
            *shlex.split(flags),
            "--seed",
            str(seed),
            "--log-format",
            "simple",
            "--log-interval",
            "50",
            "--save-dir",
            f"models/{model.name}.{part}",
        ),
        needs=(f"{model.bin(part)}/{binarised}",),
        seconds=layout.seconds(kind),
        folder=f"models/{model.name}.{part}",
        resumes=True,
    )
