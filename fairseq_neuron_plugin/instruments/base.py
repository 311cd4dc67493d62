"""What all instruments share: clamp, perturbation, standing in for a module's ``forward``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..neurons import Layer

SCOPES = ("recurrent", "full", "output")

Sink = Callable[[str, Tensor], None]
Remove = Callable[[], None]


@dataclass(eq=False)
class Clamp:
    """Neurons of one layer held at values.

    Attributes:
        indices: int64 ``[n]``, neurons within the layer, each once.
        values: float ``[n]``.
        scope: one of `SCOPES`.
        fired: how many forward passes have been clamped.
    """

    indices: Tensor
    values: Tensor
    scope: str
    fired: int = 0

    def on(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and values on the device and in the precision of ``like``."""
        return self.indices.to(like.device), self.values.to(like)

    def apply(self, output: Tensor) -> Tensor:
        """A copy of ``output`` ``[..., width]`` with the neurons at their values."""
        indices, values = self.on(output)
        clamped = output.clone()
        clamped[..., indices] = values
        return clamped

    def clear(self, cells: Tensor) -> Tensor:
        """A copy of cell states ``[..., hidden]`` with the neurons' at 0."""
        return cells.index_fill(-1, self.indices.to(cells.device), 0.0)


@dataclass(eq=False)
class Perturbation:
    """What is added to one layer, asked for anew in every pass.

    It comes in where a clamp would, inside the recurrence, and before any clamp: a clamped neuron
    stays at its value.

    Attributes:
        draw: from a tensor of the wanted device and precision, and a shape ``[batch, length,
            width]``, to what is added: padding where the input has it (nothing is added there).
        draw_start: from the hidden states ``[batch, hidden]`` before the first step to what is
            added to them; called where a clamp changes states that come from elsewhere, which are
            an LSTM decoder's that the encoder sets.
        fired: how many forward passes have been perturbed.
    """

    draw: Callable[[Tensor, Sequence[int]], Tensor]
    draw_start: Callable[[Tensor], Tensor] = torch.zeros_like
    fired: int = 0


class Instrument(ABC):
    """Reads, clamps and perturbs the layers of one module of a model."""

    @property
    @abstractmethod
    def layers(self) -> list[Layer]:
        """The layers, in model order."""

    @abstractmethod
    def tap(self, names: list[str], sink: Sink) -> Remove:
        """Call ``sink(name, [batch, length, width])`` whenever one of the named layers has run.

        Padding lies where it lies in the module's input, and is 0. Returns what ends the tap.
        """

    @abstractmethod
    def clamp(self, name: str, clamp: Clamp) -> Remove:
        """Hold neurons of the named layer. Returns what ends it."""

    @abstractmethod
    def perturb(self, name: str, perturbation: Perturbation) -> Remove:
        """Add something to the named layer, where a clamp would act. Returns what ends it."""


class ForwardOverride:
    """Stands in for ``module.forward``, or another attribute, as long as someone needs it.

    Fairseq's generator calls ``encoder.forward`` directly, past all hooks of `nn.Module`; an
    instance attribute ``forward`` is reached both ways. All users of one module share one
    override, so taps and clamps nest in any order, and the attribute goes with the last of them.
    """

    _kept_as: ClassVar[str] = "forward"

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.users: list[Any] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy of the model is nobody's: the users' clamps and taps are on the original.
        return type(self)(deepcopy(self.module, memo))

    @classmethod
    def join(cls, module: nn.Module, user: Any) -> Self:
        """The override of ``module``, made if there is none yet, with one more user.

        Raises:
            UserError: somebody else stands in already; that would be lost.
        """
        override = module.__dict__.get(cls._kept_as)
        if override is not None and not isinstance(override, cls):
            raise UserError(
                f"{cls._kept_as} of this {type(module).__name__} has been replaced by "
                f"{override!r}; it cannot be tapped or clamped as long as that holds"
            )
        if override is None:
            override = cls(module)
            module.__dict__[cls._kept_as] = override
        override.users.append(user)
        return override

    def leave(self, user: Any) -> None:
        """Take a user off; the last one restores the module."""
        self.users = [other for other in self.users if other is not user]
        if not self.users:
            self.module.__dict__.pop(self._kept_as, None)


@contextmanager
def all_or_none() -> Iterator[list[Remove]]:
    """A list for what ends each of several changes; if one change fails, those before it end."""
    removers: list[Remove] = []
    try:
        yield removers
    except BaseException:
        remove_all(removers[::-1])
        raise


def remove_all(removers: Sequence[Remove]) -> None:
    """Call each of them."""
    for remove in removers:
        remove()


class PaddingReader:
    """Remembers where the words of the pass lie, bool ``[batch, length]``."""

    def __init__(self) -> None:
        self.is_word: Tensor | None = None

    def __call__(self, is_word: Tensor) -> None:
        """Called at the beginning of every pass."""
        self.is_word = is_word

    def clear_padding(self, name: str, rows: Tensor) -> Tensor:
        """A copy of ``rows [batch, length, width]`` of a layer, 0 where there is no word.

        Raises:
            UserError: the model was not given the tokens of this pass.
        """
        if self.is_word is None or self.is_word.shape != rows.shape[:2]:
            raise UserError(
                f"cannot tell words from padding in {name}: this pass was given embeddings, not "
                "tokens; call the model with tokens"
            )
        return rows.masked_fill(~self.is_word.unsqueeze(2), 0.0)
