"""The page of figures that run_tatoeba.py ends in; reads result files only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tatoeba_words import compare_by_kind

MODELS = ("a", "b", "c")


def write_report(run: Path, page: Path, dictionary: Path, command: str) -> None:
    """Write the page and copy the pictures beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        shutil.copy(run / f"sweep.{model}" / "sweep.png", page.with_name(f"tatoeba.{model}.png"))
    parts = [
        *_head(command),
        *_probes(run),
        *_kinds(run, dictionary),
        *_masks(run),
        *_curves(run),
        *_lengths(run),
        *_places(run),
        *_signatures(run),
    ]
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _head(command: str) -> Iterator[str]:
    yield "# Three stock LSTM checkpoints on Tatoeba, English to German\n"
    yield f"Made by `{command}`; every number below comes from its result files.\n"
    yield "What it shows, and what it does not: [tatoeba-reading.md](tatoeba-reading.md).\n"
    yield (
        "Models: fairseq `lstm`, 2 bidirectional layers of 128 per direction, so 512 encoder "
        "neurons, trained on three disjoint thirds of Tatoeba. Semantic tags: Parallel Meaning "
        "Bank 4, gold (names of several words split into words). Parts of speech: UD English EWT, "
        "gold, the first sentences of its training part. The cross-model ranking is over the "
        "words of the semantic-tag training text. BLEU: whole Tatoeba test set, detokenised, "
        "against the raw reference; beam size and all other settings are in the signatures.\n"
    )


def _probes(run: Path) -> Iterator[str]:
    yield "## Probe accuracy beside the majority baseline\n"
    header = ("model", "task", "labels", "train words", "test words", "MAJ %", "probe %", "gain")
    rows = []
    for model, task, result in _results(run):
        majority, accuracy = 100 * result["majority_baseline"], 100 * result["test"]["accuracy"]
        labels = len(result["test"]["labels"])
        words = result["train"]["tokens"], result["test"]["tokens"]
        rows.append((model, task, labels, *words, majority, accuracy, accuracy - majority))
    yield _table(header, rows)


def _kinds(run: Path, dictionary: Path) -> Iterator[str]:
    yield "\n## Where the probe gains and where it loses\n"
    yield (
        "Model a, test words by kind. Ambiguous: in the model's dictionary, and in training its "
        "most frequent label has less than 90 % of it. The majority baseline reads every word; "
        "the model reads one symbol for all words that are not in its dictionary.\n"
    )
    rows = []
    for task in ("sem", "pos"):
        for kind, words, majority, accuracy in compare_by_kind(run, MODELS[0], task, dictionary):
            rows.append((task, kind, words, majority, accuracy, accuracy - majority))
    yield _table(("task", "words that are", "test words", "MAJ %", "probe %", "gain"), rows)


def _masks(run: Path) -> Iterator[str]:
    yield "\n## What is left with few neurons\n"
    yield (
        "Test accuracy (%) with only the top or bottom of the linguistic ranking kept: all other "
        "neurons masked in the trained probe, or the probe retrained on the kept neurons alone.\n"
    )
    header = ["model", "task", "kept", "mask top", "mask bottom", "retrain top", "retrain bottom"]
    rows = []
    for model, task, result in _results(run):
        table = {(row["share"], row["order"]): row for row in result["ablation"]}
        for share in dict.fromkeys(row["share"] for row in result["ablation"]):
            if share == "all":
                continue
            top, bottom = table[share, "top"], table[share, "bottom"]
            figures = (top["mask"], bottom["mask"], top["retrain"], bottom["retrain"])
            rows.append((model, task, share, *(100 * figure for figure in figures)))
    yield _table(header, rows)


def _curves(run: Path) -> Iterator[str]:
    yield "\n## BLEU under ablation\n"
    for model in MODELS:
        rows = _json(run / f"sweep.{model}" / "sweep.json")["rows"]
        shares = sorted({row["share"] for row in rows})
        found = {(row["ranking"], row["order"], row["share"]): row["bleu"] for row in rows}
        yield f"\nModel {model}; share of the 512 encoder neurons set to 0:\n"
        header = ["ranking", "order", *(f"{100 * share:.0f}%" for share in shares), "mean loss"]
        lines, losses = [], {}
        for ranking in dict.fromkeys(row["ranking"] for row in rows):
            for order in ("top", "bottom"):
                curve = [found[ranking, order, share] for share in shares]
                # How far below the whole model the curve lies, on average over its points.
                losses[ranking, order] = curve[0] - sum(curve[1:]) / len(curve[1:])
                lines.append((ranking, order, *curve, losses[ranking, order]))
        yield _table(header, lines)
        yield ""
        for ranking in dict.fromkeys(row["ranking"] for row in rows):
            gap = losses[ranking, "top"] - losses[ranking, "bottom"]
            word = "more" if gap > 0 else "less"
            yield f"- {ranking}: the top hurts {abs(gap):.2f} BLEU {word} than the bottom."
        yield f"\n![BLEU curves of model {model}](tatoeba.{model}.png)"


def _lengths(run: Path) -> Iterator[str]:
    yield "\n## How long the translations become\n"
    yield "Words in the translations over words in the reference, cross-model ranking.\n"
    lines, header = [], []
    for model in MODELS:
        folder = run / f"sweep.{model}"
        words = _count_words(folder / "reference.txt")
        rows = [r for r in _json(folder / "sweep.json")["rows"] if r["ranking"] == "cross-model"]
        header = [f"{100 * share:.0f}%" for share in sorted({row["share"] for row in rows})]
        for order in ("top", "bottom"):
            curve = [row["name"] for row in rows if row["order"] == order]
            counts = [_count_words(folder / "hypotheses" / f"{name}.txt") for name in curve]
            lines.append((model, order, *(count / words for count in counts)))
    yield _table(["model", "order", *header], lines)


def _places(run: Path) -> Iterator[str]:
    yield "\n## Where the top 10% are\n"
    yield "Neurons among the first 10 % of each ranking, by layer and direction (128 in each).\n"
    lines = []
    for model in MODELS:
        for name in ("sem", "pos", "cross-model"):
            ranking = _json(run / f"rankings.{model}" / f"{name}.json")
            half = ranking["layers"][0]["width"] // 2
            top = ranking["neurons"][: len(ranking["neurons"]) // 10]
            counts = [sum(neuron // half == part for neuron in top) for part in range(4)]
            lines.append((model, name, *counts))
    places = ("0 forward", "0 backward", "1 forward", "1 backward")
    yield _table(("model", "ranking", *places), lines)


def _signatures(run: Path) -> Iterator[str]:
    yield "\n## Signatures\n"
    for model in MODELS:
        yield f"- sweep {model}: `{_json(run / f'sweep.{model}' / 'sweep.json')['signature']}`"
    for model, task, result in _results(run):
        yield f"- probe {model} {task}: `{result['signature']}`"


def _results(run: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for model in MODELS:
        for task in ("sem", "pos"):
            yield model, task, _json(run / f"probe.{model}.{task}" / "result.json")


def _count_words(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").split())


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
