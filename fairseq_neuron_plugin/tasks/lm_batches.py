"""Batches for ``fairseq-eval-lm`` that see to it that every token is scored.

Stock fairseq-eval-lm leaves out blocks that are longer than the model's positions, and reports a
perplexity of 1.00 where no block is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import UserError
from .clean_exit import ends_cleanly


def count_tokens(dataset: Any) -> int:
    """Number of tokens that a language model's split asks to be scored.

    Raises:
        UserError: there are none.
    """
    tokens = sum(int(dataset.size(index)) for index in range(len(dataset)))
    if tokens == 0:
        raise UserError("the split is empty: there is no token to score")
    return tokens


def check_blocks_fit(dataset: Any, max_positions: Any, max_tokens: int | None) -> None:
    """`UserError` if a block is longer than the model's positions, or than a batch may be."""
    sizes = [int(dataset.size(index)) for index in range(len(dataset))]
    too_long: Sequence[int] = ()
    if max_positions is not None:
        _, too_long = dataset.filter_indices_by_size(np.arange(len(dataset)), max_positions)
    if len(too_long):
        raise UserError(
            f"{len(too_long)} of {len(dataset)} blocks are longer than the model's "
            f"{max_positions} positions (the longest has {max(sizes)} tokens) and would not be "
            f"scored; use --sample-break-mode eos, or none with --tokens-per-sample {max_positions}"
        )
    if max_tokens is not None and max(sizes) > max_tokens:
        raise UserError(f"--max-tokens {max_tokens}: the longest block has {max(sizes)} tokens")


def check_finite(scores: Tensor) -> None:
    """End the process if a token's log-probability is not finite; fairseq would leave it out."""
    with ends_cleanly():
        if not scores.isfinite().all():
            raise UserError(
                "the score of a token is not finite in this precision: leave out --fp16, or hold "
                "the neurons at a smaller --ablate-value"
            )


class CountedBatches:
    """Batches as they come, with checks after each and at the end.

    Args:
        batches: an iterator of fairseq's, with its length and position ``n``.
        pad: the symbol that is no token.
        expected: how many tokens there have to be at least.
        check: called whenever a batch has been scored.

    Attributes:
        during: makes the context in which the batches are scored.
    """

    def __init__(self, batches: Any, pad: int, expected: int, check: Callable[[], None]) -> None:
        self._batches, self._pad, self._expected, self._check = batches, pad, expected, check
        self.during: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def n(self) -> int:
        """Number of batches that are through."""
        return int(self._batches.n)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        tokens = 0
        with self.during():
            for batch in self._batches:
                if "target" in batch:
                    tokens += int(batch["target"].ne(self._pad).sum())
                yield batch
                with ends_cleanly():
                    self._check()
        with ends_cleanly():
            if tokens == 0:
                raise UserError("no token was scored: this shard holds no block")
            if tokens < self._expected:
                raise UserError(f"only {tokens} of {self._expected} tokens were scored")
