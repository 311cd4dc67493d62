"""Everything that is known of a neuron, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from ..activations import Activations
from ..probing.probe_folder import ProbeFolder
from ..ranking import Ranking
from ..rankings.blocks import Progress
from .chosen_columns import ChosenColumns, in_groups
from .examples import Example, examples
from .histogram import BINS, Distribution, distribution
from .neuron_places import (
    BestMatch,
    ProbeWeights,
    RankingPlace,
    best_match,
    probe_weights,
    ranking_place,
)
from .selection import refuse_other_neurons
from .top_words import TopWords, top_words, words_of

HELD_BYTES = 256 * 2**20  # of activations: every reading of a store takes long


@dataclass(frozen=True)
class CardSettings:
    """What a card shows.

    Attributes:
        min_count: rarer words are not among the top words.
        words: top words on either side.
        lowercase: case variants are one word.
        examples: example sentences on either side.
        bins: of the histogram.
        share: of a label's weight mass that its salient neurons reach.
    """

    min_count: int = 5
    words: int = 10
    lowercase: bool = False
    examples: int = 5
    bins: int = BINS
    share: float = 0.25


@dataclass(frozen=True)
class NeuronCard:
    """Everything that is known of one neuron.

    Attributes:
        neuron: flat id; name: readable name.
        distribution: of its activations.
        top_words: that drive it highest and lowest.
        highest, lowest: sentences with the most extreme activations.
        rankings: its place in each ranking.
        matches: the best match that each cross-model ranking found.
        probes: its weights in each probe.
    """

    neuron: int
    name: str
    distribution: Distribution
    top_words: TopWords
    highest: tuple[Example, ...]
    lowest: tuple[Example, ...]
    rankings: tuple[RankingPlace, ...]
    matches: tuple[BestMatch, ...]
    probes: tuple[ProbeWeights, ...]


def neuron_cards(
    store: Activations,
    neurons: Sequence[int],
    rankings: Mapping[str, Ranking] | None = None,
    probes: Mapping[str, ProbeFolder] | None = None,
    settings: CardSettings | None = None,
    progress: Progress | None = None,
) -> list[NeuronCard]:
    """Cards of neurons, in the order given.

    Reads the store once for as many neurons as fit into 256 MiB, and no more than that is held.

    Args:
        store: the activations.
        neurons: flat ids.
        rankings: by name; over the store's neurons.
        probes: by name; over the store's neurons.
        settings: what the cards show.
        progress: called with the neurons done and the neurons in all.

    Raises:
        UserError: a ranking or probe of other layers or another checkpoint, an unknown neuron, no
            word that is frequent enough, NaN or infinity.
    """
    chosen, rankings, probes = settings or CardSettings(), rankings or {}, probes or {}
    for name, ranking in rankings.items():
        width = len(ranking.neurons)
        refuse_other_neurons(f"ranking {name}", ranking.space, ranking.model, width, store)
    for name, probe in probes.items():
        width = probe.weight.shape[1]
        refuse_other_neurons(f"probe {name}", probe.space, probe.model, width, store)
    words = words_of(store, chosen.lowercase)
    cards: list[NeuronCard] = []
    for group in in_groups(neurons, len(store) * store.array.dtype.itemsize, HELD_BYTES):
        gathered = ChosenColumns(store.array, group).gathered()
        of_words = top_words(gathered.T, words, min_count=chosen.min_count, amount=chosen.words)
        for neuron, values, found in zip(group, gathered, of_words, strict=True):
            top = replace(found, neuron=neuron)
            cards.append(_card(store, values, top, rankings, probes, chosen))
            if progress is not None:
                progress(len(cards), len(neurons))
        del gathered, values  # before the next ones are read
    return cards


def neuron_card(
    store: Activations,
    neuron: int,
    rankings: Mapping[str, Ranking] | None = None,
    probes: Mapping[str, ProbeFolder] | None = None,
    settings: CardSettings | None = None,
) -> NeuronCard:
    """The card of one neuron, see `neuron_cards`."""
    return neuron_cards(store, [neuron], rankings, probes, settings)[0]


def _card(
    store: Activations,
    values: npt.NDArray[Any],
    top: TopWords,
    rankings: Mapping[str, Ranking],
    probes: Mapping[str, ProbeFolder],
    settings: CardSettings,
) -> NeuronCard:
    """Of the neuron with these activations ``[tokens]``."""
    neuron = top.neuron
    matches = [best_match(name, ranking, neuron) for name, ranking in rankings.items()]
    corpus = store.sentences, store.offsets, settings.examples
    return NeuronCard(
        neuron=neuron,
        name=store.layers.name_of(neuron),
        distribution=distribution(values, settings.bins),
        top_words=top,
        highest=tuple(examples(values, *corpus)),
        lowest=tuple(examples(values, *corpus, lowest=True)),
        rankings=tuple(ranking_place(name, each, neuron) for name, each in rankings.items()),
        matches=tuple(match for match in matches if match is not None),
        probes=tuple(
            probe_weights(name, probe, neuron, settings.share) for name, probe in probes.items()
        ),
    )
