"""The activations of the training data as a solver reads them: standardised, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...rows import Rows, refuse_non_finite, release, row_blocks
from .workers import Workers

R = TypeVar("R")

CACHE_BYTES = 256 * 2**20
SMALL = 500_000  # matrices of fewer values are always worked on in float64
RELEASE_EVERY = 32  # blocks
CHUNK = 64  # rows next to each other that a minibatch takes together: a disk reads ahead


class Design:
    """Standardised activations ``(x - mean) / scale`` on a device.

    Nothing here grows with the number of rows but caches of at most `CACHE_BYTES` each (on a
    GPU: a third of its free memory each). Float16
    and float32 data is worked on in float32 unless it is small; what need not be exact, the
    curvature, in bfloat16 where the processor multiplies that faster.

    Attributes:
        rows, neurons: the shape.
        dtype: of `block`; coarse: of `low`.
        mean, scale: float64 ``[neurons]``; scale 1 where a neuron is constant.
        constant: bool ``[neurons]``.
        slices: the blocks of rows.
        passes: how often all rows were gone through so far.

    Args:
        X: ``[rows, neurons]``.
        workers: threads.
        device: a torch device.
        widest: columns of the widest matrix that is made beside a block, such as scores of labels.

    Raises:
        NonFiniteError: NaN or infinity.
    """

    def __init__(self, X: Rows, workers: Workers, device: str = "cpu", widest: int = 0) -> None:
        self.X, self.workers, self.device = X, workers, torch.device(device)
        self.rows, self.neurons = X.shape
        single = X.dtype in (np.float16, np.float32) and self.rows * self.neurons > SMALL
        self.dtype = torch.float32 if single else torch.float64
        self.coarse = torch.bfloat16 if single and _fast_bfloat16(self.device) else self.dtype
        self.slices = list(row_blocks((self.rows, max(self.neurons, widest)), self.dtype.itemsize))
        self.passes = self._reads = 0
        self.mean, self.scale, self.constant = self._moments()
        self._mean, self._factor = self._to_device(self.mean), self._to_device(1 / self.scale)
        self.mean = self._mean.double().cpu().numpy()  # as it is taken off, rounding included
        self._factor[torch.from_numpy(self.constant).to(self.device)] = 0
        self._cache: list[Tensor] | None = None
        self._low: list[Tensor] | None = None
        if self._fits(self.dtype):
            self._cache = list(self.each_block(self.block))
            self.passes += 1
        if self.coarse != self.dtype and self._fits(self.coarse):
            self._low = list(self.each_block(self.low))

    def each_block(self, function: Callable[[int], R]) -> Iterator[R]:
        """Call a function with the number of each block, in threads; results in order."""
        return self.workers.map(function, range(len(self.slices)))

    def block(self, index: int) -> Tensor:
        """The rows of one block, ``[rows, neurons]``."""
        if self._cache is not None:
            return self._cache[index]
        return self._standardised(self.slices[index])

    def low(self, index: int) -> Tensor:
        """As `block`, in the coarse type."""
        return self._low[index] if self._low is not None else self.block(index).to(self.coarse)

    def chunks(self) -> int:
        """Number of whole chunks of `CHUNK` rows that lie inside one block."""
        return sum((part.stop - part.start) // CHUNK for part in self.slices)

    def gather(self, chunks: npt.NDArray[np.intp]) -> tuple[Tensor, npt.NDArray[np.intp]]:
        """Rows of chosen chunks in the coarse type, ``[rows, neurons]``, and their numbers."""
        per_block = (self.slices[0].stop - self.slices[0].start) // CHUNK
        pieces, numbers = [], []
        for block, place in zip(*np.divmod(chunks, per_block), strict=True):
            start = int(place) * CHUNK
            first = self.slices[block].start + start
            numbers.append(np.arange(first, first + CHUNK))
            held = self._low if self._low is not None else self._cache
            if held is not None:
                pieces.append(held[block][start : start + CHUNK])
            else:
                pieces.append(self._standardised(slice(first, first + CHUNK)))
        return torch.cat(pieces).to(self.coarse), np.concatenate(numbers)

    def sampled_gram(self, rows: int) -> Tensor:
        """``mean x xᵀ`` over about so many rows, spread evenly, on the CPU."""
        step = max(1, len(self.slices) * rows // self.rows)
        chosen = range(0, len(self.slices), max(1, len(self.slices) // step))
        count = sum(self.slices[index].stop - self.slices[index].start for index in chosen)

        def part(index: int) -> Tensor:
            return gram_of(self.block(index))

        total = torch.zeros(self.neurons, self.neurons, dtype=self.dtype)
        for product in self.workers.map(part, chosen):
            total += product
        return total / count

    def to_raw(self, parameters: Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Weights ``[labels, neurons]`` and intercept ``[labels]`` for the data as given.

        Args:
            parameters: float64 ``[labels, neurons + 1]``, the intercept last.
        """
        values = parameters.numpy()
        weight = values[:, :-1] / self.scale
        return weight, values[:, -1] - weight @ self.mean

    def from_raw(
        self, weight: npt.NDArray[np.float64], intercept: npt.NDArray[np.float64]
    ) -> Tensor:
        """The inverse of `to_raw`."""
        weight = np.where(self.constant, 0.0, weight)
        last = intercept + weight @ self.mean
        return torch.from_numpy(np.concatenate([weight * self.scale, last[:, None]], axis=1))

    def _to_device(self, values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).to(self.device, self.dtype)

    def _fits(self, dtype: torch.dtype) -> bool:
        room = CACHE_BYTES
        if self.device.type == "cuda":
            room = torch.cuda.mem_get_info(self.device)[0] // 3
        return self.rows * self.neurons * dtype.itemsize <= room

    def _raw(self, rows: slice) -> Tensor:
        """A copy of these rows, to be worked on in place."""
        block = np.array(self.X[rows], order="C")
        self._reads += 1
        if self._reads % RELEASE_EVERY == 0:
            release(self.X)
        if not block.dtype.isnative:
            block = block.astype(block.dtype.newbyteorder("="))
        return torch.from_numpy(block).to(self.device, self.dtype)

    def _standardised(self, rows: slice) -> Tensor:
        block = self._raw(rows)
        return block.sub_(self._mean).mul_(self._factor)

    def _moments(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Mean, scale and which neurons are constant.

        Sums are taken about the mean of the first block: that is never so far from the mean, in
        standard deviations, that single precision would lose the variance.
        """
        centre = self._raw(self.slices[0]).mean(dim=0)

        def part(index: int) -> tuple[Tensor, Tensor]:
            block = self._raw(self.slices[index]).sub_(centre)
            ones = block.new_ones(len(block))
            first = ones @ block  # products of a vector and a matrix beat sums over the rows
            if not torch.isfinite(first).all():
                refuse_non_finite(
                    self._raw(self.slices[index]).cpu().numpy(), self.slices[index].start
                )
            return first.double().cpu(), (ones @ block.square_()).double().cpu()

        total = torch.zeros(self.neurons, dtype=torch.float64)
        square = total.clone()
        for first, second in self.each_block(part):
            total += first
            square += second
        self.passes += 1
        if not torch.isfinite(square).all():
            column = int((~torch.isfinite(square)).nonzero()[0, 0])
            raise ValueError(f"the values of column {column} are too large for {self.dtype}")
        offset, spread = total / self.rows, square / self.rows
        mean = centre.double().cpu() + offset
        variance = spread - offset**2
        # A constant neuron is one value away from the centre, up to rounding; its weight stays 0.
        constant = (variance <= 1e-5 * spread) | (
            variance.clamp(min=0).sqrt() <= 1e-12 * mean.abs()
        )
        scale = torch.where(constant, 1.0, variance.clamp(min=1e-300).sqrt())
        return mean.numpy(), scale.numpy(), constant.numpy()


def gram_of(block: Tensor) -> Tensor:
    """``blockᵀ block``, on the CPU; numpy knows that the result is symmetric and does half."""
    if block.device.type != "cpu":
        return (block.T @ block).cpu()
    values = block.numpy()
    return torch.from_numpy(values.T @ values)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known and known())
