"""Whether two models compute the same, measured on random batches of mixed lengths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

LENGTHS = (19, 13, 13, 8, 5, 3, 2, 1)
BATCHES = 2


def largest_difference(
    model: nn.Module, ablation: AbstractContextManager[Any], baked: nn.Module
) -> float:
    """Compare a live ablation with a baked model, under teacher forcing.

    Args:
        model: the original.
        ablation: `interventions.ablate` of it; entered for its forward passes alone.
        baked: the other model.

    Returns:
        The largest difference between scores of words, as a share of the largest score (both
        without sign); of all directions of a multilingual model. NaN if there is any.
    """
    differences = []
    for batch in range(BATCHES):
        with torch.no_grad(), ablation:
            live = list(_outputs(model, batch))
        with torch.no_grad():
            pairs = zip(live, _outputs(baked, batch), strict=True)
            differences += [(a - b).abs().max() / a.abs().max() for a, b in pairs]
    return float(torch.stack(differences).max())


def _outputs(model: Any, seed: int) -> Iterator[Tensor]:
    """Scores ``[words, vocabulary]`` of a random batch, for each direction."""
    parts = getattr(model, "models", None)  # of fairseq's FairseqMultiModel
    for part in parts.values() if isinstance(parts, nn.ModuleDict) else [model]:
        yield _scores(part, seed)


def _scores(model: Any, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    lengths = [min(length, _shortest_limit(model)) for length in LENGTHS]
    encoder: Any = getattr(model, "encoder", None)
    decoder: Any = getattr(model, "decoder", None)
    side = encoder if decoder is None else decoder
    # A decoder's rows begin with the end of the sentence, as in fairseq.
    words = _sentences(side.dictionary, lengths[seed:] + lengths[:seed], generator, begin=True)
    if decoder is None:
        output = model(words)
    elif encoder is None:
        output = model(words, src_lengths=words.ne(side.dictionary.pad()).sum(1))
    else:
        source = _sentences(encoder.dictionary, lengths, generator, begin=False)
        output = model(source, torch.tensor(lengths), words)
    if getattr(decoder, "adaptive_softmax", None) is not None:
        scores = model.get_normalized_probs(output, log_probs=True)
    else:
        scores = output[0]
    return scores[words.ne(side.dictionary.pad())].float()


def _sentences(
    dictionary: Any, lengths: list[int], generator: torch.Generator, begin: bool
) -> Tensor:
    """Random words ``[batch, length]`` that begin (padding right) or end (left) with ``</s>``."""
    tokens = torch.full((len(lengths), max(lengths)), dictionary.pad())
    first = min(dictionary.nspecial, len(dictionary) - 1)
    for row, length in enumerate(lengths):
        words = torch.randint(first, len(dictionary), (length,), generator=generator)
        words[0 if begin else -1] = dictionary.eos()
        tokens[row, slice(0, length) if begin else slice(-length, None)] = words
    return tokens


def _shortest_limit(model: Any) -> int:
    limits = model.max_positions()
    limits = limits if isinstance(limits, tuple) else (limits,)
    return int(min(limit for limit in (*limits, max(LENGTHS)) if limit is not None))
