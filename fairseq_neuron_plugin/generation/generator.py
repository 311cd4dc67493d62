"""fairseq's sequence generator, with compact scores where they are enough."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fairseq.search import BeamSearch
from fairseq.sequence_generator import EnsembleModel, SequenceGenerator

from ..projection import Projection
from .compact_scores import SPECIALS, CompactScores, worthwhile
from .ensemble import CompactEnsemble
from .search import Columns, CompactBeamSearch

# Settings of a `SequenceGenerator` that are kept under the name of the argument.
_KEPT = (
    *("beam_size", "max_len_a", "max_len_b", "max_len", "min_len", "normalize_scores"),
    *("len_penalty", "unk_penalty", "temperature", "match_source_len", "eos"),
    *("symbols_to_strip_from_output",),
)
# Those that need every word's score.
_WHOLE = ("no_repeat_ngram_size", "search_strategy", "lm_model", "lm_weight", "tokens_to_suppress")


def accelerate(generator: Any) -> Any:
    """A generator with the same hypotheses, faster where that is possible.

    Anything but a plain `SequenceGenerator` of one model with a plain beam search is given back as
    it is: samplers, constrained and diverse searches, ensembles, language model fusion, n-gram
    blocking, suppressed tokens, alignments, and the generators of a fairseq that has more settings.
    """
    parameters = inspect.signature(SequenceGenerator.__init__).parameters
    known = {"self", "models", "tgt_dict", *_KEPT, *_WHOLE} >= set(parameters)
    plain = (
        known
        and type(generator) is SequenceGenerator
        and type(generator.model) is EnsembleModel
        and type(generator.search) is BeamSearch
        and generator.model.models_size == 1
        and generator.model.has_incremental_states()
        and generator.lm_model is None
        and generator.repeat_ngram_blocker is None
        and generator.token_indices_to_suppress is None
        and _has_usual_specials(generator)
    )
    return CompactGenerator(generator) if plain else generator


def _has_usual_specials(generator: SequenceGenerator) -> bool:
    words = generator.tgt_dict
    found = [words.bos(), words.pad(), generator.eos, words.unk()]
    return found == list(range(SPECIALS)) and words.eos() == generator.eos


class CompactGenerator(SequenceGenerator):
    """A `SequenceGenerator` whose search sees a few columns instead of the vocabulary.

    A sentence's next candidates are the best ``2 * beam`` continuations of its beams, so none of
    them is beyond the best ``2 * beam`` of its own beam. All that fairseq's loop does to single
    words, it does to the special symbols, and those keep their columns. Calls with prefix tokens
    or constraints, models of other kinds and small vocabularies take the ordinary path. One thread
    at a time: what is searched lies in the generator.

    Args:
        generator: a plain generator, whose settings are taken over.
    """

    model: CompactEnsemble
    search: BeamSearch
    vocab_size: int

    def __init__(self, generator: SequenceGenerator) -> None:
        settings = {name: getattr(generator, name) for name in _KEPT}
        models = CompactEnsemble(list(generator.model.models))
        super().__init__(models, generator.tgt_dict, **settings)
        self._columns = Columns()
        self._compact_search = CompactBeamSearch(generator.tgt_dict, self._columns)

    def _generate(
        self,
        sample: Any,
        prefix_tokens: Any = None,
        constraints: Any = None,
        bos_token: int | None = None,
    ) -> Any:
        rows = len(next(iter(sample["net_input"].values()))) * self.beam_size
        projection = None
        if prefix_tokens is None and constraints is None:
            projection = self._projection(rows)
        if projection is None:
            return super()._generate(sample, prefix_tokens, constraints, bos_token)
        with self._compactly(projection, rows):
            return super()._generate(sample, bos_token=bos_token)

    def _projection(self, rows: int) -> Projection | None:
        """Read anew for each call: weights may have changed, and hooks come and go."""
        model = self.model.single_model
        # A language model continues a prefix, which takes the ordinary path anyway.
        projection = Projection.of(model) if hasattr(model, "encoder") else None
        if projection is None or len(projection.weight) != len(self.tgt_dict):
            return None
        return projection if worthwhile(projection, rows, 2 * self.beam_size) else None

    @contextmanager
    def _compactly(self, projection: Projection, rows: int) -> Iterator[None]:
        """Search in compact columns until the end of the block."""
        scores = CompactScores(projection, 2 * self.beam_size, self.temperature, rows)
        ordinary = self.search
        self.search, self.vocab_size = self._compact_search, scores.width
        try:
            with self.model.compactly(scores, self._columns, self.beam_size):
                yield
        finally:
            self.search, self.vocab_size = ordinary, len(self.tgt_dict)
