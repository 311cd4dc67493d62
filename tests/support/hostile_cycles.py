"""Objects that contain themselves, and configurations that refer to themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from hostile_files import EITHER, REFUSED, HostileFile, Scene, changed
from hostile_opcodes import (
    Opcodes,
    Reduced,
    build,
    call,
    integer,
    mapping,
    name,
    new,
    plain,
    text,
)

_WEIGHT = "decoder.layers.0.bias_ih"  # of both LSTMs
Change = Callable[[Scene], Any]


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for label, (change, outcome) in _CYCLES.items():
        yield HostileFile(f"cycle/{label}", outcome, changed(change))


def _listed(value: list) -> list:
    value.append(value)
    return value


def _keyed(value: dict) -> dict:
    value["self"] = value
    return value


def _cycle_in_model(scene: Scene) -> None:
    scene.state["model"]["self"] = scene.state["model"]


def _cycle_in_args(scene: Scene) -> None:
    scene.flatten()
    scene.state["args"].self = scene.state["args"]


def _cycle_of_the_file(scene: Scene) -> None:
    scene.state["self"] = scene.state


def _cycle_of_cfg(scene: Scene) -> None:
    scene.state["cfg"]["model"] = scene.state["cfg"]


def _cycle_of_task(scene: Scene) -> None:
    scene.settings("task")["data"] = scene.settings("task")


def _cycle_in_tuple(scene: Scene) -> None:
    inner: list = []
    inner.append((inner,))
    scene.settings()["dropout"] = inner


def _hooks(scene: Scene) -> None:
    """A dictionary of hooks that holds itself."""
    hooks = call(name("collections", "OrderedDict")) + b"r\xff\xff\x0f\x00"
    hooks += text("x") + b"j\xff\xff\x0f\x00s"
    weight = scene.state["model"][_WEIGHT]
    rebuild = torch._utils._rebuild_tensor_v2
    parts = (weight._typed_storage(), 0, tuple(weight.shape), (1,), False, Opcodes(hooks))
    scene.state["model"][_WEIGHT] = Reduced(rebuild, *parts)


def _config_object(content: bytes, kind: str = "dictconfig.DictConfig") -> Opcodes:
    """As omegaconf 2.0 wrote its objects."""
    module, _, attribute = f"omegaconf.{kind}".rpartition(".")
    metadata = build(
        new(name("omegaconf.base", "ContainerMetadata")),
        plain({"optional": True, "key": None, "flags": {}, "resolver_cache": {}}),
    )
    state = mapping(_metadata=metadata, _parent=b"N", _content=content)
    return Opcodes(build(new(name(module, attribute)), state))


def _omegaconf(content: bytes, kind: str = "dictconfig.DictConfig") -> Change:
    return lambda scene: scene.state.update(cfg=_config_object(content, kind))


_SELF = b"r\xff\xff\x0f\x00", b"j\xff\xff\x0f\x00"  # into the memo, and out of it
_CYCLES: dict[str, tuple[Change, str]] = {
    "a list in cfg": (lambda s: s.settings("task").update(source_lang=_listed([])), REFUSED),
    "a list in a setting of the model": (lambda s: s.settings().update(lr=_listed([])), REFUSED),
    "a dictionary in cfg": (lambda s: s.settings("task").update(source_lang=_keyed({})), REFUSED),
    "cfg in cfg": (_cycle_of_cfg, REFUSED),
    "the task in itself": (_cycle_of_task, REFUSED),
    "a tuple in a setting": (_cycle_in_tuple, REFUSED),
    "args in args": (_cycle_in_args, REFUSED),
    "the model in the model": (_cycle_in_model, REFUSED),
    "the file in the file": (_cycle_of_the_file, EITHER),
    "extra_state": (lambda s: _keyed(s.state["extra_state"]) and None, EITHER),
    "a list in extra_state": (lambda s: s.state["extra_state"].update(metrics=_listed([])), EITHER),
    "optimizer_history": (lambda s: _listed(s.state["optimizer_history"]) and None, EITHER),
    "last_optimizer_state": (lambda s: _keyed(s.state["last_optimizer_state"]) and None, EITHER),
    "hooks of a tensor": (_hooks, EITHER),
    "omegaconf, itself": (_omegaconf(b"}" + _SELF[0] + text("a") + _SELF[1] + b"s"), REFUSED),
    "omegaconf, a list in itself": (
        _omegaconf(b"]" + _SELF[0] + _SELF[1] + b"a", "listconfig.ListConfig"),
        REFUSED,
    ),
    "omegaconf, a text": (_omegaconf(text("${oc.env:HOME}")), REFUSED),
    "omegaconf, None": (_omegaconf(b"N"), REFUSED),
    "omegaconf, missing": (_omegaconf(text("???")), REFUSED),
    "omegaconf, interpolation": (
        _omegaconf(mapping(model=text("${model}"), task=text("${task}"))),
        REFUSED,
    ),
    "omegaconf, without a state": (
        lambda s: s.state.update(cfg=Opcodes(new(name("omegaconf.dictconfig", "DictConfig")))),
        REFUSED,
    ),
    "omegaconf, a number": (_omegaconf(integer(1), "nodes.AnyNode"), REFUSED),
}
