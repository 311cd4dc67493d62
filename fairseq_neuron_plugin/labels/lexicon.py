"""Labels by a list of words that the user has."""

from __future__ import annotations

from ..errors import UserError
from ..files import StrPath
from .by_word import label_by_word
from .lines import text_lines
from .types import ABSENT, Labels, Sentences

LISTED = "in"


def lexicon_labels(sentences: Sentences, path: StrPath) -> Labels:
    """What a lexicon says about each word; ``_`` for words that it does not have.

    Words are compared as they are written, upper and lower case being different.

    Args:
        sentences: the words of each sentence.
        path: see `read_lexicon`.

    Raises:
        UserError: as `read_lexicon`.
    """
    lexicon = read_lexicon(path)
    return label_by_word(sentences, lambda word: lexicon.get(word, ABSENT))


def read_lexicon(path: StrPath) -> dict[str, str]:
    """Read the labels of words.

    Args:
        path: a UTF-8 file with one word a line, whose words are labelled ``in``, or with
            ``word<TAB>label`` lines. Blank lines do not count. May be gzipped (``.gz``).

    Raises:
        UserError: the file is missing, unreadable or empty, lines are malformed or of both kinds,
            a word holds a space (as no word of a store does) or has two labels.
    """
    lexicon: dict[str, str] = {}
    line_of: dict[str, int] = {}
    columns = 0
    for number, line in enumerate(text_lines(path, "lexicon"), start=1):
        if not line.strip():
            continue
        where = f"lexicon {path}, line {number}"
        # Spaces at the ends, which nobody sees, mean nothing.
        word, *labels = row = [part.strip() for part in line.split("\t")]
        if len(row) > 2 or not all(row):
            raise UserError(f"{where}: expected a word or word<TAB>label, found {line!r}")
        if len(word.split()) > 1:
            raise UserError(
                f"{where}: {word!r} holds a space, and no word of a store does; leave it out"
            )
        if columns not in (0, len(row)):
            raise UserError(f"{where}: give all words a label or none of them")
        columns = len(row)
        label = labels[0] if labels else LISTED
        first = line_of.setdefault(word, number)
        if lexicon.setdefault(word, label) != label:
            raise UserError(
                f"{where}: {word!r} is {label!r} here and {lexicon[word]!r} in line {first}; "
                "give it one label"
            )
    if not lexicon:
        raise UserError(f"lexicon {path} holds no word")
    return lexicon
