"""CoNLL-U, the format of Universal Dependencies: ten columns, a blank line after a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ..errors import UserError
from ..files import StrPath
from .lines import blocks
from .tagged import Tagged
from .types import ABSENT

CONLLU_COLUMNS = (
    "id",
    "form",
    "lemma",
    "upos",
    "xpos",
    "feats",
    "head",
    "deprel",
    "deps",
    "misc",
)
_ID = re.compile(r"\d+(?:([-.])\d+)?")  # a word; a multiword token's range, or an empty node


def tagged_conllu(path: StrPath, lines: Iterable[str], column: str) -> Iterator[Tagged]:
    """The sentences of a CoNLL-U file with one column of their words.

    Syntactic words are what is labelled: the ranges of multiword tokens (``1-2``) and empty nodes
    (``2.1``) are skipped.

    Args:
        path: how an error names the file.
        lines: its lines.
        column: see `read_labels`.

    Raises:
        UserError: there is no such column, or a line that is none of CoNLL-U.
    """
    label_of = _reader_of(column)
    return _sentences(path, lines, label_of)


def _sentences(
    path: StrPath, lines: Iterable[str], label_of: Callable[[list[str]], str]
) -> Iterator[Tagged]:
    for block in blocks(lines):
        words, labels = [], []
        for number, line in block:
            if line.startswith("#"):
                continue
            row = line.split("\t")
            if len(row) != len(CONLLU_COLUMNS):
                raise UserError(f"{path}, line {number}: {len(row)} columns, CoNLL-U has 10")
            kind = _ID.fullmatch(row[0])
            if kind is None:
                raise UserError(f"{path}, line {number}: {row[0]!r} is no CoNLL-U word number")
            if kind[1] is None:
                words.append(row[1])
                labels.append(label_of(row))
        if words:
            yield Tagged(words, labels)


def _reader_of(column: str) -> Callable[[list[str]], str]:
    """What makes a label of a line's columns."""
    name, colon, feature = column.partition(":")
    name = name.lower()  # the guidelines of Universal Dependencies write UPOS
    if colon and (name != "feats" or not feature):
        raise UserError(f"cannot read the column {column!r}; one feature is feats:Number, say")
    if name.isdecimal() and 1 <= int(name) <= len(CONLLU_COLUMNS):
        index = int(name) - 1
    elif name in CONLLU_COLUMNS:
        index = CONLLU_COLUMNS.index(name)
    else:
        raise UserError(
            f"unknown CoNLL-U column {column!r}; there are: {', '.join(CONLLU_COLUMNS)}, "
            "their numbers from 1, and feats:Feature"
        )
    if feature:
        return lambda row: _feature(row[index], feature)
    return lambda row: row[index] or ABSENT


def _feature(feats: str, feature: str) -> str:
    for entry in feats.split("|"):
        name, _, value = entry.partition("=")
        if name == feature:
            return value
    return ABSENT
