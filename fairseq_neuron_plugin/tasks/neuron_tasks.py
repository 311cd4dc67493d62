"""The tasks of fairseq that come with ``--ablate``; any other is made in the same three lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.multilingual_translation import MultilingualTranslationTask
from fairseq.tasks.translation import TranslationTask
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask

from ..scoring.fast_scoring import fast_target_scoring
from .ablation import AblationMixin
from .flags import register_neuron_task
from .lm_batches import CountedBatches, check_finite


@register_neuron_task("neuron_translation")
class NeuronTranslationTask(AblationMixin, TranslationTask):
    """Translate with chosen neurons clamped.

    Usage::

        fairseq-generate DATA --user-dir user_dir --task neuron_translation \\
            --path CKPT --ablate encoder.layers.1:3,17
    """


@register_neuron_task("neuron_language_modeling")
class NeuronLanguageModelingTask(AblationMixin, LanguageModelingTask):
    """Score text with chosen neurons clamped.

    Usage::

        fairseq-eval-lm DATA --user-dir user_dir --task neuron_language_modeling \\
            --path LM --ablate decoder.layers.1:3,17
    """

    _loaded: tuple[Any, ...] = ()

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model, and remember it if it is to be evaluated."""
        model = super().build_model(cfg, from_checkpoint)
        if from_checkpoint:
            self._loaded = (*self._loaded, model)
        return model

    def eval_lm_dataloader(self, dataset: Any, **kwargs: Any) -> CountedBatches:
        """Make batches for fairseq-eval-lm, whose scorer needs the targets' scores alone."""
        batches = super().eval_lm_dataloader(dataset, **kwargs)
        batches.during = self._fast_scoring
        return batches

    @contextmanager
    def _fast_scoring(self) -> Iterator[None]:
        with ExitStack() as stack:
            for model in self._loaded:
                stack.callback(fast_target_scoring(model, check_finite))
            yield


@register_neuron_task("neuron_translation_multi_simple_epoch")
class NeuronTranslationMultiSimpleEpochTask(AblationMixin, TranslationMultiSimpleEpochTask):
    """Translate one direction of a many-to-many model with chosen neurons clamped."""


@register_neuron_task("neuron_multilingual_translation")
class NeuronMultilingualTranslationTask(AblationMixin, MultilingualTranslationTask):
    """As above, for models of task ``multilingual_translation``."""
