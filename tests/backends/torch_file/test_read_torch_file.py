"""Files of torch.save read as data: equal to torch.load for what is data, inert for the rest."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import io
import os
import pickle
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_neuron_plugin.backends.torch_file.build import without_stand_ins
from fairseq_neuron_plugin.backends.torch_file.pickle_machine import read_pickle
from fairseq_neuron_plugin.backends.torch_file.read import open_torch_file
from fairseq_neuron_plugin.backends.torch_file.records import Instance, Malformed, Name, StandIn


class Unknown:
    """A class that is on no list."""

    def __init__(self) -> None:
        self.value = 3


def saved(tmp_path: Path, content: object, legacy: bool = False, protocol: int = 2) -> str:
    path = tmp_path / "file.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    return str(path)


def read(path: str) -> dict:
    with open_torch_file(path) as file:
        return dict(file)


def same(left: object, right: object) -> bool:
    """Equal in value and in type, arrays and tensors included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and left.shape == right.shape and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, argparse.Namespace | types.SimpleNamespace):
        return same(vars(left), vars(right))
    return left == right


BASE = torch.arange(24, dtype=torch.float32)
CONTENTS = {
    "scalars": [None, True, False, 0, -1, 2**40, -(2**70), 1.5, float("inf"), "ä\n", b"\x00\xff"],
    "containers": {
        "a": [1, (2, (3,), (), (1, 2, 3, 4))],
        "s": {1, 2},
        "f": frozenset({"x"}),
        "": {},
    },
    "keys": {1: "int", None: "none", False: "bool", "s": "str", ("a", "b"): "tuple", 0.5: "float"},
    "dtypes": [
        torch.ones(3, dtype=dtype)
        for dtype in (
            *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64),
            *(torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
        )
    ],
    "views": [BASE, BASE[3:7], BASE.view(4, 6).t(), BASE[::5], BASE.view(2, 3, 4)[:, 1], BASE[:0]],
    "shapes": [torch.tensor(5), torch.empty(0, 3), torch.Size([2, 3])],
    "parameter": [torch.nn.Parameter(BASE.clone()).data, torch.device("cuda", 1), torch.float16],
    "namespace": argparse.Namespace(arch="lstm", sizes=[1, 2], nested=argparse.Namespace(x=None)),
    "simple": types.SimpleNamespace(a=1),
    "ordered": collections.OrderedDict([("b", 1), ("a", torch.ones(2))]),
    "time": datetime.timedelta(days=1, seconds=5),
    "numpy": [
        *(np.float64(1.5), np.int32(3), np.bool_(True), np.arange(6).reshape(2, 3)),
        *(np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros((0, 2)), np.array(["ab", "c"])),
        np.arange(3, dtype=">i4"),
    ],
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", CONTENTS)
def test_equal_to_torch_load(tmp_path, name, legacy, protocol) -> None:
    path = saved(tmp_path, {"content": CONTENTS[name]}, legacy, protocol)
    expected = torch.load(path, weights_only=False)["content"]
    assert same(read(path)["content"], expected)


@pytest.mark.parametrize("protocol", [0, 1])
def test_oldest_protocols(protocol) -> None:
    content = {"a": [1, 2.5, "ä", None, True, (1, 2), ["x"]], "b": -(2**80)}
    value, _ = read_pickle(io.BytesIO(pickle.dumps(content, protocol)))
    assert same(value, content)


def test_shared_tensors_stay_shared(tmp_path) -> None:
    for legacy in (False, True):
        state = read(saved(tmp_path, {"a": BASE, "b": BASE[2:]}, legacy))
        state["a"][2] = -1
        assert state["b"][0] == -1


def test_default_dictionaries_lose_their_factory(tmp_path) -> None:
    content = collections.defaultdict(os.getcwd, a=1)
    assert same(read(saved(tmp_path, {"x": content}))["x"], {"a": 1})
    counts = collections.Counter("aab")
    assert same(read(saved(tmp_path, {"x": counts}))["x"], {"a": 2, "b": 1})


def test_unknown_classes_become_stand_ins(tmp_path) -> None:
    state = read(
        saved(
            tmp_path,
            {
                "object": Unknown(),
                "class": Unknown,
                "partial": functools.partial(int, "3"),
                "mixed": {
                    "keep": 1,
                    "drop": Unknown(),
                    "list": [Unknown(), 2],
                    "tuple": (Unknown(),),
                },
            },
        )
    )
    mine = StandIn(f"{__name__}.Unknown")
    assert state["object"] == state["class"] == mine
    assert state["partial"] == StandIn("functools.partial")
    value, names = without_stand_ins(state["mixed"])
    assert value == {"keep": 1, "list": [None, 2], "tuple": (None,)}
    assert names == {mine.name}


class Calls:
    """Unpickling it calls a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def test_nothing_is_called(tmp_path) -> None:
    canary = tmp_path / "canary"
    for legacy in (False, True):
        path = saved(tmp_path, {"x": Calls(os.system, f"touch {canary}"), "y": 1}, legacy)
        state = read(path)
        assert state == {"x": StandIn("posix.system"), "y": 1}
        assert not canary.exists()
        torch.load(path, weights_only=False)  # the file does bite
        assert canary.exists()
        canary.unlink()


def test_what_a_call_returns_is_not_called_either() -> None:
    # getattr(os, "system")("true"), as pickle would run it.
    code = (
        b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x04\x00\x00\x00name\x86R"
        b"X\x04\x00\x00\x00true\x85R."
    )
    value, _ = read_pickle(io.BytesIO(code))
    assert isinstance(value, Instance)
    assert value.name == Name("builtins.getattr", "()")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"", "no readable pickle"),
        (b"hello", "not read before"),
        (b"\x80\x02]", "no readable pickle"),  # no STOP
        (b"\x80\x02.", "no readable pickle"),  # nothing on the stack
        (b"\x80\x02]].", "left over"),
        (b"\x80\x02(.", "a mark where"),
        (b"\x80\x02h\x05.", "not read before"),
        (b"\x80\x02]r\xff\xff\xff\xff.", "memo key"),
        (b"\x80\x02]K\x01b.", "a state for something"),
        (b"\x80\x02cos\nsystem\nK\x01b.", "a state for something"),
        (b"\x80\x02cos\nsystem\nK\x01R.", "are no tuple"),
        (b"\x80\x02K\x01)R.", "a call of something"),
        (b"\x80\x02}]K\x01s.", "a list as a key"),
        (b"\x80\x02}\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01K\x01s.", "a int as a key"),
        (b"\x80\x02K\x01K\x02a.", "no list"),
        (b"\x80\x05\x97.", "NEXT_BUFFER is not supported"),
        (b"\x80\x04K\x01K\x02\x93.", "a name that is no text"),
        (b"\x80\x02X\xff\xff\xff\xffab.", "no readable pickle"),
    ],
)
def test_damaged_pickles(code, message) -> None:
    with pytest.raises(Malformed, match=message):
        read_pickle(io.BytesIO(code))


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def doubled(times: int) -> list:
    value: list = [0]
    for _ in range(times):
        value = [value, value]
    return value


def test_bounds_and_cycles(tmp_path) -> None:
    cycle: list = []
    cycle.append(cycle)
    by_name: dict = {}
    by_name["self"] = argparse.Namespace(x=by_name)
    contents = {
        "contains itself": [cycle, by_name],
        "nested more than": [nested(120)],
        "more than 20000000 values": [doubled(60)],
    }
    for message, values in contents.items():
        for value in values:
            with pytest.raises(Malformed, match=message):
                read(saved(tmp_path, {"x": value}))


def rewritten(path: str, change) -> str:
    """Change the members of a zip archive: ``change(name, content)``, None to leave one out."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for info, content in members:
            changed = change(info.filename.partition("/")[2], content)
            if changed is not None:
                archive.writestr(info.filename, changed)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, content: None if name == "data/0" else content, "data/0 is missing"),
        (lambda name, content: content[:-4] if name == "data/0" else content, "bytes instead of"),
        (lambda name, content: None if name == "data.pkl" else content, "not one of torch.save"),
        (lambda name, content: b"big" if name == "byteorder" else content, "big-endian"),
    ],
)
def test_archives_that_do_not_fit(tmp_path, change, message) -> None:
    path = rewritten(saved(tmp_path, {"x": BASE}), change)
    with pytest.raises(Malformed, match=message):
        read(path)


