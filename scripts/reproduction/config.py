"""What a reproduction is made of: corpora, models, tagged data, probes and sweeps.

A configuration is a YAML file that is checked against these classes: an unknown key or a wrong
type is an error that names it. ``configs/`` holds two.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.sweeps.points import parse_points

# Names of built-in properties and of rankings, which tasks must not have.
RESERVED = ("position", "position-F", "months", "cross-model", "variance", "mean-distance")
CONFIGS = Path(__file__).parent / "configs"


class ConfigError(UserError):
    """A configuration that cannot be used; the message says what to change."""


@dataclass
class Corpus:
    """Parallel text, tokenised, one sentence a line; paths are relative to the data folder.

    Attributes:
        train: path with ``{lang}``, and ``{part}`` if it is in parts already.
        valid, test: paths with ``{lang}``.
        raw: path with ``{lang}`` of the test set before tokenisation, to score against.
        languages: the two.
        pairs: sentence pairs of a part.
        max_words: of a training sentence, on either side.
        valid_pairs, test_pairs: how many of them are used.
        threshold: words seen fewer times are unknown.
        tokenizer: what undoes the tokenisation; one of fairseq's.
    """

    train: str = MISSING
    valid: str = MISSING
    test: str = MISSING
    raw: str = MISSING
    languages: list[str] = MISSING
    pairs: int = MISSING
    max_words: int = 80
    valid_pairs: int = 1000
    test_pairs: int = 2000
    threshold: int = 3
    tokenizer: str = "moses"


@dataclass
class Direction:
    """A direction of translation; a language model is trained on its source side, too."""

    source: str = MISSING
    target: str = MISSING
    corpus: str = MISSING


@dataclass
class Task:
    """A property of words, and where it was annotated by hand.

    Attributes:
        train, test: CoNLL-U or word<TAB>tag files, gzipped or not, relative to the data folder.
        column: of CoNLL-U: ``upos``, ``xpos``, or ``feats:Case,Number``; no use for TSV.
        open, closed: tags of open and of closed classes, to compare how focused they are.
    """

    train: list[str] = MISSING
    test: list[str] = MISSING
    column: str = "upos"
    open: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


@dataclass
class Language:
    """A source language."""

    tasks: dict[str, Task] = MISSING


@dataclass
class Training:
    """Flags of ``fairseq-train`` for the translation and for the language models."""

    translation: str = MISSING
    language_model: str = MISSING


@dataclass
class Tagger:
    """How the taggers are trained."""

    epochs: int = 8
    train_sentences: int = 100_000


@dataclass
class Classifier:
    """Data of the probes in sentences, and flags of ``fairseq-neuron-probe``."""

    train_sentences: int = MISSING
    test_sentences: int = MISSING
    gold_train_sentences: int = MISSING
    gold_test_sentences: int = MISSING
    flags: str = ""
    grid: str = ""
    grid_sentences: int = 1000


@dataclass
class Sweeps:
    """Points of the curves, and flags of ``fairseq-neuron-generate`` and ``…-eval-lm``."""

    points: str = MISSING
    translation: str = ""
    language_model: str = ""


@dataclass
class Config:
    """One reproduction.

    Attributes:
        title: what the page is called.
        notes: what differs from the paper, a sentence each, for the page.
        parts: how many models of each kind, on disjoint parts of the data.
        seconds: what a step of each kind takes on one core, for the estimate before the start.
    """

    title: str = MISSING
    notes: list[str] = field(default_factory=list)
    seed: int = 1
    parts: int = 3
    corpora: dict[str, Corpus] = MISSING
    directions: list[Direction] = MISSING
    languages: dict[str, Language] = MISSING
    training: Training = MISSING
    tagger: Tagger = field(default_factory=Tagger)
    classifier: Classifier = MISSING
    sweeps: Sweeps = MISSING
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def part_names(self) -> str:
        return string.ascii_uppercase[: self.parts]


def load_config(name: str) -> Config:
    """Read ``small``, ``paper`` or the path of a YAML file.

    Raises:
        ConfigError: there is no such file, or it does not fit.
    """
    path = CONFIGS / f"{name}.yaml" if (CONFIGS / f"{name}.yaml").exists() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(known.stem for known in CONFIGS.glob("*.yaml")))
        raise ConfigError(f"no configuration {name}: give {known}, or the path of a YAML file")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path))
        missing = OmegaConf.missing_keys(merged)
        if missing:
            raise ConfigError(f"{path}: {', '.join(sorted(missing))} must be given")
        config = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    assert isinstance(config, Config)
    _check(config, path)
    return config


def settings_of(config: Config) -> list[str]:
    """What decides about a run's results: ``a.b: value``, a line each."""
    settings = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(settings, dict)
    for unimportant in ("title", "notes", "seconds"):
        del settings[unimportant]
    return list(_flat(settings, ""))


