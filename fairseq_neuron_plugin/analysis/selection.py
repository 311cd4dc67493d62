"""Which neurons of an activation store are looked at, and where the choice came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..activations import Activations
from ..errors import UserError
from ..neurons import NeuronSpace
from ..specs import select_in_order


def select_neurons(specs: Sequence[str], store: Activations) -> dict[int, list[str]]:
    """The neurons that specs name, and for each the specs that name it.

    Args:
        specs: neuron lists (``3,17-25``, ``encoder.layers.0:3``) or selections from rankings
            (``R.json:top:50``, ``R.json:label=VERB:top:20``).
        store: whose neurons they are.

    Returns:
        Flat ids in the order of the specs, those of a ranking in its order, each once; with each
        the specs that name it, without the folders of their files.

    Raises:
        UserError: a spec that cannot be read or names none, or a ranking of other neurons.
    """
    found: dict[int, list[str]] = {}
    for spec in specs:
        selected = select_in_order(spec)
        if selected is None:
            neurons, name = store.layers.parse(spec), spec
        else:
            ranking, neurons = selected
            refuse_other_neurons(
                f"ranking {spec}", ranking.space, ranking.model, len(ranking.neurons), store
            )
            name = _without_folder(spec)
        if not neurons:
            raise UserError(f"{spec!r} names no neuron")
        for neuron in neurons:
            sources = found.setdefault(neuron, [])
            if name not in sources:
                sources.append(name)
    return found


def refuse_other_neurons(
    what: str, space: NeuronSpace | None, model: str | None, width: int, store: Activations
) -> None:
    """Raise `UserError` unless flat ids mean the same neurons there as in the store.

    Args:
        what: how the error names it, e.g. ``probe probe-pos``.
        space: its layers, if known.
        model: SHA-256 of its checkpoint, if known.
        width: number of its neurons.
        store: the activation store.
    """
    if width != store.layers.size or (space is not None and space != store.layers):
        over = space.describe() if space else f"{width} neurons"
        raise UserError(
            f"{what} is over other layers than store {store.path}: {over}; the store has "
            f"{store.layers.describe()}"
        )
    if None not in (model, store.model_sha256) and model != store.model_sha256:
        raise UserError(
            f"{what} is of another checkpoint than store {store.path}: SHA-256 {str(model)[:12]} "
            f"and {str(store.model_sha256)[:12]}"
        )


def _without_folder(selection: str) -> str:
    path, ending, selector = selection.partition(".json:")  # a label may hold a slash
    return Path(path).name + ending + selector
