"""Translate a whole split with fairseq's own generator, under an intervention."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..corpora.readers import open_pairs
from ..errors import UserError
from ..generation import accelerate
from ..interventions import ablate
from ..loading import Session
from .evaluator import Progress, Value, check_one_model, refuse_flags


class Translator:
    """A split of the data folder, ready to be translated again and again.

    All batches are kept, so memory grows with the split.

    Args:
        session: one model, its task and fairseq's generation flags.
        split: name of the binarised split.

    Attributes:
        dataset: the task's, which makes the batches.
        pairs: the pairs of sentences below it, in corpus order.

    Raises:
        UserError: an ensemble, a language model, a flag that a sweep has no use for, or a sentence
            that the model cannot read.
    """

    def __init__(self, session: Session, split: str) -> None:
        check_one_model(session)
        _check_flags(session)
        self.session = session
        self.dataset = session.load_split(split)
        _, self.pairs = open_pairs(self.dataset)
        self.batches = self._collate()
        self.generator = accelerate(
            session.task.build_generator(session.models, session.cfg.generation)
        )
        self._bpe = session.build_bpe()
        self._tokenizer = _build_tokenizer(session)

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

    def translate(
        self,
        neurons: Mapping[str, Sequence[int]],
        value: Value,
        scope: str,
        progress: Progress = lambda sentences: None,
    ) -> list[str]:
        """Best hypothesis for every sentence, detokenised, in corpus order.

        Raises:
            UserError: the ablation was never reached, or a sentence got no hypothesis.
        """
        from fairseq import utils

        seed = self.session.cfg.common.seed
        np.random.seed(seed)
        utils.set_torch_seed(seed)
        found: dict[int, str] = {}
        with ablate(self.session.models[0], neurons, value, scope) as ablation:
            for batch in self.batches:
                sample = self.session.to_device(batch)
                with torch.no_grad():
                    hypotheses = self.session.task.inference_step(
                        self.generator, self.session.models, sample, prefix_tokens=None
                    )
                for number, hypothesis in zip(sample["id"].tolist(), hypotheses, strict=True):
                    found[number] = self._text(hypothesis[0]["tokens"])
                progress(len(hypotheses))
            ablation.check_fired()
        if sorted(found) != list(range(len(self))):
            raise UserError(f"{len(found)} of {len(self)} sentences were translated")
        return [found[number] for number in range(len(self))]

    def _collate(self) -> list[Any]:
        """All batches, as fairseq-generate makes them; every sentence is in one of them."""
        from fairseq import utils

        cfg, task = self.session.cfg, self.session.task
        limits = [model.max_positions() for model in self.session.models]  # type: ignore[operator]
        batch_size = cfg.dataset.batch_size
        max_tokens = cfg.dataset.max_tokens
        try:
            batches = list(
                task.get_batch_iterator(
                    dataset=self.dataset,
                    max_tokens=12000 if max_tokens is None and batch_size is None else max_tokens,
                    max_sentences=batch_size,
                    max_positions=utils.resolve_max_positions(task.max_positions(), *limits),
                    ignore_invalid_inputs=False,
                    required_batch_size_multiple=cfg.dataset.required_batch_size_multiple,
                    seed=cfg.common.seed,
                ).next_epoch_itr(shuffle=False)
            )
        except Exception as error:
            if not re.search("invalid|exceed", str(error)):
                raise
            raise UserError(f"a sentence is too long for model or batch: {error}") from error
        scored = sum(len(batch["id"]) for batch in batches if batch)
        if scored != len(self.dataset):
            raise UserError(
                f"only {scored} of {len(self.dataset)} sentences would be translated; leave out "
                "--required-batch-size-multiple, which drops the others"
            )
        return [batch for batch in batches if batch]

    def _text(self, tokens: Any, escape_unk: bool = False) -> str:
        text = self.session.task.target_dictionary.string(
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


def _build_tokenizer(session: Session) -> Any:
    """fairseq's tokenizer of ``--tokenizer``, or None."""
    given = session.cfg.tokenizer
    try:
        return session.task.build_tokenizer(given)
    except (Exception, SystemExit) as error:
        name = getattr(given, "_name", given)
        raise UserError(f"--tokenizer {name} cannot be used: {error}") from error


def _check_flags(session: Session) -> None:
    """Refuse what fairseq-generate does outside the search: a sweep would leave it out."""
    from fairseq.models import FairseqLanguageModel

    if isinstance(session.models[0], FairseqLanguageModel):
        raise UserError("a language model does not translate; see fairseq-neuron-eval-lm")
    cfg = session.cfg
    outside = ("lm_path", "prefix_size", "constraints", "replace_unk", "score_reference")
    given = {f"--{flag.replace('_', '-')}": getattr(cfg.generation, flag, None) for flag in outside}
    scoring = getattr(cfg.scoring, "_name", cfg.scoring)
    further = {
        "--nbest": cfg.generation.nbest > 1,
        "--print-alignment": cfg.generation.print_alignment is not None,
        "--scoring": scoring not in (None, "bleu"),
    }
    refuse_flags(cfg, {**given, **further})
    if cfg.generation.beam < 1:
        raise UserError(f"--beam must be at least 1, not {cfg.generation.beam}")
