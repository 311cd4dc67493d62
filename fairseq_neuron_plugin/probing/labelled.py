"""Tokens with their activations, words and labels: what a probe is trained and tested on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..activations import Activations
from ..coded import Coded
from ..errors import UserError
from ..rows import Rows, View


class LabelledTokens:
    """Tokens of a corpus; 16 bytes each and the vocabularies, beside the activations.

    Args:
        activations: ``[tokens, neurons]``.
        words, labels: ``[tokens]``, strings or `Coded`.
        sentence: ``[tokens]``, the number of the sentence (from 0) in the store.

    Attributes:
        activations: as given.
        sentence: int64 ``[tokens]``.

    Raises:
        ValueError: lengths that differ.
    """

    def __init__(
        self,
        activations: Rows,
        words: Coded | Iterable[str],
        labels: Coded | Iterable[str],
        sentence: npt.NDArray[np.int64],
    ) -> None:
        self.activations = activations
        self.sentence: npt.NDArray[np.int64] = np.asarray(sentence, dtype=np.int64)
        self._words = words if isinstance(words, Coded) else Coded.of(words)
        self._labels = labels if isinstance(labels, Coded) else Coded.of(labels)
        lengths = (len(activations), len(self._words), len(self._labels), len(self.sentence))
        if len(set(lengths)) > 1:
            raise ValueError(
                "{} rows of activations, {} words, {} labels, {} sentence numbers".format(*lengths)
            )

    def __len__(self) -> int:
        return len(self.sentence)

    @property
    def label_codes(self) -> npt.NDArray[np.int32]:
        """Each token's label as its place in `label_names`, int32 ``[tokens]``."""
        return self._labels.codes

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that occur among these tokens, sorted; other tokens may number theirs anew."""
        return self._labels.names

    @property
    def word_codes(self) -> npt.NDArray[np.int32]:
        """Each token's word as its place in `word_names`, int32 ``[tokens]``."""
        return self._words.codes

    @property
    def word_names(self) -> tuple[str, ...]:
        """The words that occur among these tokens, sorted."""
        return self._words.names

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """Each token's label, str ``[tokens]``; made anew whenever it is asked for."""
        return self._labels.decoded()

    @property
    def words(self) -> npt.NDArray[np.str_]:
        """Each token's word, str ``[tokens]``; made anew, and large: the longest word counts."""
        return self._words.decoded()

    @property
    def sentences(self) -> int:
        """Number of sentences that have a token here."""
        return len(np.unique(self.sentence))

    def select(self, rows: npt.NDArray[np.intp]) -> LabelledTokens:
        """The tokens of these rows, ascending; activations are not copied."""
        base = self.activations
        if isinstance(base, View) and base.rows is not None:
            # One view, not a view of a view: the row numbers are 8 bytes each.
            view = View(base.array, base.rows[rows], base.columns)
        else:
            view = View(base, rows=rows)
        return LabelledTokens(
            view, self._words.select(rows), self._labels.select(rows), self.sentence[rows]
        )


def join_labels(store: Activations, labels: Sequence[Sequence[str]]) -> LabelledTokens:
    """Put a store and the labels of its words together.

    Args:
        store: the activations.
        labels: of each sentence of the store, one a word.

    Raises:
        UserError: another number of sentences, or of words in one of them.
    """
    counts = np.diff(store.offsets)
    given = np.fromiter(map(len, labels), dtype=np.int64)
    if len(given) != len(counts):
        raise UserError(
            f"labels for {len(given)} sentences; the activation store {store.path} "
            f"has {len(counts)}"
        )
    if (given != counts).any():
        number = int((given != counts).argmax())
        raise UserError(
            f"{store.path}, sentence {number + 1}: {given[number]} labels for "
            f"{counts[number]} words"
        )
    return LabelledTokens(
        store.array,
        Coded.of(word for sentence in store.sentences for word in sentence),
        Coded.of(label for sentence in labels for label in sentence),
        np.repeat(np.arange(len(counts), dtype=np.int64), counts),
    )


def split_by_sentence(
    tokens: LabelledTokens, test_share: float = 0.2, seed: int = 0
) -> tuple[LabelledTokens, LabelledTokens]:
    """Training and test tokens; a sentence's words stay together.

    Args:
        tokens: what is split; both parts keep its order.
        test_share: of the sentences, between 0 and 1; each part gets at least one.
        seed: which sentences are tested on depends on it and on the sentences' numbers alone.

    Raises:
        UserError: fewer than two sentences, a share that is none, a negative seed.
    """
    if not 0 < test_share < 1:
        raise UserError(f"the share to test on must be between 0 and 1, not {test_share:g}")
    sentences = np.unique(tokens.sentence)
    if len(sentences) < 2:
        raise UserError("one sentence cannot be split into training and test data")
    count = min(max(1, round(test_share * len(sentences))), len(sentences) - 1)
    chosen = _generator(seed).permutation(sentences)[:count]
    is_test = np.isin(tokens.sentence, chosen)
    return tokens.select(np.flatnonzero(~is_test)), tokens.select(np.flatnonzero(is_test))


def first_sentences(tokens: LabelledTokens, count: int) -> LabelledTokens:
    """The tokens of the first ``count`` sentences; sentences without a token do not count.

    Raises:
        UserError: there are fewer, or ``count`` is below 1.
    """
    if count < 1:
        raise UserError(f"the number of sentences must be at least 1, not {count}")
    sentences = np.unique(tokens.sentence)
    if count > len(sentences):
        raise UserError(f"{count} sentences are wanted, but there are only {len(sentences)}")
    if count == len(sentences):
        return tokens
    return tokens.select(np.flatnonzero(tokens.sentence <= sentences[count - 1]))


def drop_rare(tokens: LabelledTokens, min_count: int) -> tuple[LabelledTokens, dict[str, int]]:
    """Leave out the tokens of labels that occur fewer than ``min_count`` times.

    Returns:
        What is left, and the labels left out with the number of their tokens.
    """
    counts = np.bincount(tokens.label_codes, minlength=len(tokens.label_names))
    rare = counts < min_count
    if not rare.any():
        return tokens, {}
    left_out = {tokens.label_names[code]: int(counts[code]) for code in np.flatnonzero(rare)}
    return tokens.select(np.flatnonzero(~rare[tokens.label_codes])), left_out


def balance(tokens: LabelledTokens, per_label: int | None = None, seed: int = 0) -> LabelledTokens:
    """A sample with at most ``per_label`` tokens of each label; the rows stay in order.

    Args:
        tokens: what is sampled from, without replacement, each token of a label being as likely.
        per_label: None means as many as the rarest label has.
        seed: of the sample. With the same seed a larger sample holds the smaller one.

    Raises:
        UserError: ``per_label`` is below 1, or the seed is negative.
    """
    if per_label is not None and per_label < 1:
        raise UserError(f"the number of tokens for each label must be at least 1, not {per_label}")
    order = _generator(seed).permutation(len(tokens))
    counts = np.bincount(tokens.label_codes, minlength=len(tokens.label_names))
    rarest = int(counts[counts > 0].min(initial=len(tokens)))
    most = rarest if per_label is None else per_label
    if counts.max(initial=0) <= most:
        return tokens
    # Shuffled, then brought together by label: the first `most` of each group are the sample.
    grouped = order[np.argsort(tokens.label_codes[order], kind="stable")]
    place = np.arange(len(tokens)) - np.repeat(np.cumsum(counts) - counts, counts)
    return tokens.select(np.sort(grouped[place < most]))


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise UserError(f"the seed must be at least 0, not {seed}")
    return np.random.default_rng(seed)
