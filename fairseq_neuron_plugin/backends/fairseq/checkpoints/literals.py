"""Tell Python literals from programs, without running either."""

from __future__ import annotations

import ast
import warnings

MAX_CHARACTERS = 1_000
MAX_ITEMS = 10_000
MAX_DEPTH = 20
# Whatever does not fit into 64 bits is no size, and slow to compute with.
INTEGERS = range(-(2**63), 2**64)


class _NotLiteralError(Exception):
    pass


def is_literal(text: str) -> bool:
    """Tell whether a text is a literal that ``eval`` can do nothing with but build its value.

    That is what `ast.literal_eval` takes (but bytes, complex numbers and escapes), and lists and
    tuples of it that are repeated or joined, as in ``[(512, 3)] * 9 + [(1024, 3)] * 4``.

    Args:
        text: what might be evaluated; at most 1,000 characters, and 10,000 items when evaluated.
    """
    # eval, too, skips white space at the start. A backslash could hide a line, or characters.
    text = text.lstrip(" \t")
    if len(text) > MAX_CHARACTERS or not text.isprintable() or "\\" in text or "#" in text:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expression = ast.parse(text, mode="eval").body
        return _size(expression, MAX_DEPTH)[1] <= MAX_ITEMS
    except (_NotLiteralError, SyntaxError, ValueError, MemoryError, RecursionError):
        return False


def _size(node: ast.expr, depth: int) -> tuple[type, int]:
    """The type of a literal's value, and how many values are in it, itself included."""
    if depth == 0:
        raise _NotLiteralError
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        node = node.operand
        if not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
            raise _NotLiteralError
    if isinstance(node, ast.Constant):
        return _constant(node.value), 1
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind, _total(node.elts, depth)
    if isinstance(node, ast.Dict):
        return dict, _total([*node.keys, *node.values], depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _size(node.left, depth - 1), _size(node.right, depth - 1)
        if left[0] is not right[0] or left[0] not in (list, tuple):
            raise _NotLiteralError
        return left[0], left[1] + right[1]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _repeated(node, depth)
    raise _NotLiteralError


def _constant(value: object) -> type:
    kind = type(value)
    if value is not None and kind not in (bool, int, float, str):
        raise _NotLiteralError
    if isinstance(value, int) and value not in INTEGERS:
        raise _NotLiteralError
    return kind


def _total(nodes: list[ast.expr] | list[ast.expr | None], depth: int) -> int:
    total = 1
    for node in nodes:
        if node is None:  # of a dictionary that takes in another: {**other}
            raise _NotLiteralError
        total += _size(node, depth - 1)[1]
    return total


def _repeated(node: ast.BinOp, depth: int) -> tuple[type, int]:
    sequence, times = node.left, node.right
    if isinstance(sequence, ast.Constant):
        sequence, times = times, sequence
    kind, size = _size(sequence, depth - 1)
    if kind not in (list, tuple) or not isinstance(times, ast.Constant):
        raise _NotLiteralError
    if type(times.value) is not int:
        raise _NotLiteralError
    return kind, max(size * times.value, size)
