"""The page of figures that tatoeba_sweeps.py ends in; reads the tables of sweeps only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tatoeba_probes import MODELS, read_json, table

from fairseq_neuron_plugin.files import write_text
from fairseq_neuron_plugin.signature import versions
from fairseq_neuron_plugin.sweeps.plot import plot_sweep

Row = Mapping[str, Any]
NAMES = {"bleu": "BLEU", "perplexity": "perplexity"}


@dataclass(frozen=True)
class Figure:
    """A part of the page.

    Attributes:
        number: in the paper.
        title: of the section.
        text: what is shown.
        metric: on the vertical axis.
        curves: rows by the name of their curve, which the picture's legend has.
        further: curves that are in the tables alone.
    """

    number: int
    title: str
    text: str
    metric: str
    curves: Mapping[str, Sequence[Row]]
    further: Mapping[str, Sequence[Row]]


def write_page(out: Path, page: Path, command: str, commands: Sequence[str]) -> None:
    """Write the page and draw the pictures beside it.

    Args:
        out: folder of the sweeps, ``sweep.a``, ``lm.a``, ….
        page: the Markdown file.
        command: that made it all.
        commands: of the sweeps.
    """
    figures = list(_figures(out))
    page.parent.mkdir(parents=True, exist_ok=True)
    lines = list(_head(command, commands))
    for figure in figures:
        picture = page.with_name(f"tatoeba-figure{figure.number}.png")
        rows = [{**row, "ranking": name} for name, curve in figure.curves.items() for row in curve]
        unablated = {row[figure.metric] for row in rows if row["ablated"] == 0}
        # A line for the unablated model, unless there are several.
        plot_sweep(rows, picture, figure.metric, baseline=None if len(unablated) == 1 else {})
        lines += _section(figure, picture.name)
    write_text(page, "\n".join([*lines, *_signatures(out)]) + "\n")


def _figures(out: Path) -> Iterator[Figure]:
    translated = {model: _curves(out / f"sweep.{model}") for model in MODELS}
    scored = {model: _curves(out / f"lm.{model}") for model in MODELS}
    one = translated["a"]
    unsupervised = ("cross-model", "variance", "mean-distance", "gradient-activation")
    yield Figure(
        4,
        "Figure 4: neurons that models have in common",
        "Translation while neurons are set to 0 from the top or the bottom of the cross-model "
        "ranking, in each of the three models.",
        "bleu",
        {f"model {model}": curves["cross-model"] for model, curves in translated.items()},
        {},
    )
    yield Figure(
        5,
        "Figure 5: rankings without labels compared",
        "Model a by the cross-model ranking, by variance, by distance from the mean (all three are "
        "the paper's) and by gradient times activation.",
        "bleu",
        {name: one[name] for name in unsupervised},
        {},
    )
    yield Figure(
        7,
        "Figure 7: neurons of linguistic tasks",
        "Model a by the linguistic rankings of semantic tags (sem) and of parts of speech (pos).",
        "bleu",
        {name: one[name] for name in ("sem", "pos")},
        {},
    )
    yield Figure(
        8,
        "Figure 8: language models",
        "Perplexity for each token of the Tatoeba test set's English side while neurons of a "
        "language model (LSTM) are set to 0; linguistic rankings from probes of its own neurons, "
        "cross-model over three language models that were trained on disjoint thirds. Models b and "
        "c are in the tables alone.",
        "perplexity",
        scored["a"],
        {f"cross-model, model {model}": scored[model]["cross-model"] for model in ("b", "c")},
    )


def _curves(folder: Path) -> dict[str, list[Row]]:
    """Rows of a sweep by ranking."""
    found: dict[str, list[Row]] = {}
    for row in read_json(folder / "sweep.json")["rows"]:
        found.setdefault(row["ranking"], []).append(row)
    return found


def _head(command: str, commands: Sequence[str]) -> Iterator[str]:
    yield "# Sweeps over the Tatoeba models (paper, figures 4, 5, 7 and 8)\n"
    shown = ", ".join(
        f"{key} {value}" for key, value in versions("torch", "fairseq", "sacrebleu").items()
    )
    yield f"Made by `{command}` ({shown}); every number below comes from the sweeps' tables.\n"
    yield (
        "Models: fairseq `lstm`, English to German, 512 encoder neurons, trained on three disjoint "
        "thirds of Tatoeba. BLEU of the whole test set, detokenised, against the raw reference. "
        "Bands and intervals: 2.5th to 97.5th percentile over resampled test sets (sacrebleu's "
        "bootstrap). p: paired bootstrap against the unablated model, as sacrebleu's, each point "
        "for itself. Length: words of the translations over words of the reference. The sweeps:\n"
    )
    yield "```"
    yield from commands
    yield "```"


def _section(figure: Figure, picture: str) -> Iterator[str]:
    yield f"\n## {figure.title}\n\n{figure.text}\n\n![{figure.title}]({picture})"
    for name, rows in {**figure.curves, **figure.further}.items():
        yield f"\n{name[0].upper()}{name[1:]}:\n"
        yield _table(rows, figure.metric)


def _table(rows: Sequence[Row], metric: str) -> str:
    """A line a share of neurons, both orders side by side."""
    with_length = "length_ratio" in rows[0]
    columns = [NAMES[metric], "95% interval", "p", *(["length"] if with_length else [])]
    header = ["neurons", "share"]
    header += [f"{order} first: {columns[0]}" if n == 0 else column
               for order in ("top", "bottom") for n, column in enumerate(columns)]  # fmt: skip
    lines = []
    for ablated in sorted({row["ablated"] for row in rows}):
        same = {row["order"]: row for row in rows if row["ablated"] == ablated}
        line = [str(ablated), f"{100 * same['top']['share']:.0f}%"]
        for order in ("top", "bottom"):
            row = same[order]
            line += [f"{row[metric]:.2f}", f"{row[f'{metric}_low']:.2f} to "
                     f"{row[f'{metric}_high']:.2f}", _p(row, metric)]  # fmt: skip
            line += [f"{row['length_ratio']:.3f}"] if with_length else []
        lines.append(line)
    return table(header, lines)


def _p(row: Row, metric: str) -> str:
    found = row[f"{metric}_p"]
    return "" if found is None or row["ablated"] == 0 else f"{found:.3f}"


def _signatures(out: Path) -> Iterator[str]:
    yield "\n## Signatures\n"
    for kind in ("sweep", "lm"):
        for model in MODELS:
            name = f"{kind}.{model}"
            yield f"- {name}: `{read_json(out / name / 'sweep.json')['signature']}`"
