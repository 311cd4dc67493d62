#!/usr/bin/env python
"""Do sweeps equal separate runs of fairseq-generate, and does a killed one end the same?

    scripts/check_sweep.py data-bin --path a.pt b.pt --ranking a.json b.json --sentences 500 \\
        -s en -t de --tokenizer moses

Hypotheses: those of a sweep in one process, in two, with several points in a batch, and both, line
by line against `fairseq-generate --task neuron_translation --ablate RANKING.json:top:N`. Other
shapes of matrices round differently, so a line may differ where its score lies within 1e-4 of the
best one's, which is looked up among fairseq-generate's n best; such lines are counted. Kills:
SIGKILL at random moments, one in each tenth of the run, to the process group and to the main
process in turn, and the same command again; the folder has to equal an unbroken run's byte for
byte, seconds aside. Flags that are not
known here go to both commands. Ends with status 1 if anything is different.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sweep_runs import USER_DIR, Command, generate_flags, read_nbest, run, small_split

from fairseq_neuron_plugin.files import read_json, read_lines

CLOSE = 1e-4
SCHEDULES = {
    "one process": ("--workers", "1", "--points-together", "1"),
    "workers": ("--workers", "2", "--points-together", "1"),
    "together": ("--workers", "1", "--points-together", "4"),
    "workers, together": ("--workers", "2", "--points-together", "4"),
}
KILLED = ("one process", "workers")


@dataclass
class Tally:
    """Lines of one schedule against fairseq-generate's."""

    lines: int = 0
    close: int = 0
    wrong: int = 0


class Check:
    """The two checks on one data folder.

    Args:
        args: of `parser`.
        flags: fairseq's further flags.
        data: what is translated.
        folder: for everything that is written.
    """

    def __init__(
        self, args: argparse.Namespace, flags: Sequence[str], data: Path, folder: Path
    ) -> None:
        self.args, self.data, self.folder = args, data, folder
        self.split = "test" if args.sentences else args.gen_subset
        self.flags = [*generate_flags(args.beam), *flags, *(["--cpu"] if args.cpu else [])]
        self.failed = False

    def sweep(self, path: Path, ranking: Path, output: Path, schedule: str) -> list[object]:
        """The command of a sweep."""
        return [
            *("fairseq-neuron-generate", self.data, "--path", path, "--ranking", ranking),
            *("--gen-subset", self.split, *self.flags, "--output-dir", output),
            *("--ablate", self.args.points, "--order", self.args.order, *SCHEDULES[schedule]),
        ]

    def say(self, text: str, wrong: bool = False) -> None:
        self.failed = self.failed or wrong
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def hypotheses(self, path: Path, ranking: Path) -> None:
        """Every schedule of one checkpoint against separate runs."""
        folder = self.folder / path.stem
        outputs = {name: folder / name.replace(", ", "-") for name in SCHEDULES}
        for name, output in outputs.items():
            done = run(self.sweep(path, ranking, output, name), self.args.threads)
            self.say(f"{path.name}: sweep, {name}: {done.wall:.1f} s")
        rows = read_json(outputs["one process"] / "sweep.json", "sweep")["rows"]
        tallies = {name: Tally() for name in SCHEDULES}
        specs = {row["name"]: self.spec(ranking, row) for row in rows}
        distinct = list(dict.fromkeys(specs.values()))
        with ThreadPoolExecutor(self.args.jobs) as pool:
            found = pool.map(lambda spec: self.separate(path, spec), distinct)
            for number, (spec, nbest) in enumerate(zip(distinct, found, strict=True)):
                self.say(f"{path.name}: fairseq-generate {number + 1} of {len(distinct)}")
                for point in (name for name, of in specs.items() if of == spec):
                    for name, output in outputs.items():
                        lines = read_lines(output / "hypotheses" / f"{point}.txt", "hypotheses")
                        compare(lines, nbest, tallies[name])
        for name, tally in tallies.items():
            self.say(
                f"{path.name}, {name}: {tally.lines} lines at {len(rows)} points; differ by "
                f"rounding {tally.close}, otherwise {tally.wrong}",
                wrong=tally.wrong > 0,
            )

    @staticmethod
    def spec(ranking: Path, row: dict[str, object]) -> tuple[str, ...]:
        """The flags of a separate run for a row of the table."""
        if row["ablated"] == 0:
            return ()
        return ("--ablate", f"{ranking}:{row['order']}:{row['ablated']}")

    def separate(self, path: Path, ablation: Sequence[str]) -> list[list[tuple[float, str]]]:
        done = run(
            [
                *("fairseq-generate", self.data, "--user-dir", USER_DIR, "--path", path),
                *("--task", "neuron_translation", "--gen-subset", self.split, *self.flags),
                *("--nbest", str(self.args.beam), *ablation),
            ],
            self.args.threads,
        )
        return read_nbest(done.output)

    def kills(self, path: Path, ranking: Path) -> None:
        """Kill sweeps at random moments, and compare what they end with."""
        unbroken = {name: self.folder / f"unbroken-{number}" for number, name in enumerate(KILLED)}
        moments = random.Random(self.args.seed)
        for name, output in unbroken.items():
            seconds = run(self.sweep(path, ranking, output, name), self.args.threads).wall
            self.say(f"unbroken, {name}: {seconds:.1f} s")
            for number in range(self.args.kills):
                moment = (number + moments.random()) * seconds / self.args.kills
                broken = self.folder / f"{output.name}-killed-{number}"
                command = self.sweep(path, ranking, broken, name)
                killed = self.kill(command, moment, broken, group=number % 2 == 0)
                run(command, self.args.threads)
                found = differences(output, broken)
                what = f"{name}, kill {number + 1} of {self.args.kills}, {killed}"
                self.say(f"{what}: {found or 'the same in the end'}", wrong=bool(found))
                shutil.rmtree(broken)
        first, *others = unbroken.values()
        for other in others:
            found = differences(first, other)
            self.say(f"one process, workers: {found or 'the same folder'}", wrong=bool(found))

    def kill(self, command: Sequence[object], moment: float, output: Path, group: bool) -> str:
        """Start the command and kill it after some seconds; what was there then, in words.

        If it has ended before, again, killed sooner: this machine has got faster.
        """
        while True:
            started = Command(command, self.args.threads)
            time.sleep(moment)
            ended = started.process.poll() is not None
            started.kill(workers=group)
            points = len(list((output / "hypotheses").glob("[!.]*.txt")))
            if not ended:
                whom = "the process group" if group else "the main process"
                return f"{whom} after {moment:.1f} s, {points} points written"
            shutil.rmtree(output, ignore_errors=True)
            moment *= 0.9


