"""The picture of a neuron: histogram, top words, and weights by label."""

from __future__ import annotations

from typing import Any

from ..files import StrPath
from ..pictures import name_values, picture
from .histogram import Distribution
from .neuron_card import NeuronCard
from .neuron_places import ProbeWeights
from .top_words_plot import draw_words, letters_may_lack

LABELS = 12


def plot_neuron_card(card: NeuronCard, path: StrPath) -> None:
    """Draw histogram and top words, and for each probe the labels with most weight.

    Raises:
        UserError: matplotlib is not installed, or another ending.
    """
    top = card.top_words
    panels = 2 + len(card.probes)
    bars = max(len(top.highest) + len(top.lowest), LABELS)
    with letters_may_lack(), picture(path, 2.9 * panels, 1.1 + 0.15 * bars) as figure:
        axes = figure.subplots(1, panels)
        _draw_histogram(axes[0], card.distribution)
        draw_words(axes[1], top)
        axes[1].set_title("top words (count)", fontsize=8)
        axes[1].set_xlabel("standard deviations from the mean")
        for panel, weights in zip(axes[2:], card.probes, strict=True):
            _draw_weights(panel, weights)
        figure.suptitle(f"{card.name} ({card.neuron})", fontsize=9)


def _draw_histogram(axes: Any, found: Distribution) -> None:
    if len(found.counts) == 1:
        axes.text(0.5, 0.5, f"always {found.mean:g}", ha="center", transform=axes.transAxes)
    else:
        axes.stairs(found.counts, found.edges, fill=True, color="0.5")
        axes.axvline(found.mean, color="black", linestyle="--", linewidth=1)
    axes.set_title("activations; dashed: mean", fontsize=8)
    axes.set_xlabel("activation")
    axes.set_ylabel("tokens")


def _draw_weights(axes: Any, found: ProbeWeights) -> None:
    """Signed weights of the labels of which the neuron holds most mass; salient ones are dark."""
    labels = [label for label in found.labels if label.weight][:LABELS]
    bars = axes.barh(
        range(len(labels)),
        [label.weight for label in labels],
        height=0.75,
        color=["0.25" if label.salient else "0.75" for label in labels],
        edgecolor="black",
        linewidth=0.4,
    )
    texts = [f"{label.label}: weight {label.weight:.3f}" for label in labels]
    name_values(bars, texts, [label.weight for label in labels])
    if not labels:
        axes.text(0.5, 0.5, "no weight", ha="center", transform=axes.transAxes)
    ticks = [f"{label.label} ({100 * label.share:.1f}%)" for label in labels]
    axes.set_yticks(range(len(labels)), ticks)
    axes.set_ylim(max(len(labels), LABELS // 2) - 0.4, -0.6)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(f"{found.probe}: share of the mass", fontsize=8)
    axes.set_xlabel("weight; dark: salient")
