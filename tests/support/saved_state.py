"""What a checkpoint that a test has made itself holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def saved_state(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint by `torch.load`, which may call what it names."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return state
