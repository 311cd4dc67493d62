"""Run the opcodes of a pickle over inert records.

The standard library's `pickle.Unpickler` calls what a file names. This machine has no means to: a
name becomes a `Name`, a call becomes an `Instance`, and nothing is imported. Decoding the opcodes
is left to the standard library's `pickletools`.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from .records import Instance, Malformed, Name, Persistent

# The largest honest files, of two dictionaries of 250,000 words each, take about 3 million.
MAX_OPCODES = 4_000_000
MAX_MEMO_KEY = 2**31
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}


def read_pickle(stream: BinaryIO) -> tuple[Any, list[Persistent]]:
    """Read one pickle; the stream stands behind it then.

    Args:
        stream: bytes, from the start of the pickle on.

    Returns:
        Plain data that holds `Name`, `Instance` and `Persistent` records, and all of the latter.

    Raises:
        Malformed: no pickle, or one that no honest program has written.
    """
    machine = _Machine()
    try:
        return machine.run(stream), machine.persistent
    except Malformed:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, EOFError, AttributeError) as error:
        raise Malformed(f"no readable pickle: {str(error)[:200]}") from error


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.persistent: list[Persistent] = []

    def run(self, stream: BinaryIO) -> Any:
        operations = {
            name.removeprefix("op_").upper(): getattr(self, name)
            for name in dir(self)
            if name.startswith("op_")
        }
        push = self.stack.append
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPCODES:
                raise Malformed(f"more than {MAX_OPCODES} pickle operations")
            name = opcode.name
            if name in _LITERALS:
                push(argument)
            elif name in _CONSTANTS:
                push(_CONSTANTS[name])
            elif name in _EMPTY:
                push(_EMPTY[name]())
            elif name in operations:
                operations[name](argument)
            elif name not in ("PROTO", "FRAME", "STOP"):
                raise Malformed(f"pickle operation {name} is not supported")
        result = self.pop()
        if self.stack:
            raise Malformed("something is left over at the end of the pickle")
        return result

    # The stack ---------------------------------------------------------------------------------

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise Malformed("a mark where a value should be")
        return value

    def pop_to_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                values = self.stack[index + 1 :]
                del self.stack[index:]
                return values
        raise Malformed("no mark on the stack")

    def top(self) -> Any:
        value = self.stack[-1]
        if value is _MARK:
            raise Malformed("a mark where a value should be")
        return value

    def op_mark(self, _: None) -> None:
        self.stack.append(_MARK)

    def op_pop(self, _: None) -> None:
        self.stack.pop()

    def op_pop_mark(self, _: None) -> None:
        self.pop_to_mark()

    def op_dup(self, _: None) -> None:
        self.stack.append(self.top())

    # The memo ----------------------------------------------------------------------------------

    def op_put(self, key: int) -> None:
        if not 0 <= key < MAX_MEMO_KEY:
            raise Malformed(f"memo key {key} is out of range")
        self.memo[key] = self.top()

    op_binput = op_long_binput = op_put

    def op_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.top()

    def op_get(self, key: int) -> None:
        if key not in self.memo:
            raise Malformed("a reference to something that was not read before")
        self.stack.append(self.memo[key])

    op_binget = op_long_binget = op_get

    # Containers --------------------------------------------------------------------------------

    def op_list(self, _: None) -> None:
        self.stack.append(self.pop_to_mark())

    def op_tuple(self, _: None) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def op_tuple1(self, _: None) -> None:
        self.stack.append((self.pop(),))

    def op_tuple2(self, _: None) -> None:
        last, first = self.pop(), self.pop()
        self.stack.append((first, last))

    def op_tuple3(self, _: None) -> None:
        last, middle, first = self.pop(), self.pop(), self.pop()
        self.stack.append((first, middle, last))

    def op_dict(self, _: None) -> None:
        values = self.pop_to_mark()
        self.stack.append({})
        self._set_items(values)

    def op_frozenset(self, _: None) -> None:
        self.stack.append(frozenset(map(checked_key, self.pop_to_mark())))

    def op_append(self, _: None) -> None:
        self._extend([self.pop()])

    def op_appends(self, _: None) -> None:
        self._extend(self.pop_to_mark())

    def op_additems(self, _: None) -> None:
        values, target = self.pop_to_mark(), self.top()
        if type(target) is not set:
            raise Malformed("elements for something that is no set")
        target.update(map(checked_key, values))

    def op_setitem(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        self._set_items([key, value])

    def op_setitems(self, _: None) -> None:
        self._set_items(self.pop_to_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Instance):
            target.elements.extend(values)
        elif type(target) is list:
            target.extend(values)
        else:
            raise Malformed("elements for something that is no list")

    def _set_items(self, values: list[Any]) -> None:
        target = self.top()
        if len(values) % 2:
            raise Malformed("a key without a value")
        pairs = [
            (checked_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True)
        ]
        if isinstance(target, Instance):
            target.items.extend(pairs)
        elif type(target) is dict:
            target.update(pairs)
        else:
            raise Malformed("items for something that is no dictionary")

    # Names and calls ---------------------------------------------------------------------------

    def op_global(self, names: str) -> None:
        module, _, name = names.partition(" ")
        self.stack.append(Name(module, name))

    def op_stack_global(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise Malformed("a name that is no text")
        self.stack.append(Name(module, name))

    def op_ext1(self, code: int) -> None:
        self.stack.append(Name("copyreg", f"extension {code}"))

    op_ext2 = op_ext4 = op_ext1

    def op_reduce(self, _: None) -> None:
        arguments, function = self.pop(), self.pop()
        self._call(function, arguments)

    def op_newobj(self, _: None) -> None:
        self.op_reduce(None)

    def op_newobj_ex(self, _: None) -> None:
        keywords, arguments, function = self.pop(), self.pop(), self.pop()
        self._call(function, arguments)
        self.top().states.append(keywords)

    def op_obj(self, _: None) -> None:
        values = self.pop_to_mark()
        if not values:
            raise Malformed("an object without a class")
        self._call(values[0], tuple(values[1:]))

    def op_inst(self, names: str) -> None:
        arguments = tuple(self.pop_to_mark())
        self.op_global(names)
        self._call(self.pop(), arguments)

    def op_build(self, _: None) -> None:
        state, target = self.pop(), self.top()
        if not isinstance(target, Instance):
            raise Malformed("a state for something that is no object")
        target.states.append(state)

    def op_persid(self, identifier: str) -> None:
        self.persistent.append(Persistent(identifier))
        self.stack.append(self.persistent[-1])

    def op_binpersid(self, _: None) -> None:
        self.op_persid(self.pop())

    def _call(self, function: Any, arguments: Any) -> None:
        if isinstance(function, Instance):  # what a call returned is called
            function = Name(str(function.name), "()")
        if not isinstance(function, Name):
            raise Malformed("a call of something that is no name")
        if type(arguments) is not tuple:
            raise Malformed(f"the arguments of {function} are no tuple")
        self.stack.append(Instance(function, arguments))


def checked_key(key: Any) -> Any:
    """Accept keys whose hashes a file cannot make collide by the thousand, and no others.

    Raises:
        Malformed: any other key.
    """
    kind = type(key)
    if kind in (str, bytes, bool, type(None), float):
        return key
    if kind is int and -(2**63) <= key < 2**63:
        return key
    if kind is tuple and all(type(part) is str for part in key):
        return key
    raise Malformed(f"a {kind.__name__} as a key")
