"""From a model and a corpus to an activation store, in corpus order, without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from .activations import ROWS_PER_SHARD, Activations, StoreWriter
from .corpora import END, Corpus
from .errors import UserError
from .files import StrPath, sha256_file
from .interventions import list_layers, tap
from .loading import Session
from .neurons import NeuronSpace, choose_layers
from .signature import format_signature, versions
from .subwords import POOLINGS, pool

DTYPES = ("float32", "float16")


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


def extract(
    session: Session,
    corpus: Corpus,
    output_dir: StrPath,
    settings: ExtractionSettings,
    command: Sequence[str] = (),
    progress: Callable[[int], object] = lambda sentences: None,
) -> Activations:
    """Run the encoder over a corpus and store what its layers put out.

    Sentences of similar length share a batch, within one shard; memory does not depend on the
    length of the corpus. A killed run is continued by the same call.

    Args:
        session: one model, its task and configuration.
        corpus: the sentences.
        output_dir: the store; free, empty, or the same extraction, unfinished.
        settings: layers, pooling, precision.
        command: the command line, for the manifest.
        progress: called with the number of sentences that have been read since the last call.

    Returns:
        The complete store.

    Raises:
        UserError: more than one model, a sentence longer than the model can read, no word at all,
            or a folder that holds another run.
    """
    if len(session.models) != 1:
        raise UserError("activations are read from one checkpoint, not from an ensemble")
    model = session.models[0]
    _check_lengths(session, corpus)
    space = choose_layers(list_layers(model), settings.layers)
    sentences = [[*words, END] if settings.sentence_end else list(words) for words in corpus.words]
    writer = StoreWriter(
        output_dir,
        sentences,
        space,
        settings.dtype,
        _manifest(session, corpus, settings, space, command),
        settings.rows_per_shard,
    )
    done = len(corpus) - sum(last - first for _, first, last in writer.missing())
    progress(done)
    for shard, first, last in writer.missing():
        start = writer.offsets[first]
        rows = np.empty((int(writer.offsets[last] - start), space.size), dtype=np.float32)
        for numbers in _batches(corpus.lengths, first, last, settings.max_tokens):
            for number, values in _read_batch(session, model, space, corpus, numbers, settings):
                begin = int(writer.offsets[number] - start)
                rows[begin : begin + len(values)] = values
            progress(len(numbers))
        writer.write(shard, rows)
    writer.finish()
    return Activations(output_dir)


def _read_batch(
    session: Session,
    model: nn.Module,
    space: NeuronSpace,
    corpus: Corpus,
    numbers: list[int],
    settings: ExtractionSettings,
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Sentence number and its rows ``[words, neurons]``, for each sentence of a batch."""
    dataset: Any = corpus.dataset
    sample = session.to_device(dataset.collater([dataset[number] for number in numbers]))
    net_input = {k: v for k, v in sample["net_input"].items() if k != "prev_output_tokens"}
    with torch.no_grad(), tap(model, ",".join(layer.name for layer in space.layers)) as layers:
        model.encoder(**net_input)  # type: ignore[operator]
        outputs = torch.cat([layers[layer.name] for layer in space.layers], dim=2)
    values = outputs.float().cpu().numpy()
    is_symbol = net_input["src_tokens"].ne(session.task.source_dictionary.pad()).cpu().numpy()
    # The collater sorts by length: sample["id"] says which sentence each row is.
    for row, number in enumerate(sample["id"].tolist()):
        symbols = values[row][is_symbol[row]]
        words = pool(symbols[:-1], corpus.starts[number], settings.pooling)
        yield number, np.concatenate([words, symbols[-1:]]) if settings.sentence_end else words


def _batches(lengths: Sequence[int], first: int, last: int, max_tokens: int) -> Iterator[list[int]]:
    """Sentences ``first`` to ``last - 1``, longest first, in batches of at most ``max_tokens``."""
    batch: list[int] = []
    for number in sorted(range(first, last), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _check_lengths(session: Session, corpus: Corpus) -> None:
    from fairseq import utils

    model_limit = getattr(session.models[0], "max_positions", lambda: None)()
    limits = utils.resolve_max_positions(session.task.max_positions(), model_limit)
    limit = limits[0] if isinstance(limits, tuple) else limits
    for number, length in enumerate(corpus.lengths, start=1):
        if length > limit:
            raise UserError(
                f"sentence {number} has {length} symbols, the model reads at most {limit:g} "
                "(--max-source-positions)"
            )


def _manifest(
    session: Session,
    corpus: Corpus,
    settings: ExtractionSettings,
    space: NeuronSpace,
    command: Sequence[str],
) -> dict[str, Any]:
    sha256 = sha256_file(session.paths[0])
    post_process = session.cfg.common_eval.post_process or "none"
    subwords = getattr(session.cfg.bpe, "_name", session.cfg.bpe) or post_process
    found = versions("torch", "fairseq", "numpy")
    return {
        "model": {"path": session.paths[0], "sha256": sha256},
        "corpus": corpus.origin,
        "side": "source",
        "pool": settings.pooling,
        "subwords": subwords,
        "sentence_end": settings.sentence_end,
        "max_tokens": settings.max_tokens,
        "versions": found,
        "command": list(command),
        "signature": format_signature(
            {
                "model": sha256[:12],
                "corpus": corpus.origin,
                "layers": ",".join(layer.name for layer in space.layers),
                "pool": settings.pooling,
                "subwords": subwords,
                "end": "yes" if settings.sentence_end else "no",
                "dtype": settings.dtype,
                "batch": settings.max_tokens,
                "precision": "fp16" if session.cfg.common.fp16 else "fp32",
                "overrides": session.cfg.common_eval.model_overrides,
                **found,
            }
        ),
    }
