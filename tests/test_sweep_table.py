"""What a sweep prints."""

from __future__ import annotations

from fairseq_neuron_plugin.cli.sweep_table import format_sweep

BLEU = {"bleu": 17.583, "bleu_low": 16.94, "bleu_high": 18.2, "bleu_p": 0.000999}
CHRF = {"chrf": 41.2, "chrf_low": 40.0, "chrf_high": 42.0, "chrf_p": 0.2}
SHAPE = {"loss": 2.34567, "length_ratio": 0.98765, "empty": 0.0, "runaway": 0.0125}
POINT = {"ranking": "mean-distance", "order": "bottom", "ablated": 50, "seconds": 24.0}
ROW = {**POINT, **BLEU, **CHRF, **SHAPE, "sentences": 4001}
COLUMNS = [column for column in ROW if column not in POINT and not column.endswith("_p")]
UNABLATED = {
    **ROW,
    **{"name": "unablated", "ranking": None, "order": None, "ablated": 0, "bleu_p": None},
}


def test_main_metric_with_its_interval() -> None:
    printed = format_sweep([UNABLATED, ROW], COLUMNS, ("bleu", "chrf"), "bleu").splitlines()
    header, unablated, row = (line.split() for line in printed)
    assert header == [
        *("ranking", "order", "ablated", "bleu", "p", "chrf", "loss", "length", "empty"),
        *("runaway", "seconds"),
    ]
    numbers = ["41.20", "2.3457", "0.988", "0.000", "0.013", "24.00"]
    interval = ["17.58", "[16.9,", "18.2]"]
    assert unablated == ["unablated", "-", "0", *interval, "-", *numbers]
    assert row == ["mean-distance", "bottom", "50", *interval, "0.001", *numbers]
    assert len(set(map(len, printed))) == 1
    assert len(printed[0]) < 110  # and TER fits into 120


def test_without_resampling() -> None:
    row = {**POINT, "loss": 5.1, "perplexity": 34.296, "tokens": 9, "sentences": 3}
    columns = ("loss", "perplexity", "tokens", "sentences")
    header, line = format_sweep([row], columns, (), "perplexity").splitlines()
    assert header.split()[3:] == ["loss", "perplexity", "seconds"]
    assert line.split()[3:] == ["5.1000", "34.30", "24.00"]


def test_perplexity_with_its_interval() -> None:
    row = {**POINT, "perplexity": 34.296, "perplexity_low": 33.1, "perplexity_high": 35.0}
    row["perplexity_p"] = 0.25
    columns = ("perplexity", "perplexity_low", "perplexity_high")
    _, line = format_sweep([row], columns, ("perplexity",), "perplexity").splitlines()
    assert line.split()[3:] == ["34.30", "[33.10,", "35.00]", "0.250", "24.00"]
