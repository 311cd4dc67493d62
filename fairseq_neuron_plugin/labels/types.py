"""What words and labels are to all modules of this package."""

from __future__ import annotations

from collections.abc import Sequence

Sentences = Sequence[Sequence[str]]
Labels = list[list[str]]

UNKNOWN = "<unk>"
ABSENT = "_"
