"""Evaluate a translation model: translate the split, and score it by BLEU and chrF."""

from __future__ import annotations

from typing import Any

from ..signature import short_hash, versions
from .decoding import Translator
from .evaluator import (
    Evaluation,
    Evaluator,
    Intervention,
    Progress,
    run_settings,
    task_settings,
)
from .scoring import Scorer


class TranslationEvaluator(Evaluator):
    """A split that is translated again and again, and scored against its references.

    All batches are kept, so memory grows with the split.

    Args:
        translator: of the split.
        scorer: of its references, a line a sentence.
    """

    columns = ("bleu", "chrf", "sentences")

    def __init__(self, translator: Translator, scorer: Scorer) -> None:
        self.translator = translator
        self.scorer = scorer
        self.session = translator.session
        self.references = scorer.references

    def __len__(self) -> int:
        return len(self.translator)

    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        """See `Evaluator.evaluate`."""
        lines = self.translator.translate(
            intervention.neurons, intervention.value, intervention.scope, progress
        )
        return Evaluation({**self.scorer.score(lines), "sentences": len(lines)}, lines)

    def data_hash(self) -> str:
        """Of the source side."""
        pairs = self.translator.pairs
        ids = [pairs[number]["source"].tolist() for number in range(len(pairs))]
        return short_hash("\n".join(map(str, ids)))

    def settings(self) -> dict[str, Any]:
        """See `Evaluator.settings`."""
        cfg = self.session.cfg
        return {
            **_generation(cfg),
            **task_settings(cfg.task, ("source_lang", "target_lang")),
            **run_settings(self.session, 12000),
            "bpe": getattr(cfg.bpe, "_name", cfg.bpe) or "none",
            "detokenizer": getattr(cfg.tokenizer, "_name", cfg.tokenizer) or "none",
            "reference": f"{self.scorer.origin}={short_hash(chr(10).join(self.scorer.references))}",
            **versions("torch", "fairseq", "sacrebleu"),
        }

    def signatures(self) -> dict[str, str]:
        """sacrebleu's."""
        self.scorer.score(self.scorer.references)  # it knows its signature only after a score
        return self.scorer.signatures()


def _generation(cfg: Any) -> dict[str, Any]:
    """The usual settings of the search, and every other one that is not fairseq's default."""
    from fairseq.dataclass.configs import GenerationConfig

    usual = ("beam", "lenpen", "max_len_a", "max_len_b")
    defaults = GenerationConfig()
    return {
        name: value
        for name, value in sorted(cfg.generation.items())
        if name in usual or (not name.startswith("_") and value != getattr(defaults, name, value))
    }
