"""What a sweep asks of one point: numbers, and lines of text where there are any."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..errors import UserError
from ..loading import Session

Progress = Callable[[int], object]
Value = float | Mapping[str, Tensor]


@dataclass(frozen=True)
class Evaluation:
    """The result of one point.

    Attributes:
        numbers: by column of the table.
        lines: what the model wrote, a line a sentence; None for a language model.
    """

    numbers: Mapping[str, Any]
    lines: Sequence[str] | None = None


@dataclass(frozen=True)
class Intervention:
    """What is clamped at one point; the arguments of `ablate`."""

    neurons: Mapping[str, Sequence[int]]
    value: Value
    scope: str


class Evaluator(ABC):
    """One model and one split, evaluated again and again under interventions.

    Attributes:
        columns: of the numbers it gives.
        session: the model, its task and fairseq's flags.
        references: lines to be kept beside the results, or None.
    """

    columns: ClassVar[tuple[str, ...]]
    session: Session
    references: Sequence[str] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Steps of progress that one evaluation takes."""

    @abstractmethod
    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        """Evaluate the whole split; `UserError` if the ablation was never reached."""

    @abstractmethod
    def data_hash(self) -> str:
        """Of what the model reads."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that can change the numbers, but for model, data and intervention."""

    def signatures(self) -> dict[str, str]:
        """Signatures of the metrics, if they have their own."""
        return {}


def check_one_model(session: Session) -> None:
    """`UserError` for an ensemble."""
    if len(session.models) != 1:
        raise UserError("a sweep ablates one checkpoint, not an ensemble")


def run_settings(cfg: Any, default_max_tokens: int) -> dict[str, Any]:
    """How the model is run, as all of fairseq's commands have it."""
    return {
        "batch": cfg.dataset.batch_size or f"tokens{cfg.dataset.max_tokens or default_max_tokens}",
        "precision": "fp16" if cfg.common.fp16 else "fp32",
        "overrides": cfg.common_eval.model_overrides,
        "seed": cfg.common.seed,
        "post_process": cfg.common_eval.post_process or "none",
    }
