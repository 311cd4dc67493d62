"""The page and the picture of compare_probes.py; reads its JSON alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fairseq_neuron_plugin.files import atomic_path, write_text

Figures = dict[str, Any]

HEAD = """# Rankings from different probes

Lower loss need not mean a better ranking. Made by `{command}`; every number comes from
[{json}]({json}).

- `default`: the optimum at λ1 = λ2 = 1e-5. `cv`: at the λ1 = λ2 with the best held-out accuracy in
  cross-validation by sentence. `grid`: at the most selective cell of the λ grid. `weak`: at
  λ1 = λ2 = 1e-7. `adam`: the authors' protocol (Adam, learning rate 1e-3, 10 epochs, batches of 512
  in order) at λ1 = λ2 = 1e-5. λ never saw test data.
- Each probe's weights give a ranking (Algorithm 1), measured on the test data. **Mask area**: mean
  test accuracy (%) under the curve of the share of neurons kept, all others set to 0 in that
  probe; from 1 to {low} %, and from 1 to 100 %. The top of a good ranking keeps much, its bottom
  little. Random: the same probe, neurons kept in random order (mean of {runs} orders).
- A mask-out curve judges the weights along with the ranking. **Retrain** is on equal terms: for
  every ranking the same probe, the optimum at λ1 = λ2 = 1e-5, trained anew on the kept neurons.
- Objective at 1e-5: the loss had every probe been trained at λ1 = λ2 = 1e-5; its least value is
  that of `default`. KKT residual: 0 at the optimum of the probe's own λ.
