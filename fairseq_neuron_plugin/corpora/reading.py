"""From a binarised split or a text to a `Corpus`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import StrPath, iter_lines
from ..loading import Session, user_errors
from ..subwords import (
    MARK_OF_BPE,
    UnmatchedWords,
    join_words,
    match_words,
    subword_mark,
    word_starts,
)
from .corpus import Corpus, Reader
from .readers import PairReader, SourceReader, TextReader, open_pairs
from .symbols import SymbolRows, Symbols

END = "</s>"


def is_language_model(session: Session) -> bool:
    """Whether the model has no encoder."""
    return not hasattr(session.models[0], "encoder")


def read_split(session: Session, split: str, side: str = "source") -> Corpus:
    """A binarised split of the data folder.

    Words that were not in the dictionary when it was binarised are ``<unk>`` for good; where
    subwords were, an unknown one no longer says whether its word ends there.

    Args:
        session: the model and its task. A language model reads its one side.
        split: e.g. ``test``.
        side: of a translation model: ``source`` or ``target``.

    Raises:
        UserError: no such split, or a split without the side.
    """
    mark = subword_mark(session.cfg.common_eval.post_process)
    if is_language_model(session):
        dictionary = session.task.source_dictionary
        symbols = Symbols(_spell(_load_text(session, split), dictionary, mark))
        return _text_corpus(session, symbols, f"split={split},data={symbols.digest()[:12]}")
    dictionary = _dictionary(session, side)
    reader = PairReader(session.load_split(split), side, dictionary.pad(), dictionary.eos())
    symbols = Symbols(_spell(reader.rows(), dictionary, mark))
    return _pair_corpus(reader, symbols, dictionary, f"split={split},data")


def read_text(session: Session, path: StrPath, target: StrPath | None = None) -> Corpus:
    """A text file: a sentence a line, words separated by spaces.

    With ``--bpe`` the words are segmented here. Without it, ``--post-process`` says how subwords
    that are in the file already are marked.

    Args:
        session: the model and its task.
        path: what the encoder, or the language model, reads.
        target: translations, line by line; if given, they are the corpus, and the decoder reads
            them after the lines of ``path``.

    Raises:
        UserError: no text, a line whose subwords do not make up its words, or files of different
            lengths.
    """
    if is_language_model(session):
        if target is not None:
            raise UserError("a language model reads one text: leave out --target-input")
        symbols = _read_symbols(session, path, session.task.source_dictionary)
        return _text_corpus(session, symbols, f"text={symbols.digest()[:12]}")
    task = session.task
    source = _read_symbols(session, path, task.source_dictionary)
    rows = SymbolRows(source, task.source_dictionary.eos())
    dataset = task.build_dataset_for_inference(rows, rows.sizes)
    if target is None:
        reader = PairReader(
            dataset, "source", task.source_dictionary.pad(), task.source_dictionary.eos()
        )
        return _pair_corpus(reader, source, task.source_dictionary, "text")
    symbols = _read_symbols(session, target, task.target_dictionary)
    if len(symbols) != len(source):
        raise UserError(f"{path} has {len(source)} lines, its translation {target} {len(symbols)}")
    end = task.target_dictionary.eos()
    _add_target(task, dataset, SymbolRows(symbols, end))
    reader = PairReader(dataset, "target", task.target_dictionary.pad(), end)
    return _pair_corpus(reader, symbols, task.target_dictionary, "text")


def _text_corpus(session: Session, symbols: Symbols, origin: str) -> Corpus:
    _check_not_empty(symbols, "text")
    dictionary = session.task.source_dictionary
    trained_with_start = getattr(session.saved_task_cfg, "add_bos_token", False)
    start = dictionary.bos() if trained_with_start else dictionary.eos()
    reader = TextReader(symbols, start, dictionary.pad(), dictionary.eos())
    return _corpus("text", symbols, reader, dictionary, origin)


def _pair_corpus(reader: PairReader, symbols: Symbols, dictionary: Any, origin: str) -> Corpus:
    _check_not_empty(symbols, reader.side)
    digest = symbols.digest()
    if reader.side == "target":  # the decoder's states depend on the source, too
        found = hashlib.sha256(digest.encode())
        framed = reader.batch([0], False).encoder_input or {}
        found.update(framed["src_tokens"].numpy().tobytes())  # with its language tokens
        for number in range(len(reader.pairs)):
            found.update(b"\0" + np.asarray(reader.pairs.src[number], dtype=np.int32).tobytes())
        digest = found.hexdigest()
    fast = SourceReader.instead_of(reader, symbols) or reader
    return _corpus(reader.side, symbols, fast, dictionary, f"{origin}={digest[:12]}")


def _check_not_empty(symbols: Symbols, side: str) -> None:
    if not len(symbols.ids):
        raise UserError(f"the corpus is empty: there is no word in its {side}")


def _corpus(side: str, symbols: Symbols, reader: Reader, dictionary: Any, origin: str) -> Corpus:
    _refuse_padding(symbols, dictionary, f"the {side}")
    return Corpus(side, symbols, reader, dictionary, origin)


def _dictionary(session: Session, side: str) -> Any:
    task = session.task
    return task.source_dictionary if side == "source" else task.target_dictionary


def _load_text(session: Session, split: str) -> Any:
    """The sentences of a language model's split, whatever blocks the task would make of them."""
    from fairseq import utils
    from fairseq.data import data_utils

    folder = utils.split_paths(session.cfg.task.data)[0]
    dictionary = session.task.source_dictionary
    with user_errors(f"data folder {folder}"):
        rows = data_utils.load_indexed_dataset(
            str(Path(folder) / split), dictionary, getattr(session.cfg.task, "dataset_impl", None)
        )
    if rows is None:
        raise UserError(f"data folder {folder}: not found: {split}")
    return rows


