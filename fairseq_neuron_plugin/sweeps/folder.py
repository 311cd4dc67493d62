"""The folder of a sweep: every finished point is on disk at once, so a killed run is continued.

``sweep.csv`` and ``sweep.json`` (a row a point), ``sweep.png`` or ``.svg``; ``bootstrap/`` (a
point's scores of the resampled texts, for the tests); of a translation model also ``hypotheses/``
(one file a point) and ``reference.txt``. While the sweep runs its rows are in ``partial.json``,
those of a shard in ``partial.0-of-4.json``: several shards may write to one folder at a time, and
whoever opens it later has the rows of all of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import (
    StrPath,
    atomic_path,
    read_json,
    read_lines,
    remove_leftovers,
    write_json,
    write_text,
)
from .shards import Shard

FORMAT = "fairseq-neuron-sweep/1"
_POINT = ("ranking", "order", "ablated", "share")
_RESULT, _PARTIAL = "sweep.json", re.compile(r"partial(\.\d+-of-\d+)?\.json")
_UNWRITTEN = re.compile(rf"\.{_PARTIAL.pattern}\.partial\d+")  # or just being written
_FOLDERS = ("hypotheses", "bootstrap")


class SweepFolder:
    """Opens or continues a sweep.

    Args:
        path: free, empty, or a sweep with the same settings.
        settings: everything that can change the result; compared when a run is continued.
        columns: of the table, beside those that say which point it is, and the seconds.
        references: written beside the hypotheses; None where the model writes nothing.
        shard: whose rows are to be added; None for a run on its own, which also ends the sweep.

    Attributes:
        rows: the finished points by name.
        baseline: the row of the unablated model, once the sweep is complete.
        complete: whether nothing is left to do.

    Raises:
        UserError: the folder holds another run.
    """

    def __init__(
        self,
        path: StrPath,
        settings: Mapping[str, Any],
        columns: Sequence[str],
        references: Sequence[str] | None,
        shard: Shard | None = None,
    ) -> None:
        self.path = Path(path)
        self.columns = (*_POINT, *columns, "seconds")
        self.settings = dict(settings)
        self.rows: dict[str, dict[str, Any]] = {}
        self.baseline: dict[str, Any] | None = None
        self.complete = False
        self._alone = shard is None
        self._partial = "partial.json"
        if shard is not None:
            self._partial = f"partial.{shard.number}-of-{shard.count}.json"
        self._own: dict[str, dict[str, Any]] = {}  # the rows of this run's file
        self._open()
        if shard is None or shard.number == 0:  # two must not write it at a time
            self._write_lines("reference.txt", references)
        if self.complete and self._alone:
            self._tidy()

    @property
    def added(self) -> Collection[str]:
        """Names of the points that this run, or the same before it was killed, has added."""
        return self._own.keys()

    def hypotheses(self, name: str) -> list[str] | None:
        """The translations of a finished point, if there are any."""
        path = self.path / "hypotheses" / f"{name}.txt"
        return read_lines(path, "hypotheses") if path.parent.exists() else None

    def resampled(self, name: str) -> npt.NDArray[np.float64]:
        """A finished point's scores of the resampled texts, ``[metrics, resamples]``.

        Raises:
            UserError: they are not on disk.
        """
        path = self.path / "bootstrap" / f"{name}.npy"
        try:
            found: npt.NDArray[np.float64] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"cannot read {path}: {error}; remove {self.path}") from error
        return found

    def add(
        self,
        rows: Sequence[Mapping[str, Any]],
        hypotheses: Sequence[str] | None,
        resampled: npt.NDArray[np.float64] | None,
    ) -> None:
        """Put finished points on disk, all of the same intervention.

        Args:
            rows: one a point, with its name.
            hypotheses: of each of them, a line a sentence.
            resampled: scores of the resampled texts, ``[metrics, resamples]``.
        """
        for row in rows:
            self._write_lines(f"hypotheses/{row['name']}.txt", hypotheses)
            if resampled is not None:
                path = self.path / "bootstrap" / f"{row['name']}.npy"
                with atomic_path(path) as partial, open(partial, "wb") as stream:
                    np.save(stream, np.ascontiguousarray(resampled, dtype=np.float64))
        added = {row["name"]: dict(row) for row in rows}
        self.rows.update(added)
        self._own.update(added)
        self._write_partial()

    def finish(
        self,
        rows: Sequence[Mapping[str, Any]],
        baseline: Mapping[str, Any],
        results: Mapping[str, Any],
    ) -> None:
        """Write the table and end the sweep.

        Args:
            rows: in table order.
            baseline: the row of the unablated model.
            results: further entries of ``sweep.json``.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: row[column] for column in self.columns} for row in rows)
        write_text(self.path / "sweep.csv", text.getvalue())
        self._take_result({"baseline": dict(baseline), "rows": [dict(row) for row in rows]})
        content = {"format": FORMAT, **results, "settings": self.settings}
        result = {**content, "baseline": self.baseline, "rows": list(self.rows.values())}
        write_json(self.path / _RESULT, result)
        self._tidy()

    def _open(self) -> None:
        """Read what there is, by one listing: others may write at the same time."""
        try:
            names = sorted(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            names = []
        except NotADirectoryError as error:
            raise UserError(f"{self.path} is no folder; choose another") from error
        except OSError as error:
            raise UserError(f"cannot open {self.path}: {error.strerror or error}") from error
        if _RESULT in names:
            self._take_result(self._read(_RESULT))
            return
        partial = [name for name in names if _PARTIAL.fullmatch(name)]
        if not partial and any(not _UNWRITTEN.fullmatch(name) for name in names):
            raise UserError(f"{self.path} exists and holds no sweep; choose another folder")
        for name in partial:
            rows = {row["name"]: row for row in self._read(name)["rows"]}
            self.rows = {**rows, **self.rows}
            if name == self._partial:
                self._own = rows
        if self._partial not in partial:
            self._write_partial()

    def _read(self, name: str) -> dict[str, Any]:
        content = read_json(self.path / name, "sweep")
        found = content.get("settings", {})
        for key in [*self.settings, *found]:
            if found.get(key) != self.settings.get(key):
                raise UserError(
                    f"{self.path} holds another run: its {key} is {found.get(key)!r}, this one's "
                    f"is {self.settings.get(key)!r}; choose another folder or remove it"
                )
        return content

    def _take_result(self, content: Mapping[str, Any]) -> None:
        self.rows = {row["name"]: row for row in content["rows"]}
        self.baseline = content.get("baseline")
        self.complete = True

    def _tidy(self) -> None:
        """Remove what is not of a complete sweep.

        Not before: what looks left over by a killed run may be what another shard is writing.
        """
        for path in self.path.iterdir():
            if _PARTIAL.fullmatch(path.name):
                path.unlink(missing_ok=True)
        for folder in (self.path, *(self.path / name for name in _FOLDERS)):
            remove_leftovers(folder)

    def _write_partial(self) -> None:
        content = {"format": FORMAT, "settings": self.settings, "rows": list(self._own.values())}
        write_json(self.path / self._partial, content)

    def _write_lines(self, name: str, lines: Sequence[str] | None) -> None:
        if lines is not None:
            write_text(self.path / name, "".join(f"{line}\n" for line in lines))
