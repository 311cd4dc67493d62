"""Everything that the page is made of, read from the files of the run's steps.

The evidence is plain JSON (``evidence.json``), so that two runs can be compared number by number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from fairseq_neuron_plugin.signature import versions
from reproduction.corpora import read_json
from reproduction.evidence_models import model_evidence
from reproduction.evidence_neurons import focus
from reproduction.layout import FIRST, Layout

Evidence = dict[str, Any]
# What may differ between runs of the same: the title, how long it took, and where.
NOT_COMPARED = ("config", "account", "commands")


def collect(layout: Layout, journal: dict[str, dict[str, Any]]) -> Evidence:
    """Read the results of a finished run."""
    return {
        "config": layout.config.title,
        "seed": layout.config.seed,
        "versions": {
            **versions("torch", "fairseq", "numpy", "sklearn", "sacrebleu"),
            "spacy": metadata.version("spacy"),
        },
        "taggers": _taggers(layout),
        "parts": layout.config.part_names,
        "texts": _texts(layout),
        "repeated": _repeated(layout),
        "annotated_seen": _annotated_seen(layout),
        "models": {model.name: model_evidence(layout, model) for model in layout.models},
        "focus": dict(focus(layout)),
        "account": _account(journal),
        "commands": {name: entry["command"] for name, entry in journal.items() if entry["command"]},
    }


def digest(evidence: Evidence) -> str:
    """Twelve characters that tell runs with different figures, settings or versions apart."""
    compared = {key: value for key, value in evidence.items() if key not in NOT_COMPARED}
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()[:12]


def differences(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Places where two pieces of evidence differ, but for what is not compared."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if at or key not in NOT_COMPARED:
                yield from differences(one.get(key), other.get(key), f"{at}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{at}/{number}")
    elif one != other and not (one != one and other != other):  # two NaN are the same figure
        yield f"{at}: {one!r}, {other!r}"


def count_numbers(evidence: Any, at: str = "") -> int:
    """How many numbers are compared."""
    if isinstance(evidence, dict):
        return sum(
            count_numbers(value, key)
            for key, value in evidence.items()
            if at or key not in NOT_COMPARED
        )
    if isinstance(evidence, list):
        return sum(count_numbers(value, at or "list") for value in evidence)
    return int(isinstance(evidence, int | float))


def _taggers(layout: Layout) -> Evidence:
    return {
        f"{language}.{task}": read_json(layout.folder / f"taggers/{language}.{task}/accuracy.json")
        for language in dict.fromkeys(model.language for model in layout.models)
        for task in layout.tasks(language)
    }


def _texts(layout: Layout) -> Evidence:
    """Sentences and words of the parallel parts."""
    found: Evidence = {}
    for name, corpus in layout.config.corpora.items():
        for split in (*layout.config.part_names, "valid", "test"):
            for language in corpus.languages:
                lines = (layout.folder / layout.text(name, split, language)).read_text(
                    encoding="utf-8"
                )
                found.setdefault(name, {})[f"{split}.{language}"] = {
                    "sentences": lines.count("\n"),
                    "words": len(lines.split()),
                }
    return found


def _lines(layout: Layout, name: str) -> list[str]:
    return (layout.folder / name).read_text(encoding="utf-8").splitlines()


def _repeated(layout: Layout) -> Evidence:
    """Share of the distinct sentences of part A that also stand in another part, by language.

    Pairs are disjoint; a sentence with several translations may be in two parts.
    """
    found: Evidence = {}
    for name, corpus in layout.config.corpora.items():
        for language in corpus.languages:
            first, *others = (
                set(_lines(layout, layout.text(name, part, language)))
                for part in layout.config.part_names
            )
            share = len(first & set().union(*others)) / len(first)
            found[f"{name} {language}"] = share
    return found


def _annotated_seen(layout: Layout) -> Evidence:
    """How many hand-annotated test sentences model A was trained on, word for word."""
    found: Evidence = {}
    for direction in layout.config.directions:
        language = direction.source
        seen = set(_lines(layout, layout.text(direction.corpus, FIRST, language)))
        for task in layout.tasks(language):
            text = layout.gold_text(language, task)
            test = _lines(layout, layout.words(language, text, "test"))
            found[f"{language}.{task}"] = {
                "sentences": len(test),
                "seen": sum(sentence in seen for sentence in test),
            }
    return found


def _account(journal: dict[str, dict[str, Any]]) -> Evidence:
    """Steps and seconds of each kind."""
    found: Evidence = {}
    for entry in journal.values():
        if entry.get("taken"):  # of another run
            continue
        kind = found.setdefault(entry["kind"], {"steps": 0, "seconds": 0.0})
        kind["steps"] += 1
        kind["seconds"] = round(kind["seconds"] + entry["seconds"], 1)
    return found
