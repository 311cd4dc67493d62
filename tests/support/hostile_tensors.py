"""Tensors that lie about themselves: their storage, size, type, and what rebuilds them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import torch
from hostile_files import EITHER, OPENS, REFUSED, HostileFile, Scene, changed
from hostile_opcodes import (
    Opcodes,
    array,
    call,
    integer,
    mapping,
    name,
    sequence,
    text,
)

_WEIGHT, _SIZE = "decoder.layers.0.bias_ih", 192  # of both LSTMs
_REBUILD = name("torch._utils", "_rebuild_tensor_v2")
_HOOKS = call(name("collections", "OrderedDict"))
_FALSE = b"\x89"
_FLOATS = name("torch", "FloatStorage")

Change = Callable[[Scene], Any]


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for label, storage in _STORAGES.items():
        yield _weight(f"storage/{label}", _tensor(storage=storage))
    for label, shape in _SHAPES.items():
        yield _weight(f"shape/{label}", _tensor(**shape))
    for label, code in _REBUILDS.items():
        yield _weight(f"rebuild/{label}", code)
    for label, (change, outcome) in _WEIGHTS.items():
        yield HostileFile(f"weight/{label}", outcome, changed(change))


def _weight(label: str, code: bytes) -> HostileFile:
    outcome = EITHER if label.endswith("*") else REFUSED
    # Beside a weight that is in the file honestly, whose storage "0" is there.
    return HostileFile(label.rstrip("*"), outcome, changed(_put(_WEIGHT, Opcodes(code))))


def _put(key: str, value: Any) -> Change:
    def change(scene: Scene) -> None:
        scene.state["model"][key] = value

    return change


def _id(*parts: bytes) -> bytes:
    """A persistent id, which a reader turns into a storage."""
    return sequence(*parts) + b"Q"


def _storage(
    kind: bytes = _FLOATS, key: bytes = text("0"), place: str = "cpu", count: int = _SIZE
) -> bytes:
    return _id(text("storage"), kind, key, text(place), _long(count))


def _long(value: int) -> bytes:
    """A LONG1: of any size, unlike what fits into an INT's C long."""
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + struct.pack("B", len(encoded)) + encoded


def _numbers(*values: int) -> bytes:
    return sequence(*map(_long, values))


def _tensor(
    storage: bytes | None = None,
    offset: bytes = integer(0),
    size: bytes = _numbers(_SIZE),
    stride: bytes = _numbers(1),
    grad: bytes = _FALSE,
    hooks: bytes = _HOOKS,
    *more: bytes,
) -> bytes:
    return call(_REBUILD, storage or _storage(), offset, size, stride, grad, hooks, *more)


