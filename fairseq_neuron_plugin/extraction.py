"""From a model and a corpus to an activation store, in corpus order, without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .activations import ROWS_PER_SHARD, Activations, StoreWriter
from .corpora import END, Corpus
from .errors import UserError
from .files import StrPath, sha256_file
from .forward import batches_by_length, check_lengths, run_batch
from .interventions import list_layers, tap
from .loading import Session
from .neurons import NeuronSpace, choose_layers
from .packed_sentences import PackedSentences
from .signature import format_signature, versions
from .subwords import POOLINGS, last_subwords, pool

DTYPES = ("float32", "float16")
_BLOCK_BYTES = 32 * 2**20  # of rows in memory at a time


@dataclass(frozen=True)
class ExtractionSettings:
    """What an activation store depends on, besides the model and the corpus.

    Attributes:
        layers: globs, see `choose_layers`.
        pooling: which subword stands for a word: ``last``, ``first`` or the ``mean`` of all.
        dtype: how values are stored.
        sentence_end: also keep the row of the end-of-sentence symbol, as word ``</s>``.
        max_tokens: symbols in a batch, padding included.
        rows_per_shard: see `StoreWriter`.
    """

    layers: str | None = None
    pooling: str = "last"
    dtype: str = "float32"
    sentence_end: bool = False
    max_tokens: int = 4000
    rows_per_shard: int = ROWS_PER_SHARD

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS or self.dtype not in DTYPES:
            raise UserError(f"pooling is one of {POOLINGS}, dtype one of {DTYPES}")


def side_of(model: nn.Module, space: NeuronSpace) -> str:
    """Which side's words the rows of these layers belong to: ``source``, ``target``, ``text``.

    Raises:
        UserError: layers of both sides.
    """
    if not hasattr(model, "encoder"):
        return "text"
    # A multilingual model has models.{pair}.encoder.…
    sides = {
        next((part for part in layer.name.split(".") if part in ("encoder", "decoder")), "")
        for layer in space.layers
    }
    if len(sides) > 1:
        raise UserError(
            "the encoder's rows belong to source words, the decoder's to target words: run twice, "
            "with --layers of one side each"
        )
    return "source" if sides == {"encoder"} else "target"


def extract(
    session: Session,
    corpus: Corpus,
    output_dir: StrPath,
    settings: ExtractionSettings,
    command: Sequence[str] = (),
    progress: Callable[[int], object] = lambda sentences: None,
) -> Activations:
    """Run the model over a corpus and store what its layers put out.

    A decoder is teacher-forced; the row of a word is the state after the decoder has read it.
    Sentences of similar length share a batch, within one block of rows; rows in memory do not
    depend on the length of the corpus. A killed run is continued by the same call.

    Args:
        session: one model, its task and configuration.
        corpus: the sentences of the side that the layers are on.
        output_dir: the store; free, empty, or the same extraction, unfinished.
        settings: layers, pooling, precision.
        command: the command line, for the manifest.
        progress: called with the number of sentences that have been read since the last call.

    Returns:
        The complete store.

    Raises:
        UserError: more than one model, a corpus of another side, a sentence longer than the model
            can read, no word at all, or a folder that holds another run.
    """
    space = check_reading(session, corpus, settings)
    writer = StoreWriter(
        output_dir,
        words_read(corpus, settings),
        space,
        settings.dtype,
        describe_reading(session, corpus, settings, space, command),
        settings.rows_per_shard,
    )
    progress(len(corpus) - sum(last - first for _, first, last in writer.missing()))
    try:
        with tap(session.models[0], settings.layers) as layers:
            reading = Reading(session, corpus, settings, space, layers, writer.offsets)
            for shard, first, last in writer.missing():
                writer.write_blocks(shard, reading.blocks(first, last, progress))
    except UserError:
        writer.discard_empty()  # or it would refuse the same call with the mistake mended
        raise
    writer.finish()
    return Activations(output_dir)


def check_reading(session: Session, corpus: Corpus, settings: ExtractionSettings) -> NeuronSpace:
    """The layers that are to be read, once it is clear that the model can read the corpus.

    Raises:
        UserError: see `extract`.
    """
    if len(session.models) != 1:
        raise UserError("activations are read from one checkpoint, not from an ensemble")
    model = session.models[0]
    space = choose_layers(list_layers(model), settings.layers)
    side = side_of(model, space)
    if corpus.side != side:
        raise UserError(f"these layers read the {side} side, this is a corpus of the {corpus.side}")
    check_lengths(session, corpus, settings.sentence_end)
    return space


def words_read(corpus: Corpus, settings: ExtractionSettings) -> PackedSentences:
    """The words of each sentence, one a row."""
    words = corpus.symbols.words
    return words.ending_with(END) if settings.sentence_end else words


@dataclass(frozen=True)
class Reading:
    """Reads blocks of rows with a tapped model.

    Attributes:
        offsets: int64 ``[sentences + 1]``, the rows of each sentence in the store.
    """

    session: Session
    corpus: Corpus
    settings: ExtractionSettings
    space: NeuronSpace
    layers: tap
    offsets: npt.NDArray[np.int64]

    def blocks(
        self, first: int, last: int, progress: Callable[[int], object]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """The rows of sentences ``first`` to ``last - 1``, ``[rows, neurons]`` at a time.

        A block is overwritten when the one after the next is asked for.
        """
        most = max(1, _BLOCK_BYTES // (4 * self.space.size))
        costs, width = self.corpus.costs, self.space.size
        # Two buffers in turn: one is written while the other is filled. Fresh pages cost time.
        buffers = [np.empty((0, width), np.float32)] * 2
        while first < last:
            end = int(np.searchsorted(self.offsets, self.offsets[first] + most, side="right")) - 1
            end = min(max(end, first + 1), last)
            size = int(self.offsets[end] - self.offsets[first])
            if size > len(buffers[0]):
                buffers[0] = np.empty(
                    (max(size, min(most, int(self.offsets[last]))), width), np.float32
                )
            rows = buffers[0][:size]
            buffers.reverse()
            for numbers in batches_by_length(costs, first, end, self.settings.max_tokens):
                self._read_batch(numbers, rows, int(self.offsets[first]))
                progress(len(numbers))
            if self.session.cfg.common.fp16 and not np.isfinite(rows).all():
                raise UserError(
                    f"sentences {first + 1} to {end}: an activation is not finite in half "
                    "precision; leave out --fp16"
                )
            yield rows
            first = end

    def _read_batch(
        self, numbers: list[int], block: npt.NDArray[np.float32], block_start: int
    ) -> None:
        """Put the rows of some sentences where they belong in a block."""
        batch = self.corpus.reader.batch(numbers, self.settings.sentence_end)
        found = self.corpus.positions(batch)
        with torch.no_grad():
            run_batch(self.session, batch, self.corpus.side)
        begins = self.offsets[batch.numbers] - block_start
        word_starts = np.cumsum(found.words) - found.words
        rows = np.repeat(begins - word_starts, found.words) + np.arange(int(found.words.sum()))
        for layer in self.space.layers:
            start = self.space.offsets[layer.name]
            columns = slice(start, start + layer.width)
            values = self.layers[layer.name].flatten(0, 1)
            block[rows, columns] = _pooled(
                values, found.flat, found.is_start, self.settings.pooling
            )
            if self.settings.sentence_end:
                block[begins + found.words, columns] = _rows(values, found.ends)


def _pooled(
    values: Tensor,
    flat: npt.NDArray[np.int64],
    is_start: npt.NDArray[np.bool_],
    pooling: str,
) -> npt.NDArray[np.float32]:
    """One row a word, ``[words, width]``, out of a layer's ``[batch * length, width]``."""
    if pooling == "mean" and not is_start.all():
        return pool(_rows(values, flat), np.flatnonzero(is_start).tolist(), pooling)
    return _rows(values, flat[is_start if pooling == "first" else last_subwords(is_start)])


