"""A claim of the paper, and whether it holds in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOT_ASKED = "not asked"  # the verdict on no case at all


@dataclass(frozen=True)
class Finding:
    """One claim of the paper, and whether it holds here.

    Attributes:
        key: of the section of the page, see published.yaml.
        claim: in a few words.
        verdict: ``yes``, ``no``, ``in part (2 of 3)``, ``undecided``, or ``not asked``.
        figures: what it rests on.
    """

    key: str
    claim: str
    verdict: str
    figures: str


def verdict(cases: Sequence[bool | None]) -> str:
    """``yes`` if all cases hold, ``no`` if none does; None is a case that cannot be told."""
    if not cases:
        return NOT_ASKED
    told = [case for case in cases if case is not None]
    if not told:
        return "undecided"
    held = sum(told)
    unclear = len(cases) - len(told)
    if not unclear and held == len(cases):
        return "yes"
    if not held:
        return f"no ({unclear} of {len(cases)} undecided)" if unclear else "no"
    rest = f", {unclear} undecided" if unclear else ""
    return f"in part ({held} of {len(cases)}{rest})"


def listed(values: dict[str, float], form: str) -> str:
    """``en-de A +1.2, en-de B +0.3``: names with their values, formatted as ``form`` says."""
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())