_STORAGES = {
    "a text instead": text("x"),
    "None instead": b"N",
    "a key that leads out": _storage(key=text("../../../../etc/passwd")),
    "an absolute key": _storage(key=text("/etc/passwd")),
    "the pickle's own key": _storage(key=text("../data.pkl")),
    "a key of a number": _storage(key=integer(0)),
    "a key of a list": _storage(key=array(text("0"))),
    "a key that is not there": _storage(key=text("99999")),
    "an empty key": _storage(key=text("")),
    "a count of trillions": _storage(count=10**12),
    "a count of 2**63": _storage(count=2**63),
    "a count of 2**70": _storage(count=2**70),
    "a count below 0": _storage(count=-1),
    "a count of text": _id(text("storage"), _FLOATS, text("0"), text("cpu"), text("192")),
    "a type that is a function": _storage(kind=name("os", "system")),
    "a type that is a text": _storage(kind=text("FloatStorage")),
    "a type that is none of torch's": _storage(kind=name("torch", "NoStorage")),
    "a larger type": _storage(kind=name("torch", "DoubleStorage")),
    "a quantised type": _storage(kind=name("torch", "QInt8Storage")),
    "a place that is none*": _storage(place="__import__('os')"),
    "the place meta*": _storage(place="meta"),
    "a graphics card that is not there*": _storage(place="cuda:77"),
    "too few parts": _id(text("storage"), _FLOATS, text("0")),
    "too many parts": _id(text("storage"), *[_FLOATS] * 9),
    "another word": _id(text("module"), name("os", "system"), text("x.py"), text("import os")),
    "no tuple": text("storage") + b"Q",
    "a view elsewhere": _id(
        *(text("storage"), _FLOATS, text("0"), text("cpu"), integer(_SIZE)),
        sequence(text("1"), _long(10**12), integer(8)),
    ),
}
_SHAPES: dict[str, dict[str, bytes]] = {
    "an offset below 0": {"offset": integer(-8)},
    "an offset outside": {"offset": _long(10**9)},
    "an offset of 2**62": {"offset": _long(2**62)},
    "an offset of text": {"offset": text("0")},
    "sizes of trillions by stride 0": {"size": _numbers(10**12), "stride": _numbers(0)},
    "sizes of 2**63": {"size": _numbers(2**63)},
    "sizes whose product wraps": {"size": _numbers(2**32, 2**32), "stride": _numbers(0, 0)},
    "sizes below 0": {"size": _numbers(-1)},
    "sizes that are no tuple": {"size": text("192")},
    "sizes of text": {"size": sequence(text("192"))},
    "sizes of a call": {"size": call(name("builtins", "range"), _long(10**12))},
    "sizes outside": {"size": _numbers(10**6)},
    "strides outside": {"stride": _numbers(10**6)},
    "strides below 0": {"stride": _numbers(-1)},
    "strides of 2**62": {"stride": _numbers(2**62)},
    "fewer strides than sizes": {"stride": sequence()},
    "a thousand dimensions": {"size": _numbers(*[1] * 1000), "stride": _numbers(*[1] * 1000)},
    "a gradient by text*": {"grad": text("__import__('os')")},
    "hooks that are a call*": {"hooks": call(name("os", "getcwd"))},
    "hooks that are a number*": {"hooks": integer(1)},
}


def _rebuild(function: str, *arguments: bytes, module: str = "torch._utils") -> bytes:
    return call(name(module, function), *arguments)


_SYSTEM, _TENSOR = name("os", "system"), name("torch", "Tensor")
_REBUILDS = {
    "no arguments": call(_REBUILD),
    "a parameter of a text": _rebuild("_rebuild_parameter", text("x"), _FALSE, _HOOKS),
    "a parameter of a parameter*": _rebuild(
        "_rebuild_parameter",
        _rebuild("_rebuild_parameter", _tensor(), _FALSE, _HOOKS),
        *(_FALSE, _HOOKS),
    ),
    "a parameter with a state": _rebuild(
        "_rebuild_parameter_with_state", _tensor(), _FALSE, _HOOKS, mapping(grad_fn=_SYSTEM)
    ),
    "a type of its own": _rebuild(
        "_rebuild_from_type_v2", _SYSTEM, _TENSOR, sequence(), mapping(), module="torch._tensor"
    ),
    "a sparse tensor": _rebuild(
        "_rebuild_sparse_tensor",
        name("torch", "sparse_coo"),
        sequence(_tensor(), _tensor(), call(name("torch", "Size"), _numbers(10**15, 10**15))),
    ),
    "a quantised tensor": _rebuild(
        *("_rebuild_qtensor", _storage(), integer(0), _numbers(_SIZE), _numbers(1)),
        *(sequence(name("torch", "per_tensor_affine"), integer(1), integer(0)), _FALSE, _HOOKS),
    ),
    "a tensor of nothing": _rebuild(
        "_rebuild_meta_tensor_no_storage",
        *(name("torch", "float32"), _numbers(10**6, 10**6), _numbers(1, 1), _FALSE),
    ),
    "a tensor of numpy": _rebuild(
        "_rebuild_device_tensor_from_numpy",
        text("x"),
        name("torch", "float32"),
        text("cpu"),
        _FALSE,
    ),
    "the constructor": call(_TENSOR, _long(10**12)),
    "the constructor of zeros": call(name("torch", "zeros"), _long(10**12)),
    "a tensor from a list": call(name("torch", "tensor"), array(*[integer(0)] * 100)),
    "numpy's own": call(
        name("numpy.core.multiarray", "_reconstruct"),
        name("numpy", "ndarray"),
        _numbers(10**12),
        text("b"),
    ),
    "numpy's scalar": call(
        name("numpy.core.multiarray", "scalar"),
        call(name("numpy", "dtype"), text("S1000000000"), integer(0), integer(1)),
    ),
    "a shape of numpy": call(name("numpy", "zeros"), _numbers(10**12)),
}


