"""The source side of a corpus: what the model is given, and the words it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import UserError
from .files import StrPath, read_lines
from .loading import Session
from .signature import short_hash
from .subwords import MARK_OF_BPE, join_words, subword_mark, word_starts

END = "</s>"


@dataclass(frozen=True)
class Corpus:
    """Sentences ready for the encoder.

    Attributes:
        dataset: a fairseq dataset in corpus order; its items have a ``source`` tensor that ends
            with the end-of-sentence symbol.
        words: the words of each sentence, without the end of the sentence.
        starts: for each sentence the index of each word's first symbol.
        origin: which corpus this is, for the signature.
    """

    dataset: Any
    words: Sequence[Sequence[str]]
    starts: Sequence[Sequence[int]]
    origin: str

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def lengths(self) -> list[int]:
        """Symbols of each sentence, its end included."""
        return [len(self.dataset[i]["source"]) for i in range(len(self))]


def read_split(session: Session, split: str) -> Corpus:
    """A binarised split of the data folder.

    Words that were not in the dictionary when it was binarised are ``<unk>`` for good.
    """
    dataset = session.load_split(split)
    dictionary = session.task.source_dictionary
    mark = subword_mark(session.cfg.common_eval.post_process)
    words, starts, read = [], [], []
    for number in range(len(dataset)):
        read.append(dataset[number]["source"].tolist())
        symbols = [dictionary[i] for i in read[-1]]
        if symbols and symbols[-1] == END:
            symbols.pop()
        words.append(join_words(symbols, mark))
        starts.append(word_starts(symbols, mark))
    return Corpus(dataset, words, starts, f"split={split},data={_digest(words, read)}")


def read_text(session: Session, path: StrPath) -> Corpus:
    """A text file: a sentence a line, words separated by spaces.

    With ``--bpe`` the words are segmented here. Without it, ``--post-process`` says how subwords
    that are in the file already are marked.

    Raises:
        UserError: no text, or a line whose subwords do not make up its words.
    """
    lines = [" ".join(line.split()) for line in read_lines(path, "input")]
    bpe = session.build_bpe()
    mark = _mark_of_text(session, bpe is not None)
    dictionary = session.task.source_dictionary
    tokens, words, starts = [], [], []
    for number, line in enumerate(lines, start=1):
        symbols = (bpe.encode(line) if bpe and line else line).split()
        spelt = line.split() if bpe else join_words(symbols, mark)
        begins = word_starts(symbols, mark)
        if len(begins) != len(spelt):
            raise UserError(
                f"{path}, sentence {number}: its {len(spelt)} words became {len(begins)} after "
                f"segmentation: {line!r}"
            )
        encoded = dictionary.encode_line(" ".join(symbols), add_if_not_exist=False, append_eos=True)
        if encoded.eq(dictionary.pad()).any():
            raise UserError(f"{path}, sentence {number} holds the padding symbol: {line!r}")
        tokens.append(encoded.long())
        words.append(spelt)
        starts.append(begins)
    if not any(words):
        raise UserError(f"the input {path} is empty")
    dataset = session.task.build_dataset_for_inference(tokens, [len(t) for t in tokens])
    read = [ids.tolist() for ids in tokens]
    return Corpus(dataset, words, starts, f"text={_digest(words, read)}")


def _mark_of_text(session: Session, segmented_here: bool) -> str | None:
    if not segmented_here:
        return subword_mark(session.cfg.common_eval.post_process)
    name = getattr(session.cfg.bpe, "_name", session.cfg.bpe)
    if name not in MARK_OF_BPE:
        raise UserError(
            f"cannot put subwords of --bpe {name} together; known are: {', '.join(MARK_OF_BPE)}"
        )
    return MARK_OF_BPE[name]


def _digest(words: Sequence[Sequence[str]], read: Sequence[Sequence[int]]) -> str:
    """Of the words and of what the encoder reads for them: dictionaries and segmentation count."""
    text = "\n".join(" ".join(sentence) for sentence in words) + repr(read)
    return short_hash(text)
