"""scripts/word_kinds.py on words that can be counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import word_kinds
from report_toy import write_probe, write_store
from word_kinds import compare_by_kind, predict, read_vocabulary

from fairseq_neuron_plugin.probing.probe_folder import load_probe

TRAINING = (
    # "run" is a verb in two of three, "the" always a determiner, "zyx" a noun
    ["run", "run", "run", "the", "the", "zyx"],
    ["V", "V", "N", "D", "D", "N"],
)
TEST = (["run", "run", "the", "zyx", "new"], ["V", "N", "D", "N", "N"])


def test_compare_by_kind() -> None:
    predicted = ["V", "N", "V", "N", "D"]
    assert list(compare_by_kind(TRAINING, TEST, predicted, {"run", "the"})) == [
        ("ambiguous", 2, 50.0, 100.0),
        ("not ambiguous", 1, 100.0, 0.0),
        # the baseline knows zyx; of a new word it says D, the first of the most frequent labels
        ("not in the model's dictionary", 2, 50.0, 50.0),
    ]


def test_a_kind_without_words_has_no_accuracy() -> None:
    *_, unknown = compare_by_kind(TRAINING, TEST, TEST[1], {*TEST[0]})
    assert unknown[1] == 0
    assert math.isnan(unknown[2])


def test_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "dict.en.txt"
    path.write_text("the 12\nrun 3\n", encoding="utf-8")
    assert read_vocabulary(path) == {"the", "run"}


def test_predictions_of_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_kinds, "BLOCK", 7)
    store = write_store(tmp_path / "acts")
    write_probe(tmp_path / "probe")
    probe = load_probe(tmp_path / "probe")
    logits = store.array[:] @ probe.weight.T + probe.intercept
    assert logits.shape == (300, 3)
    expected = np.asarray(probe.labels)[logits.argmax(axis=1)].tolist()
    assert predict(tmp_path / "probe", tmp_path / "acts") == expected
    assert len(set(expected)) > 1
