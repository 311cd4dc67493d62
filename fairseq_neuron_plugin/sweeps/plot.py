"""The picture of a sweep: all curves, with their 95% bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import StrPath
from ..pictures import name_values, picture

FloatArray = npt.NDArray[np.float64]

AXIS_NAMES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "ter": "TER",
    "loss": "loss (bits per symbol)",
    "length_ratio": "length ratio",
    "empty": "share of empty translations",
    "runaway": "share of run-away translations",
}
_FROM_ZERO = ("bleu", "chrf", "ter", "length_ratio", "empty", "runaway")
_UNBOUNDED = ("ter", "loss", "length_ratio")  # logarithmic where they explode
_MUCH = 10.0  # the ratio of two values that is an explosion
_LONG = 1e7  # too many digits for an axis

# Okabe and Ito 2008, Color universal design: told apart with any kind of colour vision. Yellow,
# which is hard to see on white, comes last.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_LINES = {"top": "-", "bottom": "--", "random": ":"}
_GREY = "0.45"

_WIDTH, _HEIGHT, _LEGEND_LINE, _LETTER = 6.4, 3.9, 0.19, 0.075  # inches
_LONGEST_NAME = 60  # letters of a legend


@dataclass(frozen=True)
class _Curve:
    """The points of one ranking and order; NaN where there is no number."""

    ranking: str
    order: str
    shares: FloatArray
    values: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], metric: str) -> _Curve:
        ordered = sorted(rows, key=lambda row: row["share"])
        columns = (metric, f"{metric}_low", f"{metric}_high")
        numbers = [_numbers(ordered, column) for column in columns]
        shares = 100 * _numbers(ordered, "share")
        return cls(ordered[0]["ranking"], ordered[0]["order"], shares, *numbers)

    def same_as(self, other: _Curve) -> bool:
        pairs = ((self.shares, other.shares), (self.values, other.values))
        return all(np.array_equal(one, two, equal_nan=True) for one, two in pairs)


@dataclass(frozen=True)
class _Style:
    """Ranking by colour and marker, order by line and filling: all but colour survive in grey."""

    colour: str
    marker: str
    line: str
    filling: str
    label: str


def plot_sweep(
    rows: Sequence[Mapping[str, Any]],
    path: StrPath,
    metric: str = "bleu",
    baseline: Mapping[str, Any] | None = None,
) -> None:
    """Draw one curve for each ranking and order, with a band where rows have an interval.

    The unablated model's score is a thin horizontal line. The vertical axis is logarithmic for
    perplexity, and for another metric without an upper bound whose values differ tenfold. Random
    curves that are the same for all rankings are one. Equal rows give an equal file.

    Args:
        rows: the rows of ``sweep.json``.
        path: the file; its ending says whether PNG or SVG.
        metric: the column on the vertical axis.
        baseline: the unablated model's row; None means a row without ablated neurons, if there is
            one.

    Raises:
        UserError: matplotlib is not installed, another ending, or no row has such a column.
    """
    if not any(metric in row for row in rows):
        raise UserError(f"cannot draw {path}: the sweep has no column {metric!r}")
    curves = _curves(rows, metric)
    styles = _styles(curves)
    names = [style.label for style in styles]
    columns, lines = _legend_shape([*names, "unablated"])
    size = _WIDTH, _HEIGHT + _LEGEND_LINE * lines
    with picture(path, *size, font=9) as figure:
        axes = figure.add_subplot()
        _draw_unablated(axes, rows, metric, baseline)
        for curve, style in zip(curves, styles, strict=True):
            _draw_curve(axes, curve, style, AXIS_NAMES.get(metric, metric))
        _scale(axes, curves, metric)
        figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def _curves(rows: Sequence[Mapping[str, Any]], metric: str) -> list[_Curve]:
    """In the order of the rows; of the random ones that are the same, the first."""
    together: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        together.setdefault((row["ranking"], row["order"]), []).append(row)
    found: list[_Curve] = []
    for group in together.values():
        curve = _Curve.of(group, metric)
        known = (other for other in found if other.order == "random")
        if curve.order != "random" or not any(curve.same_as(other) for other in known):
            found.append(curve)
    return found


def _styles(curves: Sequence[_Curve]) -> list[_Style]:
    rankings = list(dict.fromkeys(curve.ranking for curve in curves))
    orders = {curve.order for curve in curves}
    shared = sum(curve.order == "random" for curve in curves) == 1
    styles = []
    for curve in curves:
        if curve.order == "random" and shared:
            styles.append(_Style(_GREY, "x", _LINES["random"], "full", "random"))
            continue
        number = rankings.index(curve.ranking)
        name = curve.ranking
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 1]}…"
        if len(orders) > 1 or curve.order == "random":
            name += ", random" if curve.order == "random" else f", {curve.order} first"
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        filling = "full" if curve.order == "top" else "none"
        styles.append(_Style(colour, marker, _LINES[curve.order], filling, name))
    return styles


def _draw_unablated(
    axes: Any, rows: Sequence[Mapping[str, Any]], metric: str, baseline: Mapping[str, Any] | None
) -> None:
    if baseline is None:
        baseline = next((row for row in rows if row["ablated"] == 0), {})
    (value,) = _numbers([baseline], metric)
    if np.isfinite(value):
        axes.axhline(value, color="black", linewidth=0.6, zorder=1, label="unablated")


def _draw_curve(axes: Any, curve: _Curve, style: _Style, metric: str) -> None:
    (line,) = axes.plot(
        curve.shares,
        curve.values,
        linestyle=style.line,
        linewidth=1.3,
        marker=style.marker,
        markersize=4.5,
        fillstyle=style.filling,
        color=style.colour,
        label=style.label,
        zorder=3,
    )
    texts = _value_texts(curve, style.label, metric)
    name_values(line, texts, [value for value in curve.values if np.isfinite(value)])
    if len(curve.shares) == 1:  # a band has no width there
        axes.vlines(curve.shares, curve.low, curve.high, color=style.colour, linewidth=1, zorder=2)
    axes.fill_between(
        curve.shares, curve.low, curve.high, color=style.colour, alpha=0.15, linewidth=0, zorder=2
    )


def _value_texts(curve: _Curve, name: str, metric: str) -> list[str]:
    """What each drawn marker stands for; where there is no number there is no marker."""
    texts = []
    for share, value, low, high in zip(
        curve.shares, curve.values, curve.low, curve.high, strict=True
    ):
        if np.isfinite(value):
            band = f" ({low:.4g} to {high:.4g})" if np.isfinite(low) and np.isfinite(high) else ""
            texts.append(f"{name}: {share:.3g}% ablated, {metric} {value:.4g}{band}")
    return texts


def _scale(axes: Any, curves: Sequence[_Curve], metric: str) -> None:
    """Names, limits and ticks; every value and band is inside."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axes.set_xlabel("neurons ablated (%)")
    axes.set_ylabel(AXIS_NAMES.get(metric, metric))
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    shares = np.concatenate([curve.shares for curve in curves])
    if np.ptp(shares) == 0:
        axes.set_xlim(shares[0] - 1, shares[0] + 1)
    every = np.concatenate([part for c in curves for part in (c.values, c.low, c.high)])
    finite = every[np.isfinite(every)]
    if _is_logarithmic(finite, metric):
        axes.set_yscale("log")
        narrow = finite.max() < _MUCH * finite.min()
        ticks = MaxNLocator(6, steps=[1, 2, 5, 10]) if narrow else LogLocator(subs=(1, 2, 5))
        if finite.max() > 1000 * finite.min():
            ticks = LogLocator()
        axes.yaxis.set_major_locator(ticks)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:,.10g}" if finite.max() < _LONG else "{x:.3g}")
    elif metric in _FROM_ZERO and not (finite < 0).any():
        axes.set_ylim(bottom=0)


def _is_logarithmic(values: FloatArray, metric: str) -> bool:
    if len(values) == 0 or values.min() <= 0:
        return False
    exploded = metric in _UNBOUNDED and values.max() > _MUCH * values.min()
    return metric == "perplexity" or bool(exploded)


def _legend_shape(names: Sequence[str]) -> tuple[int, int]:
    """Columns and lines of a legend as wide as the picture."""
    width = _LETTER * max(map(len, names)) + 0.6
    columns = min(len(names), max(1, int(_WIDTH / width)))
    return columns, -(-len(names) // columns)


def _numbers(rows: Sequence[Mapping[str, Any]], column: str) -> FloatArray:
    """A column; NaN where it is missing, None or infinite."""
    found = np.array([row.get(column) for row in rows], dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)
