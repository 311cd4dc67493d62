"""From the text of ``--ablate`` to neurons by layer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from .core.quoting import split_unquoted
from .errors import UserError
from .neurons import Layer, NeuronSpace, choose_layers
from .ranking import Ranking

_LARGEST = float(torch.finfo(torch.float32).max)  # models compute in float32 at most


def parse_spec(
    spec: str, available: Sequence[Layer], globs: str | None = None
) -> dict[str, list[int]]:
    """The neurons that a spec names, by layer.

    Args:
        spec: a neuron list (``3,17-25`` or ``encoder.layers.0:3,17-25;encoder.layers.1:7``), or a
            selection from a ranking file: ``RANKING.json:top:50``, ``RANKING.json:bottom:10%``,
            ``RANKING.json:label=VERB:top:20``; a label that holds one of ``|;:,="`` stands in
            double quotes. Empty means no neuron.
        available: every layer of the model, in model order.
        globs: the layers that flat ids count through, see `choose_layers`.

    Raises:
        UserError: unreadable, unknown layer, id out of range, or a ranking of other layers.
    """
    selection = _split_selection(spec)
    if selection:
        path, selector = selection
        ranking = Ranking.load(path)
        space = ranking_space(ranking, available, path, globs)
        return space.by_layer(ranking.select(selector))
    if spec.endswith(".json"):
        raise UserError(f"which neurons of {spec}? Write for example {spec}:top:50")
    space = NeuronSpace(tuple(available)) if ":" in spec else choose_layers(available, globs)
    return space.by_layer(space.parse(spec))


def parse_settings(
    text: str, available: Sequence[Layer], globs: str | None = None
) -> tuple[dict[str, list[int]], dict[str, Tensor]]:
    """Neurons and the values that they are to be held at; the arguments of `ablate`.

    Args:
        text: specs with values, ``encoder.layers.1:123=0.8;encoder.layers.0:3,17-25=-1``. A spec
            may be a selection from a ranking, too: ``RANKING.json:top:5=0``.
        available: see `parse_spec`.
        globs: see `parse_spec`.

    Returns:
        By layer the indices within it, and their values, float64 ``[indices]``.

    Raises:
        UserError: a spec without a finite number, a neuron that is set twice, or what `parse_spec`
            raises.
    """
    values: dict[str, dict[int, float]] = {}
    for spec, number in split_settings(text):
        value = _finite(number, f"{spec}={number}")
        for name, ids in parse_spec(spec, available, globs).items():
            held = values.setdefault(name, {})
            for neuron in ids:
                if neuron in held:
                    raise UserError(f"neuron {name}:{neuron} is set twice")
                held[neuron] = value
    if not values:
        raise UserError("no neuron is set; write for example encoder.layers.1:123=0.8")
    neurons = {name: sorted(held) for name, held in values.items()}
    tensors = {
        name: torch.tensor([values[name][neuron] for neuron in ids], dtype=torch.float64)
        for name, ids in neurons.items()
    }
    return neurons, tensors


def split_settings(text: str) -> list[tuple[str, str]]:
    """The specs of `parse_settings` and the text of their values.

    >>> split_settings("encoder.layers.1:123=0.8; R.json:top:5=0")
    [('encoder.layers.1:123', '0.8'), ('R.json:top:5', '0')]

    Raises:
        UserError: a spec without a value, or a value without one.
    """
    found = []
    for part in filter(None, (part.strip() for part in split_unquoted(text, ";"))):
        spec, equals, number = part.rpartition("=")
        if not equals or not spec.strip():
            raise UserError(f"{part!r} is no neuron with a value; write encoder.layers.1:123=0.8")
        found.append((spec.strip(), number.strip()))
    return found


def _finite(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise UserError(f"a neuron can be set to a finite number only, not {text!r} ({part})")
    return value


def load_spec_ranking(spec: str) -> Ranking | None:
    """The ranking that a spec selects from; None for a neuron list.

    Raises:
        UserError: missing, or no ranking.
    """
    selection = _split_selection(spec)
    return Ranking.load(selection[0]) if selection else None


def select_in_order(spec: str) -> tuple[Ranking, list[int]] | None:
    """The ranking that a spec selects from, and the flat ids selected, in the ranking's order.

    None for a neuron list.

    Raises:
        UserError: missing, no ranking, no selection, or one that cannot be read.
    """
    selection = _split_selection(spec)
    if not selection:
        if spec.endswith(".json"):
            raise UserError(f"which neurons of {spec}? Write for example {spec}:top:50")
        return None
    ranking = Ranking.load(selection[0])
    return ranking, ranking.select_in_order(selection[1])


def ranking_space(
    ranking: Ranking, available: Sequence[Layer], path: str, globs: str | None = None
) -> NeuronSpace:
    """The layers that a ranking's flat ids count through in this model.

    Raises:
        UserError: the model has no such layers, or they have other widths.
    """
    if ranking.space is None:
        space = choose_layers(available, globs)
        if space.size != len(ranking.neurons):
            raise UserError(
                f"ranking {path} holds {len(ranking.neurons)} neurons, the model has {space.size} "
                f"in {space.describe()}"
            )
        return space
    widths = {layer.name: layer.width for layer in available}
    for layer in ranking.space.layers:
        if widths.get(layer.name) != layer.width:
            raise UserError(
                f"ranking {path} was made for another model: it is over "
                f"{ranking.space.describe()}; this model has "
                f"{NeuronSpace(tuple(available)).describe()}"
            )
    return ranking.space


def _split_selection(spec: str) -> tuple[str, str] | None:
    """File and selector of a selection from a ranking."""
    selection = re.fullmatch(r"(.+?\.json):(.+)", spec)
    return (selection[1], selection[2]) if selection else None
