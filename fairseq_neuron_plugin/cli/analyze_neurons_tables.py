"""What ``fairseq-neuron-analyze top-words`` and ``neuron`` print and write as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..analysis.examples import Example
from ..analysis.folder import Row
from ..analysis.histogram import as_text
from ..analysis.neuron_card import NeuronCard
from ..analysis.neuron_places import ProbeWeights, RankingPlace
from ..analysis.top_words import TopWords, WordScore
from ..neurons import NeuronSpace
from .common import format_table

SIDES = ("highest", "lowest")


def top_words_text(
    found: Sequence[TopWords], space: NeuronSpace, selections: Mapping[int, Sequence[str]]
) -> str:
    """For each neuron its name and selections, a line of highest and one of lowest words."""
    parts = []
    for top in found:
        name = f"{space.name_of(top.neuron)} ({top.neuron})"
        # Of a neuron list there is nothing to say.
        rankings = [spec for spec in selections[top.neuron] if ".json:" in spec]
        title = ", ".join([name, "; ".join(rankings)] if rankings else [name])
        parts.append("\n".join([f"{title}: {_explained(top)}", *_word_lines(top)]))
    parts.append("(words by their mean activation, in standard deviations from the neuron's mean)")
    return "\n\n".join(parts)


def word_rows(found: Sequence[TopWords], space: NeuronSpace) -> list[Row]:
    """One row a neuron, side and word."""
    return [
        {
            "neuron": space.name_of(top.neuron),
            "id": top.neuron,
            "side": side,
            "place": place,
            "word": word.word,
            "count": word.count,
            "mean": word.mean,
            "z": word.z,
        }
        for top in found
        for side in SIDES
        for place, word in enumerate(getattr(top, side), start=1)
    ]


def neuron_rows(
    found: Sequence[TopWords], space: NeuronSpace, selections: Mapping[int, Sequence[str]]
) -> list[Row]:
    """One row a neuron."""
    return [
        {
            "neuron": space.name_of(top.neuron),
            "id": top.neuron,
            "selections": "; ".join(selections[top.neuron]),
            "mean": top.mean,
            "deviation": top.deviation,
            "explained": top.explained,
        }
        for top in found
    ]


def card_text(card: NeuronCard, tokens: int, context: int) -> str:
    """All of a card that is not empty, part by part."""
    return "\n\n".join(_parts(card, tokens, context))


def example_rows(card: NeuronCard) -> list[Row]:
    """One row an example sentence."""
    return [
        {
            "side": side,
            "value": example.value,
            "sentence": example.sentence,
            "position": example.position,
            "word": example.words[example.position - 1],
            "text": example.marked(),
        }
        for side in SIDES
        for example in getattr(card, side)
    ]


def weight_rows(card: NeuronCard) -> list[Row]:
    """One row a probe and label."""
    return [
        {
            "probe": probe.probe,
            "label": label.label,
            "weight": label.weight,
            "share": label.share,
            "place": label.place,
            "salient": int(label.salient),
        }
        for probe in card.probes
        for label in probe.labels
    ]


def ranking_rows(card: NeuronCard) -> list[Row]:
    """One row a ranking."""
    return [
        {
            "ranking": found.ranking,
            "method": found.method,
            "place": found.place,
            "neurons": found.neurons,
            "score": found.score,
            "best_labels": _labels(found),
        }
        for found in card.rankings
    ]


def _parts(card: NeuronCard, tokens: int, context: int) -> Iterator[str]:
    found = card.distribution
    yield (
        f"{card.name} ({card.neuron}), {tokens} tokens: mean {found.mean:.4g}, standard deviation "
        f"{found.deviation:.4g}, above 0 {100 * found.positive:.1f}%\n"
        f"{found.minimum:.4g} |{as_text(found.counts)}| {found.maximum:.4g}"
    )
    title = f"words, in standard deviations from the mean: {_explained(card.top_words)}"
    yield "\n".join([title, *_word_lines(card.top_words)])
    if card.rankings:
        rows = [
            [each.ranking, f"{each.place} of {each.neurons}", f"{each.score:.4g}", _labels(each)]
            for each in card.rankings
        ]
        yield format_table(["ranking", "place", "score", "best labels (place)"], rows)
    for probe in card.probes:
        yield _weights(probe)
    for match in card.matches:
        yield f"best match ({match.ranking}): {match.neuron} of {match.model}, ρ = {match.rho:.3f}"
    for side in SIDES:
        examples: Sequence[Example] = getattr(card, side)
        if examples:
            lines = [f"  {each.value:+8.4f}  {each.marked(context)}" for each in examples]
            yield "\n".join([f"{side} activations", *lines])


def _weights(probe: ProbeWeights) -> str:
    """The salient labels; the one that comes next to it where there is none."""
    shown = [label for label in probe.labels if label.salient]
    title = f"probe {probe.probe}: salient for {len(shown)} of {len(probe.labels)} labels"
    if not shown:
        weighted = [label for label in probe.labels if label.weight]
        if not weighted:
            return f"{title}; it has no weight"
        nearest = min(weighted, key=lambda label: (label.place, label.label))
        return f"{title}; its best place is {nearest.place}, for {nearest.label}"
    rows = [
        [label.label, f"{label.weight:+.4g}", f"{100 * label.share:.2f}%", label.place]
        for label in shown
    ]
    return f"{title}\n{format_table(['label', 'weight', 'share of mass', 'place'], rows)}"


def _labels(found: RankingPlace) -> str:
    return ", ".join(f"{each.label} {each.place}" for each in found.labels) or "-"


def _explained(top: TopWords) -> str:
    if not top.deviation:
        return f"no variance, always {top.mean:.4g}"
    if top.explained is None:
        return "no word occurs twice"
    return f"the word explains {100 * top.explained:.0f}% of the variance"


def _word_lines(top: TopWords) -> list[str]:
    """Words with z, aligned; nothing for a neuron without variance."""
    if not top.deviation:
        return []
    return [f"  {side:7}  {_words(getattr(top, side))}" for side in SIDES]


def _words(words: Sequence[WordScore]) -> str:
    return "  ".join(f"{word.word} {word.z:+.2f}" for word in words) or "-"
