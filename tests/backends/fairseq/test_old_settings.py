"""Settings of fairseq 0.4 to 0.9 that its own upgrade leaves as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fairseq_neuron_plugin.backends.fairseq.checkpoints.old_settings import upgrade_args


def upgraded(weights: dict[str, torch.Tensor] | None = None, **settings: Any) -> dict[str, Any]:
    upgrade_args(settings, weights or {})
    return settings


@pytest.mark.parametrize(("old", "attends"), [(True, True), (False, False), ("1", True)])
def test_attention_of_an_lstm_is_read_as_fairseq_reads_it(old, attends):
    from fairseq.utils import eval_bool

    assert eval_bool(upgraded(decoder_attention=old)["decoder_attention"]) == attends


def test_no_sample_break_mode_is_the_one_called_none():
    assert upgraded(sample_break_mode=None)["sample_break_mode"] == "none"
    assert upgraded(sample_break_mode="eos")["sample_break_mode"] == "eos"
    assert upgraded() == {}


def test_multilingual_models_of_0_6_have_no_language_tokens():
    found = upgraded(task="multilingual_translation")
    assert found["encoder_langtok"] is None
    assert found["decoder_langtok"] is False
    given = upgraded(task="multilingual_translation", encoder_langtok="src")
    assert given["encoder_langtok"] == "src"


def test_learned_positions_of_0_5_count_the_padding():
    settings = {"encoder_learned_pos": True, "max_source_positions": 1024}
    table = "encoder.embed_positions.weight"
    assert upgraded({table: torch.zeros(1024, 4)}, **settings)["max_source_positions"] == 1022
    assert upgraded({table: torch.zeros(1026, 4)}, **settings) == settings
    del settings["encoder_learned_pos"]  # a convolutional model
    assert upgraded({table: torch.zeros(1024, 4)}, **settings) == settings
