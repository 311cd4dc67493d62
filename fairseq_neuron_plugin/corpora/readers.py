"""How sentences become what a model reads: of translation models by fairseq's own datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import UserError
from .corpus import Batch
from .symbols import Symbols, places


class PairReader:
    """Batches of a translation model, by the collater of the task's dataset.

    So language tokens, padding and order are as in training and generation.

    Args:
        dataset: a `LanguagePairDataset`, or what a task has wrapped around one; see `open_pairs`.
        side: ``source`` or ``target``.
        pad: the padding symbol.
        end: the end of a target sentence.

    Raises:
        UserError: the target side is asked for, and there is none.
    """

    def __init__(self, dataset: Any, side: str, pad: int, end: int) -> None:
        self.collater, self.pairs = open_pairs(dataset)
        self.side = side
        self.pad = pad
        self.end = end
        self.limited = {"source": np.asarray(self.pairs.src.sizes, dtype=np.int64)}
        if side == "target":
            if self.pairs.tgt is None:
                raise UserError("the corpus has no target side for the decoder to read")
            self.limited["target"] = np.asarray(self.pairs.tgt.sizes, dtype=np.int64)

    def rows(self) -> Any:
        """The dataset of this side's sentences, without language tokens."""
        return text_of(self.pairs.src if self.side == "source" else self.pairs.tgt)

    def batch(self, numbers: Sequence[int], sentence_end: bool) -> Batch:
        """See `Reader`; rows are in the collater's order, longest source first."""
        items = [self.pairs[number] for number in numbers]
        if self.side == "source":
            items = [{**item, "target": None} for item in items]  # need not be collated
        sample = self.collater.collater(items)
        encoder_input = dict(sample["net_input"])
        previous = encoder_input.pop("prev_output_tokens", None)
        tokens = encoder_input["src_tokens"]
        if self.side == "target":
            tokens = _to_the_left(previous, self.pad, self.end if sentence_end else None)
        return Batch(sample["id"].numpy(), tokens, encoder_input)


class SourceReader:
    """Batches of the source side where the encoder reads the text and its end, nothing else.

    The same batches as `PairReader`'s, without work sentence by sentence.

    Args:
        symbols: the sentences.
        pad: the padding symbol.
        end: the end of a sentence.
        left_pad: whether padding comes first.
    """

    def __init__(self, symbols: Symbols, pad: int, end: int, left_pad: bool) -> None:
        self.symbols = symbols
        self.pad = pad
        self.end = end
        self.left_pad = left_pad
        self.limited = {"source": symbols.lengths + 1}

    @classmethod
    def instead_of(cls, reader: PairReader, symbols: Symbols) -> SourceReader | None:
        """One that makes the batches of ``reader``; None if its dataset does more than this."""
        from fairseq.data import LanguagePairDataset

        pairs = reader.pairs
        plain = (
            reader.side == "source"
            and reader.collater is pairs
            and type(pairs) is LanguagePairDataset
            and text_of(pairs.src) is pairs.src
            and np.array_equal(reader.limited["source"], symbols.lengths + 1)
            and pairs.src_lang_id is None
            and pairs.tgt_lang_id is None
            and pairs.constraints is None
            and pairs.pad_to_multiple == 1
            and not pairs.append_bos
            and not pairs.remove_eos_from_source
        )
        return cls(symbols, reader.pad, reader.end, pairs.left_pad_source) if plain else None

    def batch(self, numbers: Sequence[int], sentence_end: bool) -> Batch:
        """See `Reader`; longest first, as LSTM encoders want it."""
        lengths = self.symbols.lengths[numbers]
        order = np.argsort(-lengths, kind="stable")
        chosen = np.asarray(numbers, dtype=np.int64)[order]
        tokens = _fill(self.symbols, chosen, [], [self.end], self.pad, self.left_pad)
        read = {"src_tokens": tokens, "src_lengths": torch.from_numpy(lengths[order] + 1)}
        return Batch(chosen, tokens, read)


