"""Read, clamp and perturb the layers of fairseq's LSTM encoder, bidirectional or not.

The encoder is one fused `nn.LSTM`, whose inner layers no hook can see. While one of these is
on, the same weights run one layer at a time, in an order of summation of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..neurons import Layer
from .base import (
    Clamp,
    ForwardOverride,
    Instrument,
    PaddingReader,
    Perturbation,
    Remove,
    Sink,
    all_or_none,
    remove_all,
)
from .perturbed import run_perturbed
from .recurrence import clamp_recurrence, parameters_of

Hidden = tuple[Tensor, Tensor]
Reader = Callable[[PackedSequence], None]


class LSTMEncoderInstrument(Instrument):
    """The layers ``encoder.layers.{l}``, width 2H when bidirectional (forward, then backward H)."""

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        lstm = encoder.lstm
        assert isinstance(lstm, nn.LSTM)
        self.lstm = lstm

    @staticmethod
    def fits(encoder: object) -> bool:
        """Whether this is an encoder of tokens around one `nn.LSTM`."""
        # Exactly that: a subclass may compute something else.
        return type(getattr(encoder, "lstm", None)) is nn.LSTM and hasattr(encoder, "embed_tokens")

    @property
    def layers(self) -> list[Layer]:
        """One per layer of the LSTM."""
        width = self.lstm.hidden_size * (2 if self.lstm.bidirectional else 1)
        return [Layer(f"encoder.layers.{n}", width) for n in range(self.lstm.num_layers)]

    def tap(self, names: list[str], sink: Sink) -> Remove:
        """See `Instrument.tap`."""
        padding = PaddingReader()
        with all_or_none() as removers:
            forward = _EncoderForward.join(self.encoder, padding)
            removers.append(partial(forward.leave, padding))
            for number, layer in enumerate(self.layers):
                if layer.name in names:
                    reader = _LayerReader(number, layer.name, padding, sink)
                    layered = LayerwiseForward.join(self.lstm, reader)
                    removers.append(partial(layered.leave, reader))
        return partial(remove_all, removers)

    def clamp(self, name: str, clamp: Clamp) -> Remove:
        """See `Instrument.clamp`."""
        number = [layer.name for layer in self.layers].index(name)
        user = (number, clamp)
        layered = LayerwiseForward.join(self.lstm, user)
        return partial(layered.leave, user)

    def perturb(self, name: str, perturbation: Perturbation) -> Remove:
        """See `Instrument.perturb`."""
        number = [layer.name for layer in self.layers].index(name)
        user = _LayerPerturbation(number, PaddingReader(), perturbation)
        with all_or_none() as removers:
            forward = _EncoderForward.join(self.encoder, user.padding)
            removers.append(partial(forward.leave, user.padding))
            layered = LayerwiseForward.join(self.lstm, user)
            removers.append(partial(layered.leave, user))
        return partial(remove_all, removers)


def read_padding(encoder: nn.Module, reader: Callable[[Tensor], None]) -> Remove:
    """At the beginning of every pass call ``reader(is_word)``, bool ``[batch, length]``.

    Left padding is where it is in the encoder's input. Returns what ends it.
    """
    forward = _EncoderForward.join(encoder, reader)
    return partial(forward.leave, reader)


class LayerwiseForward(ForwardOverride):
    """Runs an `nn.LSTM` one layer at a time, with clamps inside the recurrence.

    Its users are `_LayerReader`s, `_LayerPerturbation`s and ``(layer number, Clamp)`` pairs.
    """

    module: nn.LSTM

    def __call__(
        self, packed: PackedSequence, hx: Hidden | None = None
    ) -> tuple[PackedSequence, Hidden]:
        """As `nn.LSTM.forward` on packed input.

        Args:
            packed: the embedded sentences.
            hx: initial hidden and cell states, each ``[layers * directions, batch, hidden]``; None
                means 0.
        """
        lstm = self.module
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        directions = 2 if lstm.bidirectional else 1
        if hx is None:
            sizes = (lstm.num_layers * directions, int(batch_sizes[0]), lstm.hidden_size)
            hx = data.new_zeros(sizes), data.new_zeros(sizes)
        hidden, cell = lstm.permute_hidden(hx, sorted_indices)
        finals: list[Hidden] = []
        for layer in range(lstm.num_layers):
            states = slice(layer * directions, (layer + 1) * directions)
            added = self._added(layer, packed)
            data, final = self._run_layer(
                layer, data, batch_sizes, (hidden[states], cell[states]), added
            )
            finals.append(final)
            for user in self.users:
                if isinstance(user, _LayerReader) and user.number == layer:
                    user(PackedSequence(data, batch_sizes, sorted_indices, unsorted_indices))
            if lstm.training and lstm.dropout and layer + 1 < lstm.num_layers:
                data = nn.functional.dropout(data, lstm.dropout)
        final_states = torch.cat([h for h, _ in finals]), torch.cat([c for _, c in finals])
        output = PackedSequence(data, batch_sizes, sorted_indices, unsorted_indices)
        return output, lstm.permute_hidden(final_states, unsorted_indices)

    def _run_layer(
        self,
        layer: int,
        data: Tensor,
        batch_sizes: Tensor,
        states: Hidden,
        added: Tensor | None,
    ) -> tuple[Tensor, Hidden]:
        """One layer in all its directions: packed output and final states."""
        lstm = self.module
        clamps = [user[1] for user in self.users if isinstance(user, tuple) and user[0] == layer]
        inside = [clamp for clamp in clamps if clamp.scope != "output"]
        directions = []
        for direction in range(2 if lstm.bidirectional else 1):
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            parameters = parameters_of(lstm, suffix)
            # Last first: a column that is zeroed already adds nothing, so the innermost clamp wins.
            for clamp in reversed(inside):
                parameters = clamp_recurrence(parameters, *self._part(clamp, direction, data))
            directions.append(parameters)
        data, (hidden, cell) = run_perturbed(
            data, batch_sizes, directions, states, lstm.training, added
        )
        for clamp in inside:
            hidden, cell = self._clamp_finals(clamp, hidden, cell)
        for clamp in clamps:
            data = clamp.apply(data)
            clamp.fired += 1
        return data, (hidden, cell)

    def _added(self, layer: int, packed: PackedSequence) -> Tensor | None:
        """What perturbations add to a layer, packed as the sentences are."""
        total: Tensor | None = None
        for user in self.users:
            if isinstance(user, _LayerPerturbation) and user.number == layer:
                width = self.module.hidden_size * (2 if self.module.bidirectional else 1)
                drawn = user(packed, width)
                total = drawn if total is None else total + drawn
        return total

    def _clamp_finals(self, clamp: Clamp, hidden: Tensor, cell: Tensor) -> Hidden:
        """Final states ``[directions, batch, hidden]`` as they leave a clamped recurrence."""
        hidden, cell = hidden.clone(), cell.clone()
        for direction in range(len(hidden)):
            units, values = self._part(clamp, direction, hidden)
            hidden[direction][:, units] = values
            if clamp.scope == "full":
                cell[direction][:, units] = 0.0
        return hidden, cell

    def _part(self, clamp: Clamp, direction: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The clamp's units within one direction, and their values."""
        size = self.module.hidden_size
        indices, values = clamp.on(like)
        here = (indices >= direction * size) & (indices < (direction + 1) * size)
        return indices[here] - direction * size, values[here]


