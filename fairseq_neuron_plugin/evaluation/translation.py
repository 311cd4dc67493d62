"""Evaluate a translation model: translate the split and score it, or force it to its references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..files import StrPath
from ..signature import short_hash, versions
from .bootstrap import RESAMPLES
from .decoding import Translation, Translator
from .evaluator import (
    Evaluation,
    Evaluator,
    Intervention,
    Progress,
    run_settings,
    task_settings,
)
from .forced_loss import ForcedLoss
from .metric_settings import MetricSettings
from .scoring import METRICS as TEXT_METRICS
from .scoring import Scorer, Scores, read_references

METRICS = (*TEXT_METRICS, "loss")


class TranslationEvaluator(Evaluator):
    """A split that is evaluated again and again against its references.

    Without a scorer nothing is translated.

    Args:
        translator: of the split.
        scorer: of its references, a line a sentence.
        forced_loss: of the same split; None if no loss is wanted.

    Attributes:
        columns: of each metric ``m`` also ``m_low`` and ``m_high`` if it is resampled; see `Scorer`
            and `ForcedLoss`. ``empty`` and ``runaway`` are shares of the sentences: whose
            translation has no word; and that the length limit has ended.
    """

    def __init__(
        self,
        translator: Translator,
        scorer: Scorer | None,
        forced_loss: ForcedLoss | None = None,
    ) -> None:
        if scorer is None and forced_loss is None:
            raise ValueError("neither scorer nor forced loss: there is nothing to evaluate")
        self.translator = translator
        self.scorer = scorer
        self.forced_loss = forced_loss
        self.session = translator.session
        self.references = scorer.references if scorer else None
        self._chosen = (*(scorer.metrics if scorer else ()), *(("loss",) if forced_loss else ()))
        resampling = (scorer or forced_loss).resampling  # type: ignore[union-attr]
        self._resamples = resampling.resamples if resampling else 0
        self.metrics = self._chosen if resampling else ()
        ends = ("", "_low", "_high") if resampling else ("",)
        shape = ("length_ratio", "empty", "runaway") if scorer else ()
        bands = (f"{metric}{end}" for metric in self._chosen for end in ends)
        self.columns = (*bands, *shape, "sentences")

    def __len__(self) -> int:
        return len(self.translator)

    @property
    def together(self) -> int:
        """See `Evaluator.together`."""
        return self.translator.together if self.scorer else 1

    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        """See `Evaluator.evaluate`."""
        return self.evaluate_together([intervention], progress)[0]

    def evaluate_together(
        self, interventions: Sequence[Intervention], progress: Progress
    ) -> list[Evaluation]:
        """See `Evaluator.evaluate_together`."""
        if self.scorer is None:
            return [self._evaluation(None, self._loss(each, progress)) for each in interventions]
        translated = self.translator.translate_together(interventions, progress)
        return [
            self._evaluation(translations, self._loss(each))
            for each, translations in zip(interventions, translated, strict=True)
        ]

    def data_hash(self) -> str:
        """Of the source side."""
        pairs = self.translator.pairs
        ids = [pairs[number]["source"].tolist() for number in range(len(pairs))]
        return short_hash("\n".join(map(str, ids)))

    def settings(self) -> dict[str, Any]:
        """See `Evaluator.settings`."""
        cfg = self.session.cfg
        found = {
            "metrics": ",".join(self._chosen),
            "bootstrap": self._resamples,
            **task_settings(cfg.task, ("source_lang", "target_lang")),
            **run_settings(self.session, 12000),
            **versions("torch", "fairseq", "sacrebleu"),
        }
        if self.scorer is not None:
            references = "\n".join(self.scorer.references)
            found |= {
                **search_settings(cfg),
                "reference": f"{self.scorer.origin}={short_hash(references)}",
            }
        if self.forced_loss is not None:
            found["target"] = self.forced_loss.target_hash()
        return found

    def signatures(self) -> dict[str, str]:
        """sacrebleu's."""
        return self.scorer.signatures() if self.scorer else {}

    def notes(self, unablated: Mapping[str, Any]) -> list[str]:
        """See `Evaluator.notes`."""
        return [] if self.scorer is None else self.scorer.notes(unablated.get("bleu"))

    def _loss(
        self, intervention: Intervention, progress: Progress = lambda sentences: None
    ) -> Scores:
        if self.forced_loss is None:
            return Scores({}, {})
        return self.forced_loss.score(intervention, progress)

    def _evaluation(self, translations: list[Translation] | None, loss: Scores) -> Evaluation:
        numbers = dict(loss.numbers)
        resampled = dict(loss.resampled)
        lines = None
        if translations is not None:
            assert self.scorer is not None
            lines = [translation.text for translation in translations]
            scores = self.scorer.score(lines)
            numbers |= {**scores.numbers, **_shares(translations)}
            resampled |= scores.resampled
        numbers["sentences"] = len(self)
        ordered = {column: numbers[column] for column in self.columns}
        return Evaluation(ordered, lines, {metric: resampled[metric] for metric in self.metrics})


