"""An LSTM language model over a tree of prefixes, without what its clamped neurons would cost.

A neuron that is clamped inside the recurrence is a constant. It needs no gates and no cell state,
and what it adds to all that reads it is part of a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..instruments.base import Clamp
from ..instruments.lstm_decoder_steps import LayerClamps
from ..instruments.recurrence import clamp_all, parameters_of
from .prefix_tree import PrefixTree

# Where torch keeps the gates i, f, g, o, in the order i, f, o, g: sigmoids first.
_GATES = (0, 1, 3, 2)
# Prefixes at a time: on a CPU their gates are to stay in its cache.
_ROWS, _DEVICE_ROWS = 1024, 8192


@dataclass(frozen=True)
class Units:
    """The neurons of a layer as something reads them.

    Attributes:
        free: those that are computed, int64 ``[n]``, ascending.
        held: what the others are held at, 0 for those that are computed, ``[width]``.
    """

    free: Tensor
    held: Tensor

    @classmethod
    def of(cls, clamps: list[Clamp], like: Tensor) -> Self:
        """Those of a layer as wide as ``like [width]`` under clamps, outermost first."""
        values = clamp_all(clamps, torch.full_like(like, torch.nan))
        is_free = values.isnan()  # clamps hold finite values only
        return cls(is_free.nonzero().squeeze(1), values.masked_fill_(is_free, 0.0))

    def twice(self) -> Units:
        """As read where a state and the one before it are added up."""
        return Units(self.free, 2 * self.held)

    def reads(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """A matrix product that reads the layer, on what is computed alone.

        Args:
            weight: ``[rows, width]``.
            bias: ``[rows]``.

        Returns:
            ``[rows, n]``, and ``[rows]`` with the part of the others.
        """
        if len(self.free) == len(self.held):
            return weight, bias
        return weight.index_select(1, self.free), bias + weight @ self.held


class LeanLayer:
    """A layer whose sequences branch: each state is followed by any number of states.

    States are those of the neurons that are computed, ``[sequences, n]``.

    Args:
        cell: the `nn.LSTMCell`.
        clamps: of its neurons.
        below: the neurons that it reads; None for all of an embedding.
        widest: the most states of one step.

    Attributes:
        output: its neurons as the next layer sees them.
        weight_in: ``[4 n, input]``.
        bias: ``[4 n]``.
    """

    def __init__(self, cell: Any, clamps: LayerClamps, below: Units | None, widest: int) -> None:
        weight_in, weight_own, bias_in, bias_own = parameters_of(cell)
        size = cell.hidden_size
        inside = Units.of([*clamps.inside], weight_own[0])
        self.output = Units.of([*clamps.inside, *clamps.outside], weight_own[0])
        self._seen = torch.searchsorted(inside.free, self.output.free)
        self._n = len(inside.free)
        rows = torch.cat([gate * size + inside.free for gate in _GATES])
        bias = (bias_in + bias_own)[rows]
        own, bias = inside.reads(weight_own[rows], bias)
        whole = weight_in[rows]
        self.weight_in, self.bias = (whole, bias) if below is None else below.reads(whole, bias)
        self._weight_own = own.t()
        # Hidden and cell states of this step and of the one before it; at first, 0.
        self._now, self._before = weight_own.new_zeros(2, 2, widest, self._n).unbind()

    @property
    def gates(self) -> int:
        """How many numbers of each state's gates there are."""
        return 4 * self._n

    def next_step(self) -> None:
        """Begin a step: the states of the last one are what stands before."""
        self._now, self._before = self._before, self._now

    def advance(self, gates: Tensor, rows: slice, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Some states of this step.

        Args:
            gates: what the input adds to them, bias included, ``[rows, 4 n]``; overwritten.
            rows: which states of this step.
            parents: for each the state that stands before it, int64 ``[rows]``.

        Returns:
            Their hidden states and those before them.
        """
        before = self._before[0].index_select(0, parents)
        gates.addmm_(before, self._weight_own)
        gates[:, : 3 * self._n].sigmoid_()
        entrance, forget, exit_, new = gates.unflatten(1, (4, self._n)).unbind(1)
        hidden, cell = self._now[:, rows]
        torch.index_select(self._before[1], 0, parents, out=cell)
        cell.mul_(forget).addcmul_(entrance, new.tanh_())
        torch.tanh(cell, out=hidden).mul_(exit_)
        return hidden, before

    def seen(self, states: Tensor) -> Tensor:
        """Of states ``[rows, n]`` those that the next layer sees as they are."""
        if len(self._seen) == self._n:
            return states
        return states.index_select(1, self._seen)


class LeanDecoder:
    """fairseq's `LSTMDecoder` of a language model, as its clamps leave it.

    Args:
        decoder: without attention, adaptive softmax, dropout and hooks.
        users: its clamps, pairs of a layer's name and a clamp, outermost first.
        widest: the most prefixes of one length.

    Attributes:
        output_layer: weight ``[vocabulary, width]`` and bias ``[vocabulary]``, or None, of the
            product of what `run` returns with which the model ends.
    """

    def __init__(self, decoder: Any, users: Sequence[tuple[str, Clamp]], widest: int) -> None:
        self._decoder = decoder
        self._layers: list[LeanLayer] = []
        below = None
        for number, cell in enumerate(decoder.layers):
            clamps = LayerClamps.of(users, f"decoder.layers.{number}")
            self._layers.append(LeanLayer(cell, clamps, below, widest))
            output = self._layers[-1].output
            below = output.twice() if decoder.residuals else output
        shared = decoder.share_input_output_embed
        last = decoder.embed_tokens if shared else decoder.fc_out
        weight, bias = last.weight, getattr(last, "bias", None)
        self._between = None
        if hasattr(decoder, "additional_fc"):
            self._between = output.reads(decoder.additional_fc.weight, decoder.additional_fc.bias)
        else:
            bias = weight.new_zeros(len(weight)) if bias is None else bias
            weight, bias = output.reads(weight, bias)
        self.output_layer: tuple[Tensor, Tensor | None] = weight, bias
        rows = _ROWS if weight.is_cpu else _DEVICE_ROWS
        self._rows = min(rows, widest)
        self._room = weight.new_empty(self._rows * max(layer.gates for layer in self._layers))

    def run(self, tree: PrefixTree) -> Tensor:
        """What the output layer reads of each prefix, ``[prefixes, width]``; to be called once."""
        weight = self.output_layer[0]
        symbols, kinds, parents = (
            torch.from_numpy(numbers).to(weight.device)
            for numbers in (*np.unique(tree.symbols, return_inverse=True), tree.parents)
        )
        first = self._layers[0]
        embedded = self._decoder.embed_tokens(symbols.unsqueeze(0))[0]
        inputs = torch.addmm(first.bias, embedded, first.weight_in.t())  # once for each symbol
        features = weight.new_empty(len(kinds), weight.size(1))
        for begin, end in pairwise(tree.bounds):
            for layer in self._layers:
                layer.next_step()
            for start in range(begin, end, self._rows):
                stop = min(start + self._rows, end)
                part, of_step = slice(start, stop), slice(start - begin, stop - begin)
                features[part] = self._step(inputs, kinds[part], parents[part], of_step)
        return features

    def _step(self, inputs: Tensor, kinds: Tensor, parents: Tensor, rows: slice) -> Tensor:
        """What the output layer reads of some prefixes of one length, ``[rows, width]``.

        Args:
            inputs: the first layer's gates for each symbol, ``[symbols, gates]``.
            kinds: the prefixes' last symbols, as rows of ``inputs``.
            parents: see `LeanLayer.advance`.
            rows: likewise.
        """
        states = inputs
        for layer in self._layers:
            gates = self._room[: len(kinds) * layer.gates].view(len(kinds), layer.gates)
            if layer is self._layers[0]:
                torch.index_select(inputs, 0, kinds, out=gates)
            else:
                torch.addmm(layer.bias, states, layer.weight_in.t(), out=gates)
            hidden, before = layer.advance(gates, rows, parents)
            if self._decoder.residuals and layer is not self._layers[-1]:
                hidden = hidden + before
            states = layer.seen(hidden)
        if self._between is None:
            return states
        weight, bias = self._between
        return torch.addmm(bias, states, weight.t())
