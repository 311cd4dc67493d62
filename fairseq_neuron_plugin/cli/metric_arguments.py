"""Flags of sacrebleu's metrics, by its own names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from ..evaluation.metric_settings import MetricSettings

# Kept here, since sacrebleu is imported only once there is something to score.
_TOKENIZERS = (
    *("none", "zh", "13a", "intl", "char", "ja-mecab", "ko-mecab"),
    *("spm", "flores101", "flores200", "spBLEU-1K"),
)
_SMOOTHING = ("exp", "floor", "add-k", "none")
_NUMBERS = ("smooth_value", "char_order", "word_order", "beta")


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; what is not given stays as sacrebleu has it."""
    group = parser.add_argument_group("metrics (options of sacrebleu)")

    def add(flag: str, help_text: str, **settings: Any) -> None:
        group.add_argument(flag, default=None, help=help_text, **settings)

    add(
        "--bleu-tokenize",
        "default: zh for Chinese, ja-mecab for Japanese and ko-mecab for Korean (char where that "
        "is not installed), 13a for all others",
        choices=_TOKENIZERS,
    )
    switch: dict[str, Any] = {"action": "store_const", "const": True}
    add("--bleu-lowercase", "ignore case", **switch)
    add("--bleu-smooth-method", "default: exp", choices=_SMOOTHING)
    add("--bleu-smooth-value", "with floor and add-k", type=float, metavar="X")
    add("--chrf-char-order", "length of character n-grams (default: 6)", type=int, metavar="N")
    add("--chrf-word-order", "2 makes it chrF++ (default: 0)", type=int, metavar="N")
    add("--chrf-beta", "weight of recall (default: 2)", type=int, metavar="N")
    add("--chrf-whitespace", "count spaces", **switch)
    add("--chrf-lowercase", "ignore case", **switch)
    add("--chrf-eps-smoothing", "smooth as chrF++.py does", **switch)
    add("--ter-case-sensitive", "tell cases apart", **switch)
    add("--ter-asian-support", "split Asian characters", **switch)
    add("--ter-no-punct", "leave out punctuation", **switch)
    add("--ter-normalized", "normalise and tokenise", **switch)


def metric_settings(
    args: argparse.Namespace, language: str | None, scored: Sequence[str]
) -> MetricSettings:
    """Read the flags.

    Args:
        args: with `add_metric_arguments`.
        language: of the translations, for BLEU's tokenizer.
        scored: the metrics that are computed.

    Raises:
        UserError: a flag of a metric that is not computed, or a number out of range.
    """
    from ..evaluation.metric_settings import KINDS, MetricSettings

    options: dict[str, dict[str, Any]] = {}
    for metric in KINDS:
        prefix = f"{metric}_"
        options[metric] = {
            name.removeprefix(prefix): value
            for name, value in vars(args).items()
            if name.startswith(prefix) and value is not None
        }
        for name, value in options[metric].items():
            flag = f"--{metric}-{name.replace('_', '-')}"
            if metric not in scored:
                raise UserError(f"{flag} does nothing without --metrics {metric}")
            if name in _NUMBERS and not 0 <= value <= 100:
                raise UserError(f"{flag} must be between 0 and 100, not {value}")
    return MetricSettings.choose(language, options)
