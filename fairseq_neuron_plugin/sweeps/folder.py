"""The folder of a sweep: every finished point is on disk at once, so a killed run is continued.

``sweep.csv`` and ``sweep.json`` (a row a point), ``sweep.png``; of a translation model also
``hypotheses/`` (one file a point) and ``reference.txt``. While the sweep runs its rows are in
``partial.json``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import StrPath, read_json, read_lines, remove_leftovers, write_json, write_text

FORMAT = "fairseq-neuron-sweep/1"
_POINT = ("ranking", "order", "ablated", "share")
_PARTIAL, _RESULT = "partial.json", "sweep.json"


class SweepFolder:
    """Opens or continues a sweep.

    Args:
        path: free, empty, or a sweep with the same settings.
        settings: everything that can change the result; compared when a run is continued.
        columns: of the numbers of each point.
        references: written beside the hypotheses; None where the model writes nothing.

    Attributes:
        rows: the finished points by name.
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
    ) -> None:
        self.path = Path(path)
        self.columns = (*_POINT, *columns, "seconds")
        self.settings = dict(settings)
        self.rows: dict[str, dict[str, Any]] = {}
        self.complete = False
        for name in (_RESULT, _PARTIAL):
            if (self.path / name).exists():
                self._continue(name)
                remove_leftovers(self.path)
                remove_leftovers(self.path / "hypotheses")
                self._write_lines("reference.txt", references)
                return
        remove_leftovers(self.path, _PARTIAL)  # of a run killed before it had written anything
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} exists and holds no sweep; choose another folder")
        self._write_partial()
        self._write_lines("reference.txt", references)

    def hypotheses(self, name: str) -> list[str] | None:
        """The translations of a finished point, if there are any."""
        path = self.path / "hypotheses" / f"{name}.txt"
        return read_lines(path, "hypotheses") if path.parent.exists() else None

    def add(self, name: str, row: Mapping[str, Any], hypotheses: Sequence[str] | None) -> None:
        """Put a finished point on disk."""
        self._write_lines(f"hypotheses/{name}.txt", hypotheses)
        self.rows[name] = dict(row)
        self._write_partial()

    def finish(self, order: Sequence[str], results: Mapping[str, Any]) -> None:
        """Write the table, rows in the given order, and end the sweep."""
        rows = [self.rows[name] for name in order]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: row[column] for column in self.columns} for row in rows)
        write_text(self.path / "sweep.csv", text.getvalue())
        content = {"format": FORMAT, **results, "settings": self.settings, "rows": rows}
        write_json(self.path / _RESULT, content)
        (self.path / _PARTIAL).unlink(missing_ok=True)
        self.complete = True

    def _continue(self, name: str) -> None:
        content = read_json(self.path / name, "sweep")
        found = content.get("settings", {})
        for key in [*self.settings, *found]:
            if found.get(key) != self.settings.get(key):
                raise UserError(
                    f"{self.path} holds another run: its {key} is {found.get(key)!r}, this one's "
                    f"is {self.settings.get(key)!r}; choose another folder or remove it"
                )
        self.rows = {row["name"]: row for row in content["rows"]}
        self.complete = name == _RESULT

    def _write_partial(self) -> None:
        content = {"format": FORMAT, "settings": self.settings, "rows": list(self.rows.values())}
        write_json(self.path / _PARTIAL, content)

    def _write_lines(self, name: str, lines: Sequence[str] | None) -> None:
        if lines is not None:
            write_text(self.path / name, "".join(f"{line}\n" for line in lines))
