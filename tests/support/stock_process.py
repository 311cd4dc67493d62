"""Stock fairseq commands in a process that has never imported the plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = """
import argparse, contextlib, importlib, io, json, logging, sys, torch
torch.serialization.add_safe_globals([argparse.Namespace])
outputs = []
for name, argv in json.loads(sys.stdin.read()):
    main = importlib.import_module("fairseq_cli." + name).cli_main
    sys.argv, out = [name, *argv], io.StringIO()
    logging.getLogger().handlers = [logging.StreamHandler(out)]
    with contextlib.redirect_stdout(out):
        main()
    outputs.append(out.getvalue())
assert not [name for name in sys.modules if name.split(".")[0] == "fairseq_neuron_plugin"]
print(json.dumps(outputs))
"""


def run_stock(jobs: Sequence[tuple[str, Sequence[str | Path]]], folder: Path) -> list[str]:
    """Run commands one after the other.

    Args:
        jobs: module of `fairseq_cli` and arguments, each.
        folder: to run in.

    Returns:
        What each printed and logged.
    """
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input=json.dumps([(name, list(map(str, arguments))) for name, arguments in jobs]),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def hypotheses(text: str) -> list[tuple[str, str, str]]:
    """Number, score and words of each hypothesis that was printed."""
    return re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", text, re.MULTILINE)
