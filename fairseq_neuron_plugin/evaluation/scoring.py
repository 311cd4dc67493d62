"""BLEU, chrF and TER by sacrebleu, with their bootstrap intervals and their signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics.base import Metric

from ..errors import UserError
from ..files import StrPath, read_lines
from .bootstrap import RESAMPLES, FloatArray, Resampling, interval
from .metric_settings import KINDS, MetricSettings, is_unspaced

METRICS = tuple(KINDS)


@dataclass(frozen=True)
class Scores:
    """What a text is worth.

    Attributes:
        numbers: by column; None where there is nothing to divide by.
        resampled: for each metric its scores of the resampled texts, ``[resamples]``.
    """

    numbers: Mapping[str, float | None]
    resampled: Mapping[str, FloatArray]


class Scorer:
    """Scores translations of one text.

    Args:
        references: one line a sentence, at least one.
        origin: where they come from, for the signature.
        metrics: some of `METRICS`.
        resamples: how many texts are drawn for the intervals; 0 for none.
        settings: of the metrics; None for sacrebleu's defaults, whatever the language.

    Raises:
        UserError: a setting that sacrebleu cannot use.
    """

    def __init__(
        self,
        references: Sequence[str],
        origin: str,
        metrics: Sequence[str] = METRICS,
        resamples: int = RESAMPLES,
        settings: MetricSettings | None = None,
    ) -> None:
        self.settings = settings or MetricSettings()
        self.references = list(references)
        self.origin = origin
        self.metrics = tuple(metrics)
        self.resampling = Resampling(len(self.references), resamples) if resamples else None
        # BLEU also counts the words of the length ratio.
        self._metrics = {
            name: _Metric(self.settings.make(name, self.references))
            for name in ("bleu", *self.metrics)
        }

    def score(self, hypotheses: Sequence[str]) -> Scores:
        """The hypotheses' scores in percent, and how long they are.

        Returns:
            ``m`` of each metric, and ``m_low`` and ``m_high`` if there are resamples;
            ``length_ratio``, words of the hypotheses per word of the references, as BLEU counts
            them.

        Raises:
            UserError: not as many as there are references.
        """
        if len(hypotheses) != len(self.references):
            raise UserError(
                f"{len(hypotheses)} hypotheses for {len(self.references)} references: every "
                "sentence must be scored"
            )
        numbers: dict[str, float | None] = {}
        resampled: dict[str, FloatArray] = {}
        statistics = {name: self._metrics[name].statistics(hypotheses) for name in self._metrics}
        for name in self.metrics:
            metric = self._metrics[name]
            numbers[name] = metric.score(statistics[name].sum(0))
            if self.resampling is not None:
                found = self.resampling.scores(statistics[name], metric.score_resampled)
                resampled[name] = found
                numbers[f"{name}_low"], numbers[f"{name}_high"] = interval(found)
        words, wanted = statistics["bleu"][:, :2].sum(0).tolist()
        numbers["length_ratio"] = words / wanted if wanted else None
        return Scores(numbers, resampled)

    def notes(self, bleu: float | None) -> list[str]:
        """List what a user should know of BLEU.

        Args:
            bleu: of the unablated model, in percent; None if it is not scored.
        """
        notes = [self.settings.note] if self.settings.note and "bleu" in self.metrics else []
        if bleu is not None and bleu < 1 and is_unspaced(self.references):
            notes.append(
                f"the unablated model has a BLEU of {bleu:.2f}, and the references are written "
                "without spaces: BLEU needs a tokenizer for them, such as --bleu-tokenize zh, "
                "char, spm or flores200"
            )
        return notes

    def signatures(self) -> dict[str, str]:
        """sacrebleu's signature of each metric."""
        return {name: self._metrics[name].signature(self.resampling) for name in self.metrics}


class _Metric:
    """One of sacrebleu's metrics: no other place knows its private functions.

    Its own bootstrap adds up each resample sentence by sentence; they are all that it takes to do
    the same by one matrix product.
    """

    def __init__(self, metric: Metric) -> None:
        # Its references are tokenised and counted already, not at every point.
        self._metric = metric

    def statistics(self, hypotheses: Sequence[str]) -> FloatArray:
        """What the score needs to know of each sentence, ``[sentences, k]``."""
        found = self._metric._extract_corpus_statistics(hypotheses, None)
        return np.array(found, dtype=np.float64)

    def score(self, summed: FloatArray) -> float:
        """From statistics summed over a text, ``[k]``."""
        return float(self._metric._compute_score_from_stats(summed.tolist()).score)

    def score_resampled(self, summed: FloatArray) -> float:
        """As `score`, in single precision, as sacrebleu has resampled texts."""
        return float(self._metric._compute_score_from_stats(summed.astype(np.float32)).score)  # type: ignore[arg-type]

    def signature(self, resampling: Resampling | None) -> str:
        """As sacrebleu's command prints it, with ``--confidence`` if there are resamples."""
        if resampling is not None:
            self._metric.n_bootstrap = resampling.resamples
            self._metric.seed = resampling.seed
        return str(self._metric.get_signature())


def read_references(path: StrPath, sentences: int) -> list[str]:
    """A raw reference file, a sentence a line.

    Raises:
        UserError: missing, or not as many lines as the split has sentences.
    """
    lines = read_lines(path, "reference")
    if len(lines) != sentences:
        raise UserError(f"reference {path} has {len(lines)} lines, the split {sentences} sentences")
    return lines
