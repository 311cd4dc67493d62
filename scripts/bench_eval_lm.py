"""Measure LM evaluation: stock fairseq-eval-lm against the plugin, alternating in one run.

Example:
    .venv/bin/python scripts/bench_eval_lm.py --text corpus.tok.en --markdown speed.md

The checkpoint is a stock lstm_lm with random weights (speed does not depend on them), or --path.
CPU seconds are those of the command and all its children; ratios are of medians.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
USER_DIR = ROOT / "user_dir"
PLUGIN = ("--user-dir", str(USER_DIR), "--task", "neuron_language_modeling")


def command(name: str, *arguments: str | Path) -> str:
    """Run one of fairseq's commands on the CPU; its output."""
    program = Path(sys.executable).parent / name
    result = subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"{name} ended with {result.returncode}:\n{result.stderr[-2000:]}")
    return result.stdout + result.stderr


def prepare(args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Data folder and checkpoint, from a text and by stock commands alone."""
    data = folder / "data"
    dictionary = ("--srcdict", args.dict) if args.dict else ()
    command(
        *("fairseq-preprocess", "--only-source", "--trainpref", args.text, "--testpref", args.text),
        *("--destdir", data, *dictionary),
    )
    if args.path:
        return data, args.path
    sizes = ("--decoder-embed-dim", "--decoder-hidden-size", "--decoder-out-embed-dim")
    command(
        *("fairseq-train", data, "--task", "language_modeling", "--arch", "lstm_lm", "--cpu"),
        *(part for flag in sizes for part in (flag, str(args.width))),
        *("--decoder-layers", "2", "--tokens-per-sample", "512", "--max-tokens", "1024"),
        *("--max-update", "1", "--optimizer", "adam", "--lr", "0.001", "--disable-validation"),
        *("--save-dir", folder / "lm", "--no-progress-bar"),
    )
    return data, folder / "lm" / "checkpoint_last.pt"


def timed(*arguments: str | Path) -> tuple[float, float, str]:
    """CPU and wall seconds of one fairseq-eval-lm, and the line with its loss."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    output = command("fairseq-eval-lm", *arguments)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, re.findall(r"Loss.*", output)[-1]


def whole_commands(data: Path, path: Path, flags: list[str], runs: int) -> dict[str, list]:
    """Stock and plugin in turn; their results have to be the same to the printed digits."""
    common = (data, "--path", path, "--cpu", "--no-progress-bar", *flags)
    measured: dict[str, list] = {"stock": [], "plugin": []}
    for _ in range(runs):
        # Stock fairseq needs the shims of the user directory too, for --sample-break-mode eos.
        measured["stock"].append(timed(*common, "--user-dir", USER_DIR))
        measured["plugin"].append(timed(*common, *PLUGIN))
    printed = {result[2] for results in measured.values() for result in results}
    if len(printed) != 1:
        sys.exit(f"the results differ: {printed}")
    print(f"{' '.join(flags)}: {printed.pop()}", file=sys.stderr)
    return measured


def recurrent_part(data: Path, path: Path, flags: list[str], runs: int) -> dict[str, list]:
    """Features without the vocabulary: the stock decoder and the fused one on the same batches."""
    import torch

    from fairseq_neuron_plugin.cli.common import quiet_fairseq

    quiet_fairseq()
    from fairseq_neuron_plugin.evaluation.language_model import LanguageModelEvaluator
    from fairseq_neuron_plugin.loading import open_session
    from fairseq_neuron_plugin.scoring.fast_scoring import fast_target_scoring

    arguments = [str(data), "--path", str(path), "--cpu", *flags]
    session = open_session(arguments, "language_modeling", language_model=True)
    batches = [
        batch["net_input"]["src_tokens"]
        for batch in LanguageModelEvaluator(session, "test").batches
    ]
    decoder = session.models[0].decoder

    def run() -> tuple[float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        with torch.no_grad():
            for tokens in batches:
                decoder.extract_features(tokens)
        return time.process_time() - cpu, time.perf_counter() - wall

    measured: dict[str, list] = {"stock": [], "plugin": []}
    for _ in range(runs):
        measured["stock"].append(run())
        end = fast_target_scoring(session.models[0])
        measured["plugin"].append(run())
        end()
    return measured


def row(name: str, measured: dict[str, list]) -> list[str]:
    """Medians and ratios of one measurement, for the table."""
    cells = [name]
    for column in (0, 1):
        stock, plugin = (
            statistics.median(result[column] for result in measured[kind])
            for kind in ("stock", "plugin")
        )
        cells += [f"{stock:.2f}", f"{plugin:.2f}", f"{plugin / stock:.2f}"]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--text", type=Path, required=True, help="tokenised text, a sentence a line"
    )
    parser.add_argument("--dict", type=Path, help="dict.txt (default: the words of the text)")
    parser.add_argument("--path", type=Path, help="lstm_lm checkpoint (default: random weights)")
    parser.add_argument("--width", type=int, default=512, help="units of each of the two layers")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--flags",
        nargs="+",
        default=[
            "--sample-break-mode eos",
            "--sample-break-mode none --tokens-per-sample 512",
            "--sample-break-mode none --tokens-per-sample 512 --max-tokens 4096",
        ],
        help="flags of fairseq-eval-lm, a measurement each",
    )
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data, path = prepare(args, Path(folder))
        for flags in map(str.split, args.flags):
            name = " ".join(flags)
            rows.append(row(f"`{name}`, in all", whole_commands(data, path, flags, args.runs)))
            part = recurrent_part(data, path, flags, args.runs)
            rows.append(row(f"`{name}`, recurrent part", part))
    head = ["measurement", "stock CPU s", "plugin CPU s", "ratio"]
    head += ["stock wall s", "plugin wall s", "ratio"]
    lines = [head, ["---"] + ["--:"] * 6, *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    print(table)
    if args.markdown:
        threads = os.environ.get("OMP_NUM_THREADS", "all")
        note = f"Medians of {args.runs} alternating runs, OMP_NUM_THREADS={threads}.\n"
        args.markdown.write_text(f"{table}\n\n{note}", encoding="utf-8")


if __name__ == "__main__":
    main()
