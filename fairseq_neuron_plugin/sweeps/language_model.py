"""Evaluate a language model: loss and perplexity as ``fairseq-eval-lm`` has them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..interventions import ablate
from ..loading import Session
from ..scoring.fast_scoring import fast_target_scoring
from ..signature import versions
from ..tasks.lm_batches import check_blocks_fit, count_tokens
from .evaluator import (
    Evaluation,
    Evaluator,
    Intervention,
    Progress,
    check_one_model,
    refuse_flags,
    run_settings,
    task_settings,
)

_MAX_TOKENS = 36000  # of fairseq-eval-lm, where neither --max-tokens nor --batch-size is given


class LanguageModelEvaluator(Evaluator):
    """A split, cut into blocks as fairseq's flags say, ready to be scored again and again.

    Every token of the split is scored, or it is an error. All batches are kept, so memory grows
    with the split.

    Args:
        session: one language model, its task and the flags of fairseq-eval-lm.
        split: name of the binarised split.

    Attributes:
        batches: the batches of fairseq-eval-lm, in its order.

    Raises:
        UserError: an ensemble, no language model, an empty split, a block that is longer than the
            model's positions, or a flag that a sweep has no use for.
    """

    columns = ("loss", "perplexity", "tokens", "sentences")

    def __init__(self, session: Session, split: str) -> None:
        check_one_model(session)
        _check_flags(session)
        self.session = session
        self._model: Any = session.models[0]
        self._dataset = _load(session, split)
        self._has_bos = bool(getattr(session.cfg.task, "add_bos_token", False))
        self._continues = _continuations(session)
        self._tokens = count_tokens(self._dataset)
        self.batches = self._collate()
        self._scorer = _scorer(session)

    def __len__(self) -> int:
        return self._tokens

    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        """See `Evaluator.evaluate`.

        Raises:
            UserError: a score is infinite or no number (stock fairseq-eval-lm leaves such tokens
                out), or not every token was scored.
        """
        total, scored, words = 0.0, 0, 0
        end_fast_scoring = fast_target_scoring(self._model)
        try:
            with ablate(
                self._model, intervention.neurons, intervention.value, intervention.scope
            ) as ablation:
                for batch in self.batches:
                    before = scored
                    for tokens, scores in self._score(batch):
                        total += float(scores.sum())
                        scored += len(tokens)
                        words += len(tokens) - int(self._continues[tokens[:-1]].sum())
                    progress(scored - before)
                ablation.check_fired()
        finally:
            end_fast_scoring()
        if scored != self._tokens:
            raise UserError(f"{scored} tokens were scored, and the split has {self._tokens}")
        loss = -total / words / math.log(2)
        if loss > 1000:
            raise UserError(f"the loss is {loss:g}: its perplexity is no finite number")
        numbers = {"loss": loss, "perplexity": 2.0**loss, "tokens": words}
        return Evaluation({**numbers, "sentences": len(self._lines)})

    def data_hash(self) -> str:
        """Of the split's tokens; how they are cut into blocks is among the settings."""
        found = hashlib.sha256()
        for number in range(len(self._lines)):
            found.update(self._lines[number].to(torch.int64).numpy().tobytes())
        return found.hexdigest()[:12]

    def settings(self) -> dict[str, Any]:
        """See `Evaluator.settings`."""
        cfg = self.session.cfg
        return {
            "context_window": cfg.eval_lm.context_window,
            **task_settings(cfg.task, ("sample_break_mode", "tokens_per_sample")),
            **run_settings(self.session, _MAX_TOKENS),
            **versions("torch", "fairseq"),
        }

    @property
    def _lines(self) -> Any:
        """The split as it was binarised, a tensor of token ids a line."""
        return self._dataset.dataset.dataset

    def _score(self, batch: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Tokens and their log-probabilities (natural, double precision), block by block."""
        dictionary = self.session.task.target_dictionary
        sample = self.session.to_device(batch)
        for hypothesis, *_ in self._scorer.generate([self._model], sample):
            tokens = hypothesis["tokens"].cpu()
            scores = hypothesis["positional_scores"].double().cpu()
            if self._has_bos:
                tokens, scores = tokens[1:], scores[1:]
            wrong = ~scores.isfinite()
            if wrong.any():
                raise UserError(
                    f"{int(wrong.sum())} tokens of a block have no finite score, the first of them "
                    f"is {dictionary[int(tokens[wrong][0])]!r}"
                )
            yield tokens, scores

    def _collate(self) -> list[Any]:
        """All batches, as fairseq-eval-lm makes them, in its order: a context window needs it."""
        from fairseq import utils

        cfg = self.session.cfg
        max_positions = utils.resolve_max_positions(self._model.max_positions())
        max_tokens = cfg.dataset.max_tokens or _MAX_TOKENS
        check_blocks_fit(self._dataset, max_positions, max_tokens)
        batches = self.session.task.eval_lm_dataloader(
            dataset=self._dataset,
            max_tokens=max_tokens,
            batch_size=cfg.dataset.batch_size,
            max_positions=max_positions,
            num_workers=0,
            context_window=cfg.eval_lm.context_window,
        )
        return [batch for batch in batches if "net_input" in batch]


def _load(session: Session, split: str) -> Any:
    """The split as a data set of blocks."""
    from fairseq.data import MonolingualDataset

    try:
        dataset = session.load_split(split)
    except AssertionError as error:  # of fairseq's, which cannot cut nothing into blocks
        raise UserError(f"split {split} is empty or cannot be cut into blocks: {error}") from error
    if not isinstance(dataset, MonolingualDataset):
        raise UserError(f"--task {session.cfg.task._name} is no task of language models")
    return dataset


def _scorer(session: Session) -> Any:
    from fairseq.sequence_scorer import SequenceScorer

    return SequenceScorer(session.task.target_dictionary, session.cfg.eval_lm.softmax_batch)


def _continuations(session: Session) -> Tensor:
    """Which symbols the next one continues: bool ``[vocabulary]``, all False without subwords.

    With ``--post-process subword_nmt`` the loss is that of a word, as with fairseq-eval-lm.
    """
    given = session.cfg.common_eval.post_process
    dictionary = session.task.source_dictionary
    if given is None:
        return torch.zeros(len(dictionary), dtype=torch.bool)
    if given not in ("subword_nmt", "@@ "):
        raise UserError(f"fairseq scores no words with --post-process {given}; leave it out")
    return torch.tensor([dictionary[i].endswith("@@") for i in range(len(dictionary))])


def _check_flags(session: Session) -> None:
    """Refuse what fairseq-eval-lm does beside the loss, or with a part of the split alone."""
    cfg, task = session.cfg, session.cfg.task
    given = {
        "--output-word-probs": cfg.eval_lm.output_word_probs,
        "--output-word-stats": cfg.eval_lm.output_word_stats,
        "--self-target": getattr(task, "self_target", False),
        "--past-target": getattr(task, "past_target", False),
    }
    refuse_flags(cfg, given)
