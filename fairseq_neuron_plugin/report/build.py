"""From what was found to what a report says."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError
from ..rankings.blocks import Progress
from .cards import CardChoice, choose_neurons, report_cards
from .document import Report
from .inputs import Inputs
from .model_section import ModelNames, model_section
from .probe_section import probe_section
from .property_section import focus_section, shared_section
from .ranking_section import ranking_section
from .sweep_section import sweep_section


def build_report(
    inputs: Inputs,
    title: str,
    command: Sequence[str],
    choice: CardChoice | None = None,
    progress: Progress | None = None,
) -> Report:
    """Everything there is to say about some stores, probes, rankings and sweeps.

    Args:
        inputs: from `find_inputs`.
        title: of the page.
        command: that makes it.
        choice: which neurons have a card.
        progress: called with the cards done and the cards in all.

    Raises:
        UserError: an unknown label, activations that are not finite, or no matplotlib.
    """
    choice = choice or CardChoice()
    _check_labels(inputs, choice)
    models = ModelNames(inputs)
    mass = choice.settings.share
    chosen = choose_neurons(inputs, choice)
    sections = (
        model_section(inputs, models),
        probe_section(inputs, models),
        sweep_section(inputs, models),
        focus_section(inputs, mass),
        shared_section(inputs, models, mass),
        ranking_section(inputs, models),
    )
    notes = list(inputs.notes)
    if chosen.left_out:
        notes.append(f"{chosen.left_out} more neurons would have had a card (--cards)")
    if chosen.without_store:
        names = ", ".join(chosen.without_store)
        notes.append(f"no cards for these rankings, no store has their neurons: {names}")
    if chosen.unclear:
        names = ", ".join(chosen.unclear)
        notes.append(
            f"no cards for these rankings, they do not say of which checkpoint they are: {names}"
        )
    return Report(
        title=title,
        command=tuple(command),
        sections=tuple(section for section in sections if section is not None),
        cards=report_cards(inputs, chosen, choice.settings, progress),
        notes=tuple(notes),
    )


def _check_labels(inputs: Inputs, choice: CardChoice) -> None:
    known = {label for ranking in inputs.rankings for label in ranking.content.per_label}
    for label in choice.labels or ():
        if label not in known:
            there = ", ".join(sorted(known)) or "none"
            raise UserError(f"no ranking has a label {label!r}; there are: {there}")
