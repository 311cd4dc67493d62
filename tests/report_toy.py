"""A small report whose words, labels and names try to be more than text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sweep_toy import ToyEvaluator, make_plan

from fairseq_neuron_plugin.activations import Activations, StoreWriter
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.probe_folder import save_probe
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.sweeps.run import run_sweep

SPACE = NeuronSpace((Layer("encoder.layers.0", 6), Layer("encoder.layers.1", 6)))
MODEL = "ab" * 32
HOSTILE = (
    "<script>document.title='run'</script>",
    "\"><img/src=x/onerror=document.title='run'>",
    "</script><b>bold</b>",
    "{{7*7}}",
    "$\\alpha$",
    "שלום",
    "bell\x07",
    "&amp;",
)
LABELS = ("NOUN", "<i>VERB</i>", "$")


def write_store(path: Path, sentences: int = 60, model: str = MODEL) -> Activations:
    """Sentences of five words, hostile ones among them, and activations that follow from these."""
    rng = np.random.default_rng(0)
    vocabulary = [*HOSTILE, *(f"word{number}" for number in range(12))]
    words = [list(rng.choice(vocabulary, 5)) for _ in range(sentences)]
    of_word = {word: rng.normal(size=SPACE.size) for word in vocabulary}
    settings = {"model": {"path": f"{path.name}.pt", "sha256": model}, "signature": "toy"}
    writer = StoreWriter(path, words, SPACE, "float32", settings)
    for shard, first, last in writer.missing():
        rows = np.array([of_word[word] for line in words[first:last] for word in line])
        writer.write(shard, rows.astype(np.float32))
    writer.finish()
    return Activations(path)


def write_ranking(path: Path, seed: int = 0, model: str | None = MODEL) -> Ranking:
    rng = np.random.default_rng(seed)
    ranking = Ranking(
        method="toy",
        neurons=rng.permutation(SPACE.size),
        scores=np.linspace(1, 0, SPACE.size),
        per_label={label: rng.permutation(SPACE.size) for label in LABELS},
        signature="toy",
        space=SPACE,
        model=model,
    )
    ranking.save(path)
    return ranking


def write_probe(path: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    probe = ElasticNetProbe()
    probe.coef_, probe.intercept_ = rng.normal(size=(len(LABELS), SPACE.size)), np.zeros(3)
    probe.classes_ = np.array(LABELS)
    labels = [
        {"label": label, "f1": 0.5, "precision": 0.25, "recall": 0.75, "support": 10 + place}
        for place, label in enumerate(LABELS)
    ]
    ablation = [{"share": "all", "order": "all", "kept": 12, "mask": 0.9, "retrain": 0.9}]
    ablation += [
        {"share": "10%", "order": order, "kept": 1, "mask": 0.3, "retrain": retrain}
        for order, retrain in (("top", 0.625), ("bottom", 0.25))
    ]
    result = {
        "signature": "toy",
        "settings": {},
        "train": {"accuracy": 0.95, "tokens": 100},
        "test": {"accuracy": 0.9, "tokens": 33, "labels": labels},
        "majority_baseline": 0.8,
        "control": {"accuracy": 0.6, "selectivity": 0.3, "runs": [{}]},
        "ablation": ablation,
        "grid": None,
        "solver": {"nonzero": 18, "weights": 36},
    }
    save_probe(path, probe, result, SPACE, MODEL)


def write_everything(folder: Path) -> Path:
    """A store, a probe, two rankings and a sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    write_store(folder / "acts")
    write_probe(folder / "probe")
    write_ranking(folder / "<b>one.json", 1)
    write_ranking(folder / "two.json", 2)
    (folder / "model").mkdir()
    evaluator = ToyEvaluator(folder / "model")
    run_sweep(evaluator, make_plan(), folder / "sweep")
    return folder
