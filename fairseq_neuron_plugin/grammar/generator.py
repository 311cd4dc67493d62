"""The endless stream of sentence pairs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from .clause import Sentence
from .english import realise_english
from .german import realise_german
from .sample_clauses import ClauseSampler
from .sample_phrases import PhraseSampler
from .sample_sentences import SentenceSampler
from .tags import Pair

_SHORTEST, _LONGEST = 3, 20


def realise(sentence: Sentence) -> Pair:
    """Return the sentence on both sides."""
    return Pair(realise_english(sentence), realise_german(sentence))


def generate(seed: int) -> Iterator[Pair]:
    """Yield sentence pairs without end, the same ones for the same seed.

    Sentences have 3 to 20 English tokens, German ones at most four more; they
    may repeat.
    """
    rng = Random(seed)
    phrases = PhraseSampler(rng)
    sampler = SentenceSampler(rng, phrases, ClauseSampler(rng, phrases))
    while True:
        pair = realise(sampler.sentence())
        if _SHORTEST <= len(pair.english) <= _LONGEST and len(pair.german) <= _LONGEST + 4:
            yield pair
