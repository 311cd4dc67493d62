"""The words that drive a neuron highest and lowest: the paper's table 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..activations import Activations
from ..coded import Coded
from ..errors import UserError
from ..rankings.blocks import Progress
from ..rankings.moments import RowSource
from .chosen_columns import in_groups
from .word_means import WordMeans, word_means

DIGITS = 9  # of z: what differs behind them is rounding, and a tie


@dataclass(frozen=True)
class WordScore:
    """What one word does to one neuron.

    Attributes:
        word: the word type.
        count: how often it occurs.
        mean: mean activation over its tokens.
        z: that mean less the neuron's mean, in standard deviations of the neuron; signed.
    """

    word: str
    count: int
    mean: float
    z: float


@dataclass(frozen=True)
class TopWords:
    """The words that drive one neuron highest and lowest.

    Attributes:
        neuron: flat id.
        mean: mean activation over all tokens.
        deviation: standard deviation over all tokens.
        explained: share of the variance that word identity explains, see `WordMeans`; None where
            no word occurs twice.
        highest: words above the neuron's mean, largest z first.
        lowest: words below it, smallest z first. Both are empty for a neuron without variance.
    """

    neuron: int
    mean: float
    deviation: float
    explained: float | None
    highest: tuple[WordScore, ...]
    lowest: tuple[WordScore, ...]


def top_words(
    X: RowSource,
    words: Coded,
    neurons: Sequence[int] | None = None,
    *,
    min_count: int = 5,
    amount: int = 10,
    progress: Progress | None = None,
) -> list[TopWords]:
    """The words that drive neurons highest and lowest (Dalvi et al. 2019, table 3).

    A word type scores the mean activation of its tokens, in standard deviations from the neuron's
    mean over all tokens. Ties go by the word.

    ``neurox.analysis.corpus.get_top_words`` differs: it takes the mean of ``|z|`` over the tokens,
    so that the sign is lost and a word whose tokens scatter to both sides scores high; it divides
    by the best word's score, drops scores below 0.1, and counts words that occur once. The two
    agree on words that occur once, up to the sign and that divisor.

    One pass over X; where the vocabulary times the neurons is large, one for each group of neurons.

    Args:
        X: ``[tokens, neurons]``, read in slices of rows.
        words: the word of each token.
        neurons: flat ids, in the order of the result; None means all.
        min_count: rarer words are not shown. (They count in ``mean``, ``deviation``,
            ``explained``.)
        amount: words on either side.
        progress: called with steps done and steps in all.

    Raises:
        UserError: no word is frequent enough, a number below 1, an unknown neuron, another number
            of words than of rows, NaN or infinity.
    """
    shown = frequent_words(words, min_count)
    if amount < 1:
        raise UserError(f"at least 1 word must be shown on either side, not {amount}")
    ids = list(range(X.shape[1]) if neurons is None else neurons)
    groups = list(in_groups(ids, 8 * len(words.names)))
    found: list[TopWords] = []
    for number, group in enumerate(groups):
        means = word_means(
            X, words, group, progress=_of_group(progress, number, len(groups), X.shape[0])
        )
        found += [_of_column(means, column, shown, amount) for column in range(len(group))]
    return found


def words_of(store: Activations, lowercase: bool = False) -> Coded:
    """The word of each row of a store; ``lowercase`` makes case variants one word."""
    words = chain.from_iterable(store.sentences)
    return Coded.of(map(str.lower, words) if lowercase else words)


def frequent_words(words: Coded, min_count: int) -> npt.NDArray[np.intp]:
    """Places of the word types that occur often enough.

    Raises:
        UserError: none does, or a count below 1.
    """
    if min_count < 1:
        raise UserError(f"the minimum count must be 1 or more, not {min_count}")
    counts = words.counts()
    found = np.flatnonzero(counts >= min_count)
    if not len(found):
        most = int(counts.argmax())
        raise UserError(
            f"no word occurs {min_count} times; the most frequent, {words.names[most]!r}, has "
            f"{counts[most]}: lower the minimum count"
        )
    return found


def _of_column(means: WordMeans, column: int, shown: npt.NDArray[np.intp], amount: int) -> TopWords:
    z = np.round(means.z[shown, column], DIGITS)

    def scored(places: npt.NDArray[np.intp]) -> tuple[WordScore, ...]:
        return tuple(
            WordScore(
                word=means.words[place],
                count=int(means.counts[place]),
                mean=means.mean_of(place, column),
                z=float(means.z[place, column]),
            )
            for place in shown[places].tolist()
        )

    explained = float(means.explained[column])
    return TopWords(
        neuron=int(means.neurons[column]),
        mean=float(means.means[column]),
        deviation=float(means.deviations[column]),
        explained=None if np.isnan(explained) else explained,
        highest=scored(_most_negative(-z, amount)),
        lowest=scored(_most_negative(z, amount)),
    )


def _most_negative(values: npt.NDArray[np.float64], amount: int) -> npt.NDArray[np.intp]:
    """Places of the smallest values below 0, smallest first, ties by place."""
    limit = np.partition(values, amount - 1)[amount - 1] if amount < len(values) else 0.0
    places = np.flatnonzero((values <= limit) & (values < 0))
    return places[np.argsort(values[places], kind="stable")][:amount]


def _of_group(progress: Progress | None, group: int, groups: int, tokens: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(group * tokens + done, groups * tokens)
