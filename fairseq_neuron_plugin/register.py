"""Registers models and tasks with fairseq; ``user_dir`` imports this, and so do the commands."""

from __future__ import annotations

from .compat import require_fairseq

require_fairseq()

from .backends.fairseq.checkpoints.stock import read_as_data  # noqa: E402
from .models import neuron_lstm, neuron_lstm_lm  # noqa: E402, F401  (registering is the point)
from .tasks import neuron_tasks  # noqa: E402, F401
from .tasks.from_checkpoint import follow_loading  # noqa: E402

follow_loading()
read_as_data()
