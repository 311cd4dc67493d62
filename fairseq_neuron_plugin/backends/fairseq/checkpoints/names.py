"""Which file a checkpoint's name stands for, with fairseq's flags for suffixes and parts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ....errors import UserError
from ....files import StrPath

MERGE = "merge the parts into one file with fairseq-neuron-import fairseq"


def checkpoint_file(path: StrPath, suffix: str = "", shards: int = 1) -> Path:
    """Find the file that fairseq reads for a name.

    Args:
        path: the checkpoint.
        suffix: of ``--checkpoint-suffix``; stands before the ending ``.pt``. (fairseq also puts it
            into the names of folders that contain ``.pt``.)
        shards: of ``--checkpoint-shard-count``.

    Returns:
        The file, whole: fairseq, given this name and nothing else, reads the same one.

    Raises:
        UserError: there is no such file, the model is in parts, or fairseq would read a part
            (``NAME-shard0.pt``) in the place of the file.
    """
    if shards != 1:
        raise UserError(f"--checkpoint-shard-count {shards} is not supported: {MERGE}")
    file = Path(path)
    if suffix:
        if file.suffix != ".pt":
            raise UserError(f"--checkpoint-suffix {suffix}: {path} does not end in .pt")
        file = file.with_name(f"{file.stem}{suffix}.pt")
    part = Path(f"{str(file)[:-3]}-shard0.pt")
    if part.exists():
        if file.exists():
            raise UserError(
                f"fairseq reads {part}, a part of a model, in place of {file}: move it away, or "
                + MERGE
            )
        raise UserError(f"checkpoint {file} is in parts, {part.name} and others: {MERGE}")
    if not file.is_file():
        raise UserError(f"checkpoint not found: {file}")
    return file


def checkpoint_files(paths: str, suffix: str = "", shards: int = 1) -> list[Path]:
    """Find the files of ``--path``: one, or those of an ensemble, separated as in ``$PATH``.

    See `checkpoint_file` for arguments and errors.
    """
    separator = "|" if "://" in paths else os.pathsep  # as fairseq.utils.split_paths
    return [checkpoint_file(path, suffix, shards) for path in paths.split(separator)]


def flagged_file(path: StrPath, flags: Sequence[str]) -> Path:
    """Find the file of a checkpoint with what a command line says of suffixes and parts.

    Args:
        path: the checkpoint.
        flags: any of fairseq's; only ``--checkpoint-suffix`` and ``--checkpoint-shard-count``
            matter.

    Raises:
        UserError: these flags are wrong, or what `checkpoint_file` raises.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--checkpoint-suffix", default="")
    parser.add_argument("--checkpoint-shard-count", type=int, default=1)
    given, _ = parser.parse_known_args(list(flags))
    return checkpoint_file(path, given.checkpoint_suffix, given.checkpoint_shard_count)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)
