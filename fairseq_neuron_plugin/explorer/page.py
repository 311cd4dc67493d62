"""The explorer's page, of Gradio's parts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ..errors import UserError
from ..files import write_text
from ..interventions import list_layers
from ..report.colours import coloured_words, heat_css, visible
from ..signature import short_hash
from ..specs import parse_settings
from .engine import (
    Engine,
    Known,
    SentenceActivations,
    format_ranges,
    format_settings,
    plain_range,
)

ACTIVE = "most active in this sentence"
_SHOWN = 50  # neurons to choose from
# Gradio gives text in its dark theme a colour of its own, whatever the ground.
CSS = (
    re.sub(r"color:(#\w+)}", r"color:\1!important}", heat_css())
    + """
.sentence{background:#fff;color:#111!important;border:1px solid #ccc;border-radius:6px;
padding:.6em .8em;line-height:2.1;font-size:1.1rem}
.sentence bdi{color:inherit!important}
.translation{border:1px solid #8888;border-radius:6px;padding:.6em .8em;font-size:1.1rem;
min-height:3em}
.translation ins{text-decoration:none;border-bottom:3px solid currentColor;font-weight:600}
.translation del{text-decoration:line-through;opacity:.75}
.note{font-size:.85rem;opacity:.85}
"""
)


def build_page(engine: Engine, command: Sequence[str], folder: Path, example: str = "") -> Any:
    """The page.

    Args:
        engine: that answers.
        command: of ``fairseq-neuron-generate`` with the same model and flags, as words; what the
            page gives to copy goes on from it.
        folder: for files to be downloaded, below the one for temporary files.
        example: a sentence to begin with.

    Returns:
        Gradio's ``Blocks``, not yet running.
    """
    import gradio as gr

    sources = [ACTIVE, *_orders(engine)]
    with gr.Blocks(title="Neurons", analytics_enabled=False) as page:
        gr.HTML(
            Markup("<h1>Neurons</h1><p>{}: {}</p>").format(
                visible(engine.session.paths[0]), engine.space.describe()
            )
        )
        with gr.Row():
            sentence = gr.Textbox(
                example, label="Sentence", scale=5, elem_id="sentence", max_lines=3
            )
            go = gr.Button("Translate", variant="primary", scale=1, elem_id="go")
        with gr.Row():
            source = gr.Dropdown(sources, value=ACTIVE, label="Find neurons by", elem_id="source")
            neuron = gr.Dropdown(
                [],
                label="Neuron (choose, or type encoder.layers.1:58 or its number)",
                allow_custom_value=True,
                elem_id="neuron",
            )
        coloured = gr.HTML(elem_id="coloured")
        with gr.Row():
            value = gr.Slider(
                -10,
                10,
                0,
                step=0.01,
                label="Hold it at (other values: in the text below)",
                elem_id="value",
                scale=4,
            )
            hold = gr.Button("Hold", elem_id="hold", scale=1)
            release = gr.Button("Release", elem_id="release", scale=1)
        held = gr.Textbox(
            label="Held neurons (the text of --set; may be edited)",
            placeholder="encoder.layers.1:58=10;encoder.layers.0:3,17-25=-1",
            elem_id="held",
        )
        with gr.Row():
            before = gr.HTML(elem_id="before")
            after = gr.HTML(elem_id="after")
        keep = gr.Textbox(
            label="The same from the command line",
            buttons=["copy"],
            interactive=False,
            lines=2,
            elem_id="keep",
        )
        zero = gr.Textbox(
            label="As --ablate of fairseq-generate, where all are held at 0",
            buttons=["copy"],
            interactive=False,
            elem_id="zero",
        )
        save = gr.DownloadButton(
            "Save the held neurons, as text for --set", interactive=False, elem_id="save"
        )
        parts = (sentence, go, source, neuron, coloured, value, hold, release, held)
        _wire(gr, engine, command, folder, (*parts, before, after, keep, zero, save))
    return page


def _wire(
    gr: Any, engine: Engine, command: Sequence[str], folder: Path, parts: Sequence[Any]
) -> None:
    """Say what happens when; every answer is made from what stands on the page, nothing else."""
    (
        sentence,
        go,
        source,
        neuron,
        coloured,
        value,
        hold,
        release,
        held,
        before,
        after,
        keep,
        zero,
        save,
    ) = parts
    told = _told(gr)

    @told(3)
    def look(text: str, by: str, settings: str, name: str | None) -> list[Any]:
        found = engine.read(text)
        names = find_neurons(engine, found, by)
        chosen = engine.neuron(name) if name else engine.neuron(names[0])
        known = engine.known(chosen)
        limit = plain_range(known.distribution if known else None, found.values)
        now = held_neurons(engine, settings).get(chosen, 0.0)
        limit = max(limit, abs(now))
        return [
            gr.update(choices=names, value=engine.space.name_of(chosen)),
            show_neuron(engine, found, chosen),
            gr.update(minimum=-limit, maximum=limit, value=now),
        ]

    def translate(text: str, settings: str) -> list[Any]:
        try:
            found = engine.translate(text, settings)
            commands = same_command(engine, command, text, settings)
        except UserError as error:  # what was there before must not stand beside it
            told = Markup('<p class="translation">{}</p>').format(visible(str(error)))
            return ["", told, "", "", gr.update(value=None, interactive=False)]
        saved = save_settings(settings, folder) if settings.strip() else None
        return [
            *show_translations(found.before[0], found.after[0]),
            *commands,
            gr.update(value=saved, interactive=saved is not None),
        ]

    def change(text: str, name: str, number: float, keeps: bool) -> str:
        every = held_neurons(engine, text)
        chosen = engine.neuron(name or "")
        if keeps:
            every[chosen] = number
        else:
            every.pop(chosen, None)
        return format_settings(every, engine.space)

    holding = told(1)(lambda text, name, number: [change(text, name, number, True)])
    releasing = told(1)(lambda text, name: [change(text, name, 0.0, False)])
    shown = [neuron, coloured, value]
    seen = {"inputs": [sentence, source, held, neuron], "outputs": shown}
    afresh = {"inputs": [sentence, source, held], "outputs": shown}
    done = {"inputs": [sentence, held], "outputs": [before, after, keep, zero, save]}

    def look_afresh(text: str, by: str, settings: str) -> Any:
        return look(text, by, settings, None)

    for event in (go.click, sentence.submit):
        event(look, **seen, api_name=False).then(translate, **done, api_name=False)
    source.input(look_afresh, **afresh, api_name=False)
    neuron.input(look, **seen, api_name=False)
    for event, act, inputs in (
        (hold.click, holding, [held, neuron, value]),
        (value.release, holding, [held, neuron, value]),
        (release.click, releasing, [held, neuron]),
    ):
        event(act, inputs, [held], api_name=False).then(translate, **done, api_name=False)
    held.submit(translate, **done, api_name=False)


def _told(gr: Any) -> Any:
    """A decorator: what a user can mend is said on the page, and nothing else changes."""

    def outer(outputs: int) -> Any:
        def inner(answer: Any) -> Any:
            def ask(*given: Any) -> Any:
                try:
                    found = answer(*given)
                except UserError as error:
                    gr.Warning(str(escape(visible(str(error)))))  # it is shown as HTML
                    found = [gr.skip()] * outputs
                return found if outputs > 1 else found[0]

            return ask

        return inner

    return outer


def find_neurons(engine: Engine, found: SentenceActivations, by: str) -> list[str]:
    """Names of neurons to choose from: of this sentence, of a ranking, or of a label's order."""
    if by not in _orders(engine):
        ids = engine.most_active(found, _SHOWN)
    else:
        ranking, label = _orders(engine)[by]
        ids = engine.rankings[ranking].order("top", label)[:_SHOWN].tolist()
    return [engine.space.name_of(neuron) for neuron in ids]


