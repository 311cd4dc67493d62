"""What a report is made of: stores, probes, rankings and sweeps, found in folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..activations import FORMAT as STORE_FORMAT
from ..activations import Activations
from ..analysis.inputs import unique_names
from ..errors import UserError
from ..files import StrPath, read_json
from ..probing.probe_folder import FORMAT as PROBE_FORMAT
from ..probing.probe_folder import ProbeFolder, load_probe
from ..ranking import FORMAT as RANKING_FORMAT
from ..ranking import Ranking
from ..sweeps.folder import FORMAT as SWEEP_FORMAT

T = TypeVar("T")
_BEGINNING = 4096  # bytes of a file in which its format stands
# The file that makes a folder what it is, and the format that it names.
_FOLDERS = {
    "manifest.json": STORE_FORMAT,
    "result.json": PROBE_FORMAT,
    "sweep.json": SWEEP_FORMAT,
}


@dataclass(frozen=True)
class Named(Generic[T]):
    """Something to report on.

    Attributes:
        name: short, and unique among its kind.
        path: where it was found.
        content: what it is.
    """

    name: str
    path: Path
    content: T


@dataclass(frozen=True)
class Inputs:
    """Everything that was found, each kind in the order of the paths.

    Attributes:
        stores: activation stores.
        probes: probe folders.
        rankings: of neurons.
        sweeps: the content of ``sweep.json`` each.
        notes: what was left out and why, a line each.
    """

    stores: tuple[Named[Activations], ...] = ()
    probes: tuple[Named[ProbeFolder], ...] = ()
    rankings: tuple[Named[Ranking], ...] = ()
    sweeps: tuple[Named[dict[str, Any]], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return sum(map(len, (self.stores, self.probes, self.rankings, self.sweeps)))


def find_inputs(paths: Sequence[StrPath]) -> Inputs:
    """Find all stores, probes, rankings and sweeps that are in folders, at any depth.

    They are known by the format that their files name, never by what they are called. Links to
    folders are not followed below the given paths, and hidden folders not entered.

    Args:
        paths: folders, and files of rankings; each holds something.

    Raises:
        UserError: a path that is not there or holds nothing, or content that is damaged.
    """
    found: dict[str, dict[str, Path]] = {}  # by where it really is, which is one place
    notes: list[str] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path} not found")
        before = sum(map(len, found.values()))
        for kind, place in _search(path, notes):
            where = os.path.realpath(place)
            found.setdefault(kind, {}).setdefault(where, Path(os.path.normpath(place)))
        if sum(map(len, found.values())) == before and not _is_known(path, found):
            raise UserError(
                f"{path} holds no activation store, probe, ranking or sweep that is complete"
            )
    return Inputs(
        stores=_named(found.get(STORE_FORMAT, {}), Activations),
        probes=_named(found.get(PROBE_FORMAT, {}), load_probe),
        rankings=_named(found.get(RANKING_FORMAT, {}), Ranking.load),
        sweeps=_named(found.get(SWEEP_FORMAT, {}), _load_sweep),
        notes=tuple(dict.fromkeys(notes)),
    )


def _search(path: Path, notes: list[str]) -> Iterator[tuple[str, Path]]:
    """Format and place of everything in a folder; unfinished work is noted."""
    if path.is_file():
        if _format_of(path) == RANKING_FORMAT:
            yield RANKING_FORMAT, path
        return
    for folder, inner, files in os.walk(path):
        here = Path(folder)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        own = [
            expected
            for name, expected in _FOLDERS.items()
            if name in files and _format_of(here / name) == expected
        ]
        if own:
            yield own[0], here
            inner.clear()
            continue
        if any(name.startswith("partial") and name.endswith(".json") for name in files):
            notes.append(f"{here} is not finished and left out")
            inner.clear()
            continue
        for name in sorted(files):
            visible = name.endswith(".json") and not name.startswith(".")
            if visible and _format_of(here / name) == RANKING_FORMAT:
                yield RANKING_FORMAT, here / name


def _format_of(path: Path) -> str | None:
    """The format that a JSON file of ours names at its beginning."""
    try:
        with open(path, "rb") as stream:
            beginning = stream.read(_BEGINNING)
    except OSError:
        return None
    for known in (*_FOLDERS.values(), RANKING_FORMAT):
        if f'"format": "{known}"'.encode() in beginning:
            return known
    return None


def _is_known(path: Path, found: dict[str, dict[str, Path]]) -> bool:
    """Whether what is in ``path`` was found by an earlier path already."""
    return any(os.path.realpath(place) in found.get(kind, {}) for kind, place in _search(path, []))


def _named(paths: dict[str, Path], load: Callable[[Path], T]) -> tuple[Named[T], ...]:
    places = list(paths.values())
    names = unique_names(places)
    return tuple(Named(name, place, load(place)) for name, place in zip(names, places, strict=True))


def _load_sweep(path: Path) -> dict[str, Any]:
    content = read_json(path / "sweep.json", "sweep")
    rows = content.get("rows")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"ranking", "order", "ablated", "share"} <= set(row)
        for row in rows
    ):
        raise UserError(f"sweep {path} is damaged: its rows")
    return content
