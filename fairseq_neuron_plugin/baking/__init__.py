"""An ablation written into the weights, so that stock fairseq runs it without this plugin."""

from __future__ import annotations

from .bake import Baked, bake

__all__ = ["Baked", "bake"]
