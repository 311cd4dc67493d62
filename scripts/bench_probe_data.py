"""Data for bench_probe.py: synthetic activation stores, real ones, and the objective itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fairseq_neuron_plugin.activations import Activations, StoreWriter
from fairseq_neuron_plugin.labels import read_labels
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.labelled import LabelledTokens, drop_rare, join_labels
from fairseq_neuron_plugin.rows import Rows, View

BLOCK = 10000  # rows made at a time: memory does not grow with the store
SENTENCE = 10  # words
FACTORS = 200
VOCABULARY = 10000


@dataclass(frozen=True)
class Problem:
    """What is fitted.

    Attributes:
        name: for the tables.
        acts, labels: activation store and label file, as `fairseq-neuron-probe` takes them.
        tokens: their contents; activations are memory-mapped.
        X: ``[tokens, neurons]``, the activations of `tokens`, or a part of them.
        codes: int64 ``[tokens]``, the number of each row's label.
    """

    name: str
    acts: Path
    labels: Path
    tokens: LabelledTokens
    X: Rows
    codes: npt.NDArray[np.int64]

    def __str__(self) -> str:
        return f"{self.name}: {len(self.codes)} x {self.X.shape[1]} x {self.codes.max() + 1}"

    def part(self, tokens: int, neurons: int, labels: int) -> Problem:
        """The first rows that have one of the most frequent labels, and the first neurons."""
        frequent = np.argsort(-np.bincount(self.codes), kind="stable")[:labels]
        rows = np.flatnonzero(np.isin(self.codes, frequent))[:tokens]
        codes = np.unique(self.codes[rows], return_inverse=True)[1].astype(np.int64)
        X = np.asarray(View(self.X, rows, np.arange(min(neurons, self.X.shape[1])))[:])
        return replace(self, name=f"{self.name}, a part", X=X, codes=codes)


def open_problem(name: str, acts: Path, labels: Path, min_count: int = 1) -> Problem:
    """Read an activation store and a label file; tokens of rarer labels are left out."""
    store = Activations(acts)
    tokens, _ = drop_rare(join_labels(store, read_labels(labels, store.sentences)), min_count)
    codes = np.unique(tokens.labels, return_inverse=True)[1].astype(np.int64)
    return Problem(name, acts, labels, tokens, tokens.activations, codes)


def synthetic(folder: Path, tokens: int, neurons: int, labels: int, seed: int = 0) -> Problem:
    """A problem with what makes real activations hard; its store is float16.

    Neurons are ``tanh`` of a sparse mixture of 200 latent factors of very different variance (so
    they are correlated, and their Gram matrix is ill-conditioned), each with noise of its own.
    Labels have Zipf's frequencies and come in groups of four whose means lie close together, as
    fine-grained tags do; how clearly a token shows its label varies from token to token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    acts, label_file = folder / f"synthetic.{tokens}", folder / f"synthetic.{tokens}.tags"
    codes = np.concatenate([block[1] for block in _blocks(tokens, 0, labels, seed)])
    words = np.random.default_rng([seed, 1]).integers(0, VOCABULARY, tokens)
    sentences = [
        [f"w{word}" for word in words[start : start + SENTENCE].tolist()]
        for start in range(0, tokens, SENTENCE)
    ]
    with open(label_file, "w", encoding="utf-8") as stream:
        for start in range(0, tokens, SENTENCE):
            stream.write(" ".join(f"L{c:02}" for c in codes[start : start + SENTENCE]) + "\n")
    space = NeuronSpace((Layer("encoder.layers.0", neurons),))
    writer = StoreWriter(acts, sentences, space, "float16", {"signature": f"synthetic|seed:{seed}"})
    rows = _Rows(_blocks(tokens, neurons, labels, seed))
    for shard, first, last in writer.missing():
        writer.write_blocks(shard, rows.take(int(writer.offsets[last] - writer.offsets[first])))
    writer.finish()
    return open_problem("synthetic", acts, label_file)


def _blocks(
    tokens: int, neurons: int, labels: int, seed: int
) -> Iterator[tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]]:
    """Rows and their label codes; a longer store begins with the shorter one's rows."""
    rng = np.random.default_rng([seed, 0])
    share = 1 / np.arange(1, labels + 1)
    share /= share.sum()
    groups = rng.normal(size=(labels // 4 + 1, FACTORS))
    centres = groups[np.arange(labels) // 4] + 0.8 * rng.normal(size=(labels, FACTORS))
    spread = 0.5 + rng.exponential(size=FACTORS)
    chosen = rng.random((FACTORS, neurons)) < 0.1
    loadings = rng.normal(size=(FACTORS, neurons)) * chosen / np.sqrt(0.1 * FACTORS)
    for number, start in enumerate(range(0, tokens, BLOCK)):
        rng = np.random.default_rng([seed, 2, number])
        codes = rng.choice(labels, BLOCK, p=share)
        latent = 0.32 * centres[codes] * np.exp(0.5 * rng.normal(size=(BLOCK, 1)))
        latent += rng.normal(size=latent.shape) * spread
        mixed = latent @ loadings + 0.5 * rng.normal(size=(BLOCK, neurons))
        count = min(BLOCK, tokens - start)
        yield np.tanh(0.7 * mixed[:count]).astype(np.float16), codes[:count]


class _Rows:
    """Cuts the stream of blocks where the shards of a store end."""

    def __init__(
        self, blocks: Iterator[tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]]
    ) -> None:
        self.blocks = blocks
        self.left = np.empty((0, 0), np.float16)

    def take(self, rows: int) -> Iterator[npt.NDArray[np.float16]]:
        while rows:
            if not len(self.left):
                self.left = next(self.blocks)[0]
            part, self.left = self.left[:rows], self.left[rows:]
            rows -= len(part)
            yield part


def objective(
    weight: npt.NDArray[np.float64],
    intercept: npt.NDArray[np.float64],
    problem: Problem,
    l1: float,
    l2: float,
) -> float:
    """``mean CE + l1 |W|_1 + l2 |W|_F²`` in float64 on the data as given."""
    X, codes, total = problem.X, problem.codes, 0.0
    for start in range(0, len(codes), BLOCK):
        own = codes[start : start + BLOCK]
        logits = np.asarray(X[start : start + BLOCK], np.float64) @ weight.T + intercept
        top = logits.max(axis=1, keepdims=True)
        norm = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
        total += float((norm - logits[np.arange(len(own)), own]).sum())
    return total / len(codes) + l1 * float(np.abs(weight).sum()) + l2 * float((weight**2).sum())
