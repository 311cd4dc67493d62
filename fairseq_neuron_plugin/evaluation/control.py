"""Neurons held at values: the translations without and with them, and what is different.

After Bau et al. (2019), "Identifying and Controlling Important Neurons in Neural Machine
Translation".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from .bootstrap import paired_p
from .decoding import Translator
from .evaluator import Intervention, Progress
from .scoring import Scorer


@dataclass(frozen=True)
class Control:
    """Translations before and after, in corpus order, a line a sentence.

    Attributes:
        sources: what was translated.
        before: without the intervention.
        after: with it.
    """

    sources: Sequence[str]
    before: Sequence[str]
    after: Sequence[str]

    def changed(self) -> list[int]:
        """The numbers of the sentences, from 0, whose translation is another."""
        pairs = zip(self.before, self.after, strict=True)
        return [number for number, (before, after) in enumerate(pairs) if before != after]

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row a sentence: ``sentence`` (from 1), ``source, before, after, changed, marked``."""
        lines = zip(self.sources, self.before, self.after, strict=True)
        for number, (source, before, after) in enumerate(lines, start=1):
            yield {
                "sentence": number,
                "source": source,
                "before": before,
                "after": after,
                "changed": before != after,
                "marked": mark_changes(before, after),
            }


def control(
    translator: Translator,
    intervention: Intervention,
    sources: Sequence[str],
    progress: Progress = lambda sentences: None,
) -> Control:
    """Translate without and with an intervention, in two decodes of the same shapes.

    (In one, the same numbers may be rounded otherwise in other rows, and a translation may seem to
    be changed by a neuron that does nothing.)

    Args:
        translator: of a split or a text.
        intervention: the neurons and their values.
        sources: of the text, in order.
        progress: counts every sentence twice.

    Raises:
        UserError: the neurons were never reached.
    """
    both = (Intervention({}, 0.0, intervention.scope), intervention)
    before, after = (
        [translation.text for translation in translator.translate(each, progress)] for each in both
    )
    return Control(sources, before, after)


def score_control(found: Control, scorer: Scorer) -> list[dict[str, Any]]:
    """A row a metric: ``metric, before, after, p``, by the paired bootstrap test.

    p is None without resampling, or if all resampled texts have the same scores.
    """
    before, after = scorer.score(found.before), scorer.score(found.after)
    rows = []
    for metric in scorer.metrics:
        old, new = before.numbers[metric], after.numbers[metric]
        p = None
        if metric in before.resampled and old is not None and new is not None:
            ours, theirs = after.resampled[metric], before.resampled[metric]
            if (ours != theirs).any():
                p = paired_p(theirs, ours, new - old)
        rows.append({"metric": metric, "before": old, "after": new, "p": p})
    return rows


def mark_changes(before: str, after: str) -> str:
    """Words that went and words that came, marked as in ``git diff --word-diff``.

    >>> mark_changes("Ich weiß es nicht .", "Ich weiß das .")
    'Ich weiß [-es nicht-] {+das+} .'
    """
    old, new = before.split(" "), after.split(" ")
    parts: list[str] = []
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.extend(old[i:j])
            continue
        if i < j:
            parts.append(f"[-{' '.join(old[i:j])}-]")
        if k < m:
            parts.append(f"{{+{' '.join(new[k:m])}+}}")
    return " ".join(parts)
