"""Every point against the unablated model: p-values of the paired bootstrap test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..evaluation.bootstrap import paired_p
from .folder import SweepFolder


def with_p_values(
    folder: SweepFolder, unablated: str, metrics: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The rows of a folder with ``m_p`` of each metric ``m`` added, by name.

    It is None for the unablated model, and for others with the same score of every resampled text:
    the test has nothing to say of those.

    Args:
        folder: a sweep of which every point is done.
        unablated: the name of the unablated model's row.
        metrics: in the order of `SweepFolder.resampled`.

    Raises:
        UserError: a point's scores of the resampled texts are not on disk.
    """
    if not metrics:
        return folder.rows
    baseline = folder.resampled(unablated)
    found = {}
    for name, row in folder.rows.items():
        values = {}
        for metric, ours, theirs in zip(metrics, folder.resampled(name), baseline, strict=True):
            difference = row[metric] - folder.rows[unablated][metric]
            same = np.array_equal(ours, theirs)
            values[f"{metric}_p"] = None if same else paired_p(theirs, ours, difference)
        found[name] = {**row, **values}
    return found
