"""Give the weights of other versions of fairseq the names that today's loads.

`KEY_CHANGES` lists what was renamed, added or dropped since fairseq 0.4, of Transformers, LSTMs and
convolutional models; what fairseq upgrades by itself, as it loads a model, is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....errors import UserError
from ....files import StrPath

Weights = dict[str, Tensor]
Matches = Mapping[str, "re.Match[str]"]

_LAYER = r"(?P<layer>(?:.+\.)?encoder\.layers\.\d+)"
_DECODER = r"(?P<decoder>(?:.+\.)?decoder)"


@dataclass(frozen=True)
class KeyChange:
    """Names of weights that other versions of fairseq write otherwise than today's.

    Attributes:
        name: of the change.
        keys: a regular expression that such names match as a whole.
        written: the versions that write them.
        done: what becomes of them.
        change: does it: takes the weights, which it changes, the keys that match, and the path for
            errors. None: fairseq does it when it loads the model.
    """

    name: str
    keys: str
    written: str
    done: str
    change: Callable[[Weights, Matches, StrPath], None] | None = None

    @property
    def by(self) -> str:
        """Who does it: ``fairseq`` or ``plugin``."""
        return "fairseq" if self.change is None else "plugin"

    def matches(self, weights: Mapping[str, Tensor]) -> dict[str, re.Match[str]]:
        """The keys that were renamed, added or dropped."""
        pattern = re.compile(self.keys)
        found = ((key, pattern.fullmatch(key)) for key in weights)
        return {key: match for key, match in found if match}


def current_weights(weights: Mapping[str, Tensor], path: StrPath) -> Weights:
    """Give the weights of a checkpoint of any version of fairseq their names of today.

    Args:
        weights: parameters and buffers by name, as they are in the file.
        path: of the checkpoint, for errors.

    Returns:
        What today's ``load_state_dict`` takes. Tensors that keep their values are the same ones.

    Raises:
        UserError: they contradict each other, or are of a version that cannot be read.
    """
    current = dict(weights)
    for change in KEY_CHANGES:
        matches = change.matches(current)
        if matches and change.change is not None:
            change.change(current, matches, path)
    return current


def _unwrap(weights: Weights, matches: Matches, path: StrPath) -> None:
    if len(matches) < len(weights):
        return
    inner = {match["inner"]: weights[key] for key, match in matches.items()}
    weights.clear()
    weights.update(inner)


def _drop_copies(weights: Weights, matches: Matches, path: StrPath) -> None:
    """Drop copies that are zero after training, or as old as the last restart of the training."""
    for key, match in matches.items():
        layer, part, kind = match["layer"], match["part"], match["kind"]
        originals = {
            "in_proj": [f"{layer}.self_attn.{name}_proj.{kind}" for name in "qkv"],
            "out_proj": [f"{layer}.self_attn.out_proj.{kind}"],
        }.get(part, [f"{layer}.{part}.{kind}"])
        for name in originals:
            if name not in weights:
                raise UserError(f"checkpoint {path}: weight {key} is a copy, and {name} is missing")
        shapes = [list(weights[name].shape) for name in originals]
        rows = sum(shape[0] for shape in shapes if shape)
        if any(list(weights[key].shape) != [rows, *shape[1:]] for shape in shapes):
            raise UserError(
                f"checkpoint {path}: weight {key} has shape {list(weights[key].shape)}, and "
                f"what it is a copy of has {' and '.join(map(str, shapes))}"
            )
        del weights[key]


def _split_projections(weights: Weights, matches: Matches, path: StrPath) -> None:
    for key, match in matches.items():
        weights[f"{match['attention']}.{match['part']}_proj.weight"] = weights.pop(key)
    for attention in dict.fromkeys(match["attention"] for match in matches.values()):
        bias = weights.pop(f"{attention}.in_proj_bias", None)
        if bias is None:
            continue
        if bias.dim() != 1 or len(bias) % 3 or not len(bias):
            shape = list(bias.shape)
            raise UserError(f"checkpoint {path}: weight {attention}.in_proj_bias has shape {shape}")
        for name, part in zip("qkv", bias.chunk(3), strict=True):
            weights[f"{attention}.{name}_proj.bias"] = part


def _keep_last_norm(weights: Weights, matches: Matches, path: StrPath) -> None:
    """Let fairseq not take the layer normalisation after the last layer for one that is unused."""
    for match in matches.values():
        stack = match["stack"]
        version = weights.get(f"{stack}.version")
        if version is None and f"{stack}.embed_tokens.weight" not in weights:
            continue  # a model without versions
        if version is None or (version.is_floating_point() and bool((version < 3).any())):
            weights[f"{stack}.version"] = torch.full((1,), 3.0)


def _rename_lightconv_norms(weights: Weights, matches: Matches, path: StrPath) -> None:
    for key, match in matches.items():
        layer = match["layer"]
        if f"{layer}.linear1.weight" in weights and _lightconv_is_scriptable():
            new = f"{layer}.layer_norm{int(match['index']) + 1}.{match['kind']}"
            weights[new] = weights.pop(key)


def _name_lightconv_output(weights: Weights, matches: Matches, path: StrPath) -> None:
    for match in matches.values():
        decoder = match["decoder"]
        output = f"{decoder}.output_projection.weight"
        adaptive = any(key.startswith(f"{decoder}.adaptive_softmax.") for key in weights)
        if output in weights or adaptive or not _lightconv_is_scriptable():
            continue
        if f"{decoder}.embed_out" in weights:
            weights[output] = weights.pop(f"{decoder}.embed_out")
        elif f"{decoder}.embed_tokens.weight" in weights:
            weights[output] = weights[f"{decoder}.embed_tokens.weight"]


def _add_dynamic_bias(weights: Weights, matches: Matches, path: StrPath) -> None:
    """Add the bias that a dynamic convolution has today, and does not use."""
    for key, match in matches.items():
        bias = f"{match['conv']}.conv_bias"
        known = weights.get(bias)
        if known is None and weights[key].dim() == 2 and _lightconv_is_scriptable():
            weights[bias] = weights[key].new_zeros(1, 1, weights[key].shape[1])
        elif known is not None and not bool(torch.isfinite(known).all()):
            weights[bias] = torch.zeros_like(known)


def _clear(weights: Weights, matches: Matches, path: StrPath) -> None:
    for key in matches:
        weights[key] = weights[key].new_zeros(1)


def _refuse_adaptive_softmax(weights: Weights, matches: Matches, path: StrPath) -> None:
    for match in matches.values():
        if f"{match['softmax']}.version" not in weights:
            raise UserError(
                f"checkpoint {path}: {match['softmax']} is of a fairseq of July 2018, whose "
                "adaptive softmax counts the words otherwise: not supported"
            )


def _refuse_lstm_cells(weights: Weights, matches: Matches, path: StrPath) -> None:
    raise UserError(
        f"checkpoint {path}: {next(iter(matches))} is of an LSTM of fairseq 0.3 or earlier, which "
        "also reads the padding: not supported; fairseq 0.4 and later are"
    )


def _lightconv_is_scriptable() -> bool:
    """Find whether the installed fairseq has the lightweight convolutions of October 2022."""
    try:
        from fairseq.models.lightconv import LightConvEncoderLayer
    except ImportError:
        return True
    return "layer_norm1" in LightConvEncoderLayer.__init__.__code__.co_names


# In the order in which they are applied.
KEY_CHANGES: tuple[KeyChange, ...] = (
    KeyChange(
        "wrapper",
        r"module\.(?P<inner>.+)",
        "any, where a model was saved inside DistributedDataParallel",
        "the prefix is removed if every key has it",
        _unwrap,
    ),
    KeyChange(
        "fast path copies",
        rf"{_LAYER}\.(?P<part>in_proj|out_proj|fc1|fc2)_(?P<kind>weight|bias)",
        "0.12.2; main of 15 June to 1 August 2022",
        "dropped, whatever their values: training never writes them (they are zeros, or what the "
        "weights were when it was last resumed), and 0.12.2 overwrites them as it loads a model",
        _drop_copies,
    ),
    KeyChange(
        "projections of another width",
        r"(?P<attention>.+_attn)\.(?P<part>[qkv])_proj_weight",
        "0.7.0 to 0.8.0, where keys and queries differ in width",
        "renamed to {q,k,v}_proj.weight; in_proj_bias is split into {q,k,v}_proj.bias",
        _split_projections,
    ),
    KeyChange(
        "normalisation after the last layer",
        r"(?P<stack>(?:.+\.)?(?:encoder|decoder))\.layer_norm\.weight",
        "0.6.0 to 0.6.2 (pre-norm decoders); files that lack the buffers called version",
        "version is set to 3: today's fairseq drops the layer normalisation of a decoder of "
        "version 2, or of a stack of no version, without a word",
        _keep_last_norm,
    ),
    KeyChange(
        "layer norms of LightConv",
        rf"{_LAYER}\.layer_norms\.(?P<index>[01])\.(?P<kind>weight|bias)",
        "0.6.1 to 0.12.2, LightConv",
        "renamed to layer_norm1 and layer_norm2 if the installed fairseq is later",
        _rename_lightconv_norms,
    ),
    KeyChange(
        "output layer of LightConv",
        rf"{_DECODER}\.layers\.0\.conv\.(?:weight|weight_linear\.weight)",
        "0.6.1 to 0.12.2, LightConv",
        "embed_out, or shared embeddings, become output_projection.weight if the installed fairseq "
        "is later",
        _name_lightconv_output,
    ),
    KeyChange(
        "bias of dynamic convolutions",
        r"(?P<conv>.+\.conv)\.weight_linear\.weight",
        "0.6.1 to 0.12.2, LightConv (without it); later (uninitialised)",
        "conv_bias, which is not used, is added as zeros if the installed fairseq is later, and "
        "zeros if it holds values that are NaN or infinite",
        _add_dynamic_bias,
    ),
    KeyChange(
        "placeholders",
        r"(?:.+\.)?_float_tensor",
        "0.5.0 to 0.12.2; adaptive softmax with tied weights to this day",
        "zeros: they carry a type and a device, and whatever was in the memory",
        _clear,
    ),
    KeyChange(
        "adaptive softmax without version",
        r"(?P<softmax>(?:.+\.)?adaptive_softmax)\.(?:head|tail)\..+",
        "main of 18 to 26 July 2018",
        "refused; fairseq raises an exception",
        _refuse_adaptive_softmax,
    ),
    KeyChange(
        "encoders of LSTM cells",
        r"(?:.+\.)?encoder\.layers\.\d+\.weight_ih",
        "0.3.0",
        "refused; fairseq reports missing keys",
        _refuse_lstm_cells,
    ),
    KeyChange(
        "numbered layer norms",
        r"(?:.+\.)?(?:encoder|decoder)\.layers\.\d+\.layer_norms\.[012]\.(?:weight|bias)",
        "0.5.0 to 0.6.2 (encoders), 0.5.0 (decoders), Transformer",
        "renamed to self_attn_layer_norm, encoder_attn_layer_norm, final_layer_norm",
    ),
    KeyChange(
        "fused projections",
        r"(?P<attention>.+_attn)\.in_proj_(?:weight|bias)",
        "0.5.0 to 0.8.0",
        "split into q_proj, k_proj and v_proj",
    ),
    KeyChange(
        "sinusoidal positions",
        r"(?:.+\.)?embed_positions\.weights",
        "main until April 2018",
        "dropped: fairseq computes them",
    ),
    KeyChange(
        "output layer of Transformers",
        rf"{_DECODER}\.embed_out",
        "0.5.0 to 0.9.0",
        "renamed to output_projection.weight; where embeddings are shared, the key is added",
    ),
    KeyChange(
        "linearised convolutions",
        r".+\._linearized_weight",
        "to 0.4.0, fconv",
        "dropped: fairseq computes them",
    ),
)
