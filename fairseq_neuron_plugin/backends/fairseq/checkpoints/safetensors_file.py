"""Read the weights of a fairseq model from safetensors, and its settings from JSON beside them."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ....errors import UserError
from ....files import StrPath, read_text

SUFFIX = ".safetensors"
_SETTINGS = ("config.json", "args.json", "cfg.json")
_OF_SEVERAL = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")


def read_safetensors(path: StrPath, settings: StrPath | None = None) -> dict[str, Any]:
    """Read a model as the state of a fairseq checkpoint that has weights and settings alone.

    Args:
        path: the file; one of ``NAME-00001-of-0000N.safetensors`` stands for all of them.
        settings: JSON with the settings; None means `find_settings`.

    Returns:
        ``model``, and ``args`` (a `Namespace` or None) and ``cfg`` (nested dictionaries or None).

    Raises:
        UserError: a file is missing or damaged, or holds something else.
    """
    weights: dict[str, Tensor] = {}
    ties: dict[str, str] = {}
    for file in _files(Path(path)):
        part, names = _read_file(file)
        for name in sorted(part.keys() & weights.keys()):
            raise UserError(f"{file}: {name} is in another part too")
        weights |= part
        ties |= names
    # What safetensors leaves out because it shares memory with another weight.
    for name, kept in ties.items():
        if kept in weights:
            weights.setdefault(name, weights[kept])
    return {**read_json_settings(settings or find_settings(path)), "model": weights}


def find_settings(path: StrPath) -> Path:
    """Find the JSON file with the settings, in the folder of the weights.

    Raises:
        UserError: there is none.
    """
    folder = Path(path).parent
    for name in (Path(path).with_suffix(".json").name, *_SETTINGS):
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"no {' or '.join(_SETTINGS[:2])} beside {path}; give the model's settings with --config"
    )


def read_json_settings(path: StrPath) -> dict[str, Any]:
    """Read the settings of a fairseq model from JSON.

    Args:
        path: an object that is, or whose ``args`` or ``cfg`` is, what a checkpoint holds under
            that name.

    Returns:
        ``args`` (a `Namespace`) and ``cfg`` (nested dictionaries), one of them None.

    Raises:
        UserError: it is not that.
    """
    try:
        value = json.loads(read_text(path, "configuration"), object_hook=_checked)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"configuration {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"configuration {path} is not a JSON object")
    given: Mapping[str, Any] = value
    for name in ("args", "cfg"):
        if isinstance(value.get(name), dict):
            given = value[name]
    if isinstance(given.get("model"), dict) and isinstance(given.get("task"), dict):
        return {"args": None, "cfg": dict(given)}
    if isinstance(given.get("arch"), str):
        return {"args": Namespace(**given), "cfg": None}
    if "model_type" in given or "architectures" in given:
        raise UserError(f"configuration {path} is of a Hugging Face model, not of a fairseq model")
    raise UserError(
        f"configuration {path} is not of a fairseq model: it has neither an 'arch' nor a 'model' "
        "and a 'task'"
    )


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """Refuse names that mean something else than a setting, as attributes of a Namespace."""
    for name in settings:
        if name.startswith("__"):
            raise UserError(f"the configuration has a setting {name}: not supported")
    return settings


def _files(path: Path) -> list[Path]:
    part = _OF_SEVERAL.fullmatch(path.name)
    if part is None:
        return [path]
    count = int(part[3])
    if not 0 < count <= 10_000:
        raise UserError(f"{path} is not one of at most 10000 files")
    return [
        path.with_name(f"{part[1]}-{number:05}-of-{part[3]}{SUFFIX}")
        for number in range(1, count + 1)
    ]


def _read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights by name, and what the file says of weights that were left out."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise UserError(
            "safetensors is not installed; get it with: pip install fairseq_neuron_plugin[import]"
        ) from error
    if not path.is_file():
        raise UserError(f"checkpoint not found: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"checkpoint {path} is damaged or not safetensors: {error}") from error
    return weights, metadata
