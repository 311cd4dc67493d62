"""Write a clean checkpoint out of one of any age, form and number of files."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....errors import UserError
from ....files import StrPath, atomic_path
from ...torch_file.read import open_torch_file
from .convert import left_out, moving_average, todays_state, without_wrapper
from .objects import CONVERSIONS
from .parts import find_parts, read_part
from .read import read_checkpoint
from .safetensors_file import SUFFIX, read_json_settings, read_safetensors
from .settings import vet_settings
from .shards import join_parts, model_parallel_size
from .weights import current_weights


@dataclass(frozen=True)
class Imported:
    """What was read and written.

    Attributes:
        path: the file that was written.
        source: the form of what was read, and which fairseq wrote it.
        task, architecture: stock fairseq's names.
        parameters: number of values in the weights, tied weights counted once.
        left_out: training state that was not carried over.
        emptied: settings that named files, and name none now.
        padded_dictionary: number of entries that each dictionary has to be padded to, None if any
            that the model was trained with will do.
        size: of the file, in bytes.
    """

    path: Path
    source: str
    task: str
    architecture: str
    parameters: int
    left_out: list[str]
    emptied: list[str]
    padded_dictionary: int | None
    size: int


def import_checkpoint(
    path: StrPath,
    output: StrPath,
    *,
    settings: StrPath | None = None,
    ema: bool = False,
    verify: Callable[[Path], object] | None = None,
) -> Imported:
    """Write what a checkpoint holds as fairseq 0.12.3 writes it, without its training state.

    Args:
        path: the checkpoint; one of its parts stands for all of them.
        output: the file to write; it is replaced if it exists.
        settings: JSON with the configuration, instead of that of the checkpoint.
        ema: write the moving average of the weights in place of the weights.
        verify: called with the new file before it takes its name; what it raises is passed on.

    Raises:
        UserError: the checkpoint cannot be read, joined exactly, or brought to today's format.
    """
    part = Path(f"{str(output)[:-3]}-shard0.pt")
    if part.exists():
        raise UserError(f"fairseq would read {part} in place of {output}; choose another name")
    state, source, emptied, unread = _read(path, settings)
    if ema:
        state["model"] = moving_average(state, path)
    parallel = model_parallel_size(state)
    state["model"] = current_weights(without_wrapper(state["model"]), path)
    written = todays_state(state, path)
    dropped = unread + left_out(state, written, average=not ema)
    _check_finite(written["model"], path)
    written["model"] = _compact(written["model"])
    with atomic_path(output) as partial:
        torch.save(written, partial)
        if verify is not None:
            try:
                verify(partial)
            except UserError as error:
                raise UserError(str(error).replace(str(partial), str(output))) from error
        size = partial.stat().st_size
    return Imported(
        path=Path(output),
        source=source,
        task=_name(written["cfg"]["task"]),
        architecture=_name(written["cfg"]["model"]),
        parameters=_count(written["model"]),
        left_out=dropped,
        emptied=emptied,
        padded_dictionary=_rows(written["model"]) if parallel > 1 else None,
        size=size,
    )


def _read(
    path: StrPath, settings: StrPath | None
) -> tuple[dict[str, Any], str, list[str], list[str]]:
    """The whole checkpoint, its form, settings that were emptied, and state that was not read."""
    emptied: list[str] = []
    unread: list[str] = []
    if Path(path).suffix == SUFFIX:
        state, source = read_safetensors(path, settings), "safetensors"
    else:
        parts = find_parts(path)
        states = [(read_part if len(parts) > 1 else read_checkpoint)(part) for part in parts]
        emptied, unread = _not_read(parts[0], states[0])
        state, source = join_parts(states, parts), _age(states[0])
        if len(parts) > 1:
            source += f", {len(parts)} parts"
        if settings is not None:
            state |= read_json_settings(settings)
    for name in ("args", "cfg"):
        if state.get(name) is not None:
            emptied += vet_settings(state[name], path)
    return state, source, sorted(set(emptied)), unread


def _not_read(path: StrPath, state: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Settings that `read_checkpoint` has emptied, and training state that it has left out."""
    with open_torch_file(str(path), CONVERSIONS) as file:
        saved = [file[name] for name in ("args", "cfg") if name in file]
        # Without what it holds: only whether it is there.
        optimizers = [
            file.part(name, "state", "param_groups")
            for name in ("last_optimizer_state", "optimizer")
            if name in file
        ]
    kept = {**dict(_settings(state.get("args"))), **dict(_settings(state.get("cfg")))}
    emptied = [
        name
        for part in saved
        for name, value in _settings(part)
        if isinstance(value, str) and value and not kept.get(name, value)
    ]
    unread = ["optimizer state"] if any(one is not None for one in optimizers) else []
    return emptied, unread


def _settings(part: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting of a configuration, with its dotted name."""
    settings = vars(part) if isinstance(part, Namespace) else part
    for name, value in settings.items() if isinstance(settings, Mapping) else ():
        yield f"{before}{name}", value
        yield from _settings(value, f"{before}{name}.")


def _age(state: Mapping[str, Any]) -> str:
    """Say which fairseq wrote a checkpoint, as far as its form tells."""
    if state.get("args") is None:
        return "fairseq 0.12" if "ema" in state["cfg"] else "fairseq's main of 2020 and 2021"
    history = state.get("optimizer_history") or [{}]
    extra = state.get("extra_state") or {}
    if not extra and "epoch" not in state:
        return "fairseq 0.10 or older"
    if "num_updates" not in history[-1]:
        return "fairseq 0.3 or older"
    if "train_meters" in extra:
        return "fairseq 0.5 to 0.9"
    return "fairseq 0.10" if "metrics" in extra else "fairseq 0.4"


def _check_finite(weights: Mapping[str, Tensor], path: StrPath) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"checkpoint {path}: {name} holds values that are NaN or infinite")


def _compact(weights: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Copy weights that would drag a larger storage along when they are saved; ties are kept."""
    copies: dict[tuple[object, ...], Tensor] = {}
    return OrderedDict(
        (name, copies.setdefault(_place(tensor), _owning(tensor)))
        for name, tensor in weights.items()
    )


def _owning(tensor: Tensor) -> Tensor:
    storage_bytes = tensor.untyped_storage().nbytes()
    return tensor if storage_bytes == tensor.numel() * tensor.element_size() else tensor.clone()


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Equal for weights that are one and the same."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _count(weights: Mapping[str, Tensor]) -> int:
    """Number of values; tied weights count once, and what is no weight does not."""
    places = {
        _place(tensor): tensor.numel()
        for name, tensor in weights.items()
        if not name.endswith((".version", "._float_tensor"))
    }
    return sum(places.values())


def _name(section: Any) -> str:
    settings = vars(section) if isinstance(section, Namespace) else (section or {})
    return str(settings.get("_name"))


def _rows(weights: Mapping[str, Tensor]) -> int | None:
    """Entries of the dictionary that an embedding was padded for."""
    rows = [len(weights[name]) for name in weights if name.endswith(".embed_tokens.weight")]
    return max(rows, default=None)
