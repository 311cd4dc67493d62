"""Which neurons have a card, and the cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TypeVar

from ..activations import Activations
from ..analysis.neuron_card import CardSettings, neuron_cards
from ..errors import UserError
from ..neurons import NeuronSpace
from ..probing.probe_folder import ProbeFolder
from ..ranking import Ranking
from ..rankings.blocks import Progress
from .document import Card, Reason
from .inputs import Inputs, Named

Key = tuple[int, int]  # number of the store, flat id
Content = TypeVar("Content", Ranking, ProbeFolder)


@dataclass(frozen=True)
class CardChoice:
    """Which neurons have a card.

    Attributes:
        top: of each ranking.
        labels: whose own orders count too, in the rankings that have them; None for all.
        label_top: of each label's own order.
        most: cards in all; the best places of every ranking stay.
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
        unclear: rankings that do not say of which checkpoint they are, where stores of several
            would fit.
    """

    reasons: dict[Key, tuple[Reason, ...]]
    left_out: int
    without_store: tuple[str, ...]
    unclear: tuple[str, ...] = ()


def choose_neurons(inputs: Inputs, choice: CardChoice) -> Chosen:
    """The first neurons of each ranking, and of each label's own order.

    Rankings take turns, place by place, and in each its own order and its labels' do, so that each
    has a part of the page however many there are. A ranking is shown over the store of its own
    checkpoint and layers that has most words, the first of several.
    """
    queues: list[list[tuple[Key, Reason]]] = []
    without: list[str] = []
    unclear: list[str] = []
    for ranking in inputs.rankings:
        fitting = _fitting(ranking.content, inputs.stores)
        if len({_identity(inputs.stores[number].content) for number in fitting}) != 1:
            (unclear if fitting else without).append(ranking.name)
            continue
        number = max(fitting, key=lambda number: len(inputs.stores[number].content))
        queues.append(
            [
                ((number, neuron), Reason(ranking.name, place, label))
                for neuron, place, label in _places(ranking.content, choice)
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
        tuple(unclear),
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
        rankings = _of_store(inputs.rankings, number, inputs.stores)
        probes = _of_store(inputs.probes, number, inputs.stores)
        done = len(cards)

        def report(steps: int, _: int, done: int = done) -> None:
            if progress is not None:
                progress(done + steps, len(chosen.reasons))

        try:
            made = neuron_cards(store.content, neurons, rankings, probes, settings, report)
        except UserError as error:
            raise UserError(f"cards of store {store.name}: {error}") from error
        for card in made:
            key = number, card.neuron
            cards[key] = Card(store.name, card, chosen.reasons[key])
    return tuple(cards[key] for key in chosen.reasons)


def _places(ranking: Ranking, choice: CardChoice) -> Iterator[tuple[int, int, str | None]]:
    """Neuron, place and label: of its own order and of all labels' together in turns."""
    own = _first(ranking, None, choice.top)
    labels = [
        _first(ranking, label, choice.label_top)
        for label in ranking.per_label
        if choice.labels is None or label in choice.labels
    ]
    of_labels = chain.from_iterable(zip(*labels, strict=True))
    return filter(None, chain.from_iterable(zip_longest(own, of_labels)))


def _first(ranking: Ranking, label: str | None, amount: int) -> list[tuple[int, int, str | None]]:
    neurons = ranking.order("top", label)[:amount].tolist()
    return [(neuron, place, label) for place, neuron in enumerate(neurons, start=1)]


def _rank(reason: Reason) -> tuple[int, bool, str, str]:
    return reason.place, reason.label is not None, reason.ranking, reason.label or ""


def _of_store(
    items: Sequence[Named[Content]], number: int, stores: Sequence[Named[Activations]]
) -> dict[str, Content]:
    """By name, the rankings or probes that are of a store's neurons, and surely of no other's."""
    found = {}
    for item in items:
        fitting = _fitting(item.content, stores)
        same = {_identity(stores[each].content) for each in fitting}
        if number in fitting and len(same) == 1:
            found[item.name] = item.content
    return found


def _fitting(item: Ranking | ProbeFolder, stores: Sequence[Named[Activations]]) -> list[int]:
    """Numbers of the stores of the same layers and checkpoint; what is unknown fits anything.

    Where everything is known of some, it is only these.
    """
    width = len(item.neurons) if isinstance(item, Ranking) else item.weight.shape[1]
    found, sure = [], []
    for number, store in enumerate(stores):
        layers, model = _identity(store.content)
        if width != layers.size or item.space not in (None, layers):
            continue
        if None in (item.model, model) or item.model == model:
            found.append(number)
            if None not in (item.space, item.model, model):
                sure.append(number)
    return sure or found


def _identity(store: Activations) -> tuple[NeuronSpace, str | None]:
    """What two stores of the same neurons have in common."""
    return store.layers, store.model_sha256
