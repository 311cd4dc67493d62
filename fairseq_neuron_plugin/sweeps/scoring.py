"""BLEU and chrF by sacrebleu, with their signatures."""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics import BLEU, CHRF

from ..errors import UserError
from ..files import StrPath, read_lines


class Scorer:
    """Scores translations of one text.

    Args:
        references: one line a sentence.
        origin: where they come from, for the signature.
    """

    def __init__(self, references: Sequence[str], origin: str) -> None:
        self.references = list(references)
        self.origin = origin
        # References given here are tokenised and counted once, not at every point.
        self._bleu = BLEU(references=[self.references])
        self._chrf = CHRF(references=[self.references])

    def score(self, hypotheses: Sequence[str]) -> dict[str, float]:
        """``bleu`` and ``chrf`` of the hypotheses, in percent.

        Raises:
            UserError: not as many as there are references.
        """
        if len(hypotheses) != len(self.references):
            raise UserError(
                f"{len(hypotheses)} hypotheses for {len(self.references)} references: every "
                "sentence must be scored"
            )
        return {
            "bleu": float(self._bleu.corpus_score(list(hypotheses), None).score),
            "chrf": float(self._chrf.corpus_score(list(hypotheses), None).score),
        }

    def signatures(self) -> dict[str, str]:
        """sacrebleu's signature of each metric; known once something has been scored."""
        metrics = {"bleu": self._bleu, "chrf": self._chrf}
        return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def read_references(path: StrPath, sentences: int) -> list[str]:
    """A raw reference file, a sentence a line.

    Raises:
        UserError: missing, or not as many lines as the split has sentences.
    """
    lines = read_lines(path, "reference")
    if len(lines) != sentences:
        raise UserError(f"reference {path} has {len(lines)} lines, the split {sentences} sentences")
    return lines
