"""The folder that holds a probe: its weights and what was measured."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import StrPath, new_folder, read_json, write_json, write_text
from ..neurons import NeuronSpace
from .elastic_net import ElasticNetProbe

FORMAT = "fairseq-neuron-probe/1"


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
        settings = self.result.get("settings", {})
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
) -> None:
    """Write a fitted probe; the folder is complete or absent.

    Args:
        path: a free or empty folder.
        probe: fitted on labels that are strings.
        result: what goes into ``result.json``.
        space: the layers whose neurons are the columns.
        model: SHA-256 of the checkpoint.
        tables: CSV files by name, each a list of rows with the same keys.

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


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
