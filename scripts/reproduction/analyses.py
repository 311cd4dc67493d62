"""Activations, probes, rankings and analyses: each step one of the package's commands."""

from __future__ import annotations

import shlex
import sys

from reproduction.layout import FIRST, PROPERTIES, SINGLE, SPLITS, Layout, Model
from reproduction.runner import Step

# The paper's shares of neurons to keep, with random labels for comparison.
TABLES = ("--ablate", "10,15,20", "--control-tasks", "1")
# Neurons of a ranking whose top words are shown, as in the paper's table 3.
SHOWN = 5


def analysis_steps(layout: Layout) -> list[Step]:
    """All that stands between the models and the sweeps."""
    steps: list[Step] = []
    for model in layout.models:
        steps += _extract(layout, model)
        steps += _probe(layout, model)
        steps += _rank(layout, model)
        steps += _analyse(layout, model)
    steps += _compare_kinds(layout)
    return steps


def _extract(layout: Layout, model: Model) -> list[Step]:
    """Of every model on the training text, for comparison; of the first one on all texts."""
    steps = []
    for part in layout.config.part_names:
        texts = layout.probe_texts(model.language) if part == FIRST else ["auto"]
        for text in texts:
            for split in SPLITS if part == FIRST else SPLITS[:1]:
                acts = model.acts(part, f"{text}.{split}")
                command = (
                    "fairseq-neuron-extract",
                    model.bin(part),
                    "--path",
                    model.checkpoint(part),
                    "--input",
                    layout.words(model.language, text, split),
                    "--output-dir",
                    acts,
                )
                steps.append(
                    Step(
                        f"extract.{model.name}.{part}.{text}.{split}",
                        "extract",
                        f"{acts}/manifest.json",
                        command,
                        needs=(model.checkpoint(part), f"probe-text/{model.language}.done"),
                        seconds=layout.seconds("extract"),
                        folder=acts,
                        resumes=True,
                    )
                )
    return steps


def _stores(model: Model, text: str) -> tuple[str, str]:
    train, test = (model.acts(FIRST, f"{text}.{split}") for split in SPLITS)
    return train, test


def _probe(layout: Layout, model: Model) -> list[Step]:
    config = layout.config.classifier
    flags, gold_flags = [*TABLES, *shlex.split(config.flags)], shlex.split(config.flags)
    steps = [
        _one_probe(layout, model, name, text, ("--property", name), flags, "probe")
        for name, text in PROPERTIES.items()
    ]
    for task in layout.tasks(model.language):
        for text, name, given, kind in (
            ("auto", task, flags, "probe"),
            (
                layout.gold_text(model.language, task),
                f"{task}.gold",
                gold_flags,
                "gold probe",
            ),
        ):
            train, test = (layout.tags(model.language, text, task, split) for split in SPLITS)
            labels = ("--labels", train, "--test-labels", test)
            steps.append(_one_probe(layout, model, name, text, labels, given, kind))
    if config.grid:
        task = next(iter(layout.tasks(model.language)))
        train, test = (layout.tags(model.language, "auto", task, split) for split in SPLITS)
        given = [
            *("--grid", config.grid, "--train-sentences", str(config.grid_sentences)),
            *shlex.split(config.flags),
        ]
        labels = ("--labels", train, "--test-labels", test)
        steps.append(_one_probe(layout, model, f"{task}.grid", "auto", labels, given, "grid"))
    return steps


def _one_probe(
    layout: Layout,
    model: Model,
    name: str,
    text: str,
    labels: tuple[str, ...],
    flags: list[str],
    kind: str,
) -> Step:
    train, test = _stores(model, text)
    folder = model.probe(name)
    command: tuple[str, ...] = (
        "fairseq-neuron-probe",
        train,
        "--test-acts",
        test,
        *labels,
        *flags,
        "--seed",
        str(layout.config.seed),
        "--save-dir",
        folder,
    )
    if name == "months":
        words = layout.words(model.language, text, "train")
        command = (sys.executable, "-m", "reproduction.months", words, folder, *command)
    needs = [f"{train}/manifest.json", f"{test}/manifest.json"]
    task = name.partition(".")[0]
    if text == "auto" and task in layout.tasks(model.language):
        needs.append(f"taggers/{model.language}.{task}/accuracy.json")
    return Step(
        f"probe.{model.name}.{name}",
        kind,
        f"{folder}/result.json",
        command,
        needs=tuple(needs),
        seconds=layout.seconds(kind),
        folder=folder,
    )


