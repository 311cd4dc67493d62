"""Translate a whole split with fairseq's own generator, under an intervention."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..corpora.readers import open_pairs
from ..errors import UserError
from ..generation import accelerate
from ..generation.together import (
    can_run_together,
    is_plain_input,
    is_plain_search,
    repeat_sample,
)
from ..generation.together import together as run_together
from ..interventions import ablate
from ..loading import Session
from .batches import Batch, collate, collate_by_length, longest_hypothesis
from .evaluator import Intervention, Progress, check_one_model

# Rows of a batch, sentences x beam, beyond which a row costs as much as ever.
_ROWS = 4096  # on an accelerator; estimated
_ROWS_ON_CPU = 512  # measured: of 20 a row costs 0.4 of that of 5, of 600 as that of 300
_MOST_TOGETHER = 32


@dataclass(frozen=True)
class Translation:
    """The best hypothesis of a sentence.

    Attributes:
        text: detokenised.
        cut: it was ended by the length limit, not by the model.
    """

    text: str
    cut: bool


class Translator:
    """A split of the data folder, or a text, ready to be translated again and again.

    All batches are kept, so memory grows with the split. A sentence that a batch holds more than
    once is translated once.

    Args:
        session: one model, its task and fairseq's generation flags.
        split: name of the binarised split; or lines of text, as fairseq-interactive takes them.
        together: how many interventions are to be in one batch; None for what is fastest.

    Attributes:
        dataset: the task's, which makes the batches.
        batches: what the generator is given.
        pairs: the pairs of sentences below it, in corpus order.

    Raises:
        UserError: an ensemble, a language model, a flag that a sweep has no use for, or a sentence
            that the model cannot read.
    """

    def __init__(
        self, session: Session, split: str | Sequence[str], together: int | None = None
    ) -> None:
        check_one_model(session)
        _check_flags(session)
        self.session = session
        self._bpe = session.build_bpe()
        self._tokenizer = build_tokenizer(session)
        if isinstance(split, str):
            self.dataset = session.load_split(split)
            samples = collate(session, self.dataset)
        else:
            self.dataset = self._read(split)
            samples = collate_by_length(session, self.dataset)
        _, self.pairs = open_pairs(self.dataset)
        self.generator = accelerate(
            session.task.build_generator(session.models, session.cfg.generation)
        )
        plain = is_plain_search(self.generator)
        self.batches = [Batch.of_distinct(each) if plain else Batch.of(each) for each in samples]
        self._together = together
        self._joins = can_run_together(self.generator) and all(map(is_plain_input, samples))

    def __len__(self) -> int:
        return len(self.dataset)

    def references(self) -> list[str]:
        """The target side of the split, detokenised, in corpus order.

        Words that were not in the dictionary are ``<<unk>>`` for good: a raw reference file is
        better where there is one.

        Raises:
            UserError: the split has no target side.
        """
        if self.pairs.tgt is None:
            raise UserError("the split has no target side: give --reference FILE")
        return [
            self._text(self.pairs[number]["target"], escape_unk=True)
            for number in range(len(self.pairs))
        ]

    def sources(self) -> list[str]:
        """What the model reads, as `references`; words beyond its dictionary are ``<unk>``."""
        return [
            self._text(self.pairs[number]["source"], of=self.session.task.source_dictionary)
            for number in range(len(self.pairs))
        ]

    @property
    def together(self) -> int:
        """How many interventions at a time are translated fastest in one process."""
        if not self._joins:
            return 1
        if self._together is not None:
            return self._together
        rows = sum(len(batch.sample["id"]) for batch in self.batches) * self.generator.beam_size
        wanted = _ROWS if self.session.cuda else _ROWS_ON_CPU
        return min(_MOST_TOGETHER, max(1, wanted * len(self.batches) // max(1, rows)))

    def translate(
        self, intervention: Intervention, progress: Progress = lambda sentences: None
    ) -> list[Translation]:
        """As `translate_together` of one intervention."""
        return self._translate([intervention], progress)[0]

    def translate_together(
        self,
        interventions: Sequence[Intervention],
        progress: Progress = lambda sentences: None,
    ) -> list[list[Translation]]:
        """Best hypothesis for every sentence under each intervention, in corpus order.

        All of them in the same batches, if they are more than one and that is possible.

        Args:
            interventions: see `together` for how many.
            progress: counts the split's sentences for each intervention.

        Raises:
            UserError: an ablation was never reached, or a sentence got no hypothesis.
        """
        if self._joins and len(interventions) > 1:
            return self._translate(interventions, progress)
        return [self.translate(intervention, progress) for intervention in interventions]

    def _translate(
        self, interventions: Sequence[Intervention], progress: Progress
    ) -> list[list[Translation]]:
        from fairseq import utils

        seed = self.session.cfg.common.seed
        np.random.seed(seed)
        utils.set_torch_seed(seed)
        model = self.session.models[0]
        ablations = [ablate(model, each.neurons, each.value, each.scope) for each in interventions]
        found: list[dict[int, Translation]] = [{} for _ in ablations]
        with self._in_force(ablations):
            for batch in self.batches:
                results = self._translate_rows(batch, len(ablations))
                for translations, rows in zip(found, results, strict=True):
                    for number, row in zip(batch.numbers, batch.rows, strict=True):
                        translations[number] = rows[row]
                progress(len(batch.numbers) * len(ablations))
        for ablation, translations in zip(ablations, found, strict=True):
            ablation.check_fired()
            if sorted(translations) != list(range(len(self))):
                raise UserError(f"{len(translations)} of {len(self)} sentences were translated")
        return [[each[number] for number in range(len(self))] for each in found]

    def _in_force(self, ablations: Sequence[ablate]) -> AbstractContextManager[object]:
        if len(ablations) == 1:
            return ablations[0]
        return run_together(self.generator, [ablation.clamps for ablation in ablations])

    def _translate_rows(self, batch: Batch, times: int) -> list[list[Translation]]:
        """For each of the interventions in force the translations of the batch's rows."""
        sample = batch.sample if times == 1 else repeat_sample(batch.sample, times)
        longest = longest_hypothesis(self.generator, sample)
        with torch.no_grad(), _finite_scores():
            hypotheses = self.session.task.inference_step(
                self.generator,
                self.session.models,
                self.session.to_device(sample),
                prefix_tokens=None,
            )
        tokens = [hypothesis[0]["tokens"] for hypothesis in hypotheses]
        made = [
            Translation(self._text(words), longest is not None and len(words) > longest)
            for words in tokens
        ]
        rows = len(made) // times
        return [made[start : start + rows] for start in range(0, len(made), rows)]

    def _read(self, lines: Sequence[str]) -> Any:
        """A dataset of lines of text, segmented as ``--tokenizer`` and ``--bpe`` say."""

        def segment(line: str) -> str:
            for part in filter(None, (self._tokenizer, self._bpe)):
                line = part.encode(line)
            return line

        task = self.session.task
        tokens, lengths = task.get_interactive_tokens_and_lengths(list(lines), segment)
        dictionary = task.source_dictionary
        padding = dictionary.pad_word
        for number, sentence in enumerate(tokens, start=1):
            if bool((sentence == dictionary.pad()).any()):
                raise UserError(
                    f"the text, sentence {number}, holds the padding token {padding!r}, which "
                    "cannot be a word of a text"
                )
        return task.build_dataset_for_inference(tokens, lengths)

    def _text(self, tokens: Any, escape_unk: bool = False, of: Any = None) -> str:
        dictionary = self.session.task.target_dictionary if of is None else of
        text = dictionary.string(
            tokens.int().cpu(),
            self.session.cfg.common_eval.post_process,
            escape_unk=escape_unk,
            extra_symbols_to_ignore=getattr(
                self.generator, "symbols_to_strip_from_output", {self.generator.eos}
            ),
        )
        if self._bpe is not None:
            text = self._bpe.decode(text)
        if self._tokenizer is not None:
            text = self._tokenizer.decode(text)
        return str(text)