def _rows(values: Tensor, where: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    # Chosen where the model is: padding and inner subwords need not leave a GPU.
    chosen = values.index_select(0, torch.from_numpy(where).to(values.device))
    rows: npt.NDArray[np.float32] = chosen.float().cpu().numpy()
    return rows


def describe_reading(
    session: Session,
    corpus: Corpus,
    settings: ExtractionSettings,
    space: NeuronSpace,
    command: Sequence[str],
) -> dict[str, Any]:
    """What goes into the manifest: all that can change the numbers, and what the corpus is like."""
    sha256 = sha256_file(session.paths[0])
    post_process = session.cfg.common_eval.post_process or "none"
    subwords = getattr(session.cfg.bpe, "_name", session.cfg.bpe) or post_process
    found = versions("torch", "fairseq", "numpy")
    unknown_symbols, unknown_words = corpus.count_unknown()
    return {
        "model": {"path": session.paths[0], "sha256": sha256},
        "corpus": corpus.origin,
        "side": corpus.side,
        "reads": corpus.frame,
        "pool": settings.pooling,
        "subwords": subwords,
        "symbols": len(corpus.symbols.ids),
        "unknown_symbols": unknown_symbols,
        "unknown_words": unknown_words,
        "sentence_end": settings.sentence_end,
        "max_tokens": settings.max_tokens,
        "versions": found,
        "command": list(command),
        "signature": format_signature(
            {
                "model": sha256[:12],
                "corpus": corpus.origin,
                "side": corpus.side,
                "reads": corpus.frame,
                "layers": ",".join(layer.name for layer in space.layers),
                "pool": settings.pooling,
                "subwords": subwords,
                "end": "yes" if settings.sentence_end else "no",
                "dtype": settings.dtype,
                "batch": settings.max_tokens,
                "precision": "fp16" if session.cfg.common.fp16 else "fp32",
                "device": "cuda" if session.cuda else "cpu",
                "overrides": session.cfg.common_eval.model_overrides,
                **ablation_settings(session),
                **found,
            }
        ),
    }


def ablation_settings(session: Session) -> dict[str, Any]:
    """The flags of a ``neuron_…`` task that clamps neurons; none otherwise."""
    task = session.cfg.task
    if not getattr(task, "ablate", None):
        return {}
    flags = ("ablate", "ablate_value", "ablate_scope", "ablate_layers", "ablate_acts")
    given = {flag: getattr(task, flag) for flag in flags if getattr(task, flag, None) is not None}
    # The files that the flags name may change; this does with them.
    return {**given, "ablated": session.task.ablation_digest}