def linguistic_tasks(layout: Layout, model: Model) -> list[str]:
    """Tasks whose probes rank neurons: the tagged ones, and the position in the sentence."""
    return [*layout.tasks(model.language), "position"]


def _rank(layout: Layout, model: Model) -> list[Step]:
    train, _ = _stores(model, "auto")
    steps = []

    def add(part: str, name: str, arguments: tuple[str, ...], needs: tuple[str, ...]) -> None:
        result = model.ranking(part, name)
        command = ("fairseq-neuron-rank", *arguments, "--output", result, "--force")
        steps.append(
            Step(
                f"rank.{model.name}.{part}.{name}",
                "rank",
                result,
                command,
                needs=needs,
                seconds=layout.seconds("rank"),
            )
        )

    for part in layout.config.part_names:
        stores = [model.acts(other, "auto.train") for other in layout.config.part_names]
        first = model.acts(part, "auto.train")
        others = (store for store in stores if store != first)
        needs = tuple(f"{store}/manifest.json" for store in stores)
        add(part, "cross-model", ("cross-model", first, *others), needs)
    for task in linguistic_tasks(layout, model):
        probe = model.probe(task)
        add(FIRST, task, ("linguistic", "--probe", probe), (f"{probe}/result.json",))
    store = (f"{train}/manifest.json",)
    for method in SINGLE:
        add(FIRST, method, (method, train), store)
    add(FIRST, "position-F", ("f-statistic", train, "--property", "position"), store)
    return steps


def _analysis(
    layout: Layout, name: str, arguments: tuple[str, ...], needs: tuple[str, ...]
) -> Step:
    folder = f"analyses/{name}"
    return Step(
        f"analyse.{name}",
        "analyse",
        f"{folder}/analysis.json",
        ("fairseq-neuron-analyze", *arguments, "--output-dir", folder),
        needs=needs,
        seconds=layout.seconds("analyse"),
        folder=folder,
    )


def _analyse(layout: Layout, model: Model) -> list[Step]:
    tasks = linguistic_tasks(layout, model)
    names = ("cross-model", *SINGLE, *tasks, "position-F")
    rankings = tuple(model.ranking(FIRST, name) for name in names)
    steps = [
        _analysis(layout, f"overlap.{model.name}", ("overlap", *rankings, "--k", "10%"), rankings)
    ]
    probes = tuple(model.probe(task) for task in tasks)
    made = tuple(f"{probe}/result.json" for probe in probes)
    steps.append(_analysis(layout, f"shared.{model.name}", ("shared", "--probe", *probes), made))
    train, _ = _stores(model, "auto")
    for name in ("cross-model", tasks[-2]):
        ranking = model.ranking(FIRST, name)
        steps.append(
            _analysis(
                layout,
                f"top-words.{model.name}.{name}",
                ("top-words", train, "--ranking", f"{ranking}:top:{SHOWN}"),
                (ranking,),
            )
        )
    steps.append(_of_ranking(layout, f"neuron.{model.name}", "first", model, "position-F"))
    for task in layout.tasks(model.language):
        name = f"label-words.{model.name}.{task}"
        steps.append(_of_ranking(layout, name, "labels", model, task))
    return steps


def _of_ranking(layout: Layout, name: str, which: str, model: Model, method: str) -> Step:
    """An analysis of neurons that are known only once the ranking is there."""
    ranking, folder = model.ranking(FIRST, method), f"analyses/{name}"
    store, _ = _stores(model, "auto")
    return Step(
        f"analyse.{name}",
        "analyse",
        f"{folder}/analysis.json",
        (sys.executable, "-m", "reproduction.chosen_neurons", which, ranking, store, folder),
        needs=(ranking,),
        seconds=layout.seconds("analyse"),
        folder=folder,
    )


def _compare_kinds(layout: Layout) -> list[Step]:
    """How focused each task is, the translation and the language model side by side."""
    steps = []
    for model in layout.models:
        if model.is_lm:
            continue
        language_model = next(
            one for one in layout.models if one.is_lm and one.language == model.language
        )
        for name in layout.tasks(model.language):
            probes = (model.probe(name), language_model.probe(name))
            arguments = ("focus", "--probe", *probes)
            needs = tuple(f"{probe}/result.json" for probe in probes)
            steps.append(_analysis(layout, f"focus.{model.language}.{name}", arguments, needs))
    return steps
