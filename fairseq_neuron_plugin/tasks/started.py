"""From the flags ``--ablate…`` to a running ablation of one model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from fairseq.utils import split_paths
from torch import Tensor, nn

from ..activations import Activations
from ..clamp_values import mean_values, number_or_store
from ..core.quoting import split_unquoted
from ..errors import UserError
from ..files import sha256_file
from ..interventions import Neurons, ablate, list_layers
from ..signature import short_hash
from ..specs import load_spec_ranking, parse_spec
from .flags import AblationConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartedAblation:
    """The ablation of one model, which runs for the life of the process.

    Attributes:
        model: the model whose neurons are clamped.
        ablation: it, entered.
        origins: of each file it came from: what it is, and the SHA-256 of the checkpoint that the
            file was made with.
        largest: the largest magnitude that a neuron is held at.
        digest: hash of what is clamped where at which values: a ranking file or a store that the
            flags name may change.
    """

    model: nn.Module
    ablation: ablate
    origins: Mapping[str, str]
    largest: float
    digest: str

    @classmethod
    def of(cls, model: nn.Module, flags: AblationConfig, number: int) -> StartedAblation:
        """Start the ablation of the ``number``-th model of an ensemble, counted from 0.

        Raises:
            UserError: flags that do not fit each other, the model, or the number of models.
        """
        layers = list_layers(model)
        spec = _part_for(number, split_specs(flags), "--ablate")
        neurons = parse_spec(spec, layers, flags.ablate_layers)
        origins = {}
        ranking = load_spec_ranking(spec)
        if ranking and ranking.model:
            origins[f"the ranking of {spec}"] = ranking.model
        stores = _split_stores(flags)
        store = _part_for(number, stores, "--ablate-acts") if stores else None
        held = number_or_store(flags.ablate_value, store)
        value: float | Mapping[str, Tensor]
        shown = flags.ablate_value
        if isinstance(held, Activations):
            value = mean_values(held, neurons, layers)
            shown += f" over {len(held)} rows of {held.path}"
            if held.model_sha256:
                origins[f"activation store {held.path}"] = held.model_sha256
        else:
            value = held
        ablation = ablate(model, neurons, value, flags.ablate_scope)
        ablation.__enter__()
        values = value.values() if isinstance(value, Mapping) else [torch.tensor([value])]
        largest = max((float(part.abs().max()) for part in values), default=0.0)
        of = f"model {number + 1}: " if number or len(split_specs(flags)) > 1 else ""
        logger.info("%s%s, value %s, scope %s", of, ablation.describe(), shown, ablation.scope)
        return cls(model, ablation, origins, largest, _digest(neurons, value, ablation.scope))

    def check_precision(self) -> None:
        """`UserError` if a value is too large for the model, which is halved after loading."""
        precision = next(p.dtype for p in self.model.parameters() if p.is_floating_point())
        if self.largest > torch.finfo(precision).max:
            raise UserError(f"neurons cannot be held at {self.largest:g} in {precision}")

    def note_other_checkpoints(self, path: str) -> None:
        """Log which of the files were made with another checkpoint than that at ``path``."""
        if not self.origins:
            return
        sha256 = sha256_file(path)
        for what, origin in self.origins.items():
            if origin != sha256:
                logger.warning("%s was made with another checkpoint than %s", what, path)


def check_number_of_models(flags: AblationConfig, models: int) -> None:
    """`UserError` unless there is one spec for all models, or one for each; stores likewise."""
    for flag, parts in (("--ablate", split_specs(flags)), ("--ablate-acts", _split_stores(flags))):
        if len(parts) > 1 and len(parts) != models:
            raise UserError(
                f"{flag} has {len(parts)} parts for {models} model{'s' * (models > 1)}: "
                "give one for all models, or one for each"
            )


def split_specs(flags: AblationConfig) -> list[str]:
    """The parts of ``--ablate``: one for all models of an ensemble, or one for each."""
    return split_unquoted(flags.ablate or "", "|")


def _digest(neurons: Neurons, value: float | Mapping[str, Tensor], scope: str) -> str:
    held = value if isinstance(value, float) else {n: v.tolist() for n, v in value.items()}
    return short_hash(repr((sorted(neurons.items()), held, scope)))


def _split_stores(flags: AblationConfig) -> list[str]:
    return [] if flags.ablate_acts is None else split_paths(flags.ablate_acts)


def _part_for(number: int, parts: Sequence[str], flag: str) -> str:
    if len(parts) == 1:
        return parts[0]
    if number >= len(parts):
        raise UserError(
            f"{flag} has {len(parts)} parts for more models: give one for all models, or one "
            "for each"
        )
    return parts[number]
