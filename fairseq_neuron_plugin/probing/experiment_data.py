"""The tokens of a probe experiment: stores and labels joined, cut, split and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..activations import Activations
from ..errors import UserError
from ..labels import property_labels, read_labels
from .labelled import (
    LabelledTokens,
    balance,
    drop_rare,
    first_sentences,
    join_labels,
    split_by_sentence,
)
from .settings import ProbeSettings

HELD_OUT = 0.2  # of the sentences: to test on, or to measure a grid on
BLOCK_ROWS = 2048


@dataclass(frozen=True)
class ProbeData:
    """What a probe is trained and tested on.

    Attributes:
        store, tested: the activation stores; the same one where it was split.
        train, test: their tokens.
        left_out: labels too rare to train on, with the number of their tokens.
    """

    store: Activations
    tested: Activations
    train: LabelledTokens
    test: LabelledTokens
    left_out: dict[str, int]


def read_data(settings: ProbeSettings) -> ProbeData:
    """Read the stores and the labels.

    Sentences are counted after the split; then rare labels are left out, and then the training
    tokens are balanced.

    Raises:
        UserError: stores or labels that are missing, damaged or do not belong together; fewer than
            two labels in training; NaN or infinity among the activations.
    """
    store = Activations(settings.acts)
    tested = Activations(settings.test_acts) if settings.test_acts else store
    tokens = join_labels(store, _labels(settings, store, settings.labels))
    if settings.test_acts:
        _check_same_model(store, tested)
        train, test = tokens, join_labels(tested, _labels(settings, tested, settings.test_labels))
    else:
        train, test = split_by_sentence(tokens, HELD_OUT, settings.seed)
    train = _cut(train, settings.train_sentences, "--train-sentences")
    test = _cut(test, settings.test_sentences, "--test-sentences")
    train, left_out = drop_rare(train, settings.min_count)
    check_labels(train, "the training data", settings.min_count)
    if settings.balance is not None:
        most = None if settings.balance == "rarest" else settings.balance
        train = balance(train, most, settings.seed)
    if not len(test):
        raise UserError("there is no token to test on")
    for source, part in ((store, train), (tested, test)):
        _check_finite(source, part)
    return ProbeData(store, tested, train, test, left_out)


def check_labels(train: LabelledTokens, what: str, min_count: int = 1) -> None:
    """`UserError` unless there are two labels or more."""
    labels = train.label_names
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        cut = f" at least {min_count} times" if min_count > 1 else ""
        raise UserError(f"a probe needs two labels; {what} holds{cut} {found}")


def _labels(settings: ProbeSettings, store: Activations, path: str | None) -> list[list[str]]:
    if settings.property is not None:
        return property_labels(settings.property, store.sentences)
    assert path is not None
    return read_labels(path, store.sentences, settings.conllu_column, settings.label_format)


def _cut(tokens: LabelledTokens, count: int | None, flag: str) -> LabelledTokens:
    if count is None:
        return tokens
    if count > tokens.sentences:
        raise UserError(f"{flag} {count} is too many: there are {tokens.sentences} sentences")
    return first_sentences(tokens, count)


def _check_same_model(store: Activations, other: Activations) -> None:
    if other.layers != store.layers:
        raise UserError(
            f"{other.path} holds other layers than {store.path}: {other.layers.describe()}, "
            f"not {store.layers.describe()}"
        )
    if None not in (models := {store.model_sha256, other.model_sha256}) and len(models) > 1:
        raise UserError(f"{other.path} was read from another checkpoint than {store.path}")


def _check_finite(store: Activations, tokens: LabelledTokens) -> None:
    """Name the neuron and the sentence where an activation is no number."""
    for start in range(0, len(tokens), BLOCK_ROWS):
        block = np.asarray(tokens.activations[start : start + BLOCK_ROWS])
        # A sum in float64 cannot overflow: it is finite just where all values are.
        if np.isfinite(block.sum(dtype=np.float64)):
            continue
        row, neuron = np.argwhere(~np.isfinite(block))[0].tolist()
        raise UserError(
            f"{store.path}: NaN or infinity in neuron {store.layers.name_of(neuron)}, "
            f"sentence {int(tokens.sentence[start + row]) + 1}"
        )
