#!/usr/bin/env python
"""Lower loss need not mean a better ranking: probes of several kinds, by what their rankings find.

    scripts/compare_probes.py --work runs/compare --output docs/results/probe-rankings.md \
        --name a.sem --train ACTS --train-labels TAGS --test ACTS --test-labels TAGS \
        [--name ... --train ... and so on for more tasks]

For each task five probes are trained: the optimum at the default strengths (`default`), at the
strength that cross-validation finds (`cv`), at the one that the λ grid picks (`grid`), at next to
none (`weak`), and the authors' protocol (`adam`). Each gives a ranking (Algorithm 1), which is
measured by its mask-out curves and by training anew on its top and bottom neurons. Ends in a page,
a JSON file with all numbers and a picture, side by side.

A step that is done (a file in --work) is not done again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from probe_comparison import Task
from probe_comparison_page import write_page
from sklearn.exceptions import ConvergenceWarning

from fairseq_neuron_plugin import UserError
from fairseq_neuron_plugin.cli.common import run_command
from fairseq_neuron_plugin.files import write_json

FILES = ("train", "train_labels", "test", "test_labels")


def _compare(args: argparse.Namespace) -> None:
    lists = {name: getattr(args, name) for name in ("name", *FILES)}
    if len({len(values) for values in lists.values()}) != 1:
        raise UserError("give --name, --train, --train-labels, --test, --test-labels for each task")
    if len(set(args.name)) != len(args.name):
        raise UserError("two tasks have the same --name")
    if args.folds < 2:
        raise UserError("--folds must be at least 2")
    found = []
    for name, *paths in zip(*lists.values(), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the residual is on the page
            found.append(Task(name, dict(zip(FILES, paths, strict=True)), args).compare())
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    page = Path(args.output)
    write_json(page.with_suffix(".json"), {"command": command, "tasks": found})
    write_page(page, json.loads(page.with_suffix(".json").read_text(encoding="utf-8")))
    print(page)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("name", *FILES):
        parser.add_argument(f"--{name.replace('_', '-')}", action="append", required=True)
    parser.add_argument("--work", required=True, help="folder of the finished steps")
    parser.add_argument("--output", required=True, metavar="PAGE.md", help="page to write")
    parser.add_argument("--folds", type=int, default=5, help="of cross-validation (default: 5)")
    parser.add_argument(
        "--strengths",
        default="1e-7,1e-6,1e-5,1e-4,1e-3",
        help="λ1 = λ2 that cross-validation chooses from",
    )
    parser.add_argument("--grid", default="auto", help="as of fairseq-neuron-probe")
    parser.add_argument("--margin", type=float, default=0.01, help="of the grid (default: 0.01)")
    parser.add_argument("--sentences", type=int, help="only the first of each store, for a trial")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    run_command("compare_probes.py", lambda: _compare(args))


if __name__ == "__main__":
    main()
