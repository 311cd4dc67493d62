"""Texts, dictionaries and binarised data of every model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

from fairseq_neuron_plugin.labels.months import is_month
from reproduction.config import ConfigError
from reproduction.corpora import read_lines, read_pairs, tagged_files, training_parts, write_lines
from reproduction.layout import FIRST, SPLITS, Layout, Model
from reproduction.runner import Step


def preparation_steps(layout: Layout) -> list[Step]:
    """From the data folder to what ``fairseq-train`` and the probes read."""
    steps = [
        Step(
            f"text.{name}",
            "prepare",
            f"text/{name}.done",
            partial(write_corpus, layout, name),
            seconds=layout.seconds("prepare"),
        )
        for name in layout.config.corpora
    ]
    for model in layout.models:
        steps += _binarise(layout, model)
    for language in {model.language: None for model in layout.models}:
        steps.append(
            Step(
                f"probe-text.{language}",
                "prepare",
                f"probe-text/{language}.done",
                partial(write_probe_texts, layout, language),
                needs=tuple(f"text/{name}.done" for name in layout.config.corpora),
                seconds=layout.seconds("prepare"),
            )
        )
    return steps


def write_corpus(layout: Layout, name: str) -> None:
    """``text/CORPUS.{A,B,…,all,valid,test,raw}.LANGUAGE``."""
    corpus, config = layout.config.corpora[name], layout.config
    parts = training_parts(layout.data, corpus, config.part_names, config.seed)
    texts = {**parts, "all": [pair for pairs in parts.values() for pair in pairs]}
    for split, pattern, limit in (
        ("valid", corpus.valid, corpus.valid_pairs),
        ("test", corpus.test, corpus.test_pairs),
        ("raw", corpus.raw, corpus.test_pairs),
    ):
        texts[split] = read_pairs(layout.data, pattern, corpus.languages)[:limit]
    for split, pairs in texts.items():
        for number, language in enumerate(corpus.languages):
            write_lines(
                layout.folder / layout.text(name, split, language), (pair[number] for pair in pairs)
            )
    write_lines(layout.folder / f"text/{name}.done", ())


def _binarise(layout: Layout, model: Model) -> list[Step]:
    """Dictionaries of all parts together, so that models read the same words; then each part."""
    corpus, name = layout.corpus(model), model.direction.corpus
    source, target = model.direction.source, model.direction.target
    texts = (f"text/{name}.done",)
    dictionary = f"dict/{source}-{target}"
    cost = layout.seconds("prepare")
    languages = ("--source-lang", source, "--target-lang", target)
    steps = []
    command: tuple[str, ...]
    only: tuple[str, ...]
    if not model.is_lm:
        command = (
            "fairseq-preprocess",
            *languages,
            "--trainpref",
            f"text/{name}.all",
            "--dict-only",
            "--destdir",
            dictionary,
            "--thresholdsrc",
            str(corpus.threshold),
            "--thresholdtgt",
            str(corpus.threshold),
        )
        result = f"{dictionary}/dict.{target}.txt"
        steps.append(
            Step(
                f"dict.{model.name}",
                "prepare",
                result,
                command,
                needs=texts,
                seconds=cost,
                folder=dictionary,
            )
        )
    for part in layout.config.part_names:
        files = {"train": part, "valid": "valid", "test": "test"}
        if model.is_lm:
            ending, only = f".{source}", ("--only-source",)
            result = f"{model.bin(part)}/test.bin"
        else:
            ending, only = "", (*languages, "--tgtdict", f"{dictionary}/dict.{target}.txt")
            result = f"{model.bin(part)}/test.{source}-{target}.{target}.bin"
        prefixes = [
            word
            for split, text in files.items()
            for word in (f"--{split}pref", f"text/{name}.{text}{ending}")
        ]
        command = (
            "fairseq-preprocess",
            *only,
            "--srcdict",
            f"{dictionary}/dict.{source}.txt",
            *prefixes,
            "--destdir",
            model.bin(part),
        )
        needs = (*texts, f"{dictionary}/dict.{target}.txt")
        steps.append(
            Step(
                f"bin.{model.name}.{part}",
                "prepare",
                result,
                command,
                needs=needs,
                seconds=cost,
                folder=model.bin(part),
            )
        )
    return steps


def write_probe_texts(layout: Layout, language: str) -> None:
    """``probe-text/``: sentences of the training data, and the hand-annotated ones with tags.

    The former are of the source side of part A, each sentence once, so that the test sentences
    are none of the training sentences; they get their tags by taggers. Months are rare, so they
    get a text of their own.
    """
    config = layout.config.classifier
    direction = next(one for one in layout.config.directions if one.source == language)
    lines = read_lines(layout.folder / layout.text(direction.corpus, FIRST, language))
    sentences = list(dict.fromkeys(lines))
    wanted = config.test_sentences + config.train_sentences
    if len(sentences) < wanted:
        raise ConfigError(
            f"part {FIRST} has {len(sentences)} different sentences in {language}; the classifiers "
            f"want {wanted}: lower classifier.train_sentences or test_sentences"
        )
    test = sentences[: config.test_sentences]
    train = sentences[config.test_sentences :][: config.train_sentences]
    for split, chosen in zip(SPLITS, (train, test), strict=True):
        write_lines(layout.folder / layout.words(language, "auto", split), chosen)
    for split, chosen in zip(SPLITS, month_sentences(sentences), strict=True):
        write_lines(layout.folder / layout.words(language, "months", split), chosen)
    for name, task in layout.tasks(language).items():
        text = layout.gold_text(language, name)
        limits = (config.gold_train_sentences, config.gold_test_sentences)
        for split, paths, limit in zip(SPLITS, (task.train, task.test), limits, strict=True):
            tagged = tagged_files(layout.data_files(paths), task.column, limit)
            words, tags = (
                [" ".join(pair[which] for pair in one) for one in tagged] for which in (0, 1)
            )
            write_lines(layout.folder / layout.words(language, text, split), words)
            write_lines(layout.folder / layout.tags(language, text, name, split), tags)
    write_lines(layout.folder / f"probe-text/{language}.done", ())


def month_sentences(sentences: Sequence[str], without: int = 3) -> tuple[list[str], list[str]]:
    """Training and test sentences for months: all that name one, three without for each of them.

    Args:
        sentences: words separated by spaces.
        without: sentences without a month for each with one.

    Returns:
        Three quarters and one quarter of them; both kinds alternate. Without any month, a few
        sentences, as no text is an error to the commands that read it.
    """
    named = [one for one in sentences if any(map(is_month, one.split()))]
    others = iter(one for one in sentences if not any(map(is_month, one.split())))
    mixed = [one for month in named for one in (month, *islice(others, without))]
    if len(named) < 4:
        mixed = list(sentences[: 4 * (without + 1)])
    cut = len(mixed) * 3 // 4
    cut -= cut % (without + 1) if cut > without else 0
    return mixed[:cut], mixed[cut:]
