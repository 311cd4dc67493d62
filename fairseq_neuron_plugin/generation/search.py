"""fairseq's beam search over compact columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fairseq.search import BeamSearch
from torch import Tensor


@dataclass
class Columns:
    """What stands in the columns of the current step's scores.

    Attributes:
        words: ids ``[batch * beam, columns]``.
    """

    words: Tensor | None = None


class CompactBeamSearch(BeamSearch):
    """A `BeamSearch` that is given a few columns and answers with words of the vocabulary."""

    def __init__(self, tgt_dict: Any, columns: Columns) -> None:
        super().__init__(tgt_dict)
        self.columns = columns

    def step(self, step: int, lprobs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """As in `BeamSearch`, for ``lprobs`` ``[batch, beam, columns]``."""
        scores, columns, beams = super().step(step, lprobs, *args, **kwargs)
        batch, _, width = lprobs.shape
        assert self.columns.words is not None
        words = self.columns.words.view(batch, -1)
        return scores, words.gather(1, beams * width + columns), beams
