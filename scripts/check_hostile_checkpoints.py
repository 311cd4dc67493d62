#!/usr/bin/env python
"""Try every hostile checkpoint of the tests with every command that opens one.

Ends with a table of counts; exit status 1 if anything ran, ended in a traceback, took more than 20
seconds of computing or 2 GB of memory, or ended in another way than it should.

    OMP_NUM_THREADS=1 TINY_MODELS=runs/tiny .venv/bin/python scripts/check_hostile_checkpoints.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

from conftest import alone  # noqa: E402
from hostile_commands import COMMANDS, Command, runner_of  # noqa: E402
from hostile_files import HostileFile, Workshop, hostile_files  # noqa: E402
from hostile_judge import in_brief, tries  # noqa: E402
from hostile_stage import Stage  # noqa: E402
from tiny_models import train  # noqa: E402
from tiny_zoo import Zoo  # noqa: E402

from fairseq_neuron_plugin.cli.common import format_table  # noqa: E402

FAULTS = ("ran", "traceback", "time", "memory", "status", "other")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keep files and failed runs here")
    parser.add_argument("--only", nargs="+", default=[], help="names of files that hold one of")
    parser.add_argument("--commands", nargs="+", default=[], help="names of commands, likewise")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth file alone")
    parser.add_argument("--jobs", type=int, default=2, help="commands tried at a time")
    parser.add_argument("--list", action="store_true", help="print names of the files and end")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    files = [file for file in hostile_files() if _chosen(file.name, args.only)][:: args.every]
    commands = [command for command in COMMANDS if _chosen(command.name, args.commands)]
    if args.list:
        print("\n".join(f"{file.outcome}\t{file.name}" for file in files))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)).absolute()
        stage = _stage(folder, Path(os.environ.get("TINY_MODELS") or folder / "tiny"))
        workshop = Workshop(folder / "files", stage.honest)
        with ThreadPoolExecutor(args.jobs) as pool:
            tried = pool.map(lambda one: _try(one, files, stage, workshop, folder), commands)
            counts = dict(zip([command.name for command in commands], tried, strict=True))
    print(_table(counts))
    return int(any(count[fault] for count in counts.values() for fault in FAULTS))


def _chosen(name: str, parts: Sequence[str]) -> bool:
    return not parts or any(part in name for part in parts)


def _stage(folder: Path, models: Path) -> Stage:
    with alone(models):
        tiny = train(models)
    return Stage.set(folder / "stage", Zoo(tiny, alone))


def _try(
    command: Command, files: Sequence[HostileFile], stage: Stage, workshop: Workshop, folder: Path
) -> Counter[str]:
    """Run one command on all of them; what went wrong is printed as it happens."""
    counts: Counter[str] = Counter()
    log = folder / f"{command.name.replace(' ', '_')}.jsonl"
    with runner_of(command.group) as runner, open(log, "w") as lines:
        for file, outcome, faults in tries(command, files, stage, workshop, runner):
            counts["files"] += 1
            counts["refused" if outcome.status == 2 else "opened"] += outcome.status in (0, 2)
            counts["seconds"] = max(counts["seconds"], round(outcome.computing))
            counts["MB"] = max(counts["MB"], outcome.memory >> 20)
            for fault in {_kind(fault) for fault in faults}:
                counts[fault] += 1
            if faults:
                print(f"{command.name}: {file.name}: {'; '.join(faults)}\n    {in_brief(outcome)}")
                sys.stdout.flush()
            record = {**asdict(outcome), "file": file.name, "faults": faults}
            record.update(out=outcome.out[-2000:], err=outcome.err[-4000:])
            lines.write(json.dumps(record) + "\n")
    return counts


def _kind(fault: str) -> str:
    word = fault.partition(" ")[0].rstrip(":")
    return word if word in FAULTS else "other"


def _table(counts: dict[str, Counter[str]]) -> str:
    columns = ("files", "refused", "opened", *FAULTS, "seconds", "MB")
    total: Counter[str] = sum(counts.values(), Counter())
    for most in ("seconds", "MB"):
        total[most] = max((count[most] for count in counts.values()), default=0)
    rows = [
        [name, *(count[c] for c in columns)] for name, count in {**counts, "all": total}.items()
    ]
    return format_table(["command", *columns], rows)


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(status)
