"""The folder that holds a probe: its weights and what was measured."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import (
    StrPath,
    new_folder,
    read_json,
    refuse_existing,
    remove_leftovers,
    write_json,
    write_text,
)
from ..neurons import NeuronSpace
from .elastic_net import ElasticNetProbe

FORMAT = "fairseq-neuron-probe/1"
PICKED = "picked"  # in a signature: what a grid is yet to pick


@dataclass(frozen=True)
class ProbeFolder:
    """A probe read back.

    Attributes:
        weight: float64 ``[labels, neurons]``; intercept: float64 ``[labels]``.
        labels: names of the rows of ``weight``.
        result: the content of ``result.json``: settings, signature, accuracies, tables.
        space: the layers whose neurons are the columns, if known.
        model: SHA-256 of the checkpoint, if known.
    """

    weight: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    result: Mapping[str, Any]
    space: NeuronSpace | None
    model: str | None

    @property
    def signature(self) -> str:
        """One line with every setting that can change the probe."""
        return str(self.result.get("signature", ""))

    def classifier(self) -> ElasticNetProbe:
        """The probe as a fitted scikit-learn classifier."""
        settings = dict(self.result.get("settings", {}))
        # Where it was fitted need not be there any more.
        settings |= {"random_state": settings.get("seed", 0), "device": "cpu"}
        known = ElasticNetProbe().get_params()
        probe = ElasticNetProbe(**{key: settings[key] for key in known if key in settings})
        probe.coef_, probe.intercept_ = self.weight, self.intercept
        probe.classes_ = np.asarray(self.labels)
        probe.n_features_in_ = self.weight.shape[1]
        return probe


def save_probe(
    path: StrPath,
    probe: ElasticNetProbe,
    result: Mapping[str, Any],
    space: NeuronSpace | None = None,
    model: str | None = None,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    documents: Mapping[str, Mapping[str, Any]] | None = None,
    draw: Callable[[Path], None] | None = None,
) -> None:
    """Write a fitted probe; the folder is complete or absent.

    Args:
        path: a free or empty folder.
        probe: fitted on labels that are strings.
        result: what goes into ``result.json``.
        space: the layers whose neurons are the columns.
        model: SHA-256 of the checkpoint.
        tables: CSV files by name, each a list of rows with the same keys.
        documents: JSON files by name.
        draw: puts pictures into the folder that it is given.

    Raises:
        UserError: the folder holds another run, or cannot be written.
    """
    content = {
        "format": FORMAT,
        "layers": space.to_json() if space else None,
        "model": model,
        **result,
    }
    with new_folder(path, "probe folder") as folder:
        np.savez(
            folder / "probe.npz",
            weight=probe.coef_,
            intercept=probe.intercept_,
            labels=np.asarray(probe.classes_, dtype=np.str_),
        )
        for name, rows in (tables or {}).items():
            write_text(folder / name, _csv(rows))
        for name, document in (documents or {}).items():
            write_json(folder / name, document)
        if draw is not None:
            draw(folder)
        write_json(folder / "result.json", content)


def load_probe(path: StrPath) -> ProbeFolder:
    """Read a probe folder.

    Raises:
        UserError: missing, no probe, or damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"probe folder not found: {folder}")
    result = read_json(folder / "result.json", "probe result")
    if result.get("format") != FORMAT:
        raise UserError(f"{folder} is not a probe folder ({FORMAT})")
    try:
        with np.load(folder / "probe.npz", allow_pickle=False) as stored:
            weight, intercept = stored["weight"], stored["intercept"]
            labels = tuple(str(label) for label in stored["labels"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read {folder / 'probe.npz'}: {error}") from error
    layers = result.get("layers")
    space = NeuronSpace.from_json(layers) if layers else None
    expected = (len(labels), space.size if space else weight.shape[-1])
    if weight.shape != expected or intercept.shape != expected[:1]:
        raise UserError(f"probe {folder} is damaged: weights {weight.shape}, expected {expected}")
    return ProbeFolder(weight, intercept, labels, result, space, result.get("model"))


def finished_probe(path: StrPath, signature: str) -> ProbeFolder | None:
    """The probe that a run with the same settings has left in a folder, None if there is none.

    What a killed run has left beside the folder is removed.

    Args:
        path: the folder.
        signature: of the run; an entry ``picked`` in it fits any value.

    Raises:
        UserError: the folder holds another run, or something else; it says what differs.
    """
    folder = Path(path)
    remove_leftovers(folder.parent, folder.name)
    if not (folder / "result.json").exists():
        refuse_existing(folder, "probe folder")
        return None
    found = load_probe(folder)
    theirs, ours = _entries(found.signature), _entries(signature)
    for key in [*ours, *theirs]:
        here, given = theirs.get(key, "not set"), ours.get(key, "not set")
        if given not in (here, PICKED):
            raise UserError(
                f"{folder} holds another run: its {key} is {here}, this one's is {given}; choose "
                "another folder or remove it"
            )
    return found


def _entries(signature: str) -> dict[str, str]:
    pairs = (entry.partition(":") for entry in signature.split("|"))
    return {key: value for key, _, value in pairs}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