def compare(lines: Sequence[str], nbest: list[list[tuple[float, str]]], tally: Tally) -> None:
    """Count lines that are not the best hypothesis; close: one of the n best, as good as it."""
    for line, hypotheses in zip(lines, nbest, strict=True):
        tally.lines += 1
        best, text = hypotheses[0]
        if line != text:
            scores = [score for score, other in hypotheses[1:] if other == line]
            close = bool(scores) and best - max(scores) <= CLOSE
            tally.close += close
            tally.wrong += not close


def differences(one: Path, other: Path) -> str:
    """Which files of two folders differ, in words, seconds aside; empty if none does."""
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (one, other)
    ]
    alone = sorted(names[0] ^ names[1])
    unequal = [
        name
        for name in sorted(names[0] & names[1])
        if without_seconds(one / name) != without_seconds(other / name)
    ]
    parts = [f"in one alone: {', '.join(alone)}" if alone else ""]
    parts.append(f"different: {', '.join(unequal)}" if unequal else "")
    return "; ".join(filter(None, parts))


def without_seconds(path: Path) -> bytes:
    """The bytes of a file, but for the numbers of seconds in the table of a sweep."""
    content = path.read_bytes()
    if path.name == "sweep.json":
        return re.sub(rb'("seconds": )[\d.e+-]+', rb"\1", content)
    if path.name == "sweep.csv":
        rows = [line.split(b",") for line in content.split(b"\n") if line]
        column = rows[0].index(b"seconds")
        return b"\n".join(b",".join([*row[:column], *row[column + 1 :]]) for row in rows)
    return content


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", type=Path, help="binarised data folder")
    made.add_argument("--path", type=Path, nargs="+", required=True, help="checkpoints")
    made.add_argument("--ranking", type=Path, nargs="+", required=True, help="one for each")
    made.add_argument("--gen-subset", default="test", help="split (test)")
    made.add_argument("--sentences", type=int, help="take only the first of the split")
    made.add_argument("--points", default="0,1%,5%,20%", help="of the sweeps (0,1%%,5%%,20%%)")
    made.add_argument("--order", default="top,bottom", help="of the sweeps (top,bottom)")
    made.add_argument("--beam", type=int, default=5, help="beam size (5)")
    made.add_argument("--kills", type=int, default=10, help="for each schedule (10); 0: no kills")
    made.add_argument("--only-kills", action="store_true", help="leave out the hypotheses")
    made.add_argument("--seed", type=int, default=1, help="of the moments (1)")
    made.add_argument("--threads", type=int, default=1, help="of every process (1); 0: torch's")
    made.add_argument("--jobs", type=int, default=2, help="fairseq-generate side by side (2)")
    made.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    made.add_argument("--folder", type=Path, help="keep everything there (default: nowhere)")
    return made


def main() -> None:
    made = parser()
    args, flags = made.parse_known_args()
    if len(args.path) != len(args.ranking):
        made.error("give as many rankings as checkpoints")
    if args.folder and args.folder.exists() and any(args.folder.iterdir()):
        made.error(f"{args.folder} is not empty")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        data = args.data
        if args.sentences:
            data = small_split(data, args.gen_subset, args.sentences, folder / "small")
        check = Check(args, flags, data, folder)
        if not args.only_kills:
            for path, ranking in zip(args.path, args.ranking, strict=True):
                check.hypotheses(path, ranking)
        if args.kills:
            check.kills(args.path[0], args.ranking[0])
    print("different" if check.failed else "all the same, but for the rounding counted above")
    sys.exit(int(check.failed))


if __name__ == "__main__":
    main()
