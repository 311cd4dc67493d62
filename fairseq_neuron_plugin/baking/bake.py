"""From a checkpoint and neurons to a checkpoint in which they are dead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..files import StrPath, atomic_path, read_lines, sha256_file
from ..instruments import Clamp, Instrument, find_instruments
from ..instruments.embeddings import EmbeddingInstrument
from ..instruments.hooked import HookedInstrument
from ..instruments.lstm_decoder import ATTENTION, LSTMDecoderInstrument
from ..instruments.lstm_encoder import LSTMEncoderInstrument
from ..instruments.prefixed import PrefixedInstrument
from ..interventions import Neurons, ablate
from ..loading import load_model, saved_settings
from ..version import __version__
from .check import largest_difference
from .checkpoint import read_state, write_state
from .edits import Edits, Target, format_ranges
from .feed_forward import bake_embedding, bake_point
from .lstm_decoder import bake_attention, bake_decoder_layer
from .lstm_encoder import bake_encoder_layer

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Baked:
    """What was written.

    Attributes:
        path: the checkpoint.
        counts: layer name to the number of baked neurons.
        difference: the largest difference from the live ablation, as a share of the largest score.
        size: of the file, in bytes.
    """

    path: Path
    counts: dict[str, int]
    difference: float
    size: int


def bake(
    path: StrPath,
    model: nn.Module,
    neurons: Neurons,
    output: StrPath,
    value: float | Mapping[str, Tensor] = 0.0,
    scope: str = "recurrent",
    data: StrPath | None = None,
    lang_dict: StrPath | None = None,
) -> Baked:
    """Write a checkpoint that stock fairseq runs as the live ablation runs here.

    The result is loaded as fairseq loads it and compared with the live ablation on random batches
    before it takes its name.

    Args:
        path: the original checkpoint.
        model: what `load_model` made of it; it is left as it is.
        neurons, value, scope: as of `ablate`.
        output: the checkpoint to write; replaced if it exists.
        data: the folder with the dictionaries; None means the one it was trained with.
        lang_dict: list of the languages, of a model that was trained with one; what is written
            holds the list itself.

    Raises:
        UserError: the ablation does not fit the model, cannot be baked exactly, or the check fails;
            nothing is written then.
    """
    ablation = ablate(model, neurons, value, scope)
    if not ablation.counts:
        raise UserError("no neuron is to be baked")
    state = read_state(path)
    if lang_dict is not None:
        lines = map(str.strip, read_lines(lang_dict, "list of languages"))
        cast(Any, saved_settings(state, "task"))["langs"] = [line for line in lines if line]
    weights = bake_weights(model, neurons, value, scope, state["model"])
    with atomic_path(output) as partial:
        write_state(partial, state, weights, _note(path, neurons, value, scope))
        baked, _ = load_model(partial, data)
        difference = largest_difference(model, ablation, baked)
        ablation.check_fired()
        if not difference <= TOLERANCE:
            raise UserError(
                f"the baked model differs from the live ablation by {difference:.1e} of the "
                f"largest score, more than {TOLERANCE:g}; {output} was not written"
            )
        size = partial.stat().st_size
    return Baked(Path(output), ablation.counts, difference, size)


def bake_weights(
    model: nn.Module,
    neurons: Neurons,
    value: float | Mapping[str, Tensor],
    scope: str,
    stored: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The state of a model with neurons dead.

    Args:
        model: a built model; it is left as it is.
        neurons, value, scope: as of `ablate`, which has checked them.
        stored: the state in the checkpoint.

    Raises:
        UserError: no exact way; it says for which neurons, and why.
    """
    edits = Edits(model)
    for name, indices in neurons.items():
        if not len(indices):
            continue
        where = torch.as_tensor(list(indices), dtype=torch.int64)
        if isinstance(value, Mapping):
            values = value[name].to(torch.float32)
        else:
            values = torch.full((len(where),), float(value))
        _bake_layer(edits, model, Target(name, Clamp(where, values, scope)))
    return edits.state_dict(stored)


def _bake_layer(edits: Edits, model: Any, target: Target) -> None:
    instrument, name = _find(model, target.layer)
    number = [layer.name for layer in instrument.layers].index(name)
    if isinstance(instrument, EmbeddingInstrument):
        bake_embedding(edits, instrument.owner, target)
    elif isinstance(instrument, HookedInstrument):
        bake_point(edits, instrument.points[name], target)
    elif isinstance(instrument, LSTMEncoderInstrument):
        bake_encoder_layer(edits, model, number, target)
    elif isinstance(instrument, LSTMDecoderInstrument) and name == ATTENTION:
        bake_attention(edits, instrument.decoder, target)
    elif isinstance(instrument, LSTMDecoderInstrument):
        bake_decoder_layer(edits, instrument.decoder, number, target)
    else:
        target.refuse(target.clamp.indices, "there is no rule for this kind of layer")


def _find(model: nn.Module, layer: str) -> tuple[Instrument, str]:
    """The instrument of a layer, and the layer's name there."""
    for instrument in find_instruments(model):
        if any(layer == other.name for other in instrument.layers):
            if isinstance(instrument, PrefixedInstrument):
                return instrument.inner, layer.removeprefix(instrument.prefix)
            return instrument, layer
    raise AssertionError("unreachable: ablate has checked the layers")


def _note(
    path: StrPath, neurons: Neurons, value: float | Mapping[str, Tensor], scope: str
) -> dict[str, str]:
    """What was baked, in words that any reader of the checkpoint understands."""
    return {
        "neurons": ";".join(f"{name}:{format_ranges(ids)}" for name, ids in neurons.items()),
        "value": "one for each neuron" if isinstance(value, Mapping) else f"{value:g}",
        "scope": scope,
        "checkpoint_sha256": sha256_file(path),
        "fairseq_neuron_plugin": __version__,
    }