def show_neuron(engine: Engine, found: SentenceActivations, neuron: int) -> Markup:
    """The sentence, coloured by a neuron, and what the store says of it."""
    values = found.values[:, neuron].tolist()
    known = engine.known(neuron)
    limit = max(abs(value) for value in values)
    if known is not None:
        limit = max(abs(known.distribution.minimum), abs(known.distribution.maximum))
    words = Markup(" ").join(
        Markup('<span title="{}">{}</span>').format(
            f"{value:+.3f}", coloured_words([word], [value], limit)
        )
        for word, value in zip(found.words, values, strict=True)
    )
    listed = ", ".join(
        f"{word} {value:+.2f}" for word, value in zip(found.words, values, strict=True)
    )
    return Markup(
        '<p class="sentence">{}</p><p class="note">{} (id {}); colours from −{:.2f} (blue, bar '
        "below) to +{:.2f} (red, bar above). {}</p><details class='note'><summary>values</summary>"
        "{}</details>"
    ).format(
        words,
        engine.space.name_of(neuron),
        neuron,
        limit,
        limit,
        _of_store(known),
        visible(listed),
    )


def _of_store(known: Known | None) -> str:
    if known is None:
        return ""
    spread, top = known.distribution, known.top_words
    parts = [f"In the store: {spread.minimum:.2f} to {spread.maximum:.2f}, mean {spread.mean:.2f}."]
    for title, words in (("Highest", top.highest), ("Lowest", top.lowest)):
        if words:
            parts.append(f"{title}: {', '.join(visible(word.word) for word in words[:6])}.")
    return " ".join(parts)


