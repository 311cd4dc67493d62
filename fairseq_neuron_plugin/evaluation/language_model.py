"""Evaluate a language model: loss and perplexity as ``fairseq-eval-lm`` has them."""

from __future__ import annotations

import hashlib
import math
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..interventions import ablate
from ..loading import Session
from ..scoring.fast_scoring import fast_target_scoring
from ..signature import versions
from ..tasks.lm_batches import check_blocks_fit, count_tokens
from .bootstrap import RESAMPLES, FloatArray, Resampling, interval
from .evaluator import (
    Evaluation,
    Evaluator,
    Intervention,
    Progress,
    check_one_model,
    run_settings,
    task_settings,
)
from .lm_blocks import Blocks
from .shared_prefixes import SharedPrefixes

METRICS = ("loss", "perplexity")
_MAX_TOKENS = 36000  # of fairseq-eval-lm, where neither --max-tokens nor --batch-size is given


class LanguageModelEvaluator(Evaluator):
    """A split, cut into blocks as fairseq's flags say, ready to be scored again and again.

    Every token of the split is scored, or it is an error. All batches are kept, so memory grows
    with the split. Intervals are over resampled texts of as many blocks.

    Args:
        session: one language model, its task and the flags of fairseq-eval-lm.
        split: name of the binarised split.
        resamples: how many texts are drawn for the intervals; 0 for none.

    Attributes:
        batches: the batches of fairseq-eval-lm, in its order.

    Raises:
        UserError: an ensemble, no language model, an empty split, a block that is longer than the
            model's positions, a flag that a sweep has no use for, or a negative number.
    """

    def __init__(self, session: Session, split: str, resamples: int = RESAMPLES) -> None:
        check_one_model(session)
        session.refuse_ignored("eval-lm")
        if resamples < 0:
            raise UserError(f"--bootstrap must be 0 or more, not {resamples}")
        self.session = session
        self._model: Any = session.models[0]
        self._dataset = _load(session, split)
        continues = _continuations(session)
        self._tokens = count_tokens(self._dataset)
        self.batches = self._collate()
        has_bos = bool(getattr(session.cfg.task, "add_bos_token", False))
        self._blocks = Blocks.of(self._dataset, self.batches, has_bos)
        if len(self._blocks.tokens) != self._tokens:
            some = f"{len(self._blocks.tokens)} of {self._tokens}"
            raise UserError(f"only {some} tokens of the split would be scored")
        self._words = self._blocks.words(continues)
        self._scorer = _scorer(session)
        self._shared = self._share()
        self._resampling = Resampling(len(self._words), resamples) if resamples else None
        self.metrics = METRICS if resamples else ()
        ends = ("", "_low", "_high") if resamples else ("",)
        bands = (f"{metric}{end}" for metric in METRICS for end in ends)
        self.columns = (*bands, "tokens", "sentences")

    def __len__(self) -> int:
        return self._tokens

    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        """See `Evaluator.evaluate`.

        Raises:
            UserError: a score is infinite or no number (stock fairseq-eval-lm leaves such tokens
                out), or not every token was scored.
        """
        shared = self._shared
        if shared is not None and not shared.fits(self._model):
            shared = None
        neurons, value, scope = intervention.neurons, intervention.value, intervention.scope
        with ExitStack() as stack:
            if shared is None:
                stack.callback(fast_target_scoring(self._model))
            ablation = stack.enter_context(ablate(self._model, neurons, value, scope))
            scores = self._score_batches(progress) if shared is None else shared.score(progress)
            ablation.check_fired()
        wrong = ~np.isfinite(scores)
        if wrong.any():
            first = self.session.task.target_dictionary[int(self._blocks.tokens[wrong][0])]
            raise UserError(
                f"{int(wrong.sum())} tokens have no finite score, the first of them is {first!r}"
            )
        return self._evaluation(self._blocks.sums(scores))

    def _evaluation(self, scores: FloatArray) -> Evaluation:
        """From the log-probability (natural) of each block, ``[blocks]``."""
        statistics = np.stack([scores, self._words], axis=1)
        loss = _loss(statistics.sum(0))
        if loss > 1000:
            raise UserError(f"the loss is {loss:g}: its perplexity is no finite number")
        numbers: dict[str, Any] = {"loss": loss, "perplexity": 2.0**loss}
        resampled: dict[str, FloatArray] = {}
        if self._resampling is not None:
            losses = self._resampling.scores(statistics, _loss)
            if losses.max() > 1000:
                raise UserError(f"the loss is {loss:g}: its perplexity has no finite interval")
            resampled = {"loss": losses, "perplexity": np.exp2(losses)}
            for metric, found in resampled.items():
                numbers[f"{metric}_low"], numbers[f"{metric}_high"] = interval(found)
        numbers |= {"tokens": int(self._words.sum()), "sentences": len(self._lines)}
        return Evaluation({name: numbers[name] for name in self.columns}, None, resampled)

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
            "bootstrap": self._resampling.resamples if self._resampling else 0,
            "context_window": cfg.eval_lm.context_window,
            **task_settings(cfg.task, ("sample_break_mode", "tokens_per_sample")),
            **run_settings(self.session, _MAX_TOKENS),
            **versions("torch", "fairseq"),
        }

    @property
    def _lines(self) -> Any:
        """The split as it was binarised, a tensor of token ids a line."""
        return self._dataset.dataset.dataset

    def _score_batches(self, progress: Progress) -> FloatArray:
        """Log-probabilities (natural) of the blocks' tokens, ``[tokens]``, by fairseq's scorer."""
        scores = np.full(self._tokens, np.nan)
        scored = 0
        for batch in self.batches:
            before = scored
            hypotheses = self._scorer.generate([self._model], self.session.to_device(batch))
            for number, (hypothesis, *_) in zip(batch["id"].tolist(), hypotheses, strict=False):
                found = hypothesis["positional_scores"].double().cpu().numpy()
                found = found[self._blocks.skipped :]
                if len(found) == self._blocks.lengths[number]:
                    scores[self._blocks.place(number)] = found
                    scored += len(found)
            progress(scored - before)
        if scored != self._tokens:
            raise UserError(f"{scored} tokens were scored, and the split has {self._tokens}")
        return scores

    def _share(self) -> SharedPrefixes | None:
        """The sentences by their beginnings, where each is scored by itself."""
        cfg = self.session.cfg
        mode = getattr(cfg.task, "sample_break_mode", None)
        by_itself = getattr(mode, "value", mode) == "eos" and not cfg.eval_lm.context_window
        if not (by_itself and self._blocks.lengths.all() and SharedPrefixes.fits(self._model)):
            return None
        sentences = list(zip(self._blocks.read, self._blocks.asked, strict=True))
        return SharedPrefixes(self._model, sentences, self._blocks.skipped)

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


def _loss(statistics: FloatArray) -> float:
    """In bits a word, from the log-probability (natural) and the words of some blocks."""
    score, words = statistics.tolist()
    return -score / words / math.log(2)
