"""Settings of a checkpoint that name what stock fairseq knows, not what derives from it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, MutableMapping
from typing import Any

from ....errors import UserError

PLUGIN = __name__.partition(".")[0]
MODEL_PARALLEL = "fairseq.model_parallel"
_PIPELINE = f"{MODEL_PARALLEL}.models.pipeline_parallel_transformer"  # whole layers, one file
_FLAGS = "ablate"  # how the names of all settings begin that the plugin's tasks add


def use_stock_names(state: Mapping[str, Any]) -> None:
    """Give ``args`` and each section of ``cfg`` stock names, in place, and drop the plugin's flags.

    Args:
        state: of a checkpoint; the weights fit the stock architecture as they are.
    """
    cfg = state.get("cfg")
    sections = list(cfg.values()) if isinstance(cfg, Mapping) else []
    for section in (state.get("args"), *sections):
        settings = vars(section) if isinstance(section, Namespace) else section
        if isinstance(settings, MutableMapping):
            _rename(settings)


def _rename(settings: MutableMapping[str, Any]) -> None:
    from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    changed = False
    for key in ("arch", "task", "_name"):
        name = settings.get(key)
        for registry, names in (
            (ARCH_MODEL_REGISTRY, MODEL_REGISTRY),
            (MODEL_REGISTRY, MODEL_REGISTRY),
            (TASK_REGISTRY, TASK_REGISTRY),
        ):
            if isinstance(name, str) and _is_of(PLUGIN, registry.get(name)):
                settings[key] = base_name(registry[name], names, PLUGIN)
                changed = True
    for name in [name for name in settings if str(name).startswith(_FLAGS)]:
        del settings[name]
    if changed and settings.get("user_dir") is not None:
        settings["user_dir"] = None


def base_name(registered: type, names: Mapping[str, type], package: str) -> str:
    """Find the name of the nearest base class that is registered and not of a package.

    Args:
        registered: a model or a task.
        names: the registry of the base classes.
        package: dotted name, such as ``"fairseq.model_parallel"``.

    Raises:
        UserError: there is none.
    """
    for base in registered.__mro__[1:]:
        for name, other in names.items():
            if other is base and not _is_of(package, other):
                return name
    raise UserError(f"{registered.__name__} derives from nothing that stock fairseq knows")


def is_model_parallel(architecture: Any) -> bool:
    """Find whether an architecture is one that Megatron-LM's modules cut up between devices."""
    from fairseq.models import ARCH_MODEL_REGISTRY

    model = ARCH_MODEL_REGISTRY.get(architecture)
    return _is_of(MODEL_PARALLEL, model) and not _is_of(_PIPELINE, model)


def _is_of(package: str, registered: Any) -> bool:
    module = getattr(registered, "__module__", "")
    return module == package or module.startswith(f"{package}.")
