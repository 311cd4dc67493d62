"""The page of figures that run_tatoeba.py ends in; reads result files only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tatoeba_probes import MODELS, read_json, table


def write_report(run: Path, page: Path, command: str) -> None:
    """Write the page and copy the pictures beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        shutil.copy(run / f"sweep.{model}" / "sweep.png", page.with_name(f"tatoeba.{model}.png"))
    parts = [
        *_head(command),
        *_curves(run),
        *_lengths(run),
        *_places(run),
        *_signatures(run),
    ]
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _head(command: str) -> Iterator[str]:
    yield "# Three stock LSTM checkpoints on Tatoeba, English to German\n"
    yield f"Made by `{command}`; every number below comes from its result files.\n"
    yield (
        "What it shows, and what it does not: [tatoeba-reading.md](tatoeba-reading.md). "
        "The probes behind the rankings: [tatoeba-probes.md](tatoeba-probes.md).\n"
    )
    yield (
        "Models: fairseq `lstm`, 2 bidirectional layers of 128 per direction, so 512 encoder "
        "neurons, trained on three disjoint thirds of Tatoeba. Semantic tags: Parallel Meaning "
        "Bank 4, gold (names of several words split into words). Parts of speech: UD English EWT, "
        "gold, the first sentences of its training part. The cross-model ranking is over the "
        "words of the semantic-tag training text. BLEU: whole Tatoeba test set, detokenised, "
        "against the raw reference; beam size and all other settings are in the signatures.\n"
    )


def _curves(run: Path) -> Iterator[str]:
    yield "\n## BLEU under ablation\n"
    for model in MODELS:
        rows = read_json(run / f"sweep.{model}" / "sweep.json")["rows"]
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
        yield table(header, lines)
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
        rows = [
            r for r in read_json(folder / "sweep.json")["rows"] if r["ranking"] == "cross-model"
        ]
        header = [f"{100 * share:.0f}%" for share in sorted({row["share"] for row in rows})]
        for order in ("top", "bottom"):
            curve = [row["name"] for row in rows if row["order"] == order]
            counts = [_count_words(folder / "hypotheses" / f"{name}.txt") for name in curve]
            lines.append((model, order, *(count / words for count in counts)))
    yield table(["model", "order", *header], lines)


def _places(run: Path) -> Iterator[str]:
    yield "\n## Where the top 10% are\n"
    yield "Neurons among the first 10 % of each ranking, by layer and direction (128 in each).\n"
    lines = []
    for model in MODELS:
        for name in ("sem", "pos", "cross-model"):
            ranking = read_json(run / f"rankings.{model}" / f"{name}.json")
            half = ranking["layers"][0]["width"] // 2
            top = ranking["neurons"][: len(ranking["neurons"]) // 10]
            counts = [sum(neuron // half == part for neuron in top) for part in range(4)]
            lines.append((model, name, *counts))
    places = ("0 forward", "0 backward", "1 forward", "1 backward")
    yield table(("model", "ranking", *places), lines)


def _signatures(run: Path) -> Iterator[str]:
    yield "\n## Signatures\n"
    for model in MODELS:
        yield f"- sweep {model}: `{read_json(run / f'sweep.{model}' / 'sweep.json')['signature']}`"


def _count_words(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").split())
