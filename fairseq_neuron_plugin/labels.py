"""Labels for the words of an activation store: one for each word, checked against the words."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError
from .files import StrPath, read_lines

Sentences = Sequence[Sequence[str]]
Labels = list[list[str]]

UNKNOWN = "<unk>"
ABSENT = "_"
FORMATS = ("tags", "tsv", "conllu")
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


@dataclass(frozen=True)
class _Tagged:
    """One sentence of a label file: its words, None where the file has none, and their labels."""

    words: list[str] | None
    labels: list[str]


def read_labels(
    path: StrPath, sentences: Sentences, column: str = "upos", format: str | None = None
) -> Labels:
    """Read the labels of a file and check them against the words they belong to.

    Args:
        path: tag lines parallel to the sentences; a TSV file with ``word<TAB>tag`` lines and a
            blank line between sentences; or CoNLL-U. May be gzipped.
        sentences: the words of each sentence of the activation store. ``<unk>`` stands for any
            word: a binarised split does not know it any more. Empty sentences need no lines in
            TSV and CoNLL-U.
        column: for CoNLL-U: a column's name or number (from 1), or one feature, ``feats:Number``.
            Words without the feature are labelled ``_``.
        format: ``tags``, ``tsv`` or ``conllu``; by default the file name's ending decides.

    Returns:
        The labels of each sentence, one a word.

    Raises:
        UserError: the file is missing or malformed, or its sentences or words are others; it names
            the first difference.
    """
    kind = _format_of(path, format)
    lines = _read_lines(path)
    if kind == "tags":
        tagged = [_Tagged(None, line.split()) for line in lines]
        wanted = list(enumerate(sentences, start=1))
    else:
        tagged = _read_tsv(path, lines) if kind == "tsv" else _read_conllu(path, lines, column)
        wanted = [(n, words) for n, words in enumerate(sentences, start=1) if words]
    for (number, words), found in zip(wanted, tagged, strict=False):
        _check_sentence(path, number, words, found)
    if len(tagged) != len(wanted):
        raise UserError(
            f"{path} has {len(tagged)} sentences, the activation store {len(wanted)}; "
            "it must label the same text"
        )
    labelled = iter(tagged)
    return [next(labelled).labels if words or kind == "tags" else [] for words in sentences]


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


PROPERTIES: dict[str, Callable[[Sentences], Labels]] = {"position": position_labels}


def property_labels(name: str, sentences: Sentences) -> Labels:
    """Labels of a built-in property.

    Raises:
        UserError: there is no such property.
    """
    if name not in PROPERTIES:
        raise UserError(f"unknown property {name!r}; there are: {', '.join(PROPERTIES)}")
    return PROPERTIES[name](sentences)


def _format_of(path: StrPath, format: str | None) -> str:
    if format is not None:
        if format not in FORMATS:
            raise UserError(f"unknown label format {format!r}; there are: {', '.join(FORMATS)}")
        return format
    ending = Path(str(path).removesuffix(".gz")).suffix
    return {".tsv": "tsv", ".conllu": "conllu"}.get(ending, "tags")


def _read_lines(path: StrPath) -> list[str]:
    if not str(path).endswith(".gz"):
        return read_lines(path, "label file")
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
            lines = stream.read().split("\n")
    except FileNotFoundError as error:
        raise UserError(f"label file not found: {path}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"cannot read label file {path}: {error}") from error
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _blocks(lines: Sequence[str]) -> list[list[tuple[int, str]]]:
    """Numbered lines between blank lines; blank lines in a row count as one."""
    blocks: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(lines, start=1):
        if line.strip():
            blocks[-1].append((number, line))
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def _read_tsv(path: StrPath, lines: Sequence[str]) -> list[_Tagged]:
    tagged = []
    for block in _blocks(lines):
        rows = [line.split("\t") for _, line in block]
        for (number, line), row in zip(block, rows, strict=True):
            if len(row) != 2 or not row[0] or not row[1]:
                raise UserError(f"{path}, line {number}: expected word<TAB>label, found {line!r}")
        tagged.append(_Tagged([word for word, _ in rows], [label for _, label in rows]))
    return tagged


def _read_conllu(path: StrPath, lines: Sequence[str], column: str) -> list[_Tagged]:
    index, feature = _parse_column(column)
    tagged = []
    for block in _blocks(lines):
        words, labels = [], []
        for number, line in block:
            if line.startswith("#"):
                continue
            row = line.split("\t")
            if len(row) != len(CONLLU_COLUMNS):
                raise UserError(f"{path}, line {number}: {len(row)} columns, CoNLL-U has 10")
            if "-" in row[0] or "." in row[0]:
                continue  # a multiword token's range, or an empty node
            words.append(row[1])
            labels.append(_feature(row[index], feature) if feature else row[index] or ABSENT)
        if words:
            tagged.append(_Tagged(words, labels))
    return tagged


def _parse_column(column: str) -> tuple[int, str | None]:
    """Index of a column, and the feature of ``feats:Feature``."""
    name, colon, feature = column.partition(":")
    if colon and (name != "feats" or not feature):
        raise UserError(f"cannot read the column {column!r}; one feature is feats:Number, say")
    if name.isdecimal() and 1 <= int(name) <= len(CONLLU_COLUMNS):
        return int(name) - 1, None
    if name not in CONLLU_COLUMNS:
        raise UserError(
            f"unknown CoNLL-U column {column!r}; there are: {', '.join(CONLLU_COLUMNS)}, "
            "their numbers from 1, and feats:Feature"
        )
    return CONLLU_COLUMNS.index(name), feature or None


def _feature(feats: str, feature: str) -> str:
    for entry in feats.split("|"):
        name, _, value = entry.partition("=")
        if name == feature:
            return value
    return ABSENT


def _check_sentence(path: StrPath, number: int, words: Sequence[str], found: _Tagged) -> None:
    if found.words is not None:
        for position, (word, other) in enumerate(zip(words, found.words, strict=False), start=1):
            if UNKNOWN not in (word, other) and word != other:
                raise UserError(
                    f"{path}, sentence {number}, word {position}: the labels are for {other!r}, "
                    f"the activation store has {word!r}"
                )
    if len(words) != len(found.labels):
        theirs = "" if found.words is None else f"; the label file: {' '.join(found.words)!r}"
        raise UserError(
            f"{path}, sentence {number}: {len(found.labels)} labels for {len(words)} words; "
            f"the activation store: {' '.join(words)!r}{theirs}"
        )
