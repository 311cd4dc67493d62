"""What makes a fairseq task its ``neuron_…`` version: chosen neurons of its models are clamped."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from fairseq.dataclass.utils import gen_parser_from_dataclass

from ..errors import UserError
from ..generation import accelerate
from .clean_exit import ends_cleanly
from .flags import AblationConfig
from .lm_batches import CountedBatches, check_blocks_fit, count_tokens
from .started import StartedAblation, check_number_of_models

logger = logging.getLogger(__name__)


class AblationMixin:
    """Clamps the neurons of every model that the task loads from a checkpoint.

    Mixed in before any `FairseqTask`, with a dataclass of settings or without, it makes the
    ``neuron_…`` version of that task::

        @register_neuron_task("neuron_translation")
        class NeuronTranslationTask(AblationMixin, TranslationTask):
            pass

    ``build_model`` is where generate, interactive, validate and eval-lm all come by with a model
    from a checkpoint. Weights are read at each forward pass, so it does not matter that they are
    loaded, halved or moved later. Training builds its model without a checkpoint: ``--ablate`` is
    an error there. All errors end the process with status 2 and one line on stderr.
    """

    _started: tuple[StartedAblation, ...] = ()
    _evaluates = False

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """Add the flags of the task and of the ablation."""
        super().add_args(parser)  # type: ignore[misc]
        if getattr(cls, "__dataclass", None) is None:
            gen_parser_from_dataclass(parser, AblationConfig())

    # Not decorated: fairseq looks for "from_checkpoint" in the signature of this very function.
    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model and start the ablation."""
        build = super().build_model  # type: ignore[misc]
        takes_both = "from_checkpoint" in signature(build).parameters
        model = build(cfg, from_checkpoint) if takes_both else build(cfg)
        self._evaluates = self._evaluates or from_checkpoint
        flags = self._flags()
        with ends_cleanly():
            if flags.ablate is None and flags.changed():
                raise UserError(f"{flags.changed()[0]} does nothing without --ablate")
            if flags.ablate is not None:
                if not from_checkpoint:
                    raise UserError("--ablate is for checkpoints; training clamps no neuron")
                started = StartedAblation.of(model, flags, len(self._started))
                self._started = (*self._started, started)
        return model

    def checkpoints_loaded(self, paths: Sequence[str]) -> None:
        """Take note that all models are built, and of where each comes from."""
        with ends_cleanly():
            check_number_of_models(self._flags(), len(paths))
            for path, started in zip(paths, self._started, strict=False):
                if Path(path).is_file():  # the parts of a sharded model have other names
                    started.note_other_checkpoints(path)

    @property
    def ablation_digest(self) -> str:
        """Hash of the neurons and values of every model's ablation; empty if there is none."""
        return ",".join(started.digest for started in self._started)

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> Any:
        """Load a split; an empty one is an error."""
        try:
            return super().load_dataset(split, *args, **kwargs)  # type: ignore[misc]
        except ValueError as error:
            if "cannot mmap an empty file" not in str(error):
                raise
        with ends_cleanly():
            raise UserError(f"split {split!r} is empty: it holds no sentence")

    def build_generator(self, *args: Any, **kwargs: Any) -> Any:
        """The task's own generator, faster where its kind of search allows it."""
        return accelerate(super().build_generator(*args, **kwargs))  # type: ignore[misc]

    def inference_step(self, *args: Any, **kwargs: Any) -> Any:
        """Decode a batch, and see to it that the ablation was reached."""
        with ends_cleanly():
            self._check_precision()
            result = super().inference_step(*args, **kwargs)  # type: ignore[misc]
            self._check_reached()
        return result

    def valid_step(self, *args: Any, **kwargs: Any) -> Any:
        """Score a batch, and see to it that the ablation was reached."""
        with ends_cleanly():
            self._check_precision()
            result = super().valid_step(*args, **kwargs)  # type: ignore[misc]
            self._check_reached()
        return result

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Make batches; in evaluation, no sentence of a split is left out unnoticed."""
        splits = vars(self)["datasets"].values() if self._evaluates else ()
        whole_split = any(dataset is split for split in splits)
        with ends_cleanly():
            if whole_split and len(dataset) == 0:
                raise UserError("the split is empty: it holds no sentence")
            batches = super().get_batch_iterator(dataset, *args, **kwargs)  # type: ignore[misc]
            if whole_split:
                _check_coverage(batches, len(dataset))
        return batches

    def eval_lm_dataloader(self, dataset: Any, **kwargs: Any) -> CountedBatches:
        """Make batches for fairseq-eval-lm; every token has to be scored."""
        with ends_cleanly():
            make = getattr(super(), "eval_lm_dataloader", None)
            if make is None:
                raise UserError("fairseq-eval-lm needs the task of a language model")
            tokens = count_tokens(dataset)
            check_blocks_fit(dataset, kwargs.get("max_positions"), kwargs.get("max_tokens"))
            self._check_precision()
            if getattr(self.settings, "add_bos_token", False):
                tokens += len(dataset)
            batches = make(dataset, **kwargs)
        expected = tokens if kwargs.get("num_shards", 1) == 1 else 0
        pad = self.source_dictionary.pad()  # type: ignore[attr-defined]
        return CountedBatches(batches, pad, expected, self._check_reached)

    @property
    def settings(self) -> Any:
        """The task's settings; tasks of the old kind have them in ``args``, and no ``cfg``."""
        cfg = vars(self).get("cfg")
        return vars(self).get("args") if cfg is None else cfg

    def _flags(self) -> AblationConfig:
        return AblationConfig.read(self.settings)

    def _check_reached(self) -> None:
        """A mask that never fired is an error, not a result; one never made even more so."""
        if self._flags().ablate is not None and not self._started:
            raise UserError("--ablate has reached no model: it is for checkpoints, not training")
        for started in self._started:
            started.ablation.check_fired()

    def _check_precision(self) -> None:
        for started in self._started:
            started.check_precision()


def _check_coverage(batches: Any, sentences: int) -> None:
    """An error if no sentence is left, a warning if some are missing."""
    left = sum(map(len, getattr(batches, "frozen_batches", [range(sentences)])))
    if left == 0:
        raise UserError("no sentence of the split is left: all are too long for the model")
    if left < sentences:
        logger.warning(
            "only %d of %d samples are in a batch; add --required-batch-size-multiple 1, or "
            "leave out --skip-invalid-size-inputs-valid-test",
            left,
            sentences,
        )
