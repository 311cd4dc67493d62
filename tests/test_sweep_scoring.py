"""The numbers of a translated text, against sacrebleu; what is empty; what is refused."""

from __future__ import annotations

import json
import math

import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.scoring import METRICS, Scorer, read_references

REFERENCES = ["der Hund sieht die Katze .", "sie schläft .", "„Ja“, sagt er.", "er läuft - schnell"]
HYPOTHESES = [
    "der Hund sah die Katze .",
    "sie .",
    "„Ja“, sagte sie.",
    "er läuft und läuft und läuft",
]


@pytest.mark.parametrize(
    "metrics", [METRICS, ("bleu",), ("ter", "chrf"), ("chrf",)], ids=lambda given: ",".join(given)
)
@pytest.mark.parametrize("resamples", [0, 50])
def test_equal_to_sacrebleu(metrics: tuple[str, ...], resamples: int) -> None:
    kinds = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    scorer = Scorer(REFERENCES, "data", metrics, resamples)
    found = scorer.score(HYPOTHESES)
    ends = ("", "_low", "_high") if resamples else ("",)
    names = [f"{metric}{end}" for metric in metrics for end in ends]
    assert list(found.numbers) == [*names, "length_ratio"]
    assert list(found.resampled) == (list(metrics) if resamples else [])
    for name in metrics:
        stock = kinds[name].corpus_score(HYPOTHESES, [REFERENCES], n_bootstrap=resamples or 1)
        assert found.numbers[name] == stock.score
        assert scorer.signatures()[name] == str(kinds[name].get_signature())
        if resamples:
            half = (found.numbers[f"{name}_high"] - found.numbers[f"{name}_low"]) / 2
            assert half == pytest.approx(stock._ci, abs=1e-5)
    stock = kinds["bleu"].corpus_score(HYPOTHESES, [REFERENCES])
    assert found.numbers["length_ratio"] == stock.ratio
    assert 0.5 < stock.ratio < 1.5


@pytest.mark.parametrize(
    ("references", "hypotheses", "ratio"),
    [
        (["ein Satz", "noch einer"], ["", ""], 0.0),
        (["", ""], ["ein Satz", ""], None),
        (["", ""], ["", ""], None),
        ([" "], [" "], None),
        (["", "noch einer"], ["noch einer", ""], 1.0),
    ],
)
def test_empty_lines(references: list[str], hypotheses: list[str], ratio: float | None) -> None:
    found = Scorer(references, "data", resamples=60).score(hypotheses)
    json.dumps(found.numbers, allow_nan=False)
    assert found.numbers["length_ratio"] == ratio
    for scores in found.resampled.values():
        assert all(map(math.isfinite, scores))
    expected = TER().corpus_score(hypotheses, [references]).score
    assert found.numbers["ter"] == expected


def test_as_many_hypotheses_as_references() -> None:
    with pytest.raises(UserError, match="3 hypotheses for 4 references"):
        Scorer(REFERENCES, "data").score(HYPOTHESES[:3])


def test_references_of_another_length(tmp_path) -> None:
    (tmp_path / "short").write_text("ein Satz\n")
    with pytest.raises(UserError, match="short has 1 lines, the split 2 sentences"):
        read_references(tmp_path / "short", 2)
