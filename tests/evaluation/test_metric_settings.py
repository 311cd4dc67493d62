"""Settings of sacrebleu's metrics: scores and signatures are those of its own command."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fairseq_neuron_plugin.cli.metric_arguments import add_metric_arguments, metric_settings
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.metric_settings import (
    MetricSettings,
    choose_tokenizer,
    is_unspaced,
)
from fairseq_neuron_plugin.evaluation.scoring import METRICS, Scorer

REFERENCES = ["我认识他 。", "那只 Katze 在睡觉。", "the Cat sat on the mat, again"]
HYPOTHESES = ["我不认识他。", "那只 katze 睡觉了。", "the cat sat on a mat again"]


def settings_of(*flags: str, language: str = "zh", scored: tuple = METRICS) -> MetricSettings:
    parser = argparse.ArgumentParser()
    add_metric_arguments(parser)
    return metric_settings(parser.parse_args(flags), language, scored)


def sacrebleu_says(folder: Path, *flags: str) -> dict[str, tuple[float, str]]:
    """Scores and signatures of sacrebleu's command."""
    for name, lines in (("ref", REFERENCES), ("hyp", HYPOTHESES)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = ["-m", "sacrebleu", "ref", "-i", "hyp", "-m", *METRICS, "-w", "10", *flags]
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, check=True, capture_output=True, text=True
    )
    return {
        metric: (found["score"], found["signature"])
        for metric, found in zip(METRICS, json.loads(result.stdout), strict=True)
    }


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((), ("-l", "en-zh")),
        (("--bleu-tokenize", "char"), ("-tok", "char")),
        (("--bleu-tokenize", "13a"), ()),
        (
            ("--bleu-tokenize", "intl", "--bleu-lowercase", "--bleu-smooth-method", "floor"),
            ("-tok", "intl", "-lc", "-s", "floor"),
        ),
        (
            ("--bleu-smooth-method", "add-k", "--bleu-smooth-value", "0.5"),
            ("-l", "en-zh", "-s", "add-k", "-sv", "0.5"),
        ),
        (
            ("--chrf-word-order", "2", "--chrf-lowercase", "--chrf-beta", "3"),
            ("-l", "en-zh", "--chrf-word-order", "2", "--chrf-lowercase", "--chrf-beta", "3"),
        ),
        (
            ("--chrf-char-order", "4", "--chrf-whitespace", "--chrf-eps-smoothing"),
            ("-l", "en-zh", "--chrf-char-order", "4", "--chrf-whitespace", "--chrf-eps-smoothing"),
        ),
        (
            ("--ter-case-sensitive", "--ter-asian-support", "--ter-normalized", "--ter-no-punct"),
            (
                *("-l", "en-zh", "--ter-case-sensitive", "--ter-asian-support"),
                *("--ter-normalized", "--ter-no-punct"),
            ),
        ),
    ],
)
def test_equal_to_the_command(tmp_path, ours, theirs) -> None:
    scorer = Scorer(REFERENCES, "data", METRICS, 0, settings_of(*ours))
    scores, signatures = scorer.score(HYPOTHESES).numbers, scorer.signatures()
    for metric, (score, signature) in sacrebleu_says(tmp_path, *theirs).items():
        assert scores[metric] == pytest.approx(score, abs=1e-9), metric
        assert signatures[metric] == signature


@pytest.mark.parametrize(
    ("language", "name"),
    [
        *((code, "zh") for code in ("zh", "zh_CN", "zh-TW", "zho_Hans", "zho_Hant", "cmn")),
        *((code, "13a") for code in ("en", "de", "fra_Latn", "zha", None, "")),
    ],
)
def test_tokenizer_of_a_language(language, name) -> None:
    assert choose_tokenizer(language) == (name, "")


@pytest.mark.parametrize(
    ("language", "module", "name"),
    [
        ("ja", "MeCab", "ja-mecab"),
        ("jpn_Jpan", "MeCab", "ja-mecab"),
        ("ko", "mecab_ko", "ko-mecab"),
    ],
)
def test_characters_where_the_tokenizer_is_not_installed(language, module, name) -> None:
    chosen, note = choose_tokenizer(language)
    if find_spec(module):
        assert (chosen, note) == (name, "")
    else:
        assert chosen == "char"
        assert f"tokenizer {name} for {language} is not installed" in note


def test_a_low_score_without_spaces_is_explained() -> None:
    references = ["我认识他。", "那只猫在睡觉。"]
    plain = Scorer(references, "data", settings=settings_of("--bleu-tokenize", "13a"))
    bleu = plain.score(["我不认识他。", "那只猫睡觉了。"]).numbers["bleu"]
    assert bleu < 1
    assert "--bleu-tokenize zh" in plain.notes(bleu)[0]
    assert not plain.notes(30.0)
    assert not Scorer(["a b c"], "data").notes(0.0)
    assert is_unspaced(["ฉันรู้จักเขา"])
    assert not is_unspaced(["ich kenne 他"])


@pytest.mark.parametrize(
    ("flags", "scored", "message"),
    [
        (("--ter-no-punct",), ("bleu",), "--ter-no-punct does nothing without --metrics ter"),
        (("--chrf-word-order", "-1"), METRICS, "--chrf-word-order must be between 0 and 100"),
        (("--bleu-smooth-value", "nan"), METRICS, "--bleu-smooth-value must be between 0 and 100"),
    ],
)
def test_refused(flags, scored, message) -> None:
    with pytest.raises(UserError, match=message):
        settings_of(*flags, scored=scored)


def test_a_tokenizer_that_cannot_be_made_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.tokenizers.tokenizer_spm", None)
    with pytest.raises(UserError, match="sacrebleu cannot make bleu with tokenize=flores200"):
        Scorer(REFERENCES, "data", settings=settings_of("--bleu-tokenize", "flores200"))
