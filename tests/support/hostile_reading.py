"""What a `Runner` runs besides commands: reading many files, and what shows that it looks."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path


def read_files() -> None:
    """Read the checkpoints of a list as far as they go, and note what comes of each.

    ``sys.argv``: the list, a JSON object of paths and whether to build the model; the folder with
    the dictionaries; a file for the notes: lines of ``[path, message]``, whose message is null once
    the file's turn has come, and empty at last if it could be opened.
    """
    from fairseq_neuron_plugin.backends.fairseq.checkpoints.read import read_checkpoint
    from fairseq_neuron_plugin.cli.common import quiet_fairseq
    from fairseq_neuron_plugin.errors import UserError
    from fairseq_neuron_plugin.loading import check_checkpoint, load_model

    quiet_fairseq()
    files, data, notes = sys.argv[1:]
    with open(notes, "w") as lines:
        for path, build in json.loads(Path(files).read_text()).items():
            print(json.dumps([path, None]), file=lines, flush=True)
            try:
                check_checkpoint(path)
                read_checkpoint(path, training_state=True)
                if build:
                    load_model(path, data)
                message = ""
            except UserError as error:
                message = str(error) or "no reason given"
            print(json.dumps([path, message]), file=lines, flush=True)


def unpickle() -> None:
    """Do what no reader may: unpickle a file."""
    pickle.loads(Path(sys.argv[1]).read_bytes())


def allocate() -> None:
    """Take more memory than a file may cost."""
    print(len(b"x" * 3 * 2**30))