def _with(value: Callable[[torch.Tensor], Any], key: str = _WEIGHT) -> Change:
    def change(scene: Scene) -> None:
        model = scene.state["model"]
        model[key] = value(model[key])

    return change


def _set(index: Any, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        changed_tensor = tensor.clone()
        changed_tensor[index] = value
        return changed_tensor

    return change


def _rename(scene: Scene) -> None:
    model = scene.state["model"]
    scene.state["model"] = {f"{key}.weight": value for key, value in model.items()}


def _overlap(scene: Scene) -> None:
    """Two weights in one storage, which is all right."""
    model = scene.state["model"]
    model[_WEIGHT] = model["decoder.layers.0.bias_hh"]


def _drop(scene: Scene) -> None:
    del scene.state["model"][_WEIGHT]


def _numbered(scene: Scene) -> None:
    scene.state["model"] = dict(enumerate(scene.state["model"].values()))


def _listed(scene: Scene) -> None:
    scene.state["model"] = list(scene.state["model"].items())


def _same_key(scene: Scene) -> None:
    """The dictionary names a weight twice, with two values."""
    items = array(*[text("x") + text("y")] * 2)
    scene.state["model"]["twice"] = Opcodes(items)


_NAN, _INFINITY = float("nan"), float("inf")
_WEIGHTS: dict[str, tuple[Change, str]] = {
    "one NaN": (_with(_set(3, _NAN)), REFUSED),
    "infinity": (_with(_set(5, _INFINITY)), REFUSED),
    "minus infinity": (_with(_set(-1, -_INFINITY)), REFUSED),
    "all NaN": (_with(lambda t: torch.full_like(t, _NAN)), REFUSED),
    "NaN in half precision": (_with(lambda t: torch.full_like(t, _NAN).half()), REFUSED),
    "whole numbers": (_with(lambda t: t.long()), EITHER),
    "complex": (_with(lambda t: t.to(torch.complex64)), REFUSED),
    "truth values": (_with(lambda t: t > 0), EITHER),
    "bytes": (_with(lambda t: t.byte()), EITHER),
    "a text": (_with(lambda t: "x"), REFUSED),
    "a number": (_with(lambda t: 1.0), REFUSED),
    "a list": (_with(lambda t: t.tolist()), REFUSED),
    "None": (_with(lambda t: None), REFUSED),
    "a tensor without dimensions": (_with(lambda t: t[0]), REFUSED),
    "a tensor of nothing": (_with(lambda t: t[:0]), REFUSED),
    "one dimension more": (_with(lambda t: t[None]), REFUSED),
    "a sparse one": (_with(lambda t: t.to_sparse()), REFUSED),
    "a parameter": (_with(lambda t: torch.nn.Parameter(t)), OPENS),
    "one that wants a gradient": (_with(lambda t: t.clone().requires_grad_()), OPENS),
    "a nested dictionary": (_with(lambda t: {"weight": t}), REFUSED),
    "a view of all the rest": (_with(lambda t: t[:1].expand(_SIZE)), EITHER),
    "overlapping": (_overlap, OPENS),
    "other names": (_rename, REFUSED),
    "names that are numbers": (_numbered, REFUSED),
    "a list of pairs": (_listed, REFUSED),
    "no weights": (lambda scene: scene.state.update(model={}), REFUSED),
    "one too few": (_drop, REFUSED),
    "one too many": (_put("decoder.layers.7.bias_ih", torch.zeros(2)), REFUSED),
    "a list among them": (_same_key, REFUSED),
    "a name of a module's parts": (_put("__class__", torch.zeros(2)), REFUSED),
    "a name of line breaks": (_put("a\nTraceback (most recent", torch.zeros(2)), REFUSED),
}