"""


def write_page(page: Path, content: dict[str, Any]) -> None:
    """Write PAGE.md and PAGE.png."""
    tasks = content["tasks"]
    runs = len(tasks[0]["random_retrain"]["runs"])
    low = max(share for share in tasks[0]["shares"] if share <= 20)
    picture = page.with_suffix(".png")
    _draw(picture, tasks)
    parts = [
        HEAD.format(
            command=content["command"], json=page.with_suffix(".json").name, low=low, runs=runs
        ),
        *_summary(tasks),
        f"\n![Mask-out curves]({picture.name})\n",
        *(line for task in tasks for line in _task(task)),
        *_signatures(tasks),
    ]
    write_text(page, "\n".join(parts) + "\n")


class Column(NamedTuple):
    """One figure of each ranking: its name, whether more (1) or less (-1) is better, its place."""

    name: str
    better: int
    path: tuple[str, ...]

    def percent(self, method: Figures) -> float:
        value: Any = method
        for key in self.path:
            value = value[key]
        return 100 * float(value)


def _columns(shares: Sequence[str]) -> list[Column]:
    orders = {"top": 1, "bottom": -1, "random": 0}
    areas = {"area_low": "mask area ≤ 20 %", "area": "mask area"}
    return [
        *(Column(f"{n}, {o}", b, (k, o)) for k, n in areas.items() for o, b in orders.items()),
        *(
            Column(f"retrain {order} {share}", orders[order], ("retrain", order, share))
            for order in ("top", "bottom")
            for share in shares
        ),
    ]


def _summary(tasks: Sequence[Figures]) -> Iterator[str]:
    yield "## All tasks\n"
    count = len(tasks)
    yield (
        f"Means over {count} task{'s' if count > 1 else ''}, in percent; in brackets in how many "
        "the probe is the best (highest top, lowest bottom; equals all count).\n"
    )
    methods, shares = list(tasks[0]["methods"]), list(tasks[0]["random_retrain"]["mean"])
    columns = [Column("accuracy", 1, ("accuracy",)), *_columns(shares)]
    rows: list[list[object]] = [[method] for method in methods]
    for column in columns:
        table = np.array([[column.percent(t["methods"][m]) for t in tasks] for m in methods])
        best = column.better * (column.better * table).max(axis=0)
        wins = np.isclose(table, best, atol=1e-9).sum(axis=1)
        for row, mean, won in zip(rows, table.mean(axis=1), wins, strict=True):
            row.append(f"{mean:.2f} ({won})" if column.better else f"{mean:.2f}")
    random = [float(np.mean([100 * t["random_retrain"]["mean"][s] for t in tasks])) for s in shares]
    rows.append(_random_row(columns, random))
    yield _table(["probe", *(column.name for column in columns)], rows)


def _random_row(columns: Sequence[Column], retrained: Sequence[float]) -> list[object]:
    """Retraining on random neurons stands under top and bottom alike."""
    blank = ["–"] * (len(columns) - 2 * len(retrained))
    return ["random order", *blank, *retrained, *retrained]


def _task(task: Figures) -> Iterator[str]:
    yield f"\n## {task['name']}\n"
    train, test = task["train"], task["test"]
    yield (
        f"{task['neurons']} neurons, {task['labels']} labels; training {train['tokens']} words of "
        f"{train['sentences']} sentences, test {test['tokens']} words of {test['sentences']}.\n"
    )
    header = ["probe", "λ1", "λ2", "accuracy", "train accuracy", "weights not 0 (%)"]
    header += ["objective", "objective at 1e-5", "KKT residual", "passes", "seconds"]
    rows: list[list[object]] = []
    for method, m in task["methods"].items():
        accuracies = [100 * m["accuracy"], 100 * m["train_accuracy"]]
        nonzero = 100 * m["nonzero"] / m["weights"]
        objectives = [f"{m[name]:.4f}" for name in ("objective", "objective_at_default")]
        end = [*objectives, f"{m['kkt_residual']:.1e}", m["passes"], m["seconds"]]
        rows.append([method, f"{m['l1']:g}", f"{m['l2']:g}", *accuracies, nonzero, *end])
    yield _table(header, rows)
    yield "\nWhat the rankings find, in percent:\n"
    mean = task["random_retrain"]["mean"]
    columns = _columns(list(mean))
    rows = [
        [method, *(column.percent(m) for column in columns)]
        for method, m in task["methods"].items()
    ]
    rows.append(_random_row(columns, [100 * value for value in mean.values()]))
    yield _table(["probe", *(column.name for column in columns)], rows)
    folds = task["cross_validation"]
    pairs = zip(folds["strengths"], folds["accuracy"], strict=True)
    found = ", ".join(f"{strength:g}: {100 * value:.2f}" for strength, value in pairs)
    yield f"\nCross-validation, {len(folds['folds'])} folds, held-out accuracy by λ: {found}."
    picked, tried = task["methods"]["cv"]["l1"], folds["strengths"]
    if picked in (min(tried), max(tried)):
        yield f"\n`cv` took {picked:g}, the end of this list: the best λ may lie beyond it."
    cells, taken = task["grid"]["cells"], task["grid"]["picked"]
    chosen = next(cell for cell in cells if all(cell[key] == taken[key] for key in taken))
    best = max(cells, key=lambda cell: cell["accuracy"])
    yield (
        f"\nGrid, held-out accuracy: {100 * chosen['accuracy']:.2f} where it was picked, "
        f"{100 * best['accuracy']:.2f} at its best (λ1 = {best['l1']:g}, λ2 = {best['l2']:g})."
    )


def _signatures(tasks: Sequence[Figures]) -> Iterator[str]:
    yield "\n## Signatures\n"
    for task in tasks:
        yield f"- `{task['signature']}`"


def _draw(path: Path, tasks: Sequence[Figures]) -> None:
    """A panel a task: solid the top of each ranking, dashed its bottom."""
    from matplotlib.figure import Figure

    across = min(2, len(tasks))
    down = -(-len(tasks) // across)
    figure = Figure(figsize=(4.2 * across, 2.8 * down), dpi=100, layout="constrained")
    panels = np.atleast_1d(figure.subplots(down, across)).ravel()
    for panel, task in zip(panels, tasks, strict=False):
        masks = {method: m["mask"] for method, m in task["methods"].items()}
        for number, (method, mask) in enumerate(masks.items()):
            same = [other for other in masks if masks[other] == mask]
            if method != same[0]:
                continue  # the same λ: the same probe
            for order, style in (("top", "-"), ("bottom", "--")):
                curve = [100 * value for value in mask[order]]
                label = " = ".join(same) if order == "top" else None
                panel.plot(task["shares"], curve, style, color=f"C{number}", lw=1.2, label=label)
        curve = [100 * value for value in masks["default"]["random"]]
        panel.plot(task["shares"], curve, ":", color="grey", lw=1.2, label="random (default)")
        panel.set_title(task["name"], fontsize=9)
        panel.set_xlabel("neurons kept (%): top solid, bottom dashed", fontsize=8)
        panel.set_ylabel("accuracy (%)", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=6)
    for panel in panels[len(tasks) :]:
        panel.set_axis_off()
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": ""})


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    lines = [list(header), ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
