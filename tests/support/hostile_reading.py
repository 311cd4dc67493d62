"""What a `Runner` runs besides commands: reading many files, and what shows that it looks."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path


def read_files() -> None:
    """Read the checkpoints of a list as far as they go, and note what comes of each.

    ``sys.argv``: the list, one path a line, the folder with the dictionaries, and a file for the
    notes: a line of ``[path, message]``, whose message is empty for a file of which a model was
    built; one before that, with null, once its turn has come.
    """
    from fairseq_neuron_plugin.backends.fairseq.checkpoints.read import read_checkpoint
    from fairseq_neuron_plugin.cli.common import quiet_fairseq
    from fairseq_neuron_plugin.errors import UserError
    from fairseq_neuron_plugin.loading import check_checkpoint, load_model

    quiet_fairseq()
    paths, data, notes = sys.argv[1:]
    with open(notes, "w") as file:
        for path in Path(paths).read_text().splitlines():
            print(json.dumps([path, None]), file=file, flush=True)
            try:
                check_checkpoint(path)
                read_checkpoint(path, training_state=True)
                load_model(path, data)
                message = ""
            except UserError as error:
                message = str(error) or "no reason given"
            print(json.dumps([path, message]), file=file, flush=True)


def unpickle() -> None:
    """Do what no reader may: unpickle a file."""
    pickle.loads(Path(sys.argv[1]).read_bytes())


def allocate() -> None:
    """Take more memory than a file may cost."""
    print(len(b"x" * 3 * 2**30))


def wait() -> None:
    """Compute for longer than a file may take."""
    while True:
        pass
