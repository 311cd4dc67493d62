"""What a report says, before it is a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..analysis.neuron_card import NeuronCard

Cell = str | int | float | None
Kind = Literal["text", "code", "integer", "number", "percent", "p"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its header, as plain text.
        kind: how its cells are written: ``percent`` multiplies by 100, ``number`` has two decimals,
            ``p`` is a probability, ``code`` is text in a fixed-width font.
        help: a sentence on what it means; empty where the title says it.
    """

    title: str
    kind: Kind = "text"
    help: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers to read; the page sorts it by any column.

    Attributes:
        caption: what it shows.
        columns: of every row.
        rows: as many cells as columns; None is "not measured". All text is plain, never HTML.
        label_column: number of the column that holds labels of a property, by which the page
            filters; None if there is none.
        best: whether the largest number of each row, among ``percent`` and ``number``, is to stand
            out.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    label_column: int | None = None
    best: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture, with the numbers that it is drawn from.

    Attributes:
        caption: what it shows.
        svg: a whole ``<svg>`` element from `figures`; the only thing in a document that is HTML.
        alternative: the picture in a sentence, for who cannot see it.
        numbers: what is drawn, folded away below it; None if a table beside it has them.
        folded: whether the picture itself is folded away, behind its caption.
    """

    caption: str
    svg: str
    alternative: str
    numbers: Table | None = None
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Attributes:
        name: short, unique, fit for an address: ``probes``.
        title: its heading.
        text: what the reader looks at, in a few sentences; each is a paragraph.
        parts: tables and figures in order.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    parts: tuple[Table | Figure, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why a neuron has a card: it stands at this place of a ranking.

    Attributes:
        ranking: the ranking's name in the report.
        place: from 1.
        label: the label by whose own order, None for the ranking's own.
    """

    ranking: str
    place: int
    label: str | None = None


@dataclass(frozen=True)
class Card:
    """A neuron of the report.

    Attributes:
        store: name of the store in the report.
        card: everything that is known of the neuron.
        reasons: why it is shown, best place first; at least one.
    """

    store: str
    card: NeuronCard
    reasons: tuple[Reason, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the neuron is shown or salient for, by which the page filters."""
        shown = [reason.label for reason in self.reasons if reason.label is not None]
        salient = [
            weight.label for probe in self.card.probes for weight in probe.labels if weight.salient
        ]
        return tuple(dict.fromkeys([*shown, *salient]))


@dataclass(frozen=True)
class Report:
    """The whole page.

    Attributes:
        title: of the page.
        command: that made it, as words.
        sections: in order; a report without any is refused before.
        cards: of neurons, in the order of their best reasons.
        notes: what was left out and why, a line each.
    """

    title: str
    command: Sequence[str]
    sections: tuple[Section, ...]
    cards: tuple[Card, ...] = ()
    notes: tuple[str, ...] = field(default=())
