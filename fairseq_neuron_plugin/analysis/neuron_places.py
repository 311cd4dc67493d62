"""What rankings and probes say about one neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..neurons import NeuronSpace
from ..probing.probe_folder import ProbeFolder
from ..ranking import Ranking
from ..rankings.salience import salient

BEST_LABELS = 5


@dataclass(frozen=True)
class LabelPlace:
    """Place of a neuron, from 1, in a label's own ordering."""

    label: str
    place: int


@dataclass(frozen=True)
class RankingPlace:
    """Where a ranking puts a neuron.

    Attributes:
        ranking: its name.
        method: e.g. ``linguistic``.
        place: from 1, the most important neuron's.
        neurons: how many it orders.
        score: what that means is the method's.
        labels: the labels whose own orderings put the neuron highest, best place first; none
            where the method has no such orderings.
    """

    ranking: str
    method: str
    place: int
    neurons: int
    score: float
    labels: tuple[LabelPlace, ...]


@dataclass(frozen=True)
class BestMatch:
    """The most correlated neuron of other models.

    Attributes:
        ranking: name of the cross-model ranking that found it.
        model: the other model's activation store or checkpoint, or its number.
        neuron: readable name of its neuron.
        rho: Pearson correlation, -1 to 1.
    """

    ranking: str
    model: str
    neuron: str
    rho: float


@dataclass(frozen=True)
class LabelWeight:
    """A probe's weight from a neuron to a label.

    Attributes:
        label: its name.
        weight: signed.
        share: of the label's weight mass, 0 to 1.
        place: of the neuron among all by the weight's size, from 1; ties by id.
        salient: whether it is among the fewest neurons that reach the share of the mass asked for.
    """

    label: str
    weight: float
    share: float
    place: int
    salient: bool


@dataclass(frozen=True)
class ProbeWeights:
    """A probe's weights from a neuron to all labels, largest share of the label's mass first."""

    probe: str
    labels: tuple[LabelWeight, ...]


def ranking_place(
    name: str, ranking: Ranking, neuron: int, best_labels: int = BEST_LABELS
) -> RankingPlace:
    """Where a ranking puts a neuron, and for which labels it puts it highest."""
    place = _place(ranking.neurons, neuron)
    places = [LabelPlace(label, _place(ids, neuron)) for label, ids in ranking.per_label.items()]
    places.sort(key=lambda found: (found.place, found.label))
    return RankingPlace(
        ranking=name,
        method=ranking.method,
        place=place,
        neurons=len(ranking.neurons),
        score=float(ranking.scores[place - 1]),
        labels=tuple(places[:best_labels]),
    )


def best_match(name: str, ranking: Ranking, neuron: int) -> BestMatch | None:
    """What a cross-model ranking found; None for another method or a neuron without variance.

    Raises:
        UserError: the ranking's details are damaged.
    """
    matches = ranking.details.get("best_match")
    if matches is None:
        return None
    try:
        match = matches[neuron]
        if match is None:
            return None
        number, other = int(match["model"]), int(match["neuron"])
        models = ranking.details.get("models")
        known = models[number] if models else {}
        layers = known.get("layers")
        return BestMatch(
            ranking=name,
            model=str(known.get("path") or f"model {number + 1}"),
            neuron=NeuronSpace.from_json(layers).name_of(other) if layers else str(other),
            rho=float(match["rho"]),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(f"ranking {name} is damaged: its best matches ({error!r})") from error


def probe_weights(name: str, probe: ProbeFolder, neuron: int, share: float = 0.25) -> ProbeWeights:
    """The weights from a neuron to all labels of a probe.

    Args:
        name: of the probe.
        probe: weights ``[labels, neurons]``.
        neuron: flat id.
        share: of a label's weight mass that its salient neurons reach; 0.25 in the paper's
            figure 6.

    Raises:
        UserError: a share out of range.
    """
    found = []
    for label, weights in zip(probe.labels, probe.weight, strict=True):
        size = np.abs(weights)
        mass = float(size.sum())
        larger = int((size > size[neuron]).sum() + (size[:neuron] == size[neuron]).sum())
        found.append(
            LabelWeight(
                label=label,
                weight=float(weights[neuron]),
                share=float(size[neuron]) / mass if mass else 0.0,
                place=larger + 1,
                salient=neuron in salient(weights, share),
            )
        )
    found.sort(key=lambda weight: (-weight.share, weight.label))
    return ProbeWeights(name, tuple(found))


def _place(neurons: np.ndarray, neuron: int) -> int:
    return int(np.flatnonzero(neurons == neuron)[0]) + 1
