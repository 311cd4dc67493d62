"""Writing results so that they are complete or absent, and reading JSON with clear errors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError

StrPath = str | os.PathLike[str]


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Give a temporary path beside ``path``; it takes the place of ``path`` if no error occurs.

    >>> with atomic_path("result.json") as partial:        # doctest: +SKIP
    ...     partial.write_text("{}")
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.partial{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: StrPath, text: str) -> None:
    """Write ``text`` as UTF-8; the file is whole or not there."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: StrPath, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinity are refused, as JSON has none."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: StrPath, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        what: how an error names it, e.g. ``"ranking"``.

    Raises:
        UserError: it is missing, not JSON, or no object.
    """
    try:
        value = json.loads(read_text(path, what))
    except json.JSONDecodeError as error:
        raise UserError(f"{what} {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{what} {path} is not a JSON object")
    return value


def read_text(path: StrPath, what: str) -> str:
    """Read a UTF-8 file; `UserError` if it is missing, unreadable or not UTF-8."""
    try:
        # Bytes: text mode would take a lone carriage return for the end of a line.
        return Path(path).read_bytes().decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError as error:
        raise UserError(f"{what} not found: {path}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise UserError(f"cannot read {what} {path}: {error.strerror}") from error


def read_lines(path: StrPath, what: str) -> list[str]:
    r"""Read a UTF-8 file as lines, split at ``\n`` alone.

    (`str.splitlines` would also split at U+2028 and its like, which occur inside real corpora.)
    """
    text = read_text(path, what)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def iter_lines(path: StrPath, what: str) -> Iterator[str]:
    """The lines of `read_lines`, one at a time: the file is never in memory as a whole."""
    number = 0
    try:
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
                yield text.removeprefix("\ufeff") if number == 1 else text
    except FileNotFoundError as error:
        raise UserError(f"{what} not found: {path}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path}, line {number}, is not UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {what} {path}: {error.strerror}") from error


@contextmanager
def new_folder(path: StrPath, what: str) -> Iterator[Path]:
    """Give a temporary folder that becomes ``path`` if no error occurs; nothing is left otherwise.

    Raises:
        UserError: ``path`` exists and is not an empty folder.
    """
    target = Path(path)
    refuse_existing(target, what)
    partial = target.with_name(f".{target.name}.partial{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        if target.is_dir():
            target.rmdir()  # empty, as checked above
        os.replace(partial, target)
    except OSError as error:
        raise UserError(f"cannot write {what} {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers(folder: StrPath, name: str | None = None) -> None:
    """Remove what a killed `atomic_path` or `new_folder` has left in a folder.

    Args:
        folder: one of this package's own; any folder where ``name`` is given.
        name: of the file or folder that was being written; None means any file.
    """
    target = ".+" if name is None else re.escape(name)
    for path in Path(folder).glob(".*.partial*"):
        if re.fullmatch(rf"\.{target}\.partial\d+", path.name):
            if path.is_file():
                path.unlink(missing_ok=True)
            elif name is not None:
                shutil.rmtree(path, ignore_errors=True)


def refuse_existing(path: StrPath, what: str) -> None:
    """`UserError` unless ``path`` is free or an empty folder."""
    target = Path(path)
    try:
        empty = target.is_dir() and not any(target.iterdir())
        taken = target.exists() and not empty
    except OSError as error:
        raise UserError(f"cannot open {what} {target}: {error.strerror or error}") from error
    if taken:
        raise UserError(f"{what} {target} holds another run already; choose another or remove it")


def sha256(parts: Iterable[bytes]) -> str:
    """SHA-256 of parts one after the other, hexadecimal."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def sha256_file(path: StrPath) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
