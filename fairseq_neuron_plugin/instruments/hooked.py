"""Read, clamp and perturb what goes into or comes out of inner modules, by hooks.

Fairseq's generator calls ``encoder.forward`` and ``decoder.forward`` directly, past their hooks.
What these call inside are modules as ever, so hooks on inner modules fire in teacher forcing and
in generation alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

from torch import Tensor, nn

from ..neurons import Layer
from .base import (
    Clamp,
    Instrument,
    PaddingReader,
    Perturbation,
    Remove,
    Sink,
    all_or_none,
    remove_all,
)

Watch = Callable[[Callable[[Tensor], None]], Remove]


@dataclass(frozen=True)
class Point:
    """Where the neurons of one layer pass.

    Attributes:
        layer: name and width.
        module: the inner module.
        side: the neurons are the module's first argument, or what it returns (of a tuple, the
            first element).
        time_first: they come as ``[length, batch, width]``, not ``[batch, length, width]``.
    """

    layer: Layer
    module: nn.Module
    side: Literal["input", "output"] = "output"
    time_first: bool = True


@dataclass(eq=False, frozen=True)
class Clamping:
    """One use of a clamp; the same clamp may be on more than once."""

    clamp: Clamp


@dataclass(eq=False, frozen=True)
class Adding:
    """One use of a perturbation.

    Attributes:
        shaped: from the layer's values, in the shape in which they pass, to what is added.
    """

    perturbation: Perturbation
    shaped: Callable[..., Tensor]


def change_by_users(users: Sequence[Any], values: Tensor, *read: Tensor) -> Tensor:
    """``values`` after every `Adding`, then every `Clamping`, the innermost last so that it wins.

    Args:
        users: these, and others, which are passed over.
        values: of a layer.
        read: what else `Adding.shaped` is to be given.
    """
    for user in users:
        if isinstance(user, Adding):
            values = values + user.shaped(values, *read)
            user.perturbation.fired += 1
    for user in users:
        if isinstance(user, Clamping):
            values = user.clamp.apply(values)
            user.clamp.fired += 1
    return values


class HookedInstrument(Instrument):
    """The layers of a table of points.

    Args:
        points: in order of computation.
        watch_words: ``watch_words(reader)`` calls ``reader(is_word)``, bool ``[batch, length]``, at
            the beginning of every pass, until what it returns is called.
    """

    def __init__(self, points: Sequence[Point], watch_words: Watch) -> None:
        self.points = {point.layer.name: point for point in points}
        self.watch_words = watch_words

    @property
    def layers(self) -> list[Layer]:
        """One per point."""
        return [point.layer for point in self.points.values()]

    def tap(self, names: list[str], sink: Sink) -> Remove:
        """See `Instrument.tap`."""
        padding = PaddingReader()
        tapped = [point for name, point in self.points.items() if name in names]
        with all_or_none() as removers:
            removers.append(self.watch_words(padding))
            for point in tapped:
                reader = partial(_hand_on, point, padding, sink, point is tapped[-1])
                removers.append(_PointHook.join(point, reader))
        return partial(remove_all, removers)

    def clamp(self, name: str, clamp: Clamp) -> Remove:
        """See `Instrument.clamp`. No recurrence, so all scopes mean the same."""
        return _PointHook.join(self.points[name], Clamping(clamp))

    def perturb(self, name: str, perturbation: Perturbation) -> Remove:
        """See `Instrument.perturb`."""
        padding = PaddingReader()
        adding = Adding(perturbation, partial(_shaped, self.points[name], padding, perturbation))
        with all_or_none() as removers:
            removers.append(_PointHook.join(self.points[name], adding))
            removers.append(self.watch_words(padding))
        return partial(remove_all, removers)


def _hand_on(
    point: Point, padding: PaddingReader, sink: Sink, is_last: bool, values: Tensor
) -> None:
    rows = values.transpose(0, 1) if point.time_first else values
    sink(point.layer.name, padding.clear_padding(point.layer.name, rows))
    if is_last:
        padding.is_word = None  # the next pass may be given embeddings


def _shaped(
    point: Point, padding: PaddingReader, perturbation: Perturbation, values: Tensor
) -> Tensor:
    first, second, width = values.shape
    shape = (second, first, width) if point.time_first else (first, second, width)
    added = padding.clear_padding(point.layer.name, perturbation.draw(values, shape))
    padding.is_word = None  # the next pass may be given embeddings
    return added.transpose(0, 1) if point.time_first else added


class _PointHook:
    """The one hook of a module's side: clamps before readers, in whatever order they came.

    Were each user a hook of its own, a tap around an ablation would read unclamped values.
    """

    def __init__(self, point: Point) -> None:
        self.side = point.side
        self.users: list[Any] = []
        register = (
            point.module.register_forward_pre_hook
            if point.side == "input"
            else point.module.register_forward_hook
        )
        self.handle = register(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # As of `ForwardOverride`: a copy of the model has no users.
        copied = copy(self)
        copied.users = []
        return copied

    @classmethod
    def join(cls, point: Point, user: Any) -> Remove:
        """One more user at a point: `Adding`, `Clamping` or a reader. Returns what takes it off."""
        module = point.module
        hooks: Any = module._forward_hooks if point.side == "output" else module._forward_pre_hooks
        hook = next((hook for hook in hooks.values() if isinstance(hook, cls)), None) or cls(point)
        hook.users.append(user)
        return partial(hook.leave, user)

    def leave(self, user: Any) -> None:
        """Take a user off; the hook goes with the last one."""
        self.users = [other for other in self.users if other is not user]
        if not self.users:
            self.handle.remove()

    def __call__(self, module: nn.Module, arguments: Any, output: Any = None) -> Any:
        """Both a forward pre-hook and a forward hook of `nn.Module`."""
        passing = arguments if self.side == "input" else output
        values = passing[0] if isinstance(passing, tuple) else passing
        changed = change_by_users(self.users, values)
        for user in self.users:
            if not isinstance(user, Adding | Clamping):
                user(changed)
        return (changed, *passing[1:]) if isinstance(passing, tuple) else changed
