"""The folder of an analysis: tables as CSV, everything as JSON, a picture; complete or absent."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import StrPath, new_folder, write_json

Row = Mapping[str, Any]


def save_analysis(
    path: StrPath,
    tables: Mapping[str, Sequence[Row]],
    document: Mapping[str, Any],
    draw: Callable[[Path], None] | None = None,
    formats: Sequence[str] = ("png",),
) -> None:
    """Write what an analysis found.

    Args:
        path: a free or empty folder.
        tables: for ``NAME.csv`` each, rows with the same keys.
        document: content of ``analysis.json``; it holds ``analysis`` (its name) and ``signature``.
        draw: draws the picture to a path that it is given, ``ANALYSIS.png``.
        formats: of the picture: ``png``, ``svg``, or both.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    with new_folder(path, "analysis folder") as folder:
        for name, rows in tables.items():
            _write_csv(folder / f"{name}.csv", rows)
        if draw is not None:
            for kind in formats:
                draw(folder / f"{document['analysis']}.{kind}")
        write_json(folder / "analysis.json", document)


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        if rows:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