def test_every_damaged_byte_of_the_content_is_found(tmp_path) -> None:
    path = saved(tmp_path, {"x": BASE})
    whole = Path(path).read_bytes()
    content = BASE.numpy().tobytes()
    start = whole.index(content)
    for position in range(start, start + len(content), 7):
        Path(path).write_bytes(
            whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        )
        with pytest.raises(Malformed, match="damaged"):
            read(path)


def test_compressed_archives_are_refused(tmp_path) -> None:
    path = saved(tmp_path, {"x": torch.zeros(10_000)})
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    with pytest.raises(Malformed, match="compressed"):
        read(path)


def test_cut_short(tmp_path) -> None:
    for legacy in (False, True):
        path = saved(tmp_path, {"x": BASE}, legacy)
        whole = Path(path).read_bytes()
        for length in range(0, len(whole), 13):
            Path(path).write_bytes(whole[:length])
            with pytest.raises((Malformed, ValueError)):
                read(path)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (25,), (1,)),
        (1, (24,), (1,)),
        (0, (10**12,), (0,)),
        (0, (2, 2), (30, 1)),
        (-1, (2,), (1,)),
        (0, (-2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (2.0,), (1,)),
        (0, (2**62, 2**62), (0, 0)),
    ],
)
def test_tensors_beyond_their_storage(tmp_path, offset, size, stride) -> None:
    class Lying:
        def __reduce__(self) -> tuple:
            rebuild = torch._utils._rebuild_tensor_v2
            storage = BASE.storage()
            return rebuild, (storage, offset, size, stride, False, collections.OrderedDict())

    path = saved(tmp_path, {"x": Lying()})
    with pytest.raises(Malformed, match="tensor"):
        read(path)
