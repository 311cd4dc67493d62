"""Command line: write the corpus into a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .corpus import write_corpus

_EXAMPLE = """example:
  python -m fairseq_neuron_plugin.grammar --output-dir corpus --train 6000 --seed 7

The folder then holds train.{A,B,C}, valid and test as .en and .de, and
probe-train and probe-test with .pos, .morph, .sem and .conllu beside them.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fairseq_neuron_plugin.grammar",
        description="Write a synthetic English-German corpus with gold annotation.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output-dir", type=Path, required=True, help="folder to create")
    sizes = (
        ("--train", 18000, "training pairs, all three parts together"),
        ("--valid", 500, "validation pairs"),
        ("--test", 500, "test pairs"),
        ("--probe-train", 3000, "annotated pairs to train probes on"),
        ("--probe-test", 800, "annotated pairs to test probes on"),
        ("--seed", 1, "seed of the random choices"),
    )
    for option, default, text in sizes:
        parser.add_argument(
            option, type=int, default=default, metavar="N", help=f"{text} (default: {default})"
        )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 if nothing could be written."""
    options = _parser().parse_args(arguments)
    try:
        groups = write_corpus(
            options.output_dir,
            options.train,
            options.seed,
            valid=options.valid,
            test=options.test,
            annotated_train=options.probe_train,
            annotated_test=options.probe_test,
        )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for group in groups:
        print(
            f"{group.name}: {group.sentences} sentences, "
            f"en {group.english_tokens} tokens {group.english_types} types, "
            f"de {group.german_tokens} tokens {group.german_types} types"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