def _flat(value: object, name: str) -> Iterator[str]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield f"{name}: {value!r}"


def _check(config: Config, path: Path) -> None:
    _check_numbers(config, path)
    _check_flags(config, path)
    _check_sweeps(config.sweeps, path)
    if not 2 <= config.parts <= 26:
        raise ConfigError(f"{path}: parts must lie in 2 to 26, as models are compared")
    for name, corpus in config.corpora.items():
        for key in ("train", "valid", "test", "raw"):
            known = {"lang", "part"} if key == "train" else {"lang"}
            fields = _fields(getattr(corpus, key))
            if fields is None or "lang" not in fields or not fields <= known:
                names = " and may hold {part}" if key == "train" else ""
                raise ConfigError(
                    f"{path}: corpora.{name}.{key} must hold {{lang}}{names}, and no other {{…}}"
                )
    for direction in config.directions:
        _check_direction(config, direction, path)
    sources = [direction.source for direction in config.directions]
    if not sources:
        raise ConfigError(f"{path}: directions is empty")
    if len(set(sources)) < len(sources):
        raise ConfigError(f"{path}: two directions have the same source language")
    points = config.sweeps.points.split(",")
    if points[0].strip() != "0" or len(points) < 2:
        raise ConfigError(f"{path}: sweeps.points must begin with 0 and have another: 0,10%,20%")


def _check_numbers(config: Config, path: Path) -> None:
    """Counts must be counts."""
    classifier = config.classifier
    for name, corpus in config.corpora.items():
        for key in ("pairs", "max_words", "valid_pairs", "test_pairs", "threshold"):
            _refuse_below_1(getattr(corpus, key), f"corpora.{name}.{key}", path)
    for key in vars(classifier):
        if key.endswith("_sentences"):
            _refuse_below_1(getattr(classifier, key), f"classifier.{key}", path)
    _refuse_below_1(config.tagger.epochs, "tagger.epochs", path)
    _refuse_below_1(config.tagger.train_sentences, "tagger.train_sentences", path)


def _refuse_below_1(value: int, key: str, path: Path) -> None:
    if value < 1:
        raise ConfigError(f"{path}: {key} must be 1 or more, not {value}")


def _check_flags(config: Config, path: Path) -> None:
    """Flags must be words that a shell could read."""
    for part, key in (
        ("training", "translation"),
        ("training", "language_model"),
        ("classifier", "flags"),
        ("sweeps", "translation"),
        ("sweeps", "language_model"),
    ):
        try:
            shlex.split(getattr(getattr(config, part), key))
        except ValueError as error:
            raise ConfigError(f"{path}: {part}.{key}: {error}") from error


def _check_sweeps(sweeps: Sweeps, path: Path) -> None:
    """Findings rest on BLEU and on intervals."""
    try:
        parse_points(sweeps.points, 1000)
    except UserError as error:
        raise ConfigError(f"{path}: sweeps.points: {error}") from error
    for key in ("translation", "language_model"):
        words = shlex.split(getattr(sweeps, key).replace("=", " "))
        given = dict(pairwise(words))
        if given.get("--bootstrap") == "0":
            raise ConfigError(f"{path}: sweeps.{key}: findings need intervals, not --bootstrap 0")
        if "bleu" not in given.get("--metrics", "bleu").split(","):
            raise ConfigError(f"{path}: sweeps.{key}: --metrics must name bleu: bleu,chrf,loss")


def _fields(pattern: str) -> set[str] | None:
    """Names between braces; None where braces do not match."""
    try:
        return {field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None}
    except ValueError:
        return None


def _check_direction(config: Config, direction: Direction, path: Path) -> None:
    pair = f"{direction.source}-{direction.target}"
    corpus = config.corpora.get(direction.corpus)
    if corpus is None:
        raise ConfigError(f"{path}: direction {pair}: no corpus {direction.corpus}")
    if sorted((direction.source, direction.target)) != sorted(corpus.languages):
        raise ConfigError(f"{path}: direction {pair}: corpus {direction.corpus} has others")
    language = config.languages.get(direction.source)
    if language is None or not language.tasks:
        raise ConfigError(f"{path}: languages has no tasks for {direction.source}")
    for name, task in language.tasks.items():
        names = [one.casefold() for one in (*RESERVED, *language.tasks)]
        if not re.fullmatch(r"[\w-]+", name) or names.count(name.casefold()) > 1:
            raise ConfigError(
                f"{path}: task {name} of {direction.source}: a name has letters, digits, _ and -, "
                f"is none of {', '.join(RESERVED)}, and no other in other letters"
            )
        if not task.train or not task.test:
            raise ConfigError(f"{path}: task {name} of {direction.source} has no files")
        if not re.fullmatch(r"upos|xpos|feats:.+", task.column):
            raise ConfigError(f"{path}: column {task.column}: give upos, xpos or feats:Case,Number")
