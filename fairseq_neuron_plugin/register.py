"""Registers models and tasks with fairseq; ``user_dir`` imports this, and so do the commands."""

from __future__ import annotations

from .compat import require_fairseq

require_fairseq()

from .models import neuron_lstm  # noqa: E402, F401  (registering is the point)
from .tasks import neuron_translation  # noqa: E402, F401
from .tasks.validation import keep_task_in_validate  # noqa: E402

keep_task_in_validate()
