"""Shims that let fairseq run on current torch and numpy; each names its upstream issue."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import numpy as np
import torch

from .errors import UserError


def apply_shims() -> None:
    """Apply every shim that this installation needs; safe to call again.

    - torch >= 2.6 loads with ``weights_only=True`` and refuses `argparse.Namespace`, the one
      global that fairseq checkpoints hold (facebookresearch/fairseq#5603). Allowing that one class
      keeps the safe loader.
    - ``np.compat`` is gone in numpy 2, and ``np.compat.long`` is used by two fairseq datasets.
    """
    torch.serialization.add_safe_globals([argparse.Namespace])
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
