"""Let ``fairseq-validate`` keep the task it was given.

fairseq-validate builds its task from the checkpoint's configuration and hands its own flags over as
overrides, of which flags that the checkpoint does not know are dropped without a word:
``--task neuron_translation --ablate SPEC`` would print an unablated loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from fairseq import checkpoint_utils
from fairseq.tasks import TASK_DATACLASS_REGISTRY


def task_override(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides, with a ``neuron_…`` task as a configuration of its own.

    >>> task_override({"task": "translation", "beam": 5})
    {'task': 'translation', 'beam': 5}
    """
    name = overrides.get("task")
    if not isinstance(name, str) or not name.startswith("neuron_"):
        return dict(overrides)
    known = TASK_DATACLASS_REGISTRY[name].__dataclass_fields__
    settings = {key: overrides[key] for key in known if overrides.get(key) is not None}
    return {**overrides, "task": {"_name": name, **settings}}


def keep_task_in_validate() -> None:
    """Apply the shim; safe to call again."""
    load = checkpoint_utils.load_model_ensemble_and_task
    if getattr(load, "keeps_task", False):
        return

    @wraps(load)
    def load_with_task(
        filenames: Any, arg_overrides: Any = None, task: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if task is None and arg_overrides:
            arg_overrides = task_override(arg_overrides)
        return load(filenames, arg_overrides, task, *args, **kwargs)

    load_with_task.keeps_task = True  # type: ignore[attr-defined]
    checkpoint_utils.load_model_ensemble_and_task = load_with_task
