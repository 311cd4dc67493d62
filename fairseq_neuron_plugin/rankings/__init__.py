"""From weights, activations, labels or gradients to a ranking; `METHODS` has all the ways."""

from .average_precision import average_precision
from .correlation import cross_model
from .gaussian import gaussian
from .gradient_activation import gradient_activation
from .language_entropy import language_entropy
from .probeless import probeless
from .registry import METHODS, ranking_method
from .salience import linguistic, salient
from .single_model import mean_distance, random, variance
from .univariate import f_statistic, mutual_information

__all__ = [
    "METHODS",
    "average_precision",
    "cross_model",
    "f_statistic",
    "gaussian",
    "gradient_activation",
    "language_entropy",
    "linguistic",
    "mean_distance",
    "mutual_information",
    "probeless",
    "random",
    "ranking_method",
    "salient",
    "variance",
]
