"""From weights, activations, labels or gradients to a ranking; `METHODS` has all the ways."""

from .correlation import cross_model
from .registry import METHODS, ranking_method
from .salience import linguistic, salient
from .single_model import mean_distance, random, variance

__all__ = [
    "METHODS",
    "cross_model",
    "linguistic",
    "mean_distance",
    "random",
    "ranking_method",
    "salient",
    "variance",
]
