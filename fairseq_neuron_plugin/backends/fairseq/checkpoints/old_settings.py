"""Settings of old versions of fairseq that today's reads otherwise and does not upgrade."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from torch import Tensor

PADDING = 1  # place of the padding symbol in every dictionary of fairseq
# Today's code reads these without a default, and older versions had no such flag.
_LATER = {
    "multilingual_translation": {"encoder_langtok": None, "decoder_langtok": False},
}


def upgrade_args(args: MutableMapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Upgrade the flat settings of a checkpoint, in place; those of today stay as they are.

    Args:
        args: flat settings, as fairseq saved them until 0.10.
        weights: of the model.
    """
    if "sample_break_mode" in args and args["sample_break_mode"] is None:
        args["sample_break_mode"] = "none"  # until 0.7
    attention = args.get("decoder_attention")
    if isinstance(attention, bool):
        args["decoder_attention"] = str(attention)  # 0.4; today's takes True for False
    for name, value in _LATER.get(args.get("task", ""), {}).items():
        args.setdefault(name, value)
    for side, limit in (("encoder", "max_source_positions"), ("decoder", "max_target_positions")):
        table = weights.get(f"{side}.embed_positions.weight")
        if args.get(f"{side}_learned_pos") and table is not None and len(table) == args.get(limit):
            args[limit] = len(table) - PADDING - 1  # 0.5: the limit was the size of the table