class _EncoderForward(ForwardOverride):
    """Runs the encoder as it is; its users see the padding before the encoder moves it."""

    def __call__(self, src_tokens: Tensor, *args: Any, **kwargs: Any) -> Any:
        padding_idx: int = self.module.padding_idx  # type: ignore[assignment]
        for user in self.users:
            user(src_tokens.ne(padding_idx))
        return type(self.module).forward(self.module, src_tokens, *args, **kwargs)


class _LayerReader:
    """Hands one layer's output on as ``[batch, length, width]``, padded as the input was."""

    def __init__(self, number: int, name: str, padding: PaddingReader, sink: Sink) -> None:
        self.number = number
        self.name = name
        self.padding = padding
        self.sink = sink

    def __call__(self, packed: PackedSequence) -> None:
        is_word = self.padding.is_word
        assert is_word is not None, "an LSTM encoder reads its tokens before its layers run"
        output = packed.data.new_zeros(is_word.numel(), packed.data.size(1))
        output.index_copy_(0, _positions(packed, is_word), packed.data)
        self.sink(self.name, output.view(*is_word.shape, -1))


@dataclass(eq=False, frozen=True)
class _LayerPerturbation:
    """What is added to one layer."""

    number: int
    padding: PaddingReader
    perturbation: Perturbation

    def __call__(self, packed: PackedSequence, width: int) -> Tensor:
        """``[words, width]``, packed as the sentences are."""
        is_word = self.padding.is_word
        assert is_word is not None, "an LSTM encoder reads its tokens before its layers run"
        drawn = self.perturbation.draw(packed.data, (*is_word.shape, width))
        self.perturbation.fired += 1
        return drawn.flatten(0, 1)[_positions(packed, is_word)]


def _positions(packed: PackedSequence, is_word: Tensor) -> Tensor:
    """Where in the flattened batch each packed row belongs, int64 ``[words]``.

    Args:
        packed: of sentences whose words are contiguous.
        is_word: where they lie, ``[batch, length]``.
    """
    device, sizes = is_word.device, packed.batch_sizes
    steps = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    rank = (torch.arange(len(steps)) - (sizes.cumsum(0) - sizes)[steps]).to(device)
    sentence = rank if packed.sorted_indices is None else packed.sorted_indices[rank]
    first = is_word.int().argmax(dim=1)
    return sentence * is_word.size(1) + first[sentence] + steps.to(device)
