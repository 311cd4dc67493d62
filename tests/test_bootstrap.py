"""Resampled scores, intervals and p-values, against sacrebleu's paired bootstrap test."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest, estimate_ci

from fairseq_neuron_plugin.evaluation.bootstrap import Resampling, interval, paired_p
from fairseq_neuron_plugin.evaluation.scoring import Scorer

KINDS = {"bleu": BLEU, "chrf": CHRF, "ter": TER}


def drawn(n: int, resamples: int, seed: int = 12345) -> np.ndarray:
    """The sentences of each resampled text, as sacrebleu draws them: all at once."""
    return np.random.default_rng(seed).choice(n, size=(resamples, n), replace=True)


@pytest.mark.parametrize(
    ("n", "resamples", "seed"), [(1, 3, 1), (7, 100, 0), (501, 50, 12345), (300_000, 5, 2)]
)
def test_sums_are_those_of_the_drawn_sentences(n: int, resamples: int, seed: int) -> None:
    rng = np.random.default_rng(0)
    statistics = np.stack([rng.integers(0, 90, n), np.zeros(n), rng.exponential(20.0, n)], axis=1)
    found = Resampling(n, resamples, seed).sums(statistics)
    expected = np.stack([statistics[row].sum(0) for row in drawn(n, resamples, seed)])
    assert found.shape == (resamples, 3)
    np.testing.assert_array_equal(found[:, :2], expected[:, :2])
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-11)


def test_sums_do_not_depend_on_the_order_of_addition() -> None:
    """Each is a multiple of one power of 2, so that no addition rounds."""
    statistics = np.random.default_rng(3).exponential(20.0, (2000, 1))
    found = Resampling(2000, 20).sums(statistics)
    largest = np.ldexp(1.0, np.frexp(statistics.max() * 2000)[1])
    assert (found / (largest * 2.0**-53) % 1 == 0).all()
    assert found.max() < largest


def test_statistics_of_another_text() -> None:
    with pytest.raises(ValueError, match="of 3 sentences, not 4"):
        Resampling(4).sums(np.zeros((3, 2)))


@pytest.mark.parametrize("resamples", [1, 39, 40, 1000])
def test_interval(resamples: int) -> None:
    scores = np.random.default_rng(1).normal(20, 2, resamples)
    low, high = interval(scores)
    assert (high - low) / 2 == estimate_ci(scores)[1]
    assert {low, high} <= set(scores.tolist())
    assert int((scores < low).sum()) == int((scores > high).sum()) == resamples // 40


def test_two_equal_systems() -> None:
    scores = np.random.default_rng(1).normal(20, 2, 99)
    assert paired_p(scores, scores, 0.0) == 1 / 100


def texts(sentences: int = 60) -> tuple[list[str], dict[str, list[str]]]:
    """References, and systems: ever more words replaced; one is empty, one has half the lines."""
    rng = random.Random(5)
    words = [f"w{n}" for n in range(40)]
    references = [" ".join(rng.choices(words, k=rng.randint(1, 15))) for _ in range(sentences)]

    def spoilt(share: float) -> list[str]:
        return [
            " ".join(word if rng.random() > share else rng.choice(words) for word in line.split())
            for line in references
        ]

    systems = {f"spoilt {share}": spoilt(share) for share in (0.1, 0.12, 0.2, 0.8)}
    half = [line if number % 2 else "" for number, line in enumerate(references)]
    return references, {**systems, "same": spoilt(0), "empty": [""] * sentences, "half": half}


@pytest.mark.parametrize("resamples", [1000, 77])
def test_equal_to_sacrebleus_paired_test(resamples: int) -> None:
    references, systems = texts()
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    metrics = {name: kind(references=[references]) for name, kind in KINDS.items()}
    signatures, expected = PairedTest(
        list(systems.items()), metrics, None, test_type="bs", n_samples=resamples
    )()
    scorer = Scorer(references, "data", resamples=resamples)
    scored = [scorer.score(lines) for lines in systems.values()]
    p_values = []
    for name, found_as in (("bleu", "BLEU"), ("chrf", "chrF2"), ("ter", "TER")):
        assert scorer.signatures()[name] == str(signatures[found_as])
        for found, result in zip(scored, expected[found_as], strict=True):
            resampled, numbers = found.resampled[name], found.numbers
            assert resampled.shape == (resamples,)
            assert numbers[name] == pytest.approx(result.score, abs=1e-9)
            assert resampled.mean() == pytest.approx(result.mean, abs=1e-4)
            half = (numbers[f"{name}_high"] - numbers[f"{name}_low"]) / 2
            assert half == pytest.approx(result.ci, abs=1e-5)
        for found, result in zip(scored[1:], expected[found_as][1:], strict=True):
            apart = found.numbers[name] - scored[0].numbers[name]
            p = paired_p(scored[0].resampled[name], found.resampled[name], apart)
            assert p == pytest.approx(result.p_value, abs=1e-9)
            p_values.append(p)
    assert min(p_values) == 1 / (resamples + 1)
    assert max(p_values) > 0.2
