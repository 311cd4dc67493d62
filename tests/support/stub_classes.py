"""Pickle objects of classes that are not installed, and of omegaconf as it was in 2020."""

from __future__ import annotations

import collections
import enum
import importlib
import sys
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stubs:
    """Classes by dotted name, of modules that need not exist.

    Their objects pickle as those of the real classes do: name and attributes.
    """

    def __init__(self) -> None:
        self._modules: dict[str, types.ModuleType] = {}

    def make(self, dotted: str, **attributes: Any) -> Any:
        """Make an object of the class of that name."""
        module, _, name = dotted.rpartition(".")
        if module not in self._modules:
            self._modules[module] = types.ModuleType(module)
        if not hasattr(self._modules[module], name):
            setattr(self._modules[module], name, type(name, (), {"__module__": module}))
        instance = getattr(self._modules[module], name)()
        vars(instance).update(attributes)
        return instance

    def choice(self, dotted: str, value: str) -> Any:
        """Make a member of the enumeration of that name, which pickles as a call of its class."""
        module, _, name = dotted.rpartition(".")
        modules = self._modules.setdefault(module, types.ModuleType(module))
        setattr(modules, name, enum.Enum(name, {value: value}, module=module))
        return getattr(modules, name)(value)

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let pickle find the classes, and nothing else of their modules."""
        for name in self._modules:
            importlib.import_module(name.partition(".")[0])  # fairseq sets names of old modules
        before = {name: sys.modules.get(name) for name in self._modules}
        sys.modules.update(self._modules)
        try:
            yield
        finally:
            for name, module in before.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module


class OldOmegaConf:
    """Turns plain data into the objects of omegaconf 2.0, of October 2020.

    Args:
        stubs: where their classes are made.
    """

    def __init__(self, stubs: Stubs) -> None:
        self._stubs = stubs

    def container(self, value: Any, key: Any = None, parent: Any = None) -> Any:
        """Convert a dict to a DictConfig, a list to a ListConfig, anything else to a node."""
        if isinstance(value, dict):
            made = self._stubs.make("omegaconf.dictconfig.DictConfig")
            content: Any = {name: self.container(part, name, made) for name, part in value.items()}
            kind: type = dict
        elif isinstance(value, (list, tuple)):
            made = self._stubs.make("omegaconf.listconfig.ListConfig")
            content = [self.container(part, at, made) for at, part in enumerate(value)]
            kind = list
        else:
            return self._node(value, key, parent)
        metadata = self._metadata("ContainerMetadata", key, dict if parent is None else typing.Any)
        vars(metadata).update(object_type=kind, key_type=typing.Any, element_type=typing.Any)
        if parent is None:
            vars(metadata)["flags"] = {"struct": True}
        vars(made).update(_metadata=metadata, _parent=parent, _content=content)
        return made

    def _node(self, value: Any, key: Any, parent: Any) -> Any:
        # omegaconf tells these apart where the configuration comes from a dataclass.
        name = {str: "StringNode", float: "FloatNode", bool: "BooleanNode"}.get(type(value))
        extra: dict[str, Any] = {}
        if isinstance(value, enum.Enum):
            name, extra = "EnumNode", {"enum_type": type(value)}
        metadata = self._metadata("Metadata", key, typing.Any)
        return self._stubs.make(
            f"omegaconf.nodes.{name or 'AnyNode'}",
            _metadata=metadata,
            _parent=parent,
            _val=value,
            **extra,
        )

    def _metadata(self, name: str, key: Any, ref_type: Any) -> Any:
        return self._stubs.make(
            f"omegaconf.base.{name}",
            ref_type=ref_type,
            object_type=None,
            optional=True,
            key=key,
            flags={},
            resolver_cache=collections.defaultdict(dict),
        )


def meters(stubs: Stubs) -> collections.OrderedDict[str, Any]:
    """Make the meters that trainers of fairseq 0.4 to 0.9 save."""
    average = {"val": 2.5, "avg": 2.25, "sum": 22.5, "count": 10}
    return collections.OrderedDict(
        train_loss=stubs.make("fairseq.meters.AverageMeter", **average),
        wps=stubs.make("fairseq.meters.TimeMeter", init=0, start=1547559723.2, n=120),
        train_wall=stubs.make("fairseq.meters.StopwatchMeter", sum=0.5, n=6, start_time=None),
    )
