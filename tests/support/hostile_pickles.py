"""Pickles that call, import or build: every place of a checkpoint, every opcode, many functions."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from hostile_calls import calls, system
from hostile_files import EITHER, MODULE, OPENS, REFUSED, HostileFile, Scene, Trap, Write, changed
from hostile_opcodes import (
    Opcodes,
    Reduced,
    array,
    build,
    call,
    integer,
    mapping,
    name,
    new,
    plain,
    sequence,
    text,
)

Place = Callable[[Scene, Opcodes], Any]

NAMESPACE, ORDERED = name("argparse", "Namespace"), name("collections", "OrderedDict")
_WEIGHT = "decoder.layers.0.bias_ih"  # of both LSTMs


def _args(scene: Scene, made: Opcodes) -> None:
    scene.flatten()
    scene.state["args"] = made


def _setting_of_args(scene: Scene, made: Opcodes) -> None:
    scene.flatten()
    scene.state["args"].decoder_layers = made


def _key_of_args(scene: Scene, made: Opcodes) -> None:
    scene.flatten()
    vars(scene.state["args"])[made] = 1


def _rebuilt(scene: Scene, made: Opcodes, hooks: Any = None, **_: Any) -> Any:
    weight = scene.state["model"][_WEIGHT]
    rebuild = torch._utils._rebuild_tensor_v2
    parts = (weight._typed_storage(), 0, tuple(weight.shape), (1,), False)
    return Reduced(rebuild, *parts, {made: made}) if hooks else Reduced(rebuild, *parts, {}, made)


def _into(*keys: Any) -> Place:
    """The value at these keys of the state."""

    def place(scene: Scene, made: Opcodes) -> None:
        found: Any = scene.state
        for key in keys[:-1]:
            found = found[key] if isinstance(found, dict | list) else vars(found)[key]
        if not isinstance(found, dict | list):
            found = vars(found)
        found[keys[-1]] = made

    return place


def _model_key(scene: Scene, made: Opcodes) -> None:
    scene.state["model"][made] = torch.zeros(1)


def _top_key(scene: Scene, made: Opcodes) -> None:
    scene.state[made] = 1


def _metadata(scene: Scene, made: Opcodes) -> None:
    scene.state["model"]._metadata = {"": made}


def _hooks(scene: Scene, made: Opcodes) -> None:
    scene.state["model"][_WEIGHT] = _rebuilt(scene, made, hooks=True)


def _tensor_metadata(scene: Scene, made: Opcodes) -> None:
    scene.state["model"][_WEIGHT] = _rebuilt(scene, made)


def _whole(scene: Scene, made: Opcodes) -> Opcodes:
    return made


def _before(scene: Scene, made: Opcodes) -> Any:
    """Run, then thrown away: nothing of it is in the object."""
    return Opcodes(made.code + b"0" + plain({"model": {}, "args": None}))


_HISTORY = ("optimizer_history", 0)
# place: what follows from a name that may not be called there
PLACES: dict[str, tuple[Place, str]] = {
    "args": (_args, REFUSED),
    "a setting of args": (_setting_of_args, REFUSED),
    "a key of args": (_key_of_args, REFUSED),
    "cfg": (_into("cfg"), REFUSED),
    "cfg.model": (_into("cfg", "model"), REFUSED),
    "a setting of cfg.model": (_into("cfg", "model", "decoder_layers"), REFUSED),
    "a setting of cfg.task": (_into("cfg", "task", "source_lang"), REFUSED),
    "cfg.generation": (_into("cfg", "generation"), EITHER),
    "model": (_into("model"), REFUSED),
    "a weight": (_into("model", _WEIGHT), REFUSED),
    "a weight's name": (_model_key, REFUSED),
    "hooks of a tensor": (_hooks, EITHER),
    "metadata of a tensor": (_tensor_metadata, EITHER),
    "_metadata": (_metadata, EITHER),
    "extra_state": (_into("extra_state", "metrics"), OPENS),
    "extra_state itself": (_into("extra_state"), EITHER),
    "val_loss": (_into("extra_state", "val_loss"), OPENS),
    "train_iterator": (_into("extra_state", "train_iterator"), EITHER),
    "optimizer_history": (_into(*_HISTORY, "lr_scheduler_state", "best"), OPENS),
    "optimizer_history itself": (_into("optimizer_history"), EITHER),
    "last_optimizer_state": (_into("last_optimizer_state"), OPENS),
    "task_state": (_into("task_state", "dictionary"), EITHER),
    "criterion": (_into("criterion"), OPENS),
    "a key of its own": (_into("something"), EITHER),
    "a name of its own": (_top_key, EITHER),
    "the whole file": (_whole, REFUSED),
    "before the object": (_before, REFUSED),
}
# Of names on every reader's list, with what no reader takes.
_UNREADABLE = ("a numpy array of objects", "a codec")
# Where every kind of code is tried.
_ROUND = (
    *("a setting of cfg.model", "extra_state", "a weight", "last_optimizer_state"),
    *("a setting of args", "optimizer_history", "cfg.model", "criterion"),
)


def _write(place: str, make: Callable[[Trap], bytes], legacy: bool = False) -> Write:
    def change(scene: Scene) -> Any:
        return PLACES[place][0](scene, Opcodes(make(scene.trap)))

    return changed(change, legacy)


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for place, (_, outcome) in PLACES.items():
        for legacy in (False, True):
            label = f"place/{place}{' legacy' if legacy else ''}"
            yield HostileFile(label, outcome, _write(place, system, legacy))
    for number, label in enumerate(label for label, _ in calls(Trap(Path("/trap")))):
        place = _ROUND[number % len(_ROUND)]
        make = _make_call(label)
        write = _write(place, make, legacy=number % 3 == 0)
        outcome = EITHER if label in _UNREADABLE else PLACES[place][1]
        yield HostileFile(f"call/{label} in {place}", outcome, write)
    for number, (label, (make, where)) in enumerate(OPCODES.items()):
        place = _ROUND[number % 3]
        outcome = PLACES[place][1] if where == OPENS else where
        yield HostileFile(f"opcode/{label} in {place}", outcome, _write(place, make))
    for label, (change, outcome) in STATES.items():
        yield HostileFile(f"state/{label}", outcome, changed(change))


def _make_call(label: str) -> Callable[[Trap], bytes]:
    return lambda trap: dict(calls(trap))[label]


def _global4(module: bytes, attribute: bytes) -> bytes:
    return module + attribute + b"\x93"


def _setstate(trap: Trap) -> bytes:
    """BUILD of an object whose own ``__setstate__`` does it."""
    wrapped = call(name("functools", "partial"), name("os", "system"))
    state = sequence(name("os", "system"), sequence(text(trap.touch)), mapping(), b"N")
    return call(build(wrapped, state))


def _inst(trap: Trap) -> bytes:
    return b"(" + text(trap.touch) + b"ios\nsystem\n"


def _obj(trap: Trap) -> bytes:
    return b"(" + name("subprocess", "Popen") + array(text("touch"), text(trap.canary)) + b"o"


def _new_ex(trap: Trap) -> bytes:
    popen = name("subprocess", "Popen")
    return popen + sequence() + mapping(args=text(trap.touch), shell=b"\x88") + b"\x92"


def _onto(instance: bytes, code: bytes) -> Callable[[Trap], bytes]:
    return lambda trap: instance + code


def _repeated(trap: Trap) -> bytes:
    """A call from the memo, which stands there under a place far away."""
    return (
        name("os", "system")
        + b"r\xff\xff\xff\x7f0j\xff\xff\xff\x7f"
        + sequence(text(trap.touch))
        + b"R"
    )


def _class_attribute(trap: Trap) -> bytes:
    """BUILD of a class: what it makes later touches the canary."""
    return build(NAMESPACE, sequence(b"N", mapping(__eq__=name("os", "system"))))


# name: opcodes, and the outcome; OPENS: as the place has it
OPCODES: dict[str, tuple[Callable[[Trap], bytes], str]] = {
    "REDUCE": (system, OPENS),
    "INST": (_inst, OPENS),
    "OBJ": (_obj, OPENS),
    "NEWOBJ": (lambda trap: new(name("subprocess", "Popen"), text(trap.touch)), OPENS),
    "NEWOBJ_EX": (_new_ex, OPENS),
    "BUILD with __setstate__": (_setstate, OPENS),
    "BUILD with slots": (
        lambda trap: build(new(name("os", "system")), sequence(b"N", mapping(x=system(trap)))),
        OPENS,
    ),
    "BUILD of a class": (_class_attribute, EITHER),
    "BUILD of Namespace, __class__": (
        lambda trap: build(new(NAMESPACE), mapping(__class__=name("os", "system"))),
        EITHER,
    ),
    "BUILD of OrderedDict, __reduce__": (
        lambda trap: build(call(ORDERED), mapping(items=name("os", "system"))),
        EITHER,
    ),
    "BUILD of a text": (lambda trap: build(text("x"), mapping(y=system(trap))), EITHER),
    "BUILD with a text": (lambda trap: build(new(NAMESPACE), text(trap.touch)), EITHER),
    "STACK_GLOBAL": (
        lambda trap: call(_global4(text("os"), text("system")), text(trap.touch)),
        OPENS,
    ),
    "STACK_GLOBAL of numbers": (lambda trap: _global4(integer(1), integer(2)), REFUSED),
    "STACK_GLOBAL of a call": (
        lambda trap: _global4(text("os"), call(name("builtins", "str"), text("system"))),
        REFUSED,
    ),
    "EXT1": (lambda trap: b"\x82\x01", EITHER),
    "EXT2": (lambda trap: b"\x83\x01\x01", EITHER),
    "EXT4": (lambda trap: b"\x84\x01\x00\x00\x01", EITHER),
    "PERSID": (lambda trap: b"P" + trap.canary.encode() + b"\n", REFUSED),
    "BINPERSID": (lambda trap: text(trap.canary) + b"Q", REFUSED),
    "a call by the memo": (_repeated, OPENS),
    "a memo that is empty": (lambda trap: b"j\xff\x00\x00\x00", REFUSED),
    "an empty stack": (lambda trap: b"0000000000000000", REFUSED),
    "no mark": (lambda trap: b"tttttttttttttttt", REFUSED),
    "NEXT_BUFFER": (lambda trap: b"\x97", REFUSED),
    "an opcode that is none": (lambda trap: b"\xff", REFUSED),
    "APPENDS onto a call": (
        lambda trap: system(trap) + b"(" + text(trap.touch) + b"e",
        EITHER,
    ),
    "SETITEM of an instance": (
        lambda trap: new(name("os", "environ")) + text("A") + system(trap) + b"s",
        EITHER,
    ),
    "SETITEMS of Namespace": (_onto(new(NAMESPACE), b"(" + text("a") + integer(1) + b"u"), EITHER),
    "SETITEM of a list": (_onto(b"]", integer(10**9) + integer(1) + b"s"), REFUSED),
    "ADDITEMS": (lambda trap: b"\x8f(" + system(trap) + b"\x90", EITHER),
    "a key that is a list": (lambda trap: b"}]" + integer(1) + b"s", REFUSED),
    "a subclass of dict": (
        lambda trap: new(name("collections", "Counter")) + text("x") + system(trap) + b"s",
        OPENS,
    ),
    "a default factory": (
        lambda trap: call(name("collections", "defaultdict"), name("os", "getcwd")),
        EITHER,
    ),
    "GLOBAL with a line break": (lambda trap: name("os\r", "system"), OPENS),
    "GLOBAL without a module": (lambda trap: call(name("", "system"), text(trap.touch)), EITHER),
    "GLOBAL of the trap": (lambda trap: name(MODULE, "__path__"), OPENS),
    "GLOBAL of main": (lambda trap: name("__main__", "sys"), OPENS),
    "GLOBAL of this package": (
        lambda trap: call(name("fairseq_neuron_plugin.cli.plugins", "load_plugins"), array()),
        OPENS,
    ),
    "INT of text": (lambda trap: b"I__import__('os')\n", REFUSED),
    "FLOAT of text": (lambda trap: b"Fopen('x')\n", REFUSED),
    "STRING": (lambda trap: b"S" + trap.expression.encode() + b"\n", REFUSED),
    "a text of half a character": (lambda trap: b"X\x02\0\0\0\xc3\x28", REFUSED),
    "a long of bytes": (lambda trap: b"\x8b" + struct.pack("<i", -1), REFUSED),
    "a text that is cut off": (lambda trap: b"X" + struct.pack("<I", 2**31) + b"x", REFUSED),
}


def _setting(key: Any, value: Any) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.settings()[key] = value

    return change


def _defaultdict(scene: Scene) -> None:
    made = call(name("collections", "defaultdict"), name("os", "abort"))
    scene.state["cfg"] = Opcodes(made)


def _own_class(scene: Scene) -> None:
    """A class of fairseq whose instances read files when they are compared, printed, asked."""
    made = call(name("fairseq.file_io", "PathManager"), text(scene.trap.fifo))
    scene.state["extra_state"]["metrics"] = Opcodes(made)


# Names and values that are data but mean something to Python, and objects of the wrong kind.
STATES: dict[str, tuple[Callable[[Scene], Any], str]] = {
    "a setting __class__": (_setting("__class__", "x"), EITHER),
    "a setting __dict__": (_setting("__dict__", {"decoder_layers": 3}), EITHER),
    "a setting __getattr__": (_setting("__getattr__", "x"), EITHER),
    "a setting that is a number": (_setting(5, "x"), REFUSED),
    "a setting without a name": (_setting("", "x"), EITHER),
    "a setting of line breaks": (_setting("a\nb: c\n", "x"), EITHER),
    "a setting named a.b.c": (_setting("a.b.c", {"d.e": 1}), EITHER),
    "cfg that is a defaultdict": (_defaultdict, REFUSED),
    "cfg that is a list": (lambda scene: scene.state.update(cfg=[1]), REFUSED),
    "cfg that is a text": (lambda scene: scene.state.update(cfg="x"), REFUSED),
    "cfg that is empty": (lambda scene: scene.state.update(cfg={}), REFUSED),
    "cfg without a model": (lambda scene: scene.state["cfg"].update(model=None), REFUSED),
    "neither cfg nor args": (lambda scene: scene.state.update(cfg=None), REFUSED),
    "args that is a number": (lambda scene: scene.state.update(cfg=None, args=1), REFUSED),
    "both cfg and args": (lambda scene: scene.state.update(args=[]), EITHER),
    "the file is a list": (lambda scene: [scene.state], REFUSED),
    "the file is a tensor": (lambda scene: torch.zeros(3), REFUSED),
    "the file is None": (lambda scene: Opcodes(b"N"), REFUSED),
    "an arch of another kind": (_setting("_name", "wav2vec2"), REFUSED),
    "an arch that is a list": (_setting("_name", ["lstm"]), REFUSED),
    "an arch that is a path": (_setting("_name", "../../lstm"), REFUSED),
    "a task that is a number": (lambda s: s.settings("task").update(_name=3), EITHER),
    "a task of terminal codes": (lambda s: s.settings("task").update(_name="\x1b[2J\n"), EITHER),
    "an object of fairseq in metrics": (_own_class, OPENS),
}
