"""The page on the probes of run_tatoeba.py: accuracies, baselines, and few neurons kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from word_kinds import compare_by_kind, predict, read_vocabulary

MODELS = ("a", "b", "c")
TASKS = ("sem", "pos")
PROPERTIES = ("position", "months")  # of the first model, on the text of the semantic tags


def write_probe_page(run: Path, page: Path, dictionary: Path, command: str) -> None:
    """Write the page from the result files of the probes."""
    page.parent.mkdir(parents=True, exist_ok=True)
    parts = [*_head(command), *_accuracies(run), *_kinds(run, dictionary), *_masks(run)]
    page.write_text("\n".join([*parts, *_solver(run)]) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers with two places."""
    cells = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _head(command: str) -> Iterator[str]:
    yield "# Probes of three stock LSTM checkpoints (paper, tables 1, 2 and 4)\n"
    yield f"Made by `{command}`; every number below comes from its result files.\n"
    yield (
        "Models: fairseq `lstm`, 2 bidirectional layers of 128 per direction, so 512 encoder "
        "neurons, trained on three disjoint thirds of Tatoeba. Semantic tags (sem): Parallel "
        "Meaning Bank 4, gold (names of several words split into words). Parts of speech (pos): UD "
        "English EWT, gold, the first sentences of its training part. Position (a third of the "
        "sentence) and months (a lexicon) are labels that the package makes. The probe is the "
        "optimum at l1 = l2 = 1e-5.\n"
    )


def _results(run: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for model in MODELS:
        for task in TASKS:
            yield model, task, read_json(run / f"probe.{model}.{task}" / "result.json")
    for task in PROPERTIES:
        yield MODELS[0], task, read_json(run / f"probe.{MODELS[0]}.{task}" / "result.json")


def _accuracies(run: Path) -> Iterator[str]:
    yield "## Accuracy beside the baselines\n"
    yield (
        "MAJ: a word's most frequent label in training. Control: the same probe trained on labels "
        "drawn at random for each word type (Hewitt & Liang 2019); selectivity is the probe's "
        "accuracy less that.\n"
    )
    header = ("model", "task", "labels", "train words", "test words", "MAJ %", "probe %", "gain",
              "control %", "selectivity")  # fmt: skip
    rows = []
    for model, task, result in _results(run):
        majority, accuracy = 100 * result["majority_baseline"], 100 * result["test"]["accuracy"]
        control = 100 * result["control"]["accuracy"]
        words = result["train"]["tokens"], result["test"]["tokens"]
        figures = majority, accuracy, accuracy - majority, control, accuracy - control
        rows.append((model, task, len(result["test"]["labels"]), *words, *figures))
    yield table(header, rows)


def _kinds(run: Path, dictionary: Path) -> Iterator[str]:
    yield "\n## Where the probe gains and where it loses\n"
    yield (
        "Model a, test words by kind. Ambiguous: in the model's dictionary, and in training its "
        "most frequent label has less than 90 % of it. The majority baseline reads every word; "
        "the model reads one symbol for all words that are not in its dictionary.\n"
    )
    rows = []
    vocabulary = read_vocabulary(dictionary)
    for task in TASKS:
        of = f"{MODELS[0]}.{task}"
        predicted = predict(run / f"probe.{of}", run / f"acts.{of}.test")
        texts = (_labelled_words(run, task, split) for split in ("train", "test"))
        for kind, words, majority, accuracy in compare_by_kind(*texts, predicted, vocabulary):
            rows.append((task, kind, words, majority, accuracy, accuracy - majority))
    yield table(("task", "words that are", "test words", "MAJ %", "probe %", "gain"), rows)


def _labelled_words(run: Path, task: str, split: str) -> tuple[list[str], list[str]]:
    words, labels = (
        (run / f"{task}.{split}.{kind}").read_text(encoding="utf-8").split()
        for kind in ("en", "tags")
    )
    return words, labels


def _masks(run: Path) -> Iterator[str]:
    for kind, what in (
        ("mask", "all other neurons set to 0 in the trained probe"),
        ("retrain", "the probe trained again on the kept neurons alone"),
    ):
        yield f"\n## What is left with few neurons: {kind}\n"
        yield (
            "Test accuracy (%) with only the top, the bottom or as many random neurons of the "
            f"linguistic ranking kept: {what}.\n"
        )
        orders = ("top", "random", "bottom")
        header = ["model", "task", "all"]
        rows = []
        for model, task, result in _results(run):
            found = {(row["share"], row["order"]): 100 * row[kind] for row in result["ablation"]}
            shares = [
                share for share in dict.fromkeys(share for share, _ in found) if share != "all"
            ]
            header[3:] = [f"{order} {share}" for share in shares for order in orders]
            figures = [found[share, order] for share in shares for order in orders]
            rows.append((model, task, found["all", "all"], *figures))
        yield table(header, rows)


def _solver(run: Path) -> Iterator[str]:
    yield "\n## The fits\n"
    header = ("model", "task", "objective", "KKT residual", "steps", "passes", "weights not 0 %")
    rows = []
    for model, task, result in _results(run):
        solver = result["solver"]
        share = 100 * solver["nonzero"] / solver["weights"]
        residual = f"{solver['kkt_residual']:.1e}"
        rows.append((model, task, f"{solver['objective']:.6f}", residual, solver["steps"],
                     solver["passes"], share))  # fmt: skip
    yield table(header, rows)
    yield "\n## Signatures\n"
    for model, task, result in _results(run):
        yield f"- probe {model} {task}: `{result['signature']}`"