Sentence = tuple[Sequence[int], Sequence[str], Sequence[int]]


def _spell(rows: Any, dictionary: Any, mark: str | None) -> Iterator[Sentence]:
    """The arguments of `Symbols` for a dataset of sentences."""
    for number in range(len(rows)):
        ids = rows[number].tolist()
        if ids and ids[-1] == dictionary.eos():
            ids.pop()
        symbols = [dictionary[i] for i in ids]
        yield ids, join_words(symbols, mark), word_starts(symbols, mark)


def _read_symbols(session: Session, path: StrPath, dictionary: Any) -> Symbols:
    symbols = Symbols(_segment(session, path, dictionary))
    if not len(symbols.ids):
        raise UserError(f"the input {path} is empty")
    _refuse_padding(symbols, dictionary, str(path))
    return symbols


def _refuse_padding(symbols: Symbols, dictionary: Any, what: str) -> None:
    """Refuse a text in which padding stands as a word: the model would take it for the end."""
    padded = np.flatnonzero(symbols.ids == dictionary.pad())
    if len(padded):
        number = int(np.searchsorted(symbols.offsets, padded[0], side="right"))
        raise UserError(
            f"{what}, sentence {number}, holds the padding token {dictionary.pad_word!r}, which "
            "cannot be a word of a text"
        )


def _segment(session: Session, path: StrPath, dictionary: Any) -> Iterator[Sentence]:
    """The arguments of `Symbols` for a text."""
    bpe = session.build_bpe()
    mark = _mark_of_text(session, bpe is not None)
    if bpe:
        segment = cache(lambda word: tuple(bpe.encode(word).split()))
    for number, raw in enumerate(iter_lines(path, "input"), start=1):
        line = " ".join(raw.split())
        symbols = (bpe.encode(line) if bpe and line else line).split()
        if bpe:
            words = line.split()
            try:
                starts = match_words(words, symbols, mark, segment)
            except UnmatchedWords as error:
                raise UserError(
                    f"{path}, sentence {number}: --bpe changes its words: {error}; normalise the "
                    f"text first: {line!r}"
                ) from error
        else:
            words, starts = join_words(symbols, mark), word_starts(symbols, mark)
        yield [dictionary.index(symbol) for symbol in symbols], words, starts


def _add_target(task: Any, dataset: Any, rows: SymbolRows) -> None:
    """Give a task's dataset for inference a target side, as its splits have one.

    Raises:
        UserError: a task of which it is not known how it would do so.
    """
    from fairseq.data import ListDataset
    from fairseq.tasks.multilingual_translation import MultilingualTranslationTask
    from fairseq.tasks.translation import TranslationTask
    from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask

    _, pairs = open_pairs(dataset)
    target: Any = rows
    if isinstance(task, TranslationMultiSimpleEpochTask):
        _, spec = task.args.langtoks["main"]
        target = task.data_manager.tgt_dataset_tranform_func(
            task.args.source_lang, task.args.target_lang, ListDataset(rows, rows.sizes), spec
        )
    elif not isinstance(task, MultilingualTranslationTask) and (
        type(task).build_dataset_for_inference is not TranslationTask.build_dataset_for_inference
    ):
        raise UserError(
            f"--target-input is not known for the task {type(task).__name__}; binarise the text "
            "and give it as --gen-subset"
        )
    pairs.tgt, pairs.tgt_sizes = target, np.asarray(target.sizes)
    pairs.tgt_dict = task.target_dictionary


def _mark_of_text(session: Session, segmented_here: bool) -> str | None:
    if not segmented_here:
        return subword_mark(session.cfg.common_eval.post_process)
    name = getattr(session.cfg.bpe, "_name", session.cfg.bpe)
    if name not in MARK_OF_BPE:
        raise UserError(
            f"cannot put subwords of --bpe {name} together; known are: {', '.join(MARK_OF_BPE)}"
        )
    return MARK_OF_BPE[name]
