"""One task of compare_probes.py: five probes, their rankings, and what these find."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_neuron_plugin import Activations, ElasticNetProbe, Ranking, UserError
from fairseq_neuron_plugin.files import read_json, write_json
from fairseq_neuron_plugin.labels import read_labels
from fairseq_neuron_plugin.neurons import parse_amount
from fairseq_neuron_plugin.probing.grid import measure_grid, parse_grid
from fairseq_neuron_plugin.probing.labelled import LabelledTokens, join_labels, split_by_sentence
from fairseq_neuron_plugin.probing.mask_curve import curve_area, mask_curve
from fairseq_neuron_plugin.probing.path import ProbePath
from fairseq_neuron_plugin.probing.probe_folder import load_probe, save_probe
from fairseq_neuron_plugin.rankings import linguistic, random
from fairseq_neuron_plugin.rows import View
from fairseq_neuron_plugin.signature import format_signature, short_hash, versions

SHARES = (1, 2, 3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100)  # percent kept in a curve
LOW = 20  # percent: the part of a curve where the paper reads it
RETRAINED = ("5%", "10%", "20%")
ORDERS = ("top", "bottom")
DEFAULT, WEAK = 1e-5, 1e-7
RANDOM_ORDERS = 3


@dataclass(frozen=True)
class Fit:
    """How a probe is trained."""

    solver: str
    l1: float
    l2: float

    def __str__(self) -> str:
        return f"{self.solver}.{self.l1:g}.{self.l2:g}"


class Task:
    """One property of one model: its data and the steps of its comparison."""

    def __init__(self, name: str, paths: dict[str, str], args: argparse.Namespace) -> None:
        self.name, self.args, self.seed = name, args, args.seed
        self.folder = Path(args.work) / name
        self.settings = {} if args.device == "cpu" else {"device": args.device}
        stores = Activations(paths["train"]), Activations(paths["test"])
        self.space, self.model = stores[0].layers, stores[0].model_sha256
        if stores[1].layers != self.space or stores[1].model_sha256 != self.model:
            raise UserError(f"{name}: {paths['test']} is of another model or other layers")
        self.train, self.test = (
            _first(join_labels(store, read_labels(labels, store.sentences)), args.sentences)
            for store, labels in zip(
                stores, (paths["train_labels"], paths["test_labels"]), strict=True
            )
        )
        self.signature = format_signature(
            {
                "comparison": name,
                "acts": short_hash("\n".join(store.signature for store in stores)),
                "train": _content(self.train),
                "test": _content(self.test),
                "default": DEFAULT,
                "weak": WEAK,
                "cv": f"{args.folds} folds by sentence,{args.strengths}",
                "grid": f"{parse_grid(args.grid)},dev=20% of sentences,margin={args.margin:g}",
                "random": RANDOM_ORDERS,
                "retrain": DEFAULT,
                "seed": args.seed,
                "device": args.device,
                **versions("numpy", "torch", "sklearn"),
            }
        )
        self.step("settings", lambda: {"signature": self.signature})
        if read_json(self.folder / "settings.json", "settings")["signature"] != self.signature:
            raise UserError(f"{self.folder} holds a run with other settings; choose another --work")

    def step(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The content of a result file, made if it is not there."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            begin = time.time()
            write_json(path, make())
            _tell(f"{self.name}: {name}, {time.time() - begin:.0f} s")
        return read_json(path, "result")

    @cached_property
    def random_orders(self) -> list[Ranking]:
        seeds = range(self.seed, self.seed + RANDOM_ORDERS)
        return [random(self.space.size, seed=seed) for seed in seeds]

    def compare(self) -> dict[str, Any]:
        """All steps; the numbers of one table."""
        strength, folds = self.cross_validated()
        grid = self.step("grid", self._grid)
        fits = {
            "default": Fit("exact", DEFAULT, DEFAULT),
            "cv": Fit("exact", strength, strength),
            "grid": Fit("exact", grid["picked"]["l1"], grid["picked"]["l2"]),
            "weak": Fit("exact", WEAK, WEAK),
            "adam": Fit("adam", DEFAULT, DEFAULT),
        }
        methods = {}
        for method, fit in fits.items():
            probe, fitted = self.fitted(fit)
            ranking = linguistic(probe.coef_, probe.classes_.tolist())
            measured = self.step(f"measure.{fit}", partial(self._measure, probe, ranking))
            retrained = self.step(
                f"retrain.{fit}",
                partial(self._retrain_both, ranking),
            )
            methods[method] = {**fitted, **measured, "retrain": retrained}
        again = self.step(
            "retrain.random", lambda: {"runs": [self._retrain(r) for r in self.random_orders]}
        )
        mean = {share: float(np.mean([run[share] for run in again["runs"]])) for share in RETRAINED}
        return {
            "name": self.name,
            "signature": self.signature,
            "labels": len(np.unique(self.train.labels)),
            "neurons": self.space.size,
            "train": {"tokens": len(self.train), "sentences": self.train.sentences},
            "test": {"tokens": len(self.test), "sentences": self.test.sentences},
            "shares": list(SHARES),
            "methods": methods,
            "random_retrain": {**again, "mean": mean},
            "cross_validation": folds,
            "grid": grid,
        }

    def cross_validated(self) -> tuple[float, dict[str, Any]]:
        """The strength with the most right tokens over all folds; of equals the largest."""
        sentences = np.random.default_rng(self.seed).permutation(np.unique(self.train.sentence))
        folds = [
            self.step(f"cv.{number}", partial(self._fold, held))
            for number, held in enumerate(np.array_split(sentences, self.args.folds))
        ]
        strengths = folds[0]["strengths"]
        right = np.sum([fold["right"] for fold in folds], axis=0)
        best = max(range(len(strengths)), key=lambda i: (right[i], strengths[i]))
        accuracies = (right / sum(fold["tokens"] for fold in folds)).tolist()
        found = {"strengths": strengths, "accuracy": accuracies, "folds": folds}
        return strengths[best], found

    def _fold(self, held: np.ndarray) -> dict[str, Any]:
        is_dev = np.isin(self.train.sentence, held)
        train, dev = (self.train.select(np.flatnonzero(rows)) for rows in (~is_dev, is_dev))
        gold, right = dev.labels, []
        strengths = sorted(parse_grid(self.args.strengths).l1, reverse=True)
        probe = None
        with ProbePath(train.activations, train.labels, **self.settings) as path:
            for strength in strengths:
                probe = path.fit(strength, strength, start=probe)
                right.append(int((probe.predict(dev.activations) == gold).sum()))
        return {"tokens": len(dev), "strengths": strengths, "right": right}

    def _grid(self) -> dict[str, Any]:
        train, dev = split_by_sentence(self.train, 0.2, self.seed)
        plan = parse_grid(self.args.grid)
        return measure_grid(train, dev, plan, **self.settings).to_json(self.args.margin)

    def fitted(self, fit: Fit) -> tuple[ElasticNetProbe, dict[str, Any]]:
        """The probe, from its folder where that is there, and what its training reported."""
        folder = self.folder / f"probe.{fit}"
        if not folder.exists():
            begin = time.time()
            settings = dict(self.settings)
            if fit.solver != "exact":
                settings |= {"solver": fit.solver, "random_state": self.seed}
            probe = ElasticNetProbe(fit.l1, fit.l2, **settings)
            probe.fit(self.train.activations, self.train.labels)
            result = {
                "signature": f"{self.signature}|fit:{fit}",
                "settings": probe.get_params() | {"progress": None},
                "fit": {
                    "solver": fit.solver,
                    "l1": fit.l1,
                    "l2": fit.l2,
                    "objective": float(probe.objective_),
                    "objective_at_default": _objective_at_default(probe),
                    "kkt_residual": float(probe.kkt_residual_),
                    "passes": int(probe.n_passes_),
                    "seconds": time.time() - begin,
                },
            }
            save_probe(folder, probe, result, self.space, self.model)
            _tell(f"{self.name}: probe.{fit}, {time.time() - begin:.0f} s")
        saved = load_probe(folder)
        return saved.classifier(), dict(saved.result["fit"])

    def _measure(self, probe: ElasticNetProbe, ranking: Ranking) -> dict[str, Any]:
        data = self.test.activations, self.test.labels
        curves = {order: [mask_curve(probe, ranking, data, SHARES, order)] for order in ORDERS}
        curves["random"] = [mask_curve(probe, other, data, SHARES) for other in self.random_orders]
        means = {order: np.mean(found, axis=0).tolist() for order, found in curves.items()}
        low = [share for share in SHARES if share <= LOW]
        return {
            "accuracy": means["top"][-1],
            "train_accuracy": float(probe.score(self.train.activations, self.train.labels)),
            "nonzero": int(np.count_nonzero(probe.coef_)),
            "weights": int(probe.coef_.size),
            "mask": means,
            "area": {order: curve_area(SHARES, curve) for order, curve in means.items()},
            "area_low": {
                order: curve_area(low, curve[: len(low)]) for order, curve in means.items()
            },
        }

    def _retrain_both(self, ranking: Ranking) -> dict[str, Any]:
        return {order: self._retrain(ranking, order) for order in ORDERS}

    def _retrain(self, ranking: Ranking, order: str = "top") -> dict[str, float]:
        """Accuracy of the optimum at the default strengths on a part of the neurons alone."""
        found = {}
        for share in RETRAINED:
            count = parse_amount(share, self.space.size)
            kept = np.sort(ranking.order(order)[:count])
            train, test = (
                View(tokens.activations, columns=kept) for tokens in (self.train, self.test)
            )
            probe = ElasticNetProbe(DEFAULT, DEFAULT, **self.settings)
            found[share] = float(probe.fit(train, self.train.labels).score(test, self.test.labels))
        return found


def _objective_at_default(probe: ElasticNetProbe) -> float:
    """The objective had the penalty had the default strengths, so that probes compare."""
    size, square = np.abs(probe.coef_).sum(), np.square(probe.coef_).sum()
    other = (DEFAULT - probe.l1) * size + (DEFAULT - probe.l2) * square
    return float(probe.objective_ + other)


def _first(tokens: LabelledTokens, sentences: int | None) -> LabelledTokens:
    if sentences is None:
        return tokens
    return tokens.select(np.flatnonzero(tokens.sentence < sentences))


def _content(tokens: LabelledTokens) -> str:
    pairs = zip(tokens.words.tolist(), tokens.labels.tolist(), strict=True)
    return short_hash("\n".join(f"{word}\t{label}" for word, label in pairs))


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
