"""Evidence of a run that never was, in which all of the paper's findings hold."""

from __future__ import annotations

from typing import Any

Evidence = dict[str, Any]
SHARES = ("10%", "15%", "20%")
NEURONS = 40


def probe(accuracy: float, top: float, bottom: float, labels: int = 3) -> Evidence:
    """A classifier whose few neurons keep these shares of the words right."""
    rows = [{"share": "all", "order": "all", "mask": accuracy, "retrain": accuracy}]
    for share in SHARES:
        for order, kept in (("top", top), ("bottom", bottom), ("random", bottom)):
            retrained = accuracy * (0.99 if order == "top" else 0.7)
            rows.append({"share": share, "order": order, "mask": kept, "retrain": retrained})
    return {
        "signature": "probe:toy",
        "accuracy": accuracy,
        "converged": True,
        "majority_baseline": 0.5,
        "control": {"accuracy": 0.4, "selectivity": accuracy - 0.4},
        "tokens": {"train": 900, "test": 100},
        "labels": {f"L{n}": {"f1": 0.5, "support": 10} for n in range(labels)},
        "ablation": rows,
    }


def curve(ranking: str, metric: str, top: float, bottom: float) -> list[Evidence]:
    """A line from the unablated model to these values at 20%, through their halves at 10%."""
    rows = []
    for order, lost in (("top", top), ("bottom", bottom)):
        for ablated in (0, 4, 8):
            value = 20.0 + (lost if metric == "perplexity" else -lost) * ablated / 8
            row = {
                "ranking": ranking,
                "order": order,
                "ablated": ablated,
                "share": ablated / NEURONS,
                metric: value,
                f"{metric}_low": value - 0.4,
                f"{metric}_high": value + 0.4,
            }
            if metric == "bleu":
                loss = 4.0 + lost * ablated / 8
                row |= {"length_ratio": 1.0, "loss": loss}
                row |= {"loss_low": loss - 0.1, "loss_high": loss + 0.1}
            rows.append(row)
    return rows


def cell(penalty: float, gap: float) -> Evidence:
    """A cell of the λ grid."""
    return {
        "l1": penalty,
        "l2": penalty,
        "accuracy": 0.8,
        "top": 0.2 + gap,
        "bottom": 0.2,
        "top_minus_bottom": gap,
        "converged": False,
    }


def model(is_lm: bool) -> Evidence:
    """A model of English; the language model's neurons are the more focused ones."""
    metric = "perplexity" if is_lm else "bleu"
    mask = (0.7, 0.2) if is_lm else (0.6, 0.5)
    names = ["cross-model", "variance", "mean-distance", "position"]
    lost = {
        "cross-model": (12, 1),
        "variance": (8, 2),
        "mean-distance": (7, 3),
        "pos": (6, 1),
        "sem": (9, 1),
    }
    rows = [row for name, pair in lost.items() for row in curve(name, metric, *pair)]
    probes = {name: probe(0.8, *mask) for name in ("pos", "sem", "position")}
    return {
        "language": "en",
        "is_lm": is_lm,
        "tasks": ["pos", "sem"],
        "neurons": NEURONS,
        "probes": {
            **probes,
            "pos.gold": probe(0.75, *mask),
            "sem.gold": probe(0.7, *mask),
            "months": probe(0.99, *mask),
        },
        "word_kinds": {
            "pos": [{"kind": "ambiguous", "words": 12, "majority": 60.0, "accuracy": 70.0}]
        },
        "sweeps": {
            part: {
                "signature": "sweep:toy|points:cross-model.top.1,cross-model.top.2|value:0",
                "rows": [dict(row) for row in rows if row["ranking"] in kept],
            }
            for part, kept in (("A", lost), ("B", ["cross-model"]))
        },
        "overlap": {
            "k": 4,
            "chance": 0.1,
            "names": names,
            "share": [
                [1.0, 0.05, 0.0, 0.25],
                [0.05, 1.0, 0.2, 0.0],
                [0.0, 0.2, 1.0, 0.0],
                [0.25, 0.0, 0.0, 1.0],
            ],
        },
        "shared": {
            "properties": ["pos", "sem", "position"],
            "common_of_properties": [[9, 3, 1], [3, 8, 1], [1, 1, 5]],
            "neurons": NEURONS,
            "by_number_of_labels": [20, 15, 5],
            "by_chance": [18.0, 12.0, 10.0],
            "first": [],
        },
        "position": [
            {
                "neuron": n,
                "explained": 0.6,
                "cross-model": n + 1,
                "variance": 30,
                "mean-distance": 20,
            }
            for n in range(5)
        ],
        "heatmap": {
            "neuron": "encoder.layers.0:1",
            "sentences": [{"words": ["$a_1$", "."], "values": [-0.5, 0.25]}],
        },
        "grid": {"cells": [cell(0, 0.1), cell(1e-5, 0.5 if is_lm else 0.4)]},
        "label_words": {
            task: [
                {
                    "label": "L0",
                    "neuron": "encoder.layers.0:1",
                    "side": "highest",
                    "words": ["|", "<b>", "c", "d", "e", "f", "g", "h"],
                    "of_label": 7,
                    "of_all": 20,
                    "candidates": 100,
                    "probability": 1e-4,
                }
            ]
            for task in ("pos", "sem")
        },
        "top_words": {
            "cross-model": [
                {
                    "neuron": "encoder.layers.0:1",
                    "explained": 0.5,
                    "highest": ["<script>alert(1)</script>", "a|b"],
                    "lowest": ["`", "no"],
                }
            ]
        },
    }


def evidence() -> Evidence:
    """The whole of it."""
    groups = [
        {"kind": kind, "group": group, "labels": 2, "mean": mean}
        for kind in ("NMT", "LM")
        for group, mean in (("open", 9.0), ("closed", 4.0))
    ]
    labels = [
        {"label": "DT", "group": "closed", "neurons": [4, 4], "test_tokens": 50},
        {"label": "X", "group": None, "neurons": [3, None], "test_tokens": 0},
    ]
    return {
        "config": "A toy",
        "seed": 1,
        "versions": {"torch": "2"},
        "taggers": {
            "en.pos": {
                "accuracy": 0.9,
                "majority_baseline": 0.8,
                "accuracy_unseen": None,
                "labels": 3,
                "train_words": 900,
                "words": 100,
            }
        },
        "parts": "AB",
        "repeated": {"toy en": 0.1},
        "annotated_seen": {"en.pos": {"sentences": 10, "seen": 1}},
        "texts": {"toy": {"A.en": {"sentences": 10, "words": 90}}},
        "models": {"en-de": model(is_lm=False), "lm.en": model(is_lm=True)},
        "focus": {"en.pos": {"labels": labels, "groups": groups}},
        "account": {"probe": {"steps": 2, "seconds": 3.0}},
        "commands": {"probe.en-de.pos": ["fairseq-neuron-probe", "/somewhere/acts"]},
    }
