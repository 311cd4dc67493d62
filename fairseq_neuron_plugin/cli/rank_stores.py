"""Inputs of ``fairseq-neuron-rank`` that are files: a probe, a store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..probing.probe_folder import load_probe
from ..signature import short_hash
from .rank_inputs import Given, InputReader
from .stores import add_verify, open_store


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--probe", required=True, metavar="DIR", help="a probe folder")


def _read_probe(args: argparse.Namespace, _: Sequence[str]) -> Given:
    probe = load_probe(args.probe)
    origin = {"probe": short_hash(probe.signature)}
    return Given((probe.weight, probe.labels), probe.space, probe.model, origin)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store")
    add_verify(parser)


def _read_store(args: argparse.Namespace, _: Sequence[str]) -> Given:
    store = open_store(args, args.acts)
    origin = {"acts": short_hash(store.signature)}
    return Given((store.array,), store.layers, store.model_sha256, origin)


PROBE = InputReader("--probe probe-pos", _add_probe, _read_probe)
STORE = InputReader("acts", _add_store, _read_store)
