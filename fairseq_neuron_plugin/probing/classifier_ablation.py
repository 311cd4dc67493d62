"""Does a ranking find where a property lives? Keep few neurons and see (paper, tables 2 and 4)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from ..errors import UserError
from ..neurons import parse_amount
from ..ranking import ORDERS, Ranking
from .elastic_net import ElasticNetProbe
from .rows import Rows, View

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class AblationRow:
    """One line of the table.

    Attributes:
        share: share of neurons kept, e.g. ``10%``, or ``all``.
        order: ``top`` or ``bottom`` of the ranking; ``all`` in the first line.
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
) -> list[AblationRow]:
    """Accuracy on the test data with only the top or the bottom of a ranking.

    Args:
        probe: trained on ``train``; it is left as it is.
        ranking: over the columns of the data.
        train, test: activations ``[tokens, neurons]`` and labels ``[tokens]``.
        shares: ``10%``, or a number of neurons.
        report: called before each training with what is being trained.

    Raises:
        UserError: the ranking is over another number of neurons, or a share that is none.
    """
    total = probe.coef_.shape[1]
    if len(ranking.neurons) != total:
        raise UserError(
            f"the ranking is over {len(ranking.neurons)} neurons, the probe over {total}"
        )
    counts = [(share, parse_amount(share, total)) for share in shares]
    full = _accuracy(probe, *test)
    rows = [AblationRow("all", "all", total, full, full)]
    for share, count in counts:
        if count == 0:
            raise UserError(f"cannot keep {share} of {total} neurons: a probe needs at least one")
        for order in ORDERS:
            kept = np.sort(ranking.order(order)[:count])
            if report is not None:
                report(f"{order} {share}")
            # Training on all neurons anew would find the very same probe.
            again = full if count == total else _retrained(probe, kept, train, test)
            rows.append(AblationRow(share, order, count, _masked(probe, kept, test), again))
    return rows


def _accuracy(probe: ElasticNetProbe, X: Rows, y: Array) -> float:
    return float((probe.predict(X) == np.asarray(y)).mean())


def _masked(probe: ElasticNetProbe, kept: Array, test: tuple[Rows, Array]) -> float:
    """An activation of 0 adds what a weight of 0 adds; so the weights are masked, not the data."""
    masked = copy.copy(probe)
    masked.coef_ = np.zeros_like(probe.coef_)
    masked.coef_[:, kept] = probe.coef_[:, kept]
    return _accuracy(masked, *test)


def _retrained(
    probe: ElasticNetProbe, kept: Array, train: tuple[Rows, Array], test: tuple[Rows, Array]
) -> float:
    fresh = clone(probe).fit(View(train[0], columns=kept), train[1])
    return _accuracy(fresh, View(test[0], columns=kept), test[1])
