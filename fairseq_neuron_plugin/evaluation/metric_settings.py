"""Settings of sacrebleu's metrics: its own names, and its choice of a tokenizer by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from ..errors import UserError

KINDS: Mapping[str, Callable[..., Metric]] = {"bleu": BLEU, "chrf": CHRF, "ter": TER}
DEFAULT_TOKENIZER = "13a"

# As sacrebleu's command chooses by --language-pair; the further codes are ISO 639-3, which
# multilingual models use.
_LANGUAGES = {"zho": "zh", "cmn": "zh", "yue": "zh", "jpn": "ja", "kor": "ko"}
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
_NEEDS = {"ja-mecab": ("MeCab", "sacrebleu[ja]"), "ko-mecab": ("mecab_ko", "sacrebleu[ko]")}

# Scripts that put no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF)),
    *((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2FA1F)),
)


@dataclass(frozen=True)
class MetricSettings:
    """What sacrebleu's metrics are made with.

    Attributes:
        options: keyword arguments by metric, e.g. ``{"bleu": {"tokenize": "zh"}}``.
        note: what a user should know of the choice; empty if there is nothing.
    """

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def choose(
        cls, language: str | None, options: Mapping[str, Mapping[str, Any]] | None = None
    ) -> MetricSettings:
        """Choose BLEU's tokenizer by the target language, unless it is given.

        Args:
            language: of the translations, e.g. ``zh`` or ``zho_Hans``; None if unknown.
            options: keyword arguments by metric.
        """
        given = {name: dict(values) for name, values in (options or {}).items()}
        note = ""
        if given.get("bleu", {}).get("tokenize") is None:
            tokenizer, note = choose_tokenizer(language)
            given["bleu"] = {**given.get("bleu", {}), "tokenize": tokenizer}
        return cls(given, note)

    def make(self, name: str, references: list[str]) -> Metric:
        """Make a metric, with its references tokenised and counted.

        Raises:
            UserError: its tokenizer is not installed, or an option is out of range.
        """
        options = dict(self.options.get(name, {}))
        try:
            return KINDS[name](references=[references], **options)
        except (Exception, SystemExit) as error:
            given = ", ".join(f"{key}={value}" for key, value in options.items())
            raise UserError(f"sacrebleu cannot make {name} with {given}: {error}") from error


def choose_tokenizer(language: str | None) -> tuple[str, str]:
    """Choose BLEU's tokenizer as sacrebleu's command does with ``--language-pair``.

    Returns:
        Its name, and a note where another one would be right but is not installed.
    """
    code = (language or "").lower().replace("-", "_").partition("_")[0]
    name = _TOKENIZERS.get(_LANGUAGES.get(code, code), DEFAULT_TOKENIZER)
    module, extra = _NEEDS.get(name, ("", ""))
    if not module or find_spec(module) is not None:
        return name, ""
    return "char", (
        f"BLEU is over characters: sacrebleu's tokenizer {name} for {language} is not installed "
        f"(pip install '{extra}')"
    )


def is_unspaced(lines: list[str]) -> bool:
    """Tell whether most characters of a text are of scripts without spaces between words."""
    letters = [ord(letter) for line in lines for letter in line if letter.isalpha()]
    unspaced = sum(any(low <= code <= high for low, high in _UNSPACED) for code in letters)
    return unspaced > len(letters) / 2
