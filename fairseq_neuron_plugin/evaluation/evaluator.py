"""What a sweep asks of one point: numbers, and lines of text where there are any."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..errors import UserError
from ..loading import Session

Progress = Callable[[int], object]
Value = float | Mapping[str, Tensor]

# Where things are; what is read from there is hashed. Clamping is the sweep's own.
_PATHS = (
    *("data", "lang_dict", "source_dict", "target_dict", "fixed_dictionary"),
    *("extra_data", "sampling_weights_from_file"),
)
_CLAMPING = ("ablate", "ablate_value", "ablate_acts", "ablate_scope", "ablate_layers")


@dataclass(frozen=True)
class Evaluation:
    """The result of one point.

    Attributes:
        numbers: by column of the table.
        lines: what the model wrote, a line a sentence; None for a language model.
        resampled: for each metric with a band its scores over the same resampled texts at every
            point, float64 ``[resamples]``: for the test against the unablated model.
    """

    numbers: Mapping[str, Any]
    lines: Sequence[str] | None = None
    resampled: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Intervention:
    """What is clamped at one point; the arguments of `ablate`."""

    neurons: Mapping[str, Sequence[int]]
    value: Value
    scope: str


class Evaluator(ABC):
    """One model and one split, evaluated again and again under interventions.

    The same intervention has the same numbers in whatever process it is evaluated, and beside
    whatever others.

    Attributes:
        columns: of the numbers it gives.
        metrics: those of the columns that are resampled; of each ``m`` there are also ``m_low``
            and ``m_high``, the ends of its 95% interval.
        session: the model, its task and fairseq's flags.
        references: lines to be kept beside the results, or None.
    """

    columns: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    session: Session
    references: Sequence[str] | None = None

    @property
    def together(self) -> int:
        """How many interventions at a time are evaluated fastest in one process."""
        return 1

    @abstractmethod
    def __len__(self) -> int:
        """Steps of progress that one evaluation takes."""

    @abstractmethod
    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        """Evaluate the whole split; `UserError` if the ablation was never reached."""

    def evaluate_together(
        self, interventions: Sequence[Intervention], progress: Progress
    ) -> list[Evaluation]:
        """As `evaluate` of each; ``progress`` counts ``len(self)`` for each of them."""
        return [self.evaluate(intervention, progress) for intervention in interventions]

    @abstractmethod
    def data_hash(self) -> str:
        """Of what the model reads."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that can change the numbers, but for model, data and intervention."""

    def signatures(self) -> dict[str, str]:
        """Signatures of the metrics, if they have their own."""
        return {}

    def notes(self, unablated: Mapping[str, Any]) -> list[str]:
        """List what a user should know of the numbers.

        Args:
            unablated: the numbers of the unablated model, by column.
        """
        return []


def check_one_model(session: Session) -> None:
    """`UserError` for an ensemble."""
    if len(session.models) != 1:
        raise UserError("a sweep ablates one checkpoint, not an ensemble")


def task_settings(task: Any, usual: Sequence[str]) -> dict[str, Any]:
    """The task, and what its flags say about what the model reads.

    Args:
        task: the configuration of the task.
        usual: the settings to be given in any case; of the others, those that differ from their
            defaults are.
    """
    from fairseq.tasks import TASK_REGISTRY

    parser = argparse.ArgumentParser(add_help=False)
    TASK_REGISTRY[task._name].add_args(parser)  # a task has a dataclass, or only this
    found = {"task": task._name.removeprefix("neuron_")}  # which gives the same numbers
    for flag in parser._actions:
        value = getattr(task, flag.dest, None)
        changed = flag.dest not in (*_PATHS, *_CLAMPING) and str(value) != str(flag.default)
        if flag.dest in usual or changed:
            value = getattr(value, "value", value)  # of an enumeration
            plain = value is None or isinstance(value, bool | int | float | str)
            found[flag.dest] = value if plain else str(value)
    return found


def run_settings(session: Session, default_max_tokens: int) -> dict[str, Any]:
    """How the model is run, as all of fairseq's commands have it."""
    cfg = session.cfg
    size, tokens = cfg.dataset.batch_size, cfg.dataset.max_tokens
    if tokens is None and size is None:
        tokens = default_max_tokens
    limits = (size and f"sentences{size}", tokens and f"tokens{tokens}")
    return {
        "batch": ",".join(limit for limit in limits if limit),
        "device": "cuda" if session.cuda else "cpu",
        "precision": "fp16" if cfg.common.fp16 else "fp32",
        "overrides": cfg.common_eval.model_overrides,
        "seed": cfg.common.seed,
        "post_process": cfg.common_eval.post_process or "none",
    }
