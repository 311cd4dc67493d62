"""What makes a fairseq task its ``neuron_…`` version: the flags ``--ablate…``."""

# No postponed annotations here: fairseq reads the types of the fields at run time, and of optional
# ones it knows only the spelling Optional[…].

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass

from ..errors import UserError
from ..interventions import ablate, list_layers
from ..specs import parse_spec

logger = logging.getLogger(__name__)


@dataclass
class AblationConfig(FairseqDataclass):
    """The flags; mixed into the configuration of a task."""

    ablate: Optional[str] = field(
        default=None,
        metadata={
            "help": "neurons to clamp: a list such as 'encoder.layers.0:3,17-25', or a selection "
            "from a ranking such as 'RANKING.json:top:50', 'RANKING.json:bottom:10%%', "
            "'RANKING.json:label=VERB:top:20'"
        },
    )
    ablate_value: float = field(
        default=0.0, metadata={"help": "what the ablated neurons are held at"}
    )
    ablate_scope: str = field(
        default="recurrent",
        metadata={
            "help": "recurrent: clamped inside the recurrence; full: cell states are 0 too; "
            "output: only as the next layer and attention see it"
        },
    )
    ablate_layers: Optional[str] = field(
        default=None,
        metadata={"help": "globs of the layers that flat neuron ids count through"},
    )


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """Turn a `UserError` into one line and exit status 2: fairseq would print a traceback."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from error


class AblationMixin:
    """Clamps the neurons of every model that the task loads from a checkpoint.

    Mix it in before a `FairseqTask` whose configuration derives from `AblationConfig`::

        @register_task("neuron_translation", dataclass=NeuronTranslationConfig)
        class NeuronTranslationTask(AblationMixin, TranslationTask): ...

    ``build_model`` is where generate, interactive, validate and eval-lm all come by with a model
    from a checkpoint. Weights are read at each forward pass, so it does not matter that they are
    loaded, halved or moved later. Training builds its model without a checkpoint: ``--ablate`` is
    an error there.
    """

    cfg: AblationConfig
    _ablations: list[ablate]

    # Not decorated: fairseq looks for "from_checkpoint" in the signature of this very function.
    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model and start the ablation.

        Raises:
            SystemExit: status 2 with one line on stderr, for a spec that does not fit the model.
        """
        model = super().build_model(cfg, from_checkpoint)  # type: ignore[misc]
        if self.cfg.ablate:
            with _ends_cleanly():
                if not from_checkpoint:
                    raise UserError("--ablate is for checkpoints; training clamps no neuron")
                self._start_ablation(model, self.cfg.ablate)
        return model

    def inference_step(self, *args: Any, **kwargs: Any) -> Any:
        """Decode a batch, and see to it that the ablation was reached."""
        result = super().inference_step(*args, **kwargs)  # type: ignore[misc]
        self._check_fired()
        return result

    def valid_step(self, *args: Any, **kwargs: Any) -> Any:
        """Score a batch, and see to it that the ablation was reached."""
        result = super().valid_step(*args, **kwargs)  # type: ignore[misc]
        self._check_fired()
        return result

    def _start_ablation(self, model: Any, spec: str) -> None:
        neurons = parse_spec(spec, list_layers(model), self.cfg.ablate_layers)
        ablation = ablate(model, neurons, self.cfg.ablate_value, self.cfg.ablate_scope)
        ablation.__enter__()  # for the life of the process
        self._ablations = [*getattr(self, "_ablations", []), ablation]
        logger.info(
            "%s, value %g, scope %s",
            ablation.describe(),
            self.cfg.ablate_value,
            self.cfg.ablate_scope,
        )

    def _check_fired(self) -> None:
        """A mask that never fired is an error, not a result; one never made even more so."""
        if not self.cfg.ablate:
            return
        with _ends_cleanly():
            if not getattr(self, "_ablations", []):
                raise UserError(
                    "--ablate has reached no model: it is for checkpoints, not training"
                )
            for ablation in self._ablations:
                ablation.check_fired()
