"""Reading the corpora: parallel text in disjoint parts, and words with tags."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from reproduction.config import ConfigError, Corpus

Tagged = list[tuple[str, str]]


def read_lines(path: Path) -> list[str]:
    """Lines of a text, gzipped or not.

    Raises:
        ConfigError: there is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; see --data and the configuration")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as stream:
        return [line.rstrip("\n") for line in stream]


def read_json(path: Path) -> Any:
    """What a JSON file of the run holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    partial.replace(path)


def read_pairs(
    data: Path, pattern: str, languages: list[str], **fields: str
) -> list[tuple[str, str]]:
    """Lines of the two sides.

    Raises:
        ConfigError: a file is missing, or the sides differ in length.
    """
    first, second = (read_lines(data / pattern.format(lang=side, **fields)) for side in languages)
    if len(first) != len(second):
        raise ConfigError(
            f"{pattern}: {len(first)} lines in {languages[0]}, {len(second)} in {languages[1]}"
        )
    return list(zip(first, second, strict=True))


def training_parts(
    data: Path, corpus: Corpus, parts: str, seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Disjoint parts of the training data: no pair is in two of them.

    Raises:
        ConfigError: there are too few pairs.
    """

    def usable(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        kept = [
            pair
            for pair in dict.fromkeys(pairs)
            if all(0 < len(side.split()) <= corpus.max_words for side in pair)
        ]
        random.Random(seed).shuffle(kept)
        return kept

    if "{part}" in corpus.train:
        given = {
            part: usable(read_pairs(data, corpus.train, corpus.languages, part=part))
            for part in parts
        }
        seen: set[tuple[str, str]] = set()
        for part, pairs in given.items():
            given[part] = [pair for pair in pairs if pair not in seen][: corpus.pairs]
            seen.update(given[part])
    else:
        whole = usable(read_pairs(data, corpus.train, corpus.languages))
        given = {
            part: whole[number * corpus.pairs : (number + 1) * corpus.pairs]
            for number, part in enumerate(parts)
        }
    for part, pairs in given.items():
        if len(pairs) < corpus.pairs:
            raise ConfigError(
                f"{corpus.train}: part {part} has {len(pairs)} pairs of up to {corpus.max_words} "
                f"words, {corpus.pairs} are asked for; lower pairs in the configuration"
            )
    return given


def read_tagged(path: Path, column: str) -> Iterator[Tagged]:
    """Sentences of words with tags: CoNLL-U, or word<TAB>tag lines with blank lines between.

    A token of several words (``Celestial~Seasonings`` in the Parallel Meaning Bank) becomes
    several with its tag; spaces inside a word go, as a model's text has none there.
    """
    is_conllu = ".conll" in path.name
    sentence: Tagged = []
    for number, line in enumerate([*read_lines(path), ""], start=1):
        if not line.strip():
            if sentence:
                yield sentence
            sentence = []
        elif is_conllu and not line.startswith("#"):
            row = line.split("\t")
            if row[0].isdigit():
                sentence.append((_one_word(row[1]), _conllu_tag(row, column)))
        elif not is_conllu:
            token, tab, tag = line.partition("\t")
            if not tab:
                raise ConfigError(f"{path}, line {number}: no tab between word and tag: {line}")
            tag = tag.split("\t")[0]
            sentence += [(_one_word(word), tag) for word in token.split("~") if word.strip()]


def _one_word(text: str) -> str:
    return "".join(text.split())


def _conllu_tag(row: list[str], column: str) -> str:
    if column == "upos":
        return row[3]
    if column == "xpos":
        return row[4]
    kind, _, names = column.partition(":")
    if kind != "feats" or not names:
        raise ConfigError(f"column {column}: give upos, xpos, or feats:Case,Number")
    wanted = set(names.split(","))
    found = [pair for pair in row[5].split("|") if pair.split("=")[0] in wanted]
    return "|".join(found) or "_"


def tagged_files(paths: Iterable[str], column: str, limit: int | None = None) -> list[Tagged]:
    """The first sentences of these files.

    Raises:
        ConfigError: a file is missing or the column unknown.
    """
    return list(islice((one for path in paths for one in read_tagged(Path(path), column)), limit))
