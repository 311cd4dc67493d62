"""Properties: labels that the words themselves show, without a file of labels."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import UserError
from .by_word import label_by_word
from .lexicon import lexicon_labels
from .months import month_labels
from .types import ABSENT, Labels, Sentences

PropertyLabels = Callable[..., Labels]

PROPERTIES: dict[str, PropertyLabels] = {}


def register_property(usage: str, labels: PropertyLabels) -> None:
    """Make a property known to `property_labels`, and so to ``--property``.

    Args:
        usage: its name, or ``name:ARGUMENT`` if it takes an argument.
        labels: called with the sentences, and with the argument (str) if there is one; gives a
            list of labels for each sentence, one a word.

    Raises:
        ValueError: the name is empty or taken.

    >>> register_property("length", lambda sentences: [[str(len(w)) for w in s] for s in sentences])
    >>> property_labels("length", [["a", "bee"]])
    [['1', '3']]
    >>> del PROPERTIES["length"]
    """
    name = _name_of(usage)
    if not name:
        raise ValueError(f"a property needs a name: {usage!r}")
    if name in map(_name_of, PROPERTIES):
        raise ValueError(f"there is a property {name!r} already")
    PROPERTIES[usage] = labels


def property_labels(name: str, sentences: Sentences) -> Labels:
    """Labels of a property.

    Args:
        name: as ``--property`` takes it: ``position``, ``months``, ``regex:PATTERN``,
            ``lexicon:FILE``, or what `register_property` has added.
        sentences: the words of each sentence.

    Returns:
        The labels of each sentence, one a word.

    Raises:
        UserError: there is no such property, its argument is missing, too much or bad, or it does
            not give each word a label.
    """
    wanted, colon, argument = name.partition(":")
    usage = next((usage for usage in PROPERTIES if _name_of(usage) == wanted), None)
    if usage is None:
        raise UserError(f"unknown property {name!r}; there are: {', '.join(PROPERTIES)}")
    takes_argument = ":" in usage
    if takes_argument and not argument:
        raise UserError(f"the property {wanted} needs an argument: {usage}")
    if colon and not takes_argument:
        raise UserError(f"the property {wanted} takes no argument, but got {argument!r}")
    make = PROPERTIES[usage]
    labels = make(sentences, argument) if takes_argument else make(sentences)
    _check(wanted, sentences, labels)
    return labels


def position_labels(sentences: Sentences) -> Labels:
    """Which third of its sentence each word is in: ``first``, ``middle`` or ``last``.

    The middle of the word decides: word ``i`` (from 0) of ``n`` is in the first third where
    ``(i + ½) / n < 1/3``, in the last where it is at least 2/3. A single word is ``middle``.
    """
    thirds = ("first", "middle", "last")
    return [
        [thirds[3 * (2 * i + 1) // (2 * len(words))] for i in range(len(words))]
        for words in sentences
    ]


def regex_labels(sentences: Sentences, pattern: str) -> Labels:
    """``match`` where the whole word matches a regular expression of Python's, else ``_``.

    Raises:
        UserError: the pattern is none.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"{pattern!r} is no regular expression: {error}") from error
    return label_by_word(
        sentences, lambda word: "match" if expression.fullmatch(word) is not None else ABSENT
    )


def _name_of(usage: str) -> str:
    return usage.partition(":")[0]


def _check(name: str, sentences: Sentences, labels: Labels) -> None:
    if len(labels) != len(sentences):
        raise UserError(
            f"the property {name} labels {len(labels)} sentences; there are {len(sentences)}"
        )
    for number, (words, given) in enumerate(zip(sentences, labels, strict=True), start=1):
        if len(given) != len(words):
            raise UserError(
                f"the property {name} gives {len(given)} labels for the {len(words)} words of "
                f"sentence {number}"
            )


register_property("position", position_labels)
register_property("months", month_labels)
register_property("regex:PATTERN", regex_labels)
register_property("lexicon:FILE", lexicon_labels)
