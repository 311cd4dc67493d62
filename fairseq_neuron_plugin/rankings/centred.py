"""Blocks of a matrix, centred, in float32: fit for products that are summed over all tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import UserError
from ..rows import NonFiniteError, refuse_non_finite, release
from .moments import RowSource, check_matrix

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Columns = npt.NDArray[np.intp]

BLOCK_ROWS = 8192  # more would lose digits in float32 sums, fewer lose time
BLOCK_VALUES = 2**24  # of one matrix, at most: 64 MiB
SAMPLE_ROWS = 256  # of a block, for its pivot
SHORT_SUM = 16  # rows whose values are summed up in float32
# As many rows as stay in the cache are converted, centred and squared before the next ones.
CACHED_VALUES = 2**18
PIECE = 2**14  # values; torch converts fewer than 2**15 without waking other threads
# Sums of squares between these multiply in float32 without overflow or loss of digits.
SMALLEST, LARGEST = 2.0**-80, 2.0**80
ATTEMPTS = 8


def row_slices(rows: int, width: int) -> Iterator[slice]:
    """Cut the rows of matrices of at most this width into the slices that `Centred` takes."""
    step = max(1, min(BLOCK_ROWS, max(512, BLOCK_VALUES // width)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@dataclass(frozen=True)
class Block:
    """Consecutive rows, less a pivot for each column, times a power of two for each column.

    Attributes:
        values: float32 ``[rows, neurons]``.
        rest: their sums, ``[neurons]``: the pivot is near the block's mean, not on it.
        mean: the block's mean, counted from the first block's pivot, ``[neurons]``.
        factor: what the powers of two have been multiplied by since the last block; None: nothing.
    """

    values: Float32
    rest: Float64
    mean: Float64
    factor: Float64 | None


class Centred:
    """Gives the blocks of a matrix centred, and adds up the moments of its columns.

    A block is centred at a pivot p near its mean before anything is rounded to float32, squared or
    multiplied; r = sum(x - p) is kept, which says where the mean is, so it costs no pass of its
    own. Blocks are put together as by Chan, Golub & LeVeque 1983, in float64. So no digits are
    lost where a mean is large and the spread tiny, nor where the mean drifts. Where products of
    values could overflow or vanish in float32, their column is scaled by a power of two.

    Args:
        source: the matrix.
        what: how an error names it.
    """

    def __init__(self, source: RowSource, what: str) -> None:
        check_matrix(source, what)
        self.source, self.what = source, what
        width = source.shape[1]
        self.rows = 0
        self.scale = np.ones(width)
        # Dead so far, or of a spread that float32 can multiply.
        self._settled = np.zeros(width, dtype=bool)
        self._origin = np.zeros(width)
        self._largest = np.zeros(width)
        self.within, self.offsets, self.between = np.zeros(width), np.zeros(width), np.zeros(width)

    def take(self, rows: slice, scratch: Float32) -> Block:
        """Read the block that comes next.

        Args:
            rows: which rows.
            scratch: memory for at least its values; the block's are in it.

        Raises:
            UserError: NaN or infinity.
        """
        read = np.asarray(self.source[rows])
        if read.dtype.kind != "f" or read.itemsize > 8:
            read = read.astype(np.float64)
        values = scratch[: read.size].reshape(read.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            pivot, rest, squares, factor = self._centre(read, values, rows.start)
        del read
        release(self.source)
        if not self.rows:
            self._origin = pivot
        count = len(values)
        mean = (pivot - self._origin) * self.scale + rest / count
        self.rows += count
        self.within += squares - rest**2 / count
        self.offsets += count * mean
        self.between += count * mean**2
        np.maximum(self._largest, np.abs(pivot), out=self._largest)
        return Block(values, rest, mean, factor)

    @property
    def deviations(self) -> Float64:
        """Sum of squared deviations, scaled by ``scale**2``; exactly 0 for constant columns."""
        between = np.maximum(self.between - self.offsets**2 / self.rows, 0.0)
        total = np.maximum(self.within, 0.0) + between
        # What rounding in float64 can make of a constant.
        noise = self.rows * (1e-15 * self._largest * self.scale) ** 2
        return np.where(total <= noise, 0.0, total)

    def _centre(
        self, read: Array, values: Float32, start: int
    ) -> tuple[Float64, Float64, Float64, Float64 | None]:
        """Fill ``values``; pivot, sums and sums of squares of each column, factor of the scale."""
        pivot = _pivot(read, values)
        before = self.scale
        for attempt in range(ATTEMPTS):
            rest, squares = self._fill(read, pivot, values)
            wrong = self._out_of_range(read, pivot, squares)
            if len(wrong):
                self._refuse_non_finite(read, start)
                self._rescale(read, pivot, wrong)
                continue
            far = np.flatnonzero(rest**2 > 0.9 * len(values) * squares)  # 3 standard deviations
            if not len(far) or attempt == ATTEMPTS - 1:
                self._settled |= squares >= SMALLEST
                factor = self.scale / before
                return pivot, rest, squares, None if (factor == 1.0).all() else factor
            moved = pivot[far] + rest[far] / len(values) / self.scale[far]
            pivot[far] = _as_held(moved, read.dtype)
        raise UserError(f"{self.what}: the values of neuron {wrong[0]} are too far apart")

    def _fill(self, read: Array, pivot: Float64, values: Float32) -> tuple[Float64, Float64]:
        """Values of the block, their sums and sums of squares, some rows at a time."""
        rest, squares = np.zeros(len(pivot)), np.zeros(len(pivot))
        scale = None if (self.scale == 1.0).all() else self.scale
        step = _cached_rows(len(pivot))
        for start in range(0, len(read), step):
            part = values[start : start + step]
            _subtract(read[start : start + step], pivot, scale, part)
            whole = len(part) // SHORT_SUM * SHORT_SUM
            for run in (part[:whole].reshape(-1, SHORT_SUM, len(pivot)), part[None, whole:]):
                rest += run.sum(axis=1).sum(axis=0, dtype=np.float64)
                squares += np.einsum("bij,bij->bj", run, run).sum(axis=0, dtype=np.float64)
        return rest, squares

    def _out_of_range(self, read: Array, pivot: Float64, squares: Float64) -> Columns:
        """Columns that products in float32 would not do justice to as they are scaled."""
        wrong = ~(squares <= LARGEST)
        small = np.flatnonzero(~self._settled & (squares < SMALLEST))
        if read.itemsize > 2 and len(small):  # float16 has no values as small as that
            wrong[small] |= _spread(read, pivot, small) > 0
        return np.flatnonzero(wrong)

    def _rescale(self, read: Array, pivot: Float64, columns: Columns) -> None:
        """Bring the largest values of some columns near 1; a power of two changes no digit."""
        spread = _spread(read, pivot, columns)
        most = 126 if read.itemsize < 8 else 1000
        with np.errstate(divide="ignore"):
            exponent = np.clip(-np.round(np.log2(spread)), -most, most)
        scale = self.scale.copy()
        scale[columns] = np.exp2(exponent)
        factor = scale / self.scale
        self.scale = scale
        self._settled[columns] = True
        self.offsets *= factor
        for squared in (self.within, self.between):
            squared *= factor  # twice: the square could overflow
            squared *= factor

    def _refuse_non_finite(self, read: Array, start: int) -> None:
        try:
            refuse_non_finite(read, start)
        except NonFiniteError as error:
            where = f"row {error.row}, neuron {error.column}"
            raise UserError(f"{self.what}: NaN or infinity at {where}") from error


def _cached_rows(width: int) -> int:
    return max(1, CACHED_VALUES // (SHORT_SUM * width)) * SHORT_SUM


def _pivot(read: Array, scratch: Float32) -> Float64:
    """About the mean of each column; its value where it is constant, as far as can be seen.

    Rounded to a small part of what the column spans: so a value that comes again and again, like
    the 0 of a rectified neuron, is a distance of few digits away. Else the products of such
    distances would all be rounded the same way when they are added up in float32.
    """
    sample: Array = read[:: -(-len(read) // SAMPLE_ROWS)]
    if sample.itemsize == 2:
        into = scratch.reshape(-1)[: sample.size].reshape(sample.shape)
        sample = _to_float32(sample, into)
    first = sample[0].astype(np.float64)
    mean = sample.mean(axis=0, dtype=np.float64)
    span = np.maximum(sample.max(axis=0) - mean, mean - sample.min(axis=0))
    grid = np.exp2(np.floor(np.log2(np.where(span > 0, span, 1.0))) - 5)
    rounded = _as_held(np.rint(mean / grid) * grid, read.dtype)
    return np.where((sample == sample[0]).all(axis=0), first, rounded)


def _as_held(pivot: Float64, dtype: np.dtype[Any]) -> Float64:
    """The pivot in the precision that it is subtracted in."""
    return pivot if dtype.itemsize == 8 else pivot.astype(np.float32).astype(np.float64)


def _subtract(read: Array, pivot: Float64, scale: Float64 | None, out: Float32) -> None:
    """``(read - pivot) * scale``; subtracted in the precision of ``read``, or in float32."""
    if read.itemsize == 8:
        apart = read - pivot
        np.multiply(apart, 1.0 if scale is None else scale, out=out, casting="same_kind")
        return
    # float16 spans too little to need scaling. float32 is scaled first, where the difference
    # could overflow.
    held: Array = read
    if read.itemsize == 2:
        held = _to_float32(read, out)
    if scale is not None:
        held = np.multiply(held, scale.astype(np.float32), out=out)
        pivot = pivot * scale
    np.subtract(held, pivot.astype(np.float32), out=out)


def _to_float32(read: Array, out: Float32) -> Float32:
    """float16 to float32 by torch, which is eight times as fast at it as numpy."""
    flat, into = read.reshape(-1), torch.from_numpy(out.reshape(-1))
    # A copy: torch does not take a memory map that must not be written.
    piece = np.empty(min(PIECE, flat.size), np.float16)
    held = torch.from_numpy(piece)
    for start in range(0, flat.size, PIECE):
        size = min(PIECE, flat.size - start)
        piece[:size] = flat[start : start + size]
        into[start : start + size].copy_(held[:size])
    return out


def _spread(read: Array, pivot: Float64, columns: Columns) -> Float64:
    """Largest distance from the pivot in some columns, in float64."""
    spread = np.zeros(len(columns))
    step = _cached_rows(len(pivot))
    for start in range(0, len(read), step):
        part = read[start : start + step, columns].astype(np.float64)
        np.maximum(spread, np.abs(part - pivot[columns]).max(axis=0), out=spread)
    return spread
