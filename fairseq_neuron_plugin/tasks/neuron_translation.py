"""fairseq's translation task with ``--ablate``."""

from dataclasses import dataclass

from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from .ablation import AblationConfig, AblationMixin


@dataclass
class NeuronTranslationConfig(AblationConfig, TranslationConfig):
    """The flags of ``translation`` and of the ablation."""


@register_task("neuron_translation", dataclass=NeuronTranslationConfig)
class NeuronTranslationTask(AblationMixin, TranslationTask):
    """Translate with chosen neurons clamped.

    Usage::

        fairseq-generate DATA --user-dir user_dir --task neuron_translation \\
            --path CKPT --ablate encoder.layers.1:3,17
    """
