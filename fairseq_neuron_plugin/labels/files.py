"""Labels of a file: tag lines, word<TAB>tag lines, or CoNLL-U."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import UserError
from ..files import StrPath
from .conllu import tagged_conllu
from .lines import blocks, text_lines
from .tagged import Tagged, match
from .types import Labels, Sentences

FORMATS = ("tags", "tsv", "conllu")


def read_labels(
    path: StrPath, sentences: Sentences, column: str = "upos", format: str | None = None
) -> Labels:
    """Read the labels of a file and check them against the words they belong to.

    Args:
        path: tag lines parallel to the sentences; a TSV file with ``word<TAB>tag`` lines and a
            blank line between sentences; or CoNLL-U, of which the syntactic words count. May be
            gzipped (``.gz``).
        sentences: the words of each sentence of the activation store. ``<unk>`` stands for any
            word: a binarised split does not know it any more. Empty sentences need no lines in
            TSV and CoNLL-U. A word of the file with spaces inside (``20 000``) may stand for
            several words of the store, which all get its label.
        column: for CoNLL-U: a column's name or number (from 1), or one feature, ``feats:Number``.
            Words without the feature are labelled ``_``.
        format: ``tags``, ``tsv`` or ``conllu``; by default the file name's ending decides.

    Returns:
        The labels of each sentence, one a word.

    Raises:
        UserError: the file is missing or malformed, or its sentences or words are others; it names
            the first difference.
    """
    kind = format_of(path, format)
    tagged = _tagged(path, kind, column)
    known: dict[str, str] = {}  # a label is in memory once, not once a word
    labels: Labels = []
    read = 0
    for number, words in enumerate(sentences, start=1):
        if not words and kind != "tags":
            labels.append([])
            continue
        found = next(tagged, None)
        if found is None:
            break
        read += 1
        matched = match(f"{path}, sentence {number}", words, found)
        labels.append([known.setdefault(label, label) for label in matched])
    read += sum(1 for _ in tagged)
    wanted = len(sentences) if kind == "tags" else sum(1 for words in sentences if words)
    if read != wanted:
        raise UserError(
            f"{path} has {read} sentences, the activation store {wanted}; "
            "it must label the same text"
        )
    return labels


def format_of(path: StrPath, format: str | None) -> str:
    """The format that is given, or that the file's name says: one of `FORMATS`."""
    if format is not None:
        if format not in FORMATS:
            raise UserError(f"unknown label format {format!r}; there are: {', '.join(FORMATS)}")
        return format
    ending = Path(str(path).removesuffix(".gz")).suffix.lower()
    return {".tsv": "tsv", ".conllu": "conllu"}.get(ending, "tags")


def _tagged(path: StrPath, kind: str, column: str) -> Iterator[Tagged]:
    lines = text_lines(path, "label file")
    if kind == "conllu":
        return tagged_conllu(path, lines, column)
    if kind == "tsv":
        return _tagged_tsv(path, lines)
    return (Tagged(None, line.split()) for line in lines)


def _tagged_tsv(path: StrPath, lines: Iterable[str]) -> Iterator[Tagged]:
    for block in blocks(lines):
        rows = [line.split("\t") for _, line in block]
        for (number, line), row in zip(block, rows, strict=True):
            if len(row) != 2 or not row[0] or not row[1]:
                raise UserError(f"{path}, line {number}: expected word<TAB>label, found {line!r}")
        yield Tagged([word for word, _ in rows], [label for _, label in rows])
