"""Find and read the files of a checkpoint that was saved in several."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Any

from ....errors import UserError
from ....files import StrPath
from ...torch_file.build import without_stand_ins
from ...torch_file.read import open_torch_file
from ...torch_file.records import Malformed
from .objects import CONVERSIONS
from .plain_data import is_weights
from .read import read_settings

# Of FSDP; of model parallelism, as it is saved and as it is looked for.
_ENDINGS = ("-shard{}.pt", "-model_part-{}.pt", "_part{}.pt")
_OPTIMISER = ("last_optimizer_state", "optimizer")


def find_parts(path: StrPath) -> list[Path]:
    """Find the files that belong to a checkpoint.

    Args:
        path: the checkpoint, one of its parts (``model-shard0.pt``), or the name that its parts
            share (``model.pt``).

    Returns:
        All parts in order; ``path`` alone if it is a checkpoint in one file.

    Raises:
        UserError: a part between the first and the last is missing.
    """
    given = Path(path)
    for ending in _ENDINGS:
        before, after = ending.split("{}")
        part = re.fullmatch(rf"(.+){re.escape(before)}(\d+){re.escape(after)}", given.name)
        if part:
            stem = part[1]
        elif not given.exists() and given.suffix == ".pt":
            stem = given.stem
        else:
            continue
        numbers = _numbers(given.parent, stem, before, after)
        if numbers and (0 in numbers or not part):
            missing = next(number for number in count() if number not in numbers)
            if missing < max(numbers):
                name = given.with_name(f"{stem}{before}{missing}{after}")
                raise UserError(f"checkpoint part not found: {name}")
            return [given.with_name(f"{stem}{before}{number}{after}") for number in sorted(numbers)]
    return [given]


def _numbers(folder: Path, stem: str, before: str, after: str) -> set[int]:
    pattern = re.compile(rf"{re.escape(stem + before)}(0|[1-9]\d*){re.escape(after)}")
    found = (pattern.fullmatch(path.name) for path in folder.glob("*.pt"))
    return {int(match[1]) for match in found if match}


def read_part(path: StrPath) -> dict[str, Any]:
    """Read one part as `read_checkpoint` does, but with the names and pieces that it holds.

    Raises:
        UserError: as `read_checkpoint`.
    """
    state = read_settings(path)
    try:
        with open_torch_file(str(path), CONVERSIONS) as file:
            for name in file:
                if name not in (*state, *_OPTIMISER):
                    state[name], _ = without_stand_ins(file.part(name, *_OPTIMISER))
    except Malformed as error:
        raise UserError(f"checkpoint {path} is damaged or no checkpoint: {error}") from error
    if not is_weights(state["model"]):
        raise UserError(f"checkpoint {path}: model is not a set of weights")
    for name in ("extra_state", "task_state"):
        if not isinstance(state.get(name) or {}, dict):
            raise UserError(f"checkpoint {path}: {name} cannot be read")
    return state
