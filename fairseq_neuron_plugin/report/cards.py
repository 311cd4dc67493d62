"""Which neurons have a card, and the cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from ..activations import Activations
from ..analysis.neuron_card import CardSettings, neuron_cards
from ..neurons import NeuronSpace
from ..ranking import Ranking
from ..rankings.blocks import Progress
from .document import Card, Reason
from .inputs import Inputs, Named

Key = tuple[int, int]  # number of the store, flat id


@dataclass(frozen=True)
class CardChoice:
    """Which neurons have a card.

    Attributes:
        top: of each ranking.
        labels: whose own orders count too, in the rankings that have them; None for all.
        label_top: of each label's own order.
        most: cards in all; the best places stay.
        settings: what the cards show.
    """

    top: int = 10
    labels: tuple[str, ...] | None = None
    label_top: int = 1
    most: int = 120
    settings: CardSettings = field(default_factory=CardSettings)


@dataclass(frozen=True)
class Chosen:
    """Neurons that get a card, in the order of the page.

    Attributes:
        reasons: by store and flat id, best place first.
        left_out: how many more there were.
        without_store: rankings whose neurons no store has.
    """

    reasons: dict[Key, tuple[Reason, ...]]
    left_out: int
    without_store: tuple[str, ...]


def choose_neurons(inputs: Inputs, choice: CardChoice) -> Chosen:
    """The first neurons of each ranking, and of each label's own order.

    Rankings take turns, place by place, so that each has a part of the page however many there are.
    A ranking is shown over the store of its own checkpoint and layers that has most words.
    """
    queues: list[list[tuple[Key, Reason]]] = []
    without: list[str] = []
    for ranking in inputs.rankings:
        number = _store_of(ranking.content, inputs.stores)
        if number is None:
            without.append(ranking.name)
            continue
        queues.append(
            [
                ((number, neuron), Reason(ranking.name, place, label))
                for label, amount in _orders(ranking.content, choice)
                for place, neuron in enumerate(
                    ranking.content.order("top", label)[:amount].tolist(), start=1
                )
            ]
        )
    found: dict[Key, list[Reason]] = {}
    left_out: set[Key] = set()
    for turn in zip_longest(*queues):
        for key, reason in filter(None, turn):
            if key not in found and len(found) >= choice.most:
                left_out.add(key)
                continue
            found.setdefault(key, []).append(reason)
    return Chosen(
        {key: tuple(sorted(reasons, key=_rank)) for key, reasons in found.items()},
        len(left_out),
        tuple(without),
    )


def report_cards(
    inputs: Inputs, chosen: Chosen, settings: CardSettings, progress: Progress | None = None
) -> tuple[Card, ...]:
    """Make the cards; each store is read once for as many neurons as fit into memory.

    Args:
        inputs: of the report.
        chosen: from `choose_neurons`.
        settings: what the cards show.
        progress: called with the cards done and the cards in all.

    Raises:
        UserError: no word of a store is frequent enough, or its activations are not finite.
    """
    cards: dict[Key, Card] = {}
    for number in sorted({number for number, _ in chosen.reasons}):
        store = inputs.stores[number]
        neurons = [neuron for of, neuron in chosen.reasons if of == number]
        rankings = {
            ranking.name: ranking.content
            for ranking in inputs.rankings
            if _fits(ranking.content, store.content)
        }
        probes = {
            probe.name: probe.content
            for probe in inputs.probes
            if _same_neurons(
                probe.content.space,
                probe.content.model,
                probe.content.weight.shape[1],
                store.content,
            )
        }
        done = len(cards)

        def report(steps: int, _: int, done: int = done) -> None:
            if progress is not None:
                progress(done + steps, len(chosen.reasons))

        made = neuron_cards(store.content, neurons, rankings, probes, settings, report)
        for card in made:
            key = number, card.neuron
            cards[key] = Card(store.name, card, chosen.reasons[key])
    return tuple(cards[key] for key in chosen.reasons)


def _orders(ranking: Ranking, choice: CardChoice) -> Iterator[tuple[str | None, int]]:
    yield None, choice.top
    for label in ranking.per_label:
        if choice.labels is None or label in choice.labels:
            yield label, choice.label_top


def _rank(reason: Reason) -> tuple[int, bool, str, str]:
    return reason.place, reason.label is not None, reason.ranking, reason.label or ""


def _store_of(ranking: Ranking, stores: Sequence[Named[Activations]]) -> int | None:
    fitting = [number for number, store in enumerate(stores) if _fits(ranking, store.content)]
    return max(fitting, key=lambda number: len(stores[number].content), default=None)


def _fits(ranking: Ranking, store: Activations) -> bool:
    return _same_neurons(ranking.space, ranking.model, len(ranking.neurons), store)


def _same_neurons(
    space: NeuronSpace | None, model: str | None, neurons: int, store: Activations
) -> bool:
    """Whether ids mean the same; what is unknown fits anything, as in every other command."""
    return (
        neurons == store.layers.size
        and (space is None or space == store.layers)
        and (model is None or store.model_sha256 is None or model == store.model_sha256)
    )