class TextReader:
    """Batches of a language model: every sentence by itself, after a start symbol.

    Args:
        symbols: the sentences.
        start: what the model reads before a sentence.
        pad: the padding symbol.
        end: the end of a sentence.
    """

    def __init__(self, symbols: Symbols, start: int, pad: int, end: int) -> None:
        self.symbols = symbols
        self.start = start
        self.pad = pad
        self.end = end
        self.limited = {"text": symbols.lengths + 1}

    def batch(self, numbers: Sequence[int], sentence_end: bool) -> Batch:
        """See `Reader`; rows are in the order given."""
        chosen = np.asarray(numbers, dtype=np.int64)
        after = [self.end] if sentence_end else []
        return Batch(
            chosen, _fill(self.symbols, chosen, [self.start], after, self.pad, False), None
        )


def _fill(
    symbols: Symbols,
    numbers: npt.NDArray[np.int64],
    before: Sequence[int],
    after: Sequence[int],
    pad: int,
    left_pad: bool,
) -> Tensor:
    """Sentences between the same symbols, padded: ``[rows, length]``."""
    lengths = symbols.lengths[numbers]
    read = lengths + len(before) + len(after)
    tokens = np.full((len(numbers), int(read.max())), pad, dtype=np.int64)
    begin = tokens.shape[1] - read if left_pad else np.zeros_like(read)
    row, within = places(lengths)
    text = symbols.ids[symbols.offsets[numbers][row] + within]
    tokens[row, begin[row] + len(before) + within] = text
    rows = np.arange(len(numbers))
    for place, symbol in enumerate(before):
        tokens[rows, begin + place] = symbol
    for place, symbol in enumerate(after):
        tokens[rows, begin + len(before) + lengths + place] = symbol
    return torch.from_numpy(tokens)


def open_pairs(dataset: Any) -> tuple[Any, Any]:
    """What collates and the `LanguagePairDataset` inside, in corpus order.

    Raises:
        UserError: a dataset of another kind, or one that mixes languages.
    """
    from fairseq.data import (
        ConcatDataset,
        LanguagePairDataset,
        RoundRobinZipDatasets,
        SampledMultiDataset,
        TransformEosLangPairDataset,
    )

    if isinstance(dataset, RoundRobinZipDatasets):
        dataset = dataset.datasets.get(dataset.eval_key)
    elif isinstance(dataset, SampledMultiDataset | ConcatDataset):
        parts = dataset.datasets
        dataset = parts[0] if len(parts) == 1 else None
    if dataset is None:
        raise UserError("one direction at a time: give --source-lang and --target-lang")
    pairs = dataset.dataset if isinstance(dataset, TransformEosLangPairDataset) else dataset
    if not isinstance(pairs, LanguagePairDataset):
        raise UserError(
            f"this plugin reads pairs of sentences and from language models; the task "
            f"gives a {type(pairs).__name__}"
        )
    return dataset, pairs


def text_of(rows: Any) -> Any:
    """The dataset of sentences below those that put symbols before or after them."""
    from fairseq.data import AppendTokenDataset, PrependTokenDataset

    while isinstance(rows, AppendTokenDataset | PrependTokenDataset):
        rows = rows.dataset
    return rows


def _to_the_left(tokens: Tensor, pad: int, end: int | None) -> Tensor:
    """The same rows with all padding on the right, and with one more symbol each if given.

    A causal model's states do not depend on what comes later, padding or end.
    """
    is_symbol = tokens.ne(pad)
    lengths = is_symbol.sum(dim=1)
    width = int(lengths.max()) + (end is not None)
    moved = tokens.new_full((len(tokens), width), pad)
    moved[torch.arange(width) < lengths.unsqueeze(1)] = tokens[is_symbol]
    if end is not None:
        moved[torch.arange(len(tokens)), lengths] = end
    return moved
