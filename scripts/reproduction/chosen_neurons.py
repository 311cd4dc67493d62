"""Analyses of neurons that are known only once a ranking of the run is there.

    python -m reproduction.chosen_neurons first|labels RANKING STORE FOLDER

``first``: sentences of the ranking's first neuron; ``labels``: top words of each label's first one.
Runs ``fairseq-neuron-analyze``, which writes FOLDER.
"""

from __future__ import annotations

import subprocess
import sys

from fairseq_neuron_plugin import Ranking
from reproduction.runner import BIN

# Words on either side of a neuron, and how often a word must occur to be one of them.
WORDS, MIN_COUNT = 8, 5


def arguments(which: str, ranking: Ranking, store: str) -> list[str]:
    """Of ``fairseq-neuron-analyze``."""
    if which == "first":
        return ["neuron", str(ranking.neurons[0]), "--acts", store]
    firsts = sorted({int(order[0]) for order in ranking.per_label.values()})
    limits = ("--words", str(WORDS), "--min-count", str(MIN_COUNT))
    return ["top-words", store, "--neurons", ",".join(map(str, firsts)), *limits]


def main() -> None:
    which, ranking, store, folder = sys.argv[1:]
    asked = arguments(which, Ranking.load(ranking), store)
    command = [str(BIN / "fairseq-neuron-analyze"), *asked, "--output-dir", folder]
    sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main()
