"""What all commands share: one-line errors, exit status 2, tables."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

from ..errors import UserError


class CommandParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line and whose help keeps the example's layout.

    Attributes:
        instead_of_positionals: an option with which there are no positional arguments: what
            follows a flag that is not known here then is that flag's, and is left over with it.
    """

    instead_of_positionals: str | None = None

    def __init__(self, prog: str, description: str, example: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"example:\n{example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `ArgumentParser`, but for ``instead_of_positionals``."""
        given = list(sys.argv[1:] if args is None else args)
        flags = [part.partition("=")[0] for part in given]
        if self.instead_of_positionals not in flags:
            return super().parse_known_args(given, namespace)
        own: list[str] = []
        left_over: list[str] = []
        belongs_to = own
        for part, flag in zip(given, flags, strict=True):
            if part.startswith("-"):
                belongs_to = own if flag in self._option_string_actions else left_over
            belongs_to.append(part)
        found, unknown = super().parse_known_args(own, namespace)
        return found, [*unknown, *left_over]

    def error(self, message: str) -> NoReturn:
        """End with exit status 2 and one line on stderr."""
        self.exit(2, f"{self.prog}: error: {_one_line(message)} (see {self.prog} --help)\n")


def run_command(prog: str, command: Callable[[], None]) -> NoReturn:
    """Run a command and end the process: 0, or 2 with one line for what the user can mend."""
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough: head, say. Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except UserError as error:
        print(f"{prog}: error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def quiet_fairseq() -> None:
    """Keep fairseq's log, and the warnings of hydra below it, off the screen.

    Call it before fairseq is imported: an error has to be the one line on stderr.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
    # What is read of a file, and what is not, concerns the user.
    logging.getLogger("fairseq_neuron_plugin.backends").setLevel(logging.WARNING)
    for category in (UserWarning, FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)


class Progress:
    """A progress bar on stderr that shows itself with the first step.

    So an error before any work is the one line on stderr.

    Usage::

        with Progress(len(corpus), "extract", " sentences") as progress:
            extract(..., progress)
    """

    def __init__(self, total: int, name: str, unit: str) -> None:
        self._settings = {"total": total, "desc": name, "unit": unit, "file": sys.stderr}
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, steps: int) -> None:
        """Go on by this many steps."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(**self._settings)
        self._bar.update(steps)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


class StepProgress:
    """As `Progress`, where the number of steps is known only once the work has begun.

    Usage::

        with StepProgress("gaussian") as progress:
            gaussian(..., progress=progress)    # calls progress(done, steps)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, steps: int) -> None:
        """So many of so many steps are done."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=steps, desc=self._name, file=sys.stderr)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Align rows under a header: first column to the left, the others to the right."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _one_line(message: str) -> str:
    return " ".join(message.split())
