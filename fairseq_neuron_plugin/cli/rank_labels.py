"""Inputs of ``fairseq-neuron-rank`` for methods that read labels: stores and their labels."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from ..activations import Activations
from ..coded import Coded
from ..errors import UserError
from ..files import read_lines
from ..labels import ABSENT, FORMATS, PROPERTIES, property_labels, read_labels
from ..labels.files import format_of
from ..probing.labelled import LabelledTokens, drop_rare
from ..sharded_rows import ShardedRows
from ..signature import short_hash
from .rank_inputs import Given, InputReader
from .stores import add_verify, open_store


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "acts", nargs="+", metavar="ACTS", help="activation stores of one model, their rows joined"
    )
    add_verify(parser)
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--labels",
        nargs="+",
        metavar="FILE",
        help="for each store one tag a word: tag lines, word<TAB>tag (.tsv), or CoNLL-U (.conllu)",
    )
    labels.add_argument(
        "--property", metavar="NAME", help=f"labels without a file: {', '.join(PROPERTIES)}"
    )
    labels.add_argument(
        "--sentence-labels",
        nargs="+",
        metavar="FILE",
        help="for each store one label a line, which all words of the sentence get",
    )
    labels.add_argument(
        "--store-labels",
        nargs="+",
        metavar="NAME",
        help="one label a store, e.g. its language, which all its words get",
    )
    parser.add_argument("--label-format", choices=FORMATS, help="default: by the file's ending")
    parser.add_argument("--conllu-column", metavar="C", help="e.g. feats:Number (default: upos)")
    parser.add_argument(
        "--skip-absent",
        action="store_true",
        help=f"leave out words labelled {ABSENT}: without the feature, or not in the lexicon",
    )
    parser.add_argument(
        "--min-count",
        type=int,
        default=1,
        metavar="N",
        help="leave out the tokens of labels seen fewer than N times",
    )


def _read_labels(args: argparse.Namespace, _: Sequence[str]) -> Given:
    _refuse(args)
    stores = [open_store(args, path) for path in args.acts]
    first = stores[0]
    for store in stores[1:]:
        if store.layers != first.layers or store.model_sha256 != first.model_sha256:
            raise UserError(f"{store.path} and {first.path} are not of the same model and layers")
    labels = Coded.of(label for store in _labels(args, stores) for label in store)
    words = Coded.of(word for store in stores for words in store.sentences for word in words)
    lengths = np.concatenate([np.diff(store.offsets) for store in stores])
    shards = [shard for store in stores for shard in _shards(store)]
    tokens = LabelledTokens(
        ShardedRows(shards) if len(shards) > 1 else shards[0],
        words,
        labels,
        np.repeat(np.arange(len(lengths)), lengths),
    )
    if args.skip_absent and ABSENT in tokens.label_names:
        has_label = tokens.label_codes != tokens.label_names.index(ABSENT)
        tokens = tokens.select(np.flatnonzero(has_label))
    tokens, left_out = drop_rare(tokens, args.min_count)
    coded = Coded(tokens.label_codes, tokens.label_names)
    counts = dict(zip(coded.names, coded.counts().tolist(), strict=True))
    return Given(
        (tokens.activations, coded),
        first.layers,
        first.model_sha256,
        {
            "acts": short_hash("\n".join(store.signature for store in stores)),
            "labels": coded.digest(),
            "skip_absent": args.skip_absent,
        },
        {"labels": counts, "left_out": left_out},
    )


def _refuse(args: argparse.Namespace) -> None:
    """`UserError` for what would do nothing, or cannot be meant."""
    for flag in ("label_format", "conllu_column"):
        if getattr(args, flag) is not None and not args.labels:
            raise UserError(f"--{flag.replace('_', '-')} goes with --labels; leave it out")
    if args.conllu_column is not None and not any(
        format_of(path, args.label_format) == "conllu" for path in args.labels
    ):
        raise UserError("--conllu-column goes with CoNLL-U (.conllu, or --label-format conllu)")
    if args.min_count < 1:
        raise UserError(f"--min-count must be 1 or more, not {args.min_count}")
    if args.store_labels and not all(args.store_labels):
        raise UserError("--store-labels: a label is empty")


def _shards(store: Activations) -> list[np.ndarray]:
    return store.array.shards if isinstance(store.array, ShardedRows) else [store.array]


def _labels(args: argparse.Namespace, stores: Sequence[Activations]) -> Iterator[Iterator[str]]:
    """The labels of each store's words, in row order."""
    for flag in ("labels", "sentence_labels", "store_labels"):
        given = getattr(args, flag)
        if given is not None and len(given) != len(stores):
            flag = flag.replace("_", "-")
            raise UserError(f"--{flag} names {len(given)}, and there are {len(stores)} stores")
    for number, store in enumerate(stores):
        if args.labels:
            file = args.labels[number]
            found = read_labels(
                file, store.sentences, args.conllu_column or "upos", args.label_format
            )
        elif args.property is not None:
            found = property_labels(args.property, store.sentences)
        elif args.sentence_labels:
            found = _of_sentences(args.sentence_labels[number], store)
        else:
            found = [[args.store_labels[number]] * len(words) for words in store.sentences]
        yield (label for labels in found for label in labels)


def _of_sentences(path: str, store: Activations) -> list[list[str]]:
    lines = [line.strip() for line in read_lines(path, "label file")]
    if len(lines) != len(store.sentences):
        raise UserError(
            f"{path} labels {len(lines)} sentences, {store.path} has {len(store.sentences)}"
        )
    if "" in lines:
        raise UserError(f"{path}, line {lines.index('') + 1}: there is no label")
    return [[line] * len(words) for line, words in zip(lines, store.sentences, strict=True)]


LABELS = InputReader("acts --labels train.pos", _add_labels, _read_labels)
