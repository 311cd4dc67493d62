"""Checkpoints of other ages and forms, made from one of today."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import torch
from torch.nn.functional import pad

BUFFERS = (".version", "._float_tensor")


def save(state: dict, path: Path) -> Path:
    torch.save(state, path)
    return path


def differences(one, other, where: str = "") -> list[str]:
    """Where two values differ, in type, content or order of keys; empty if nowhere."""
    if type(one) is not type(other):
        return [f"{where}: {type(one).__name__} and {type(other).__name__}"]
    if isinstance(one, Namespace):
        one, other = (dict(sorted(vars(value).items())) for value in (one, other))
    if isinstance(one, dict):
        if list(one) != list(other):
            return [f"{where}: keys {list(one)} and {list(other)}"]
        return [line for key in one for line in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [f"{where}: {len(one)} and {len(other)} values"]
        pairs = enumerate(zip(one, other, strict=True))
        return [line for i, pair in pairs for line in differences(*pair, f"{where}[{i}]")]
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.equal(other)
        return [] if same else [f"{where}: tensors"]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def flat_args(cfg: dict) -> Namespace:
    """The flat settings that a training had: what the section of an argparse model repeats."""
    model = cfg["model"]
    if isinstance(model, Namespace):
        return Namespace(**{name: value for name, value in vars(model).items() if name != "_name"})
    flat: dict = {}
    for section in filter(None, cfg.values()):
        flat |= {name: value for name, value in section.items() if name != "_name"}
    for name in ("task", "criterion", "optimizer", "lr_scheduler", "scoring"):
        flat[name] = cfg[name]["_name"]
    return Namespace(**flat, arch=model["_name"])


def as_args(state: dict) -> dict:
    """As fairseq 0.10 and older."""
    old = {name: value for name, value in state.items() if name not in ("cfg", "task_state")}
    return {**old, "args": flat_args(state["cfg"])}


def as_args_dict(state: dict) -> dict:
    return {**state, "cfg": None, "args": vars(flat_args(state["cfg"]))}


def as_wrapped(state: dict) -> dict:
    """As saved from inside torch's DistributedDataParallel."""
    return {**state, "model": {f"module.{name}": w for name, w in state["model"].items()}}


def as_cfg_and_model(state: dict) -> dict:
    return {name: state[name] for name in ("cfg", "model")}


def fsdp_parts(state: dict, count: int, nested: tuple[str, ...] = ()) -> list[dict]:
    """As trained with ``--ddp-backend fully_sharded --use-sharded-state``.

    Args:
        state: of a whole checkpoint.
        count: of the processes.
        nested: modules that are wrapped by themselves; the rest is in one flat parameter.
    """
    weights = state["model"]
    buffers = [name for name in weights if name.endswith(BUFFERS)]
    parts = [
        {**copy.copy(state), "last_optimizer_state": {"rank": rank}, "model": OrderedDict()}
        for rank in range(count)
    ]
    layouts: list[list[dict]] = [[] for _ in parts]
    taken = set(buffers)
    # The innermost first takes its own; fairscale lists the outermost first.
    for module in (*nested, ""):
        where = f"{module}." if module else ""
        names = [name for name in weights if name.startswith(where) and name not in taken]
        taken |= set(names)
        kept: dict[int, str] = {}
        tied = []
        for name in names:
            first = kept.setdefault(weights[name].data_ptr(), name)
            if first != name:
                tied.append((first.removeprefix(where), name.removeprefix(where)))
        own = list(kept.values())
        chunks = list(torch.cat([weights[name].reshape(-1) for name in own]).chunk(count))
        chunks += [chunks[0].new_empty(0)] * (count - len(chunks))
        for part, layout, chunk in zip(parts, layouts, chunks, strict=True):
            padding = len(chunks[0]) - len(chunk)
            part["model"][f"{where}flat_param_0"] = pad(chunk, [0, padding])
            params = {
                "names": [name.removeprefix(where) for name in own],
                "shapes": [weights[name].shape for name in own],
                "numels": [weights[name].numel() for name in own],
                "padding": padding,
            }
            described = {
                "fsdp_path": module,
                "params": {"flat_param_0": params},
                "no_broadcast_optim_state": False,
                "shared_param_info": tied,
            }
            layout.insert(0, described)
    for part, layout in zip(parts, layouts, strict=True):
        part["model"] |= {name: weights[name] for name in buffers}
        part["fsdp_metadata"] = {"param_metadata": layout, "buffer_names": buffers}
    return parts


def model_parallel_parts(state: dict, count: int, arch: str) -> list[dict]:
    """As trained with ``--model-parallel-size``: matrices cut as Megatron-LM cuts them."""
    args = flat_args(state["cfg"])
    args.arch, args.model_parallel_size = arch, count
    args.criterion = "vocab_parallel_cross_entropy"
    columns = ("q_proj.", "k_proj.", "v_proj.", "fc1.", "embed_tokens.", "output_projection.")
    parts = []
    for rank in range(count):
        weights = {}
        for name, weight in state["model"].items():
            if any(part in name for part in columns):
                weight = weight.chunk(count, dim=0)[rank].clone()
            elif name.endswith(("out_proj.weight", "fc2.weight")):
                weight = weight.chunk(count, dim=1)[rank].clone()
            weights[name] = weight
        parts.append({**state, "cfg": None, "args": args, "model": weights})
    return parts


def save_parts(parts: list[dict], folder: Path, name: str = "model-shard{}.pt") -> list[Path]:
    return [save(part, folder / name.format(number)) for number, part in enumerate(parts)]
