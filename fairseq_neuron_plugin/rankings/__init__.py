"""From a probe's weights or a matrix of activations to a ranking of neurons."""

from .correlation import cross_model
from .salience import linguistic, salient
from .single_model import mean_distance, random, variance

__all__ = ["cross_model", "linguistic", "mean_distance", "random", "salient", "variance"]