def show_translations(before: str, after: str) -> tuple[Markup, Markup]:
    """Both translations; words that went are struck out, words that came underlined."""
    old, new = before.split(" "), after.split(" ")
    left: list[Markup] = []
    right: list[Markup] = []
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, come = (escape(visible(" ".join(words))) for words in (old[i:j], new[k:m]))
        if kind != "equal":
            gone = Markup("<del>{}</del>").format(gone) if gone else gone
            come = Markup("<ins>{}</ins>").format(come) if come else come
        left.append(gone)
        right.append(come)
    same = before == after
    shown = Markup('<h3>{}</h3><p class="translation" data-text="{}">{}</p>')
    return (
        shown.format("Without", before, Markup(" ").join(filter(None, left))),
        shown.format(
            "With (the same)" if same else "With", after, Markup(" ").join(filter(None, right))
        ),
    )


def held_neurons(engine: Engine, settings: str) -> dict[int, float]:
    """Flat ids and values of a ``--set`` text; empty for an empty one.

    Raises:
        UserError: it cannot be read, or is of layers that the page does not show.
    """
    if not settings.strip():
        return {}
    neurons, values = parse_settings(settings, list_layers(engine.session.models[0]))
    held = {}
    for layer, ids in neurons.items():
        if layer not in engine.space.offsets:
            raise UserError(f"{layer} is not shown here; edit the text instead")
        for neuron, value in zip(ids, values[layer].tolist(), strict=True):
            held[engine.space.offsets[layer] + neuron] = value
    return held


def same_command(
    engine: Engine, command: Sequence[str], sentence: str, settings: str
) -> tuple[str, str]:
    """A line for the shell that gives the same two translations; and the text of ``--ablate``.

    Both are empty without neurons, the second one unless all are held at 0.
    """
    if not settings.strip():
        return "", ""
    line = " ".join(sentence.split())
    given = f"--set {shlex.quote(settings.strip())} --input -"
    text = f"printf '%s\\n' {shlex.quote(line)} | {shlex.join(command)} {given}"
    neurons, values = parse_settings(settings, list_layers(engine.session.models[0]))
    if any(value.any() for value in values.values()):
        return text, ""
    return text, ";".join(f"{layer}:{format_ranges(ids)}" for layer, ids in neurons.items())


def save_settings(settings: str, folder: Path) -> str:
    """Write the text of ``--set`` to a file to be downloaded, ``neurons.set``; gives its path."""
    path = folder / short_hash(settings) / "neurons.set"  # pages of one process do not mix
    write_text(path, f"{settings.strip()}\n")
    return str(path)


def _orders(engine: Engine) -> dict[str, tuple[str, str | None]]:
    """Rankings, and labels of rankings, by what the page calls them."""
    found: dict[str, tuple[str, str | None]] = {}
    for name, ranking in engine.rankings.items():
        found[f"ranking {name}"] = name, None
        found |= {f"ranking {name}, {label}": (name, label) for label in ranking.per_label}
    return found
