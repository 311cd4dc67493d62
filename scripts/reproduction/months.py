"""The classifier of months, unless the text has hardly any.

    python -m reproduction.months TEXT FOLDER COMMAND…

Runs COMMAND, which writes FOLDER/result.json, if TEXT names at least a few months; else writes
there how many it has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fairseq_neuron_plugin.labels.months import is_month
from reproduction.corpora import read_lines, write_lines
from reproduction.runner import BIN

FEW = 10


def main() -> None:
    text, folder, program, *arguments = sys.argv[1:]
    count = sum(is_month(word) for line in read_lines(Path(text)) for word in line.split())
    if count < FEW:
        write_lines(Path(folder) / "result.json", [json.dumps({"months": count})])
        print(f"{count} months in {text}: too few")
    else:
        sys.exit(subprocess.run([BIN / program, *arguments]).returncode)


if __name__ == "__main__":
    main()