@contextmanager
def _finite_scores() -> Iterator[None]:
    """`UserError` for how fairseq's search ends where all scores are NaN."""
    try:
        yield
    except AssertionError as error:
        if "min_len cannot be larger" in str(error):
            raise UserError(
                "--min-len is larger than the longest translation that --max-len-a and --max-len-b "
                "allow"
            ) from error
        if not re.fullmatch(r"\d+ < \d+", str(error)):
            raise
        raise UserError(
            "the model gives no finite scores: are neurons held at too large a value?"
        ) from error


def build_tokenizer(session: Session) -> Any:
    """fairseq's tokenizer of ``--tokenizer``, or None."""
    given = session.cfg.tokenizer
    try:
        return session.task.build_tokenizer(given)
    except (Exception, SystemExit) as error:
        name = getattr(given, "_name", given)
        raise UserError(f"--tokenizer {name} cannot be used: {error}") from error


def _check_flags(session: Session) -> None:
    from fairseq.models import FairseqLanguageModel

    if isinstance(session.models[0], FairseqLanguageModel):
        raise UserError("a language model does not translate; see fairseq-neuron-eval-lm")
    session.refuse_ignored("generate")
    if session.cfg.generation.beam < 1:
        raise UserError(f"--beam must be at least 1, not {session.cfg.generation.beam}")