def choose_metrics(text: str) -> tuple[str, ...]:
    """The metrics of a comma-separated list, in the order of `METRICS`, each once.

    Raises:
        UserError: none, or one that is unknown.
    """
    given = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [part for part in given if part not in METRICS]
    if unknown or not given:
        wrong = f"unknown metric {unknown[0]!r}" if unknown else "--metrics names no metric"
        raise UserError(f"{wrong}; choose from: {', '.join(METRICS)}")
    return tuple(metric for metric in METRICS if metric in given)


def translation_evaluator(
    translator: Translator,
    metrics: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    reference: StrPath | None = None,
    settings: MetricSettings | None = None,
) -> TranslationEvaluator:
    """What ``--metrics``, ``--bootstrap`` and ``--reference`` say.

    Args:
        translator: of the split.
        metrics: from `choose_metrics`; None for all but the loss, which takes a fifth of the time.
        resamples: for the intervals; 0 for none.
        reference: a raw text to score against instead of the target side.
        settings: of sacrebleu's metrics; None for its defaults and the tokenizer of the language.

    Raises:
        UserError: a negative number, or references or a target side that are missing.
    """
    if resamples < 0:
        raise UserError(f"--bootstrap must be 0 or more, not {resamples}")
    chosen = TEXT_METRICS if metrics is None else metrics
    of_text = [metric for metric in chosen if metric in TEXT_METRICS]
    scorer = None
    if of_text:
        origin = "data" if reference is None else "file"
        lines = (
            translator.references()
            if reference is None
            else read_references(reference, len(translator))
        )
        language = getattr(translator.session.cfg.task, "target_lang", None)
        scorer = Scorer(
            lines, origin, of_text, resamples, settings or MetricSettings.choose(language)
        )
    elif reference is not None:
        raise UserError("--reference is of no use where no text is scored; leave it out")
    forced = None
    if "loss" in chosen:
        forced = ForcedLoss(translator.session, translator.dataset, resamples)
    return TranslationEvaluator(translator, scorer, forced)


def _shares(translations: Sequence[Translation]) -> dict[str, float]:
    empty = sum(not translation.text.strip() for translation in translations)
    runaway = sum(translation.cut for translation in translations)
    return {"empty": empty / len(translations), "runaway": runaway / len(translations)}


def search_settings(cfg: Any) -> dict[str, Any]:
    """The usual settings of the search, every other one that is not fairseq's default, and how
    texts are segmented.
    """
    from fairseq.dataclass.configs import GenerationConfig

    usual = ("beam", "lenpen", "max_len_a", "max_len_b")
    defaults = GenerationConfig()
    return {
        **{
            name: value
            for name, value in sorted(cfg.generation.items())
            if name in usual
            or (not name.startswith("_") and value != getattr(defaults, name, value))
        },
        "bpe": getattr(cfg.bpe, "_name", cfg.bpe) or "none",
        "detokenizer": getattr(cfg.tokenizer, "_name", cfg.tokenizer) or "none",
    }
