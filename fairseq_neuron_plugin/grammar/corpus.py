"""Writes a parallel corpus with disjoint training parts and annotated probing sets."""

from __future__ import annotations

import os
import shutil
import string
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .generator import generate
from .tags import Pair, Token

# A stream that yields fewer new pairs than one in this many draws is exhausted.
_DRAWS_A_PAIR = 50
LANGUAGES = ("en", "de")


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """Figures of one file group; types are distinct word forms."""

    name: str
    sentences: int
    english_tokens: int
    english_types: int
    german_tokens: int
    german_types: int


def _forms(tokens: Iterable[Token]) -> str:
    return " ".join(token.form for token in tokens)


def distinct_pairs(seed: int, count: int) -> list[Pair]:
    """Return `count` pairs of which no two share a sentence on either side, shuffled.

    Raises ValueError if the grammar does not yield that many.
    """
    pairs: list[Pair] = []
    seen: tuple[set[str], set[str]] = (set(), set())
    for drawn, pair in enumerate(generate(seed)):
        if len(pairs) == count:
            break
        if drawn > _DRAWS_A_PAIR * (count + 100):
            raise ValueError(f"the grammar yields only {len(pairs)} distinct sentences")
        english, german = _forms(pair.english), _forms(pair.german)
        if english not in seen[0] and german not in seen[1]:
            seen[0].add(english)
            seen[1].add(german)
            pairs.append(pair)
    # Late draws are longer, as short ones have been seen; shuffling evens that out.
    Random(seed).shuffle(pairs)
    return pairs


def _sides(pairs: list[Pair]) -> dict[str, list[tuple[Token, ...]]]:
    return {"en": [pair.english for pair in pairs], "de": [pair.german for pair in pairs]}


def conllu(name: str, sentences: list[tuple[Token, ...]]) -> str:
    """Return sentences in CoNLL-U; XPOS holds the semantic tag, features are sorted."""
    lines: list[str] = []
    for number, tokens in enumerate(sentences, start=1):
        lines += [f"# sent_id = {name}-{number}", f"# text = {_forms(tokens)}"]
        for index, token in enumerate(tokens, start=1):
            features = "|".join(sorted(token.morph.split("|")[1:])) or "_"
            columns = [str(index), token.form, "_", token.pos, token.sem, features]
            lines.append("\t".join(columns + ["_"] * 4))
        lines.append("")
    return "".join(line + "\n" for line in lines)


def _plain_files(name: str, pairs: list[Pair]) -> dict[str, str]:
    return {
        f"{name}.{language}": "".join(_forms(tokens) + "\n" for tokens in sentences)
        for language, sentences in _sides(pairs).items()
    }


def _annotated_files(name: str, pairs: list[Pair]) -> dict[str, str]:
    files = _plain_files(name, pairs)
    for language, sentences in _sides(pairs).items():
        for layer in ("pos", "morph", "sem"):
            rows = (" ".join(getattr(t, layer) for t in tokens) for tokens in sentences)
            files[f"{name}.{language}.{layer}"] = "".join(row + "\n" for row in rows)
        files[f"{name}.{language}.conllu"] = conllu(f"{name}.{language}", sentences)
    return files


def _summary(name: str, pairs: list[Pair]) -> GroupSummary:
    forms = [
        [token.form for tokens in sentences for token in tokens]
        for sentences in _sides(pairs).values()
    ]
    return GroupSummary(
        name, len(pairs), len(forms[0]), len(set(forms[0])), len(forms[1]), len(set(forms[1]))
    )


def _part_sizes(sentences: int, parts: int) -> dict[str, int]:
    """Split `sentences` into parts whose sizes differ by at most one."""
    if not 1 <= parts <= len(string.ascii_uppercase):
        raise ValueError(f"parts must be between 1 and 26, not {parts}")
    return {
        f"train.{string.ascii_uppercase[index]}": sentences // parts + (index < sentences % parts)
        for index in range(parts)
    }


def _is_same(output_dir: Path, files: dict[str, str]) -> bool:
    if sorted(path.name for path in output_dir.iterdir()) != sorted(files):
        return False
    return all(
        (output_dir / name).is_file() and (output_dir / name).read_bytes() == text.encode("utf-8")
        for name, text in sorted(files.items())
    )


def _install(output_dir: Path, files: dict[str, str]) -> None:
    """Write the files beside `output_dir` and rename, so that it is complete or absent."""
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    partial = output_dir.parent / f".{output_dir.name}.partial-{os.getpid()}"
    partial.mkdir()
    try:
        for name, text in sorted(files.items()):
            (partial / name).write_bytes(text.encode("utf-8"))
        partial.replace(output_dir)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_corpus(
    output_dir: Path | str,
    sentences: int = 18000,
    seed: int = 1,
    *,
    parts: int = 3,
    valid: int = 500,
    test: int = 500,
    annotated_train: int = 3000,
    annotated_test: int = 800,
) -> tuple[GroupSummary, ...]:
    """Write the corpus and return a summary of each file group.

    `sentences` is the size of all training parts together.  No two sentence
    pairs of the whole corpus share a sentence on either side.  The same
    arguments give the same bytes; an earlier output of theirs is left as it is.

    Raises FileExistsError if `output_dir` is a file or holds anything else, and
    ValueError for sizes that are negative or more than the grammar yields.
    """
    sizes = _part_sizes(sentences, parts)
    sizes |= {"valid": valid, "test": test}
    sizes |= {"probe-train": annotated_train, "probe-test": annotated_test}
    if min(sizes.values()) < 1:
        raise ValueError("every file group needs at least one sentence")
    output_dir = Path(os.path.abspath(output_dir))
    if output_dir.exists() and not output_dir.is_dir():
        raise FileExistsError(f"{output_dir} is not a folder")
    pairs = distinct_pairs(seed, sum(sizes.values()))
    files: dict[str, str] = {}
    summaries: list[GroupSummary] = []
    for name, size in sizes.items():
        group, pairs = pairs[:size], pairs[size:]
        files |= (_annotated_files if name.startswith("probe") else _plain_files)(name, group)
        summaries.append(_summary(name, group))
    if output_dir.exists() and any(output_dir.iterdir()):
        if not _is_same(output_dir, files):
            raise FileExistsError(f"{output_dir} exists and holds something else")
    else:
        _install(output_dir, files)
    return tuple(summaries)
