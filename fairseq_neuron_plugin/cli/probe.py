"""``fairseq-neuron-probe``: activations and labels to a probe with its accuracies and tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from ..probing.experiment import ProbeSettings, read_data, run_experiment, signature
from ..probing.grid import Grid
from ..probing.grid_plot import plot_grid
from ..probing.probe_folder import finished_probe
from .common import run_command
from .picture_formats import DEFAULT
from .probe_arguments import PROG, build_parser, read_settings
from .probe_tables import summary
from .stores import open_store


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(arguments)
    run_command(PROG, lambda: _probe(args, [PROG, *arguments]))


def _probe(args: argparse.Namespace, command: list[str]) -> None:
    settings = read_settings(args)
    if args.verify:
        for store in filter(None, (settings.acts, settings.test_acts)):
            open_store(args, store)
    data = read_data(settings)
    finished = finished_probe(args.save_dir, signature(settings, data))
    if finished is not None:
        print(f"already there: {args.save_dir}\n")
        result = finished.result
        if _can_draw(settings):
            _draw_missing(Path(args.save_dir), result.get("grid"), args.format or ())
    else:
        with _progress() as report:
            experiment = run_experiment(settings, data, report)
        pictures = (args.format or DEFAULT) if _can_draw(settings) else ()
        experiment.save(args.save_dir, command, pictures)
        result = experiment.result
    print(summary(result))
    print(f"\n{args.save_dir}: {result['signature']}")


def _can_draw(settings: ProbeSettings) -> bool:
    found = find_spec("matplotlib") is not None
    if settings.plan is not None and not found:
        print(
            f"{PROG}: no picture of the grid without matplotlib; get it with: "
            "pip install fairseq_neuron_plugin[plot]",
            file=sys.stderr,
        )
    return found


def _draw_missing(folder: Path, grid: Mapping[str, Any] | None, formats: Sequence[str]) -> None:
    """Add to a finished probe the pictures of its grid that it does not have yet."""
    for kind in formats:
        path = folder / f"grid.{kind}"
        if grid is not None and not path.exists():
            plot_grid(Grid.from_json(grid), path, grid["margin"])


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """A bar on stderr with the time that is left, where that is a terminal."""
    shape = "{percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left{postfix}"
    with tqdm(total=1.0, file=sys.stderr, leave=False, disable=None, bar_format=shape) as bar:

        def report(done: float, what: str) -> None:
            bar.n = done
            bar.set_postfix_str(what)

        yield report


if __name__ == "__main__":
    main()
