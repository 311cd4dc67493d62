"""Join the parts of a checkpoint that was saved in several files, where that is exact.

Three kinds are joined. FSDP saves one file per process: flat parameters cut into equal pieces, and
metadata that says what is where (``consolidate_shard_weights`` of fairscale). Model parallelism
saves one file per device: some matrices cut along their rows or columns, the rest repeated
(fairseq/model_parallel, after Megatron-LM). Parts without metadata may also hold different weights
each. Anything else is refused.
"""

from __future__ import annotations

import math
import re
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ....errors import UserError
from ....files import StrPath
from .plain_data import count, is_weights
from .stock_names import is_model_parallel

_METADATA = ("shard_metadata", "fsdp_metadata")  # metaseq and later forks; fairseq
_UNINITIALISED = "._float_tensor"  # fairseq reads its type alone
# The dimension along which model parallelism cuts a weight; all others are repeated.
_CUT = (
    (re.compile(r".*\.[qkv]_proj\.(weight|bias)"), 0),
    (re.compile(r".*\.fc1\.(weight|bias)"), 0),
    (re.compile(r".*\.(out_proj|fc2)\.weight"), 1),
    (re.compile(r".*\.(embed_tokens|output_projection)\.weight"), 0),
)


def join_parts(states: Sequence[Mapping[str, Any]], paths: Sequence[StrPath]) -> dict[str, Any]:
    """Join what the parts of a checkpoint hold.

    Args:
        states: content of each file, as `read_part` returns it.
        paths: the files, in the same order.

    Returns:
        The state of the whole; everything but weights is that of the first part.

    Raises:
        UserError: the parts are of different saves, or cannot be joined exactly.
    """
    metadata = [_metadata(state) for state in states]
    if len(states) == 1 and metadata[0] is None and model_parallel_size(states[0]) == 1:
        return dict(states[0])
    updates = {_num_updates(state) for state in states}
    if len(updates) > 1:
        counts = ", ".join(map(str, sorted(updates)))
        raise UserError(
            f"the parts of {paths[0]} are of different saves: after {counts} updates; "
            "keep those of one save"
        )
    joined = {name: value for name, value in states[0].items() if name not in _METADATA}
    join = _joiner(states, metadata, paths)
    joined["model"] = join([state["model"] for state in states])
    extra = [state.get("extra_state") or {} for state in states]
    averages: list[Any] = [one.get("ema") for one in extra]
    joined["extra_state"] = {
        name: value for name, value in extra[0].items() if name not in ("ema", "ema_fp32_params")
    }
    if all(map(is_weights, averages)):
        joined["extra_state"]["ema"] = join(averages)
    return joined


def _joiner(
    states: Sequence[Mapping[str, Any]],
    metadata: Sequence[Mapping[str, Any] | None],
    paths: Sequence[StrPath],
) -> Callable[[Sequence[Mapping[str, Tensor]]], dict[str, Tensor]]:
    """Choose the way in which these parts are joined."""
    if all(one is not None for one in metadata):
        return lambda weights: join_fsdp(weights, metadata, paths[0])  # type: ignore[arg-type]
    if any(one is not None for one in metadata):
        raise UserError(f"some parts of {paths[0]} have FSDP metadata and some have none")
    if model_parallel_size(states[0]) > 1:
        return lambda weights: join_model_parallel(weights, states[0], paths[0])
    return lambda weights: join_disjoint(weights, paths)


