"""Small sets of settings of a checkpoint, and what refuses them."""

from __future__ import annotations

import time
from argparse import Namespace

import pytest

from fairseq_neuron_plugin.backends.fairseq.checkpoints.settings import vet_settings
from fairseq_neuron_plugin.errors import UserError

PATH = "model.pt"


def sections(**model):
    """A small configuration with sections."""
    return {
        "_name": None,
        "common": {"seed": 1, "user_dir": "/their/code", "use_plasma_view": False},
        "optimization": {"lr": [0.25], "max_update": 10},
        "task": {"_name": "translation", "data": "data-bin", "left_pad_source": True},
        "model": {"_name": "lstm", **model},
        "optimizer": {"_name": "adam", "adam_betas": "(0.9, 0.98)", "lr": "${optimization.lr}"},
        "criterion": Namespace(_name="cross_entropy", criterion="cross_entropy"),
        "bpe": None,
    }


def flat(**settings):
    """A small set of flat settings."""
    return Namespace(arch="lstm", task="translation", data="data-bin", **settings)


def refusal(settings):
    """The one line that refuses settings; it is fit for any terminal, and comes soon."""
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        vet_settings(settings, PATH)
    assert time.process_time() - start < 1
    line = str(caught.value)
    assert line.startswith(f"checkpoint {PATH}: ")
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 500
    return line
