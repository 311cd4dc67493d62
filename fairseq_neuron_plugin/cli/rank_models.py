"""Inputs of ``fairseq-neuron-rank`` that are several models: stores, or checkpoints and a text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..activations import Activations
from ..backends.fairseq.checkpoints.names import flagged_file
from ..errors import UserError
from ..labels import UNKNOWN
from ..signature import short_hash
from ..subwords import POOLINGS
from .common import CommandParser
from .corpus_common import add_text_arguments, open_reader, read_corpus
from .rank_inputs import Given, InputReader
from .stores import add_verify, open_store

if TYPE_CHECKING:
    from ..streaming import StreamedRows

_LIKE_STORES = "or --checkpoints CKPT OTHER... --data DIR --input TEXT"


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "acts",
        nargs="*",
        metavar="ACTS",
        help="activation stores over the same text; the first one's neurons are ranked",
    )
    add_verify(parser)
    group = parser.add_argument_group(
        "straight from checkpoints, without stores",
        "The models read the text side by side. Their widths, kinds and dictionaries may differ. "
        "fairseq's flags are understood as by fairseq-neuron-extract.",
    )
    group.add_argument(
        "--checkpoints", nargs="+", metavar="CKPT", help="the first one's neurons are ranked"
    )
    group.add_argument(
        "--data",
        nargs="+",
        metavar="DIR",
        help="folder with the dictionaries (and the binarised split): one for all or one for each",
    )
    add_text_arguments(group)
    group.add_argument(
        "--layers",
        nargs="+",
        metavar="GLOBS",
        help="comma-separated globs: one list for all or one for each (default: encoder.layers.*, "
        "of a language model decoder.layers.*)",
    )
    group.add_argument(
        "--pool",
        choices=POOLINGS,
        default="last",
        help="which subword stands for a word (default: %(default)s)",
    )
    group.add_argument(
        "--sentence-end", action="store_true", help="also take the row of the sentence end, </s>"
    )
    if isinstance(parser, CommandParser):
        parser.instead_of_positionals = "--checkpoints"


def _read_models(args: argparse.Namespace, left_over: Sequence[str]) -> Given:
    if args.checkpoints is None:
        return _read_stores(args, left_over)
    if args.acts:
        raise UserError(f"give stores or --checkpoints, not both: {args.acts[0]!r} is one too many")
    if args.verify:
        raise UserError("--verify is for stores; a checkpoint is always read as a whole")
    return _read_checkpoints(args, left_over)


def _read_stores(args: argparse.Namespace, left_over: Sequence[str]) -> Given:
    if any(part.startswith("-") for part in left_over):
        flags = " ".join(left_over)
        raise UserError(f"unrecognized arguments: {flags} (fairseq's flags go with --checkpoints)")
    defaults = argparse.ArgumentParser()
    _add_models(defaults)
    for name, value in vars(defaults.parse_args([])).items():
        if name not in ("acts", "verify") and getattr(args, name) != value:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} goes with --checkpoints, not with stores")
    paths = [*args.acts, *left_over]  # argparse leaves over those that follow another option
    if len(paths) < 2:
        raise UserError(f"give two activation stores or more, ACTS OTHER..., {_LIKE_STORES}")
    store, *others = (open_store(args, path) for path in paths)
    for other in others:
        _refuse_itself(store.model_sha256, other.model_sha256, other.path)
        check_same_text(store, other)
    models = [
        # The layers that the neurons of best_match count through.
        {"path": str(other.path), "model": other.model_sha256, "layers": other.layers.to_json()}
        for other in others
    ]
    return Given(
        (store.array, [other.array for other in others]),
        store.layers,
        store.model_sha256,
        {"acts": short_hash("\n".join(s.signature for s in (store, *others)))},
        {"models": models},
    )


def _read_checkpoints(args: argparse.Namespace, fairseq_flags: Sequence[str]) -> Given:
    paths = args.checkpoints
    if len(paths) < 2:
        raise UserError("--checkpoints names one model; give the ranked one and one or more others")
    if not args.data:
        raise UserError("--data is missing: where are the dictionaries of --checkpoints?")
    if not (args.gen_subset or args.input):
        raise UserError("give a corpus: --gen-subset SPLIT or --input TEXT")
    for path in paths:
        flagged_file(path, fairseq_flags)  # before the first of them is loaded
    folders = _one_each("--data", args.data, len(paths))
    layers = _one_each("--layers", args.layers or [None], len(paths))
    rows, *others = (
        _open_rows(args, path, folder, globs, fairseq_flags)
        for path, folder, globs in zip(paths, folders, layers, strict=True)
    )
    for other, path in zip(others, paths[1:], strict=True):
        _refuse_itself(_sha256(rows), _sha256(other), path)
        check_same_words(
            rows.words, other.words, f"{path} and {paths[0]} do not read the same words"
        )
    signatures = "\n".join(model.manifest["signature"] for model in (rows, *others))
    return Given(
        (rows, others),
        rows.space,
        _sha256(rows),
        {"acts": short_hash(signatures)},
        {"ranked_model": _describe(rows), "models": [_describe(other) for other in others]},
    )


def _one_each(flag: str, values: Sequence[Any], models: int) -> list[Any]:
    if len(values) not in (1, models):
        raise UserError(
            f"{flag} names {len(values)} for {models} checkpoints; give one or {models}"
        )
    return list(values) * models if len(values) == 1 else list(values)


def _open_rows(
    args: argparse.Namespace,
    path: str,
    folder: str,
    layers: str | None,
    fairseq_flags: Sequence[str],
) -> StreamedRows:
    session = open_reader(folder, path, fairseq_flags)
    from ..extraction import ExtractionSettings, side_of
    from ..interventions import list_layers
    from ..neurons import choose_layers
    from ..streaming import StreamedRows

    model = session.models[0]
    side = side_of(model, choose_layers(list_layers(model), layers))
    settings = ExtractionSettings(
        layers, args.pool, sentence_end=args.sentence_end, max_tokens=args.max_tokens
    )
    return StreamedRows(session, read_corpus(session, args, side), settings)


def _describe(rows: StreamedRows) -> dict[str, Any]:
    """An entry of ``models`` in the ranking file."""
    counts = ("symbols", "unknown_symbols", "unknown_words")
    return {
        "path": rows.manifest["model"]["path"],
        "model": _sha256(rows),
        "layers": rows.space.to_json(),
        **{key: rows.manifest[key] for key in counts},
    }


def _sha256(rows: StreamedRows) -> str:
    return str(rows.manifest["model"]["sha256"])


def _refuse_itself(model: str | None, other: str | None, path: object) -> None:
    if model is not None and model == other:
        raise UserError(f"{path} is the ranked model itself; compare it with others")


def check_same_text(store: Activations, other: Activations) -> None:
    """`UserError` that names the first difference between the words of two stores."""
    if store.sentences != other.sentences:
        where = f"{other.path} and {store.path} are not over the same text"
        check_same_words(store.sentences, other.sentences, where)


def check_same_words(
    sentences: Sequence[Sequence[str]], others: Sequence[Sequence[str]], where: str
) -> None:
    """`UserError` that names the first difference between two lists of sentences.

    Args:
        sentences: the words of each.
        others: to be the same.
        where: how the error begins; it goes on with what the others have first.
    """
    for number, (one, two) in enumerate(zip(sentences, others, strict=False), start=1):
        for position, (word, found) in enumerate(zip(one, two, strict=False), start=1):
            if word != found:
                place = f"sentence {number}, word {position}"
                lost = "; a binarised split has lost its unknown words, a text has not"
                hint = lost if UNKNOWN in (word, found) else ""
                raise UserError(f"{where}: {place} is {found!r} and {word!r}{hint}")
        if len(one) != len(two):
            raise UserError(f"{where}: sentence {number} has {len(two)} and {len(one)} words")
    if len(sentences) != len(others):
        raise UserError(f"{where}: {len(others)} and {len(sentences)} sentences")


MODELS = InputReader("acts-a acts-b acts-c", _add_models, _read_models, takes_fairseq_flags=True)
