"""Analyse and ablate individual neurons of fairseq models (Dalvi et al., AAAI 2019).

Usage::

    import fairseq_neuron_plugin as fnp

    model, task = fnp.load_model("checkpoint_best.pt", data="data-bin")
    with fnp.tap(model, "encoder.layers.*") as layers:
        model(**net_input)
    with fnp.ablate(model, {"encoder.layers.0": [3, 17]}, value=0.0, scope="recurrent"):
        ...
"""

from . import rankings as rank
from .activations import Activations
from .errors import UserError
from .interventions import ablate, list_layers, tap
from .loading import load_model
from .loss_gradients import gradients
from .probing.elastic_net import ElasticNetProbe
from .ranking import Ranking
from .version import __version__

__all__ = [
    "Activations",
    "ElasticNetProbe",
    "Ranking",
    "UserError",
    "__version__",
    "ablate",
    "gradients",
    "list_layers",
    "load_model",
    "rank",
    "tap",
]
