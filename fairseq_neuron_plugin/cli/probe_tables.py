"""What ``fairseq-neuron-probe`` prints: tables made from the content of ``result.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .common import format_table

Result = Mapping[str, Any]

BELOW_BASELINE = (
    "The probe is below the majority baseline. Usual reasons: many words are unknown to the model "
    "(the extraction prints how many: is the text segmented as the training data were?), too few "
    "words to train on, or a penalty that is too strong (--l1, --l2; --grid auto finds one)."
)


def summary(result: Result) -> str:
    """All tables, one after the other."""
    return "\n\n".join(_parts(result))


def _parts(result: Result) -> Iterator[str]:
    yield _accuracies(result)
    if result["test"]["accuracy"] < result["majority_baseline"]:
        yield BELOW_BASELINE
    yield _solver(result["solver"])
    if result["grid"]:
        yield _grid(result)
    yield _labels(result["test"]["labels"])
    if result["test"]["unseen"]:
        unseen = _counted(result["test"]["unseen"])
        yield f"test labels that training did not have, counted as wrong: {unseen}"
    if result["left_out"]:
        yield f"labels too rare to train on: {_counted(result['left_out'])}"
    if result["ablation"]:
        yield _ablation(result["ablation"])
    if result["unconverged"]:
        titles = ", ".join(result["unconverged"])
        tol = result["settings"]["tol"]
        yield f"NOT CONVERGED to --tol {tol:g} (raise it, or --max-iter): {titles}"


def _accuracies(result: Result) -> str:
    train, test, control = result["train"], result["test"], result["control"]
    accuracy, majority = test["accuracy"], result["majority_baseline"]
    rows = [
        ["train", 100 * train["accuracy"], train["tokens"]],
        ["test", 100 * accuracy, test["tokens"]],
        ["test, majority baseline", 100 * majority, test["tokens"]],
    ]
    if control:
        tasks = len(control["runs"])
        name = "test, control task" if tasks == 1 else f"test, mean of {tasks} control tasks"
        rows += [
            [name, 100 * control["accuracy"], test["tokens"]],
            ["selectivity", 100 * control["selectivity"], None],
        ]
    return format_table(["accuracy", "%", "tokens"], rows)


def _solver(solver: Mapping[str, Any]) -> str:
    state = "" if solver["converged"] else "; not at the optimum"
    return (
        f"{solver['nonzero']} of {solver['weights']} weights are not 0; objective "
        f"{solver['objective']:.6f}, KKT residual {solver['kkt_residual']:.1e}, "
        f"{solver['passes']} passes, {solver['steps']} steps, {solver['seconds']:.1f} s{state}"
    )


def _grid(result: Result) -> str:
    """Rows are l1, columns l2; a cell is accuracy and the lead of the top neurons."""
    grid, settings = result["grid"], result["settings"]
    l1, l2 = (sorted({cell[name] for cell in grid["cells"]}) for name in ("l1", "l2"))
    found = {(cell["l1"], cell["l2"]): cell for cell in grid["cells"]}
    rows = []
    for one in l1:
        cells = [found[one, two] for two in l2]
        texts = [f"{100 * c['accuracy']:.2f} {100 * c['top_minus_bottom']:+.1f}" for c in cells]
        rows.append([f"{one:g}", *texts])
    table = format_table(["l1, by l2", *(f"{value:g}" for value in l2)], rows)
    picked, weakest = (
        f"l1={grid[name]['l1']:g}, l2={grid[name]['l2']:g}" for name in ("picked", "reference")
    )
    use = "the probe has it" if settings["grid"].startswith("auto") else "not taken: --grid auto"
    return (
        f"grid, on {grid['held_out_tokens']} held-out tokens of the training data: accuracy, and "
        f"accuracy with the top {grid['share']} of neurons less that with the bottom ones, %\n"
        f"{table}\n"
        f"{picked} tells them apart best, of those whose accuracy is at most "
        f"{100 * grid['margin']:g} below that of {weakest} ({use})"
    )


def _labels(labels: list[dict[str, Any]]) -> str:
    columns = ("precision", "recall", "f1")
    return format_table(
        ["label", "precision", "recall", "F1", "tokens"],
        [[row["label"], *(100 * row[name] for name in columns), row["support"]] for row in labels],
    )


def _ablation(rows: list[dict[str, Any]]) -> str:
    """The paper's tables 2 and 4: shares side by side."""
    cells = {(row["share"], row["order"]): row for row in rows}
    shares = list(dict.fromkeys(row["share"] for row in rows))
    shares = [*(share for share in shares if share != "all"), "all"]
    orders = [order for order in dict.fromkeys(row["order"] for row in rows) if order != "all"]
    kept = {row["share"]: row["kept"] for row in rows}
    table = []
    for way in ("mask", "retrain"):
        for order in orders:
            found = [cells.get((share, order), cells["all", "all"]) for share in shares]
            table.append([f"{way}, {order}", *(100 * row[way] for row in found)])
    return format_table(
        ["neurons kept, test %", *(f"{share} ({kept[share]})" for share in shares)], table
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label} ({count})" for label, count in counts.items())