def _metadata(state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name in _METADATA:
        if state.get(name) is not None:
            found: Mapping[str, Any] = state[name]
            return found
    return None


def _num_updates(state: Mapping[str, Any]) -> int:
    history = state.get("optimizer_history")
    last = history[-1] if isinstance(history, list) and history else None
    return count(last.get("num_updates"), 0) if isinstance(last, dict) else 0


def model_parallel_size(state: Mapping[str, Any]) -> int:
    """Number of devices that a model was cut up for; 1 if its architecture is an ordinary one."""
    cfg = state.get("cfg") or {}
    if state.get("args") is not None:
        model = common = _settings(state["args"])
    else:
        model, common = _settings(cfg.get("model")), _settings(cfg.get("common"))
    size = common.get("model_parallel_size")
    cut = is_model_parallel(model.get("arch") or model.get("_name"))
    return size if cut and type(size) is int else 1


def _settings(section: Any) -> Mapping[str, Any]:
    return vars(section) if isinstance(section, Namespace) else (section or {})


def join_fsdp(
    weights: Sequence[Mapping[str, Tensor]], metadata: Sequence[Mapping[str, Any]], path: StrPath
) -> dict[str, Tensor]:
    """Join the shards of fairscale's FSDP.

    Args:
        weights: each shard's state: pieces of flat parameters (1-D), and buffers.
        metadata: each shard's ``fsdp_metadata``.
        path: how errors name the checkpoint.

    Raises:
        UserError: shards are missing, contradict their metadata, or hold different experts.
    """
    try:
        return _join_fsdp(weights, metadata, path)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise UserError(f"the FSDP metadata of {path} is damaged: {error}") from error


def _join_fsdp(
    weights: Sequence[Mapping[str, Tensor]], metadata: Sequence[Mapping[str, Any]], path: StrPath
) -> dict[str, Tensor]:
    joined: dict[str, Tensor] = {}
    used: set[str] = set()
    tied: list[tuple[str, str]] = []
    for number, module in enumerate(metadata[0]["param_metadata"]):
        where = f"{module['fsdp_path']}." if module["fsdp_path"] else ""
        if module.get("no_broadcast_optim_state") and len(weights) > 1:
            raise UserError(
                f"{path}: {where or 'the model'} differs between shards (a mixture of experts); "
                "not supported"
            )
        for name, layout in module["params"].items():
            pieces = [
                _unpadded(
                    shard[where + name],
                    one["param_metadata"][number]["params"][name]["padding"],
                )
                for shard, one in zip(weights, metadata, strict=True)
            ]
            used.add(where + name)
            joined |= _unflatten(torch.cat(pieces), layout, where, path)
        tied += [(where + kept, where + copy) for kept, copy in module.get("shared_param_info", ())]
    for kept, copy in tied:
        joined[copy] = joined[kept]
    for name in metadata[0]["buffer_names"]:
        same = all(_same(shard[name], weights[0][name]) for shard in weights)
        if not same and not name.endswith(_UNINITIALISED):
            raise UserError(f"{path}: the buffer {name} differs between shards; not supported")
        joined[name] = weights[0][name]
        used.add(name)
    for shard in weights:
        unknown = sorted(shard.keys() - used)
        if unknown:
            raise UserError(f"{path}: a shard holds {unknown[0]}, which its metadata does not name")
    return joined


def _unpadded(piece: Tensor, padding: int) -> Tensor:
    piece = piece.reshape(-1)  # it is flat, unless one process had all of it
    if not 0 <= padding <= len(piece):
        raise ValueError(f"{padding} of {len(piece)} values padded")
    return piece[: len(piece) - padding]


def _unflatten(
    flat: Tensor, layout: Mapping[str, Any], where: str, path: StrPath
) -> dict[str, Tensor]:
    """Cut a flat parameter into the weights that it is made of."""
    names, shapes, sizes = layout["names"], layout["shapes"], layout["numels"]
    if [math.prod(shape) for shape in shapes] != list(sizes) or len(names) != len(sizes):
        raise ValueError("shapes and sizes differ")
    if sum(sizes) != len(flat):
        raise UserError(
            f"the shards of {path} hold {len(flat):,} of {sum(sizes):,} values of "
            f"{where}{names[0]} and what follows it: a shard is missing or one too many"
        )
    # Copies: as views, all of them would be saved whole with each.
    return {
        where + name: piece.reshape(tuple(shape)).clone()
        for name, shape, piece in zip(names, shapes, flat.split(list(sizes)), strict=True)
    }


def join_model_parallel(
    weights: Sequence[Mapping[str, Tensor]], state: Mapping[str, Any], path: StrPath
) -> dict[str, Tensor]:
    """Join the parts of fairseq's model parallelism.

    Raises:
        UserError: parts are missing, or differ where they have to be equal.
    """
    size = model_parallel_size(state)
    if size != len(weights):
        raise UserError(f"{path} has {len(weights)} parts, but the model was cut into {size}")
    joined = {}
    for name in _common_names(weights, path):
        pieces = [part[name] for part in weights]
        along = next((dim for pattern, dim in _CUT if pattern.fullmatch(name)), None)
        if along is not None:
            try:
                joined[name] = torch.cat(pieces, dim=along)
            except (RuntimeError, IndexError) as error:
                raise UserError(f"{path}: the parts of {name} do not fit together") from error
        elif all(_same(piece, pieces[0]) for piece in pieces):
            joined[name] = pieces[0]
        else:
            raise UserError(
                f"{path}: {name} differs between parts, and how it was cut is not known; "
                "not supported"
            )
    return joined


def _common_names(weights: Sequence[Mapping[str, Tensor]], path: StrPath) -> list[str]:
    for part in weights:
        other = sorted(part.keys() ^ weights[0].keys())
        if other:
            raise UserError(f"{path}: {other[0]} is in some parts only")
    return list(weights[0])


def join_disjoint(
    weights: Sequence[Mapping[str, Tensor]], paths: Sequence[StrPath]
) -> dict[str, Tensor]:
    """Join parts that hold different weights each, or equal ones.

    Raises:
        UserError: a weight differs between parts.
    """
    joined: dict[str, Tensor] = {}
    for part, path in zip(weights, paths, strict=True):
        for name, tensor in part.items():
            if not _same(joined.setdefault(name, tensor), tensor):
                raise UserError(
                    f"{path}: {name} differs from that of another part, and there is no metadata "
                    "that says how they belong together; not supported"
                )
    return joined


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool(one.equal(other))
