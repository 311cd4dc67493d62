"""What the analyses of ``fairseq-neuron-analyze`` have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..analysis.folder import Row, save_analysis

PROG = "fairseq-neuron-analyze"


@dataclass(frozen=True)
class Found:
    """What an analysis found.

    Attributes:
        text: its tables as they are printed.
        tables: for ``NAME.csv`` each.
        document: content of ``analysis.json``.
        draw: draws the picture to a path, whose ending says the format; None: there is none.
    """

    text: str
    tables: Mapping[str, Sequence[Row]]
    document: Mapping[str, Any]
    draw: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Analysis:
    """One sub-command.

    Attributes:
        help: what it shows, in one line.
        example: a command that works, without the name of the program.
        add_arguments: declares its own arguments.
        run: from the parsed arguments to what it found.
    """

    help: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Found]


def show(found: Found, output_dir: str | None, formats: Sequence[str]) -> None:
    """Print the tables and, if a folder is given, write it, with the picture in these formats."""
    if output_dir is not None:
        draw = found.draw
        if draw is not None and find_spec("matplotlib") is None:
            print(
                f"{PROG}: no picture without matplotlib; get it with: "
                "pip install fairseq_neuron_plugin[plot]",
                file=sys.stderr,
            )
            draw = None
        save_analysis(output_dir, found.tables, found.document, draw, formats)
    print(found.text)
    if output_dir is not None:
        print(f"\n{output_dir}: {found.document['signature']}")
