"""Inputs of ``fairseq-neuron-rank`` that are files: a probe, a store, stores of several models."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..activations import Activations
from ..errors import UserError
from ..probing.probe_folder import load_probe
from ..signature import short_hash
from .rank_inputs import Given, InputReader


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--probe", required=True, metavar="DIR", help="a probe folder")


def _read_probe(args: argparse.Namespace, _: Sequence[str]) -> Given:
    probe = load_probe(args.probe)
    origin = {"probe": short_hash(probe.signature)}
    return Given((probe.weight, probe.labels), probe.space, probe.model, origin)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store")


def _read_store(args: argparse.Namespace, _: Sequence[str]) -> Given:
    store = Activations(args.acts)
    origin = {"acts": short_hash(store.signature)}
    return Given((store.array,), store.layers, store.model_sha256, origin)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store of the ranked model")
    parser.add_argument(
        "others", nargs="+", metavar="OTHER", help="stores of other models over the same text"
    )


def _read_models(args: argparse.Namespace, _: Sequence[str]) -> Given:
    store = Activations(args.acts)
    others = [Activations(path) for path in args.others]
    for other in others:
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


def check_same_text(store: Activations, other: Activations) -> None:
    """`UserError` that names the first difference between the words of two stores."""
    if store.sentences == other.sentences:
        return
    where = f"{other.path} and {store.path} are not over the same text"
    for number, (one, two) in enumerate(
        zip(store.sentences, other.sentences, strict=False), start=1
    ):
        for position, (word, found) in enumerate(zip(one, two, strict=False), start=1):
            if word != found:
                raise UserError(
                    f"{where}: sentence {number}, word {position} is {found!r} and {word!r}"
                )
        if len(one) != len(two):
            raise UserError(f"{where}: sentence {number} has {len(two)} and {len(one)} words")
    raise UserError(f"{where}: {len(other.sentences)} and {len(store.sentences)} sentences")


PROBE = InputReader("--probe probe-pos", _add_probe, _read_probe)
STORE = InputReader("acts", _add_store, _read_store)
MODELS = InputReader("acts-a acts-b acts-c", _add_models, _read_models)
