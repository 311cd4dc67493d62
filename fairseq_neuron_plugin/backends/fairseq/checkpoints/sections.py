"""Complete a configuration section by section, as fairseq would have written it today."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ....errors import UserError
from ....files import StrPath


def complete(cfg: dict[str, Any], path: StrPath) -> dict[str, Any]:
    """Add sections and settings that later versions of fairseq have added, with their defaults.

    A section of a class that takes an `argparse.Namespace` becomes one, and a Namespace of a class
    that has a dataclass today becomes a plain dict.

    Args:
        cfg: nested plain dict; it is changed.
        path: how errors name the checkpoint.

    Raises:
        UserError: the architecture or the task is not known.
    """
    from fairseq.dataclass.configs import FairseqConfig

    for name, field in FairseqConfig.__dataclass_fields__.items():
        if name.startswith("_"):
            cfg.setdefault(name, None)
        elif is_dataclass(field.type):
            cfg[name] = _with_defaults(cfg.get(name) or {}, field.type, cfg)
        elif cfg.get(name) is None and name in ("model", "task"):
            raise UserError(f"checkpoint {path} has no settings of its {name}")
        elif cfg.get(name) is None:
            cfg[name] = None
        elif name in ("bpe", "tokenizer", "scoring") and isinstance(cfg[name], str):
            pass  # fairseq writes these as a bare name where the class has no settings
        else:
            cfg[name] = _chosen(name, cfg, path)
    return cfg


def _chosen(kind: str, cfg: dict[str, Any], path: StrPath) -> Any:
    """The section of a model, a task, a criterion or the like, in the form of its class."""
    section = cfg[kind]
    key = "arch" if kind == "model" else kind
    settings = vars(section) if isinstance(section, Namespace) else dict(section)
    name = settings.get("_name") or settings.get(key)
    registered, dataclass = _registered(kind, name)
    if registered is None:
        if kind in ("model", "task"):
            what = "architecture" if kind == "model" else "task"
            raise UserError(
                f"checkpoint {path} is of {what} {name}, which is not known here; give --user-dir"
            )
        return section
    if dataclass is None:
        return Namespace(**{**settings, key: settings.get(key, name), "_name": name})
    if isinstance(section, Namespace):
        return _from_namespace(section, kind, key, str(name))
    return _with_defaults({**settings, "_name": name}, dataclass, cfg)


def _registered(kind: str, name: Any) -> tuple[Any, Any]:
    """A class and its dataclass, None for what is not there."""
    from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
    from fairseq.registry import REGISTRIES
    from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY

    if kind == "model":
        model = ARCH_MODEL_REGISTRY.get(name) or MODEL_REGISTRY.get(name)
        return model, getattr(model, "__dataclass", None)
    if kind == "task":
        return TASK_REGISTRY.get(name), TASK_DATACLASS_REGISTRY.get(name)
    known = REGISTRIES.get(kind, {"registry": {}, "dataclass_registry": {}})
    return known["registry"].get(name), known["dataclass_registry"].get(name)


def _from_namespace(section: Namespace, kind: str, key: str, name: str) -> dict[str, Any]:
    """Read a section out of all the flat settings that such a Namespace repeats."""
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from omegaconf import OmegaConf

    flat = Namespace(**{key: name})
    flat.__dict__ |= {
        setting: value
        for setting, value in vars(section).items()
        if setting not in ("arch", "task", "criterion", "optimizer", "lr_scheduler", "_name")
    }
    whole = convert_namespace_to_omegaconf(flat)
    settings: dict[str, Any] = OmegaConf.to_container(whole[kind], resolve=True, enum_to_str=True)
    return settings


def _with_defaults(
    section: Mapping[str, Any], dataclass: Any, cfg: Mapping[str, Any]
) -> dict[str, Any]:
    """Add the settings of a dataclass that a section lacks."""
    from omegaconf import OmegaConf

    defaults = OmegaConf.to_container(OmegaConf.structured(dataclass), resolve=False)
    missing = {name: value for name, value in defaults.items() if name not in section}
    resolved = {}
    for name, value in missing.items():
        if isinstance(value, str) and value.startswith("${"):
            value = _lookup(cfg, value[2:-1])
        if value != "???":
            resolved[name] = value
    return {**section, **resolved}


def _lookup(cfg: Mapping[str, Any], dotted: str) -> Any:
    """The setting that a default refers to; ``"???"``, as for any that must be given, if none."""
    value: Any = cfg
    for part in dotted.split("."):
        settings = vars(value) if isinstance(value, Namespace) else value
        if not isinstance(settings, Mapping) or part not in settings:
            return "???"
        value = settings[part]
    return value
