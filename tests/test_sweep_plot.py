"""The picture of a sweep: what is drawn, by matplotlib's own account."""

from __future__ import annotations

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.sweeps.plot import plot_sweep


def rows_of(ranking: str, order: str, values, metric: str = "bleu", band: float | None = 1.0):
    found = []
    for number, value in enumerate(values):
        row = {"ranking": ranking, "order": order, "ablated": number, "share": number / 10}
        row[metric] = value
        if band is not None:
            ends = (None, None) if value is None else (value - band, value + band)
            row[f"{metric}_low"], row[f"{metric}_high"] = ends
        found.append(row)
    return found


@pytest.fixture
def axes(monkeypatch):
    """The axes of the pictures drawn."""
    drawn = []
    save = matplotlib.figure.Figure.savefig

    def keep(figure, *args, **kwargs):
        drawn.append(figure.axes[0])
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return drawn


def curves(axes) -> dict[str, list]:
    return {
        line.get_label(): line.get_ydata().tolist()
        for line in axes.lines
        if line.get_label() != "unablated"
    }


def test_curves_bands_and_the_unablated_line(tmp_path, axes) -> None:
    rows = rows_of("one", "top", [20.0, 15.0, 8.0]) + rows_of("one", "bottom", [20.0, 19.0, 17.0])
    plot_sweep(rows, tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"
    (drawn,) = axes
    assert curves(drawn) == {
        "one, top first": [20.0, 15.0, 8.0],
        "one, bottom first": [20.0, 19.0, 17.0],
    }
    bands = [part for part in drawn.collections if isinstance(part, PolyCollection)]
    heights = [band.get_paths()[0].vertices[:, 1] for band in bands]
    assert [(h.min(), h.max()) for h in heights] == [(7.0, 21.0), (16.0, 21.0)]
    (flat,) = [line for line in drawn.lines if line.get_label() == "unablated"]
    assert set(flat.get_ydata()) == {20.0}
    styles = {(line.get_linestyle(), line.get_fillstyle()) for line in drawn.lines[1:]}
    assert len(styles) == 2  # told apart without colour
    low, high = drawn.get_ylim()
    assert low == 0
    assert high > 21
    assert drawn.get_ylabel() == "BLEU"


def test_the_baseline_is_drawn_where_no_point_is_it(tmp_path, axes) -> None:
    rows = [row for row in rows_of("one", "top", [20.0, 15.0, 8.0]) if row["ablated"]]
    plot_sweep(rows, tmp_path / "a.png", baseline={"bleu": 21.0})
    plot_sweep(rows, tmp_path / "b.png", baseline={})
    labels = [[line.get_label() for line in drawn.lines] for drawn in axes]
    assert "unablated" in labels[0]
    assert "unablated" not in labels[1]


def test_random_curves_that_are_the_same_are_one(tmp_path, axes) -> None:
    rows = [row for name in ("one", "two") for row in rows_of(name, "random", [9.0, 8.0])]
    plot_sweep(rows, tmp_path / "a.png")
    plot_sweep(rows + rows_of("three", "random", [9.0, 7.0]), tmp_path / "b.png")
    assert list(curves(axes[0])) == ["random"]
    assert list(curves(axes[1])) == ["one, random", "three, random"]


@pytest.mark.parametrize(
    ("metric", "values", "scale"),
    [
        ("perplexity", [30.0, 45.0, 60.0], "log"),
        ("perplexity", [30.0, 1e5, 1e9], "log"),
        ("loss", [4.0, 5.0, 6.0], "linear"),
        ("loss", [4.0, 400.0, 600.0], "log"),
        ("ter", [60.0, 70.0, 900.0], "log"),
        ("bleu", [20.0, 1.0, 0.0], "linear"),
    ],
)
def test_nothing_is_cut_off(tmp_path, axes, metric, values, scale) -> None:
    plot_sweep(rows_of("one", "top", values, metric, 0.5), tmp_path / "s.png", metric)
    (drawn,) = axes
    assert drawn.get_yscale() == scale
    low, high = drawn.get_ylim()
    assert low <= max(min(values) - 0.5, 0 if metric == "bleu" else -np.inf)
    assert high >= max(values) + 0.5
    assert len([tick for tick in drawn.get_yticks() if low <= tick <= high]) >= 2


@pytest.mark.parametrize(
    "rows",
    [
        rows_of("one", "top", [20.0]),
        rows_of("one", "top", [20.0, 20.0], band=0.0),
        rows_of("one", "top", [20.0, 15.0], band=None),
        rows_of("one", "top", [20.0, None, 3.0]),
        rows_of("one", "top", [0.0, 0.0], band=None),
        rows_of("x" * 300 + "$ _ ^ {", "top", [1.0, 2.0]),
        [row for n in range(13) for row in rows_of(f"ranking {n}", "top", [20.0, 20.0 - n])],
    ],
)
def test_whatever_rows_there_are(tmp_path, rows) -> None:
    plot_sweep(rows, tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 5000


def test_svg_with_the_same_bytes_each_time(tmp_path) -> None:
    rows = rows_of("PRP$", "top", [20.0, 15.0, 8.0])
    for name in ("a.svg", "b.svg"):
        plot_sweep(rows, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text.lstrip().startswith("<?xml")
    assert "<svg" in text
    assert text == (tmp_path / "b.svg").read_text()


@pytest.mark.parametrize(
    ("name", "metric", "message"),
    [("s.gif", "bleu", "must end in .png or .svg"), ("s.png", "chrf", "no column 'chrf'")],
)
def test_refusals(tmp_path, name, metric, message) -> None:
    with pytest.raises(UserError, match=message):
        plot_sweep(rows_of("one", "top", [20.0]), tmp_path / name, metric)
    assert not (tmp_path / name).exists()
