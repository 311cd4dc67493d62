"""Shims that let fairseq run on current torch and numpy; each names its upstream issue."""

from __future__ import annotations

from functools import wraps
from types import SimpleNamespace
from typing import Any

import numpy as np

from .errors import UserError


def apply_shims() -> None:
    """Apply every shim that this installation needs; safe to call again.

    - ``np.compat`` is gone in numpy 2, and ``np.compat.long`` is used by two fairseq datasets.
    """
    if not hasattr(np, "compat"):
        setattr(np, "compat", SimpleNamespace(long=np.int64))  # noqa: B010  (mypy knows no compat)


def require_fairseq() -> None:
    """Import fairseq and apply the shims.

    Raises:
        UserError: fairseq is not installed.
    """
    try:
        import fairseq  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "fairseq":
            raise
        raise UserError(
            "fairseq is not installed; get it with: pip install fairseq_neuron_plugin[fairseq]"
        ) from error
    apply_shims()
    _quiet_empty_splits()


def _quiet_empty_splits() -> None:
    """Let the one error about an empty split stand alone.

    Opening an empty binarised file fails in the constructor of fairseq's dataset, and then again,
    with a traceback, in its ``__del__``, which closes what was never opened.
    """
    from fairseq.data.indexed_dataset import MMapIndexedDataset

    close = MMapIndexedDataset.__dict__.get("__del__")
    if close is None or hasattr(close, "__wrapped__"):
        return

    @wraps(close)
    def close_if_open(self: Any) -> None:
        if "_bin_buffer_mmap" in vars(self):
            close(self)

    MMapIndexedDataset.__del__ = close_if_open
