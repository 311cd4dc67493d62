"""Sums over tokens of the products of two matrices' columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .centred import Block, Centred

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

HELD_BLOCKS = 32  # whose means are multiplied together
# A library for matrix products sums up some hundred rows at a time, which keeps the digits of
# float32; where the product is small it may do without, so it is given no more.
SHORT_SUM = 128
LARGE = 2**16


class CrossProducts:
    """Sum of products of the deviations of two matrices' columns, ``[neurons, other neurons]``.

    The products within a block are made in float32, everything is added up in float64. With the
    blocks' rests r, s and means m, n (see `Block`) the sum over all tokens is that of the blocks'
    products, less r s / rows, plus rows m n, less the product of all tokens' means.
    """

    def __init__(self, neurons: int, others: int) -> None:
        self._total = np.zeros((neurons, others))
        self._left: list[Float64] = []
        self._right: list[Float64] = []

    def add(self, left: Block, right: Block, scratch: Float32) -> None:
        """Take in the same rows of both matrices.

        Args:
            left: of the one.
            right: of the other.
            scratch: memory for the products.
        """
        self._rescale(left.factor, right.factor)
        products = scratch[: self._total.size].reshape(self._total.shape)
        rows = len(left.values)
        step = rows if self._total.size >= LARGE else SHORT_SUM
        for start in range(0, rows, step):
            part = slice(start, start + step)
            np.matmul(left.values[part].T, right.values[part], out=products)
            self._total += products
        self._left += [left.rest, left.mean]
        self._right += [right.rest / -rows, right.mean * rows]
        if len(self._left) >= 2 * HELD_BLOCKS:
            self._flush()

    def finish(self, left: Centred, right: Centred) -> Float64:
        """The sums, scaled by both matrices' scales, once all blocks are in."""
        self._left.append(left.offsets)
        self._right.append(right.offsets / -right.rows)
        self._flush()
        return self._total

    def _rescale(self, left: Float64 | None, right: Float64 | None) -> None:
        if left is None and right is None:
            return
        self._flush()
        if left is not None:
            self._total *= left[:, None]
        if right is not None:
            self._total *= right

    def _flush(self) -> None:
        if self._left:
            left, right = np.stack(self._left, axis=1), np.stack(self._right)
            for start in range(0, len(left), 256):  # all at once would be a table more in memory
                self._total[start : start + 256] += left[start : start + 256] @ right
            self._left.clear()
            self._right.clear()
