"""Whose neurons the report is about, and over which text they were read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ..analysis.inputs import unique_names
from ..neurons import NeuronSpace
from .document import Column, Section, Table
from .inputs import Inputs


class ModelNames:
    """Short names of the checkpoints that anything in a report is about.

    Args:
        inputs: of the report.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def of(self, sha256: str | None) -> str:
        """Name of a checkpoint: the end of its path where a store knows it, or of its SHA-256."""
        if sha256 is None:
            return "unknown"
        return self._names.get(sha256, sha256[:12])

    @cached_property
    def all(self) -> dict[str, str]:
        """Name by SHA-256, in the order in which they come up."""
        return {sha256: self.of(sha256) for sha256 in dict.fromkeys(self._hashes())}

    @cached_property
    def _names(self) -> dict[str, str]:
        paths: dict[str, str] = {}
        for store in self._inputs.stores:
            model = store.content.manifest.get("model") or {}
            if model.get("sha256") and model.get("path"):
                paths.setdefault(model["sha256"], model["path"])
        if len({Path(path).absolute() for path in paths.values()}) < len(paths):
            return {}  # a checkpoint has been overwritten since
        names = unique_names(list(paths.values()))
        # "checkpoint_best.pt" says nothing, its folder does.
        folders = [
            path.parent.name if path.name.startswith("checkpoint") else name
            for path, name in zip(map(Path, paths.values()), names, strict=True)
        ]
        return dict(zip(paths, folders if len(set(folders)) == len(names) else names, strict=True))

    def _hashes(self) -> Iterator[str]:
        for store in self._inputs.stores:
            if store.content.model_sha256:
                yield store.content.model_sha256
        for probe in self._inputs.probes:
            if probe.content.model:
                yield probe.content.model
        for ranking in self._inputs.rankings:
            if ranking.content.model:
                yield ranking.content.model


def model_section(inputs: Inputs, models: ModelNames) -> Section | None:
    """Models and activation stores, a row each; nothing if there are only sweeps."""
    parts = []
    if models.all:
        layers = _layers(inputs)
        rows = [(name, sha256[:12], layers.get(sha256)) for sha256, name in models.all.items()]
        columns = (
            Column("model"),
            Column("SHA-256", "code", "beginning of the checkpoint's hash"),
            Column("layers (neurons)"),
        )
        parts.append(Table("Models", columns, tuple(rows)))
    if inputs.stores:
        parts.append(_stores(inputs, models))
    if not parts:
        return None
    return Section(
        "models",
        "Models and data",
        (
            "A neuron is one coordinate of a layer's hidden state. An activation store holds the "
            "value of every neuron for every word of a text.",
        ),
        tuple(parts),
    )


def _layers(inputs: Inputs) -> dict[str, str]:
    """Every layer of a checkpoint, by its hash, that anything is about."""
    found: dict[str, dict[str, None]] = {}
    spaces = [
        *((store.content.model_sha256, store.content.layers) for store in inputs.stores),
        *((probe.content.model, probe.content.space) for probe in inputs.probes),
        *((ranking.content.model, ranking.content.space) for ranking in inputs.rankings),
    ]
    for sha256, space in spaces:
        names = [NeuronSpace((layer,)).describe() for layer in space.layers] if space else []
        found.setdefault(sha256 or "", {}).update(dict.fromkeys(names))
    return {sha256: ", ".join(names) for sha256, names in found.items()}


def _stores(inputs: Inputs, models: ModelNames) -> Table:
    rows = tuple(
        (
            store.name,
            models.of(store.content.model_sha256),
            len(store.content.offsets) - 1,
            len(store.content),
            store.content.layers.size,
            str(store.content.manifest.get("side", "source")),
            str(store.content.manifest.get("dtype", "")),
        )
        for store in inputs.stores
    )
    columns = (
        Column("store"),
        Column("model"),
        Column("sentences", "integer"),
        Column("words", "integer"),
        Column("neurons", "integer"),
        Column("side"),
        Column("numbers", "code"),
    )
    return Table("Activation stores", columns, rows)
