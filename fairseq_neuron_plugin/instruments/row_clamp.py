"""Clamps that differ by row of a decoder's batch, for several interventions decoded at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .base import Clamp


class Rows:
    """Which intervention each row of the decoder's batch is under, while a search goes on.

    A sentence is under one intervention, and its beams never leave it: they stand one after the
    other. Sentences that are finished leave the batch; the others keep their order.

    Attributes:
        parts: number of the intervention, int64 ``[sentences]``.
    """

    def __init__(self) -> None:
        self.parts = torch.empty(0, dtype=torch.int64)

    def begin(self, parts: int, sentences: int, device: torch.device) -> None:
        """A batch of as many sentences for each of the interventions, one after the other."""
        self.parts = torch.arange(parts, device=device).repeat_interleave(sentences)

    def reorder(self, new_order: Tensor, beam: int) -> None:
        """Follow fairseq's ``reorder_incremental_state``.

        Args:
            new_order: for each row that stays, which it was before, int64 ``[rows]``.
            beam: rows a sentence.
        """
        if len(new_order) != len(self.parts) * beam:  # otherwise no sentence has left
            self.parts = self.parts[new_order[::beam].div(beam, rounding_mode="floor")]

    def spread(self, rows: int) -> Tensor:
        """The intervention of each row, int64 ``[rows]``: one or more rows a sentence."""
        each, rest = divmod(rows, len(self.parts))
        assert not rest, f"{rows} rows of {len(self.parts)} sentences"
        return self.parts.repeat_interleave(each)


class RowClamp(Clamp):
    """The clamps of several interventions on one layer of a decoder, each on its own rows.

    It is for search with incremental states, where a decoder reads one word a step: whatever the
    order of their dimensions, outputs then hold one vector a row.

    Args:
        clamps: of one scope, by number of the intervention.
        parts: how many interventions there are.
        width: of the layer.
        rows: which row is under which intervention.
    """

    def __init__(self, clamps: Mapping[int, Clamp], parts: int, width: int, rows: Rows) -> None:
        self._clamps = clamps
        self._fired = 0
        (scope,) = {clamp.scope for clamp in clamps.values()}
        self._mask = torch.zeros(parts, width, dtype=torch.bool)
        self._values = torch.zeros(parts, width, dtype=torch.float64)
        for part, clamp in clamps.items():
            self._mask[part, clamp.indices] = True
            self._values[part, clamp.indices] = clamp.values.double()
        self._rows = rows
        self._spread_for: tuple[object, ...] = ()
        self._spread = self._mask, self._values
        super().__init__(self._mask.any(0).nonzero().flatten(), torch.empty(0), scope)

    @property
    def fired(self) -> int:
        """How many forward passes have been clamped; each is counted for all of the clamps."""
        return self._fired

    @fired.setter
    def fired(self, passes: int) -> None:
        # Every intervention has rows in the first step of every batch.
        for clamp in self._clamps.values():
            clamp.fired += passes - self._fired
        self._fired = passes

    def on(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Not to be had."""
        raise TypeError("neurons and values differ by row")

    def apply(self, output: Tensor) -> Tensor:
        """A copy of ``output``, one vector a row, with each row's neurons at their values."""
        flat = output.reshape(-1, output.size(-1))
        mask, values = self._by_row(flat)
        return torch.where(mask, values, flat).view(output.shape)

    def clear(self, cells: Tensor) -> Tensor:
        """A copy of cell states ``[rows, width]`` with each row's neurons at 0."""
        return cells.masked_fill(self._by_row(cells)[0], 0.0)

    def _by_row(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mask and values ``[rows, width]``; kept as long as no sentence leaves."""
        parts, kind = self._rows.parts, (len(like), like.dtype, like.device)
        if self._spread_for[1:] != kind or self._spread_for[0] is not parts:
            which = self._rows.spread(len(like))
            self._spread = self._mask.to(like.device)[which], self._values.to(like)[which]
            self._spread_for = (parts, *kind)
        return self._spread
