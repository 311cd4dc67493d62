"""How much a probe owes to memory: control tasks (Hewitt and Liang 2019).

"Designing and Interpreting Probes with Control Tasks", EMNLP-IJCNLP 2019. A control task gives
each word type a random label. The activations hold nothing about it but which word they belong
to, so a probe that does well on it has learned words by heart.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from .elastic_net import ElasticNetProbe
from .labelled import LabelledTokens


class ControlTask:
    """A random label for every word type, drawn with the labels' shares among training tokens.

    What a word draws depends on the word, the seed and these shares alone: not on the order of
    the words, nor on which others there are. A word that training does not have draws too.

    Args:
        counts: how many training tokens have each label, e.g. ``Counter(labels)``.
        seed: another seed is another task.

    Attributes:
        names: the labels that occur, sorted.

    Raises:
        ValueError: no label occurs.

    >>> task = ControlTask({"NOUN": 3, "VERB": 1}, seed=0)
    >>> task.labels(["run", "fly", "run"]).tolist()
    ['NOUN', 'VERB', 'NOUN']
    """

    def __init__(self, counts: Mapping[str, int], seed: int = 0) -> None:
        self.names = sorted(label for label, count in counts.items() if count > 0)
        if not self.names:
            raise ValueError("a control task needs at least one labelled token")
        self.seed = seed
        self._ends = list(accumulate(int(counts[label]) for label in self.names))

    def codes(self, words: Iterable[str]) -> npt.NDArray[np.int64]:
        """The place in ``names`` of each word's label, ``[words]``."""
        return np.fromiter(map(self._draw, words), dtype=np.int64)

    def labels(self, words: Iterable[str]) -> npt.NDArray[np.str_]:
        """Each word's label, ``[words]``."""
        return np.asarray(self.names, dtype=np.str_)[self.codes(words)]

    def _draw(self, word: str) -> int:
        digest = hashlib.blake2b(f"{self.seed}:{word}".encode(), digest_size=8).digest()
        # In whole numbers: one of the training tokens, each as likely as the next.
        token = int.from_bytes(digest, "big") * self._ends[-1] >> 64
        return bisect_right(self._ends, token)


@dataclass(frozen=True)
class ControlRun:
    """One control task.

    Attributes:
        seed: of the task.
        accuracy: share of the test tokens whose control label the probe predicts, 0 to 1.
        labels: how many different control labels the training tokens have. With a single one
            there is nothing to learn, and the accuracy is that of always predicting it.
    """

    seed: int
    accuracy: float
    labels: int


@dataclass(frozen=True)
class ControlResult:
    """Control tasks with different seeds."""

    runs: tuple[ControlRun, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the tasks, 0 to 1."""
        return sum(run.accuracy for run in self.runs) / len(self.runs)

    def selectivity(self, accuracy: float) -> float:
        """The probe's accuracy on the property itself, less its accuracy on control tasks."""
        return accuracy - self.accuracy

    def to_json(self) -> dict[str, Any]:
        """The result as it stands in result files."""
        return {"accuracy": self.accuracy, "runs": [asdict(run) for run in self.runs]}


def run_control_tasks(
    probe: ElasticNetProbe,
    train: LabelledTokens,
    test: LabelledTokens,
    seeds: Sequence[int],
    report: Callable[[str], None] | None = None,
) -> ControlResult:
    """Train a probe with the settings of ``probe`` on control tasks, and test it.

    Args:
        probe: only its settings are used.
        train, test: their words draw the labels to learn and to predict.
        seeds: a task each.
        report: called before each training with what is being trained.

    Raises:
        ValueError: no seeds, or nothing to train or to test on.
        NonFiniteError: NaN or infinity in the activations.
    """
    if not len(seeds) or not len(train) or not len(test):
        raise ValueError(
            f"{len(seeds)} control tasks on {len(train)} training and {len(test)} test tokens"
        )
    runs = []
    for seed in seeds:
        if report is not None:
            report(f"control task {seed}")
        runs.append(_run(probe, train, test, seed))
    return ControlResult(tuple(runs))


def control_accuracy(
    probe: ElasticNetProbe, train: LabelledTokens, test: LabelledTokens, seed: int = 0
) -> float:
    """Test accuracy, 0 to 1, on one control task; see `run_control_tasks`."""
    return run_control_tasks(probe, train, test, [seed]).accuracy


def _run(
    probe: ElasticNetProbe, train: LabelledTokens, test: LabelledTokens, seed: int
) -> ControlRun:
    counts = np.bincount(train.label_codes, minlength=len(train.label_names)).tolist()
    task = ControlTask(dict(zip(train.label_names, counts, strict=True)), seed)
    labels = task.codes(train.word_names)[train.word_codes]
    gold = task.codes(test.word_names)[test.word_codes]
    drawn = np.unique(labels)
    if len(drawn) == 1:
        predicted = drawn
    else:
        predicted = clone(probe).fit(train.activations, labels).predict(test.activations)
    return ControlRun(seed, float((predicted == gold).mean()), len(drawn))
