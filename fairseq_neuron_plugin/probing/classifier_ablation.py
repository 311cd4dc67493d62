"""Does a ranking find where a property lives? Keep few neurons and see (paper, tables 2 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from ..errors import UserError
from ..neurons import parse_amount
from ..ranking import Ranking
from ..rankings import random as random_ranking
from ..rows import Rows, View
from .elastic_net import ElasticNetProbe
from .mask_curve import check_ranking, class_codes, mask_accuracies

Array = npt.NDArray[Any]

ORDERS = ("top", "bottom", "random")


@dataclass(frozen=True)
class AblationRow:
    """One line of the table.

    Attributes:
        share: share of neurons kept, e.g. ``10%``, or ``all``.
        order: ``top`` or ``bottom`` of the ranking, or ``random``; ``all`` in the first line.
        kept: number of neurons kept.
        mask: test accuracy of the trained probe with all other neurons at 0.
        retrain: test accuracy of a probe trained on the kept neurons alone.
    """

    share: str
    order: str
    kept: int
    mask: float
    retrain: float

    def to_json(self) -> dict[str, Any]:
        """The line as it stands in result files."""
        return asdict(self)


def ablate_classifier(
    probe: ElasticNetProbe,
    ranking: Ranking,
    train: tuple[Rows, Array],
    test: tuple[Rows, Array],
    shares: Sequence[str] = ("10%", "15%", "20%"),
    report: Callable[[str], None] | None = None,
    orders: Sequence[str] = ORDERS,
    seed: int = 0,
) -> list[AblationRow]:
    """Accuracy on the test data with only the top, the bottom or a random part of the neurons.

    Args:
        probe: trained on ``train``; it is left as it is.
        ranking: over the columns of the data.
        train, test: activations ``[tokens, neurons]`` and labels ``[tokens]``.
        shares: ``10%``, or a number of neurons.
        report: called before each training with what is being trained.
        orders: what is kept; ``random`` is the baseline that a ranking must beat, an order that
            depends on the seed alone. Masked and retrained probes keep the same neurons, and a
            larger share keeps those of a smaller one.
        seed: of the random order, which is that of `rankings.random`.

    Returns:
        A line for all neurons, then one for each share and order.

    Raises:
        UserError: the ranking is over another number of neurons, a share that is none, an unknown
            order, a negative seed, or training labels that the probe does not know.
    """
    total = check_ranking(probe, ranking)
    counts = [parse_amount(share, total) for share in shares]
    if 0 in counts:
        share = shares[counts.index(0)]
        raise UserError(f"cannot keep {share} of {total} neurons: a probe needs at least one")
    orderings = _orderings(ranking, orders, seed)
    codes = class_codes(probe.classes_, train[1]), class_codes(probe.classes_, test[1])
    if (codes[0] < 0).any():
        raise UserError("the training data has labels that the probe does not know")
    full = float((probe.predict(test[0]) == np.asarray(test[1])).mean())
    # Masking or training with all neurons would find the very same figure again.
    masked = {
        (order, count): full if count == total else accuracy
        for order, neurons in orderings.items()
        for count, accuracy in zip(
            counts, mask_accuracies(probe, neurons, counts, *test), strict=True
        )
    }
    rows = [AblationRow("all", "all", total, full, full)]
    for share, count in zip(shares, counts, strict=True):
        for order, neurons in orderings.items():
            if report is not None:
                report(f"{order} {share}")
            kept = np.sort(neurons[:count])
            again = full if count == total else _retrained(probe, kept, train[0], test[0], *codes)
            rows.append(AblationRow(share, order, count, masked[order, count], again))
    return rows


def _orderings(ranking: Ranking, orders: Sequence[str], seed: int) -> dict[str, Array]:
    unknown = [order for order in orders if order not in ORDERS]
    if unknown:
        raise UserError(f"unknown order {unknown[0]!r}; there are: {', '.join(ORDERS)}")
    return {
        order: random_ranking(len(ranking.neurons), seed=seed).neurons
        if order == "random"
        else ranking.order(order)
        for order in dict.fromkeys(orders)
    }


def _retrained(
    probe: ElasticNetProbe, kept: Array, train: Rows, test: Rows, train_codes: Array, gold: Array
) -> float:
    """Trained on the numbers of the labels, which are sorted as the labels: the same probe."""
    fresh = clone(probe).fit(View(train, columns=kept), train_codes)
    return float((fresh.predict(View(test, columns=kept)) == gold).mean())
