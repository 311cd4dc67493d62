"""What held-out tokens say of their labels under the labels' normals, for every next neuron."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .blocks import blocks_of_rows
from .label_normals import LabelNormals, Places
from .moments import RowSource

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

NEURONS = 128  # of one block
VALUES = 600_000  # of one block: labels x tokens x neurons, in float32 about a core's cache


class HeldOutTokens:
    """Log-probabilities of held-out tokens and their labels, given the chosen neurons.

    Args:
        X: ``[tokens, neurons]``; read once.
        rows: ascending numbers of the held-out tokens.
        codes: their labels.
        normals: of the other tokens; nothing chosen yet.
    """

    def __init__(
        self, X: RowSource, rows: Places, codes: npt.NDArray[np.int32], normals: LabelNormals
    ) -> None:
        self.codes, self.normals = codes, normals
        self.values = np.empty((len(rows), X.shape[1]))
        for place, block in blocks_of_rows(X):
            first, last = np.searchsorted(rows, [place.start, place.stop])
            here = block[rows[first:last] - place.start]
            self.values[first:last] = normals.standardise(here)
        self._values32 = self.values.astype(np.float32)
        # Joint log-density of label and chosen neurons, up to a constant of the token.
        self.scores = np.tile(normals.log_prior, (len(rows), 1))

    def log_likelihood(self) -> float:
        """Mean log-probability of the label given the chosen neurons, in bits."""
        highest = self.scores.max(axis=1)
        of_all = highest + np.log(np.exp(self.scores - highest[:, None]).sum(axis=1))
        own = self.scores[np.arange(len(self.codes)), self.codes]
        return float((own - of_all).mean() / np.log(2))

    def accuracy(self) -> float:
        """Share of the tokens whose label is the most probable."""
        return float((self.scores.argmax(axis=1) == self.codes).mean())

    def choose(self, neuron: int) -> None:
        """Take in one more neuron, in float64."""
        normals = self.normals
        slopes, intercepts = normals.regression(np.array([neuron]))
        predicted = self.values[:, normals.chosen] @ slopes[:, :, 0].T + intercepts[:, 0]
        variances = normals.variances[:, neuron]
        rest = self.values[:, neuron, None] - predicted
        self.scores -= 0.5 * (rest**2 / variances + np.log(variances))
        normals.choose(neuron)

    def try_all(self, neurons: Places) -> tuple[Float64, Float64]:
        """Log-likelihood in bits and accuracy with each of these neurons added, in float32."""
        normals = self.normals
        scale = 1 / np.sqrt(2 * normals.variances)
        slopes, intercepts = normals.regression()
        weights = np.concatenate([slopes, intercepts[:, None]], axis=1) * scale[:, None]
        known = np.ones((len(self.codes), len(normals.chosen) + 1), dtype=np.float32)
        known[:, :-1] = self.values[:, normals.chosen]
        scores = (self.scores - self.scores.max(axis=1, keepdims=True)).T.astype(np.float32)
        found = [
            self._try_some(
                known,
                np.ascontiguousarray(weights[:, :, some], dtype=np.float32),
                scale[:, some].astype(np.float32),
                np.log(scale[:, some]).astype(np.float32),
                scores,
                self._values32[:, some],
            )
            for some in np.split(neurons, range(NEURONS, len(neurons), NEURONS))
        ]
        bits, hits = (np.concatenate(part) for part in zip(*found, strict=True))
        return bits / len(self.codes) / np.log(2), hits / len(self.codes)

    def _try_some(
        self,
        known: Float32,
        weights: Float32,
        scale: Float32,
        log_scale: Float32,
        scores: Float32,
        values: Float32,
    ) -> tuple[Float64, Float64]:
        labels, neurons = scale.shape
        tokens = max(8, VALUES // (labels * neurons))
        spaces = [np.empty((labels, tokens, neurons), dtype=np.float32) for _ in range(2)]
        bits, hits = np.zeros(neurons), np.zeros(neurons)
        for start in range(0, len(known), tokens):
            rows = slice(start, start + tokens)
            codes = self.codes[rows]
            predicted, density = (space[:, : len(codes)] for space in spaces)
            np.matmul(known[rows], weights, out=predicted)
            np.multiply(values[rows], scale[:, None], out=density)
            density -= predicted
            np.square(density, out=density)
            np.subtract(log_scale[:, None], density, out=density)
            density += scores[:, rows, None]
            own: npt.NDArray[Any] = density[codes, np.arange(len(codes))]
            highest = density.max(axis=0)
            density -= highest
            np.exp(density, out=density)
            own -= highest
            hits += np.count_nonzero(own == 0, axis=0)
            own -= np.log(density.sum(axis=0))
            bits += own.sum(axis=0, dtype=np.float64)
        return bits, hits
