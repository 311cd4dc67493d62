"""Lines of text files that may be gzipped, one at a time: a corpus need not be small."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator

from ..errors import UserError
from ..files import StrPath, iter_lines


def text_lines(path: StrPath, what: str) -> Iterator[str]:
    r"""The lines of a UTF-8 file, gzipped if its name ends in ``.gz``.

    A byte order mark at the beginning and carriage returns at line ends are dropped.

    Args:
        path: the file.
        what: how an error names it.

    Raises:
        UserError: it is missing, unreadable, or not UTF-8.
    """
    return _gzip_lines(path, what) if str(path).endswith(".gz") else iter_lines(path, what)


def blocks(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines between blank lines; blank lines in a row count as one."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _gzip_lines(path: StrPath, what: str) -> Iterator[str]:
    number = 0
    try:
        with gzip.open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
                yield text.removeprefix("\ufeff") if number == 1 else text
    except FileNotFoundError as error:
        raise UserError(f"{what} not found: {path}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path}, line {number}, is not UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {what} {path}: {error}") from error
