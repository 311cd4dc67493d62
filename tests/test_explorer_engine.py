"""The explorer's answers, against the commands that give the same."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_forced_loss import opened
from tiny_models import TinyModels, run

from fairseq_neuron_plugin import Activations
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.explorer.engine import Engine, format_settings, plain_range
from fairseq_neuron_plugin.explorer.page import (
    find_neurons,
    held_neurons,
    same_command,
    save_settings,
    show_neuron,
    show_translations,
)
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.specs import parse_settings

FLAGS = ("--cpu", "--max-len-a", "2", "--max-len-b", "5", "--beam", "3")
SPACE = NeuronSpace((Layer("encoder.layers.0", 8), Layer("encoder.layers.1", 8)))


@pytest.fixture(scope="module")
def store(tiny: TinyModels, tmp_path_factory) -> Activations:
    path = tmp_path_factory.mktemp("explorer") / "acts"
    flags = ("--path", tiny.stock, "--input", tiny.corpus / "probe-test.en", "--cpu")
    run("fairseq-neuron-extract", tiny.data, *flags, "--output-dir", path)
    return Activations(path)


@pytest.fixture(scope="module")
def engine(tiny: TinyModels, store: Activations) -> Engine:
    session, _ = opened(tiny.data, tiny.stock, *FLAGS[1:])
    order = np.arange(store.layers.size)[::-1]
    ranking = Ranking(
        *("toy", order, np.zeros(len(order)), {"NOUN": order[::-1]}),
        space=store.layers,
        model=store.model_sha256,
    )
    return Engine(session, [store], {"toy": ranking})


def test_activations_equal_those_of_the_store(engine: Engine, store: Activations) -> None:
    for number in (0, 5, 17):
        found = engine.read(" ".join(store.sentences[number]))
        rows = slice(store.offsets[number], store.offsets[number + 1])
        assert list(found.words) == store.sentences[number]
        np.testing.assert_allclose(found.values, store.array[rows], atol=1e-6)


def test_translations_equal_the_commands(engine: Engine, tiny: TinyModels, tmp_path) -> None:
    lines = (tiny.corpus / "test.en").read_text("utf-8").splitlines()[:4]
    settings = "encoder.layers.1:0-20=0.9;encoder.layers.0:3=-1"
    for number, line in enumerate(lines):
        (tmp_path / "line").write_text(f"{line}\n", "utf-8")
        output = tmp_path / str(number)
        run(
            *(
                "fairseq-neuron-generate",
                tiny.data,
                "--path",
                tiny.stock,
                *FLAGS,
                "--set",
                settings,
            ),
            *("--input", tmp_path / "line", "--output-dir", output),
        )
        found = engine.translate(line, settings)
        assert found.before == (output / "before.txt").read_text("utf-8").splitlines()
        assert found.after == (output / "after.txt").read_text("utf-8").splitlines()
    assert engine.translate(lines[0], " ").changed() == []


def test_what_is_known_of_a_neuron(engine: Engine, store: Activations) -> None:
    known = engine.known(40)
    assert known.distribution.minimum == pytest.approx(float(store.array[:, 40].min()))
    assert known.top_words.highest
    assert plain_range(known.distribution, store.array[:3]) == 10.0
    assert plain_range(None, np.array([[-7.0]], np.float32)) == 21.0


def test_most_active_neurons(engine: Engine, store: Activations) -> None:
    found = engine.read(" ".join(store.sentences[3]))
    every = np.asarray(store.array, np.float64)
    scores = (np.abs(found.values - every.mean(0)) / every.std(0)).max(0)
    expected = sorted(range(len(scores)), key=lambda neuron: -scores[neuron])[:5]
    assert engine.most_active(found, 5) == expected
    session_alone = Engine(engine.session)
    sizes = np.abs(found.values).max(0)
    assert session_alone.most_active(found, 1) == [int(sizes.argmax())]
    assert session_alone.known(3) is None


def test_finding_neurons(engine: Engine) -> None:
    found = engine.read("the man")
    last = engine.space.size - 1
    assert find_neurons(engine, found, "ranking toy")[0] == engine.space.name_of(last)
    assert find_neurons(engine, found, "ranking toy, NOUN")[0] == "encoder.layers.0:0"
    assert len(find_neurons(engine, found, "most active in this sentence")) == 50
    assert engine.neuron(" encoder.layers.1:2 ") == engine.neuron(str(last - 45)) == last - 45


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda engine: engine.read("  "), "type a sentence first"),
        (lambda engine: engine.translate("", "3=1"), "type a sentence first"),
        (lambda engine: engine.read("a " * 201), "at most 200 words"),
        (lambda engine: engine.translate("a", "3"), "is no neuron with a value"),
        (lambda engine: engine.translate("a", "encoder.layers.9:1=1"), "unknown layer"),
        (lambda engine: engine.neuron("1-2"), "one neuron is wanted, not 2"),
        (lambda engine: engine.neuron("9999"), "out of range"),
        (lambda engine: held_neurons(engine, "decoder.layers.0:1=1"), "is not shown here"),
    ],
)
def test_refusals(engine: Engine, ask, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ask(engine)


def test_what_does_not_belong_to_the_model(engine: Engine, store: Activations) -> None:
    ranking = replace(engine.rankings["toy"], model="0" * 64)
    with pytest.raises(UserError, match="ranking toy is of another checkpoint"):
        Engine(engine.session, [store], {"toy": ranking})
    other = Activations(store.path)
    other.manifest = {**store.manifest, "model": {"sha256": "0" * 64}}
    with pytest.raises(UserError, match="is of another checkpoint"):
        Engine(engine.session, [other])


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ({}, ""),
        ({3: 0.5}, "encoder.layers.0:3=0.5"),
        ({9: 0.0, 1: 0.0, 2: 0.0, 3: 0.0}, "encoder.layers.0:1-3=0;encoder.layers.1:1=0"),
        ({1: -1.0, 0: 2.0, 2: 2.0}, "encoder.layers.0:0,2=2;encoder.layers.0:1=-1"),
    ],
)
def test_settings_as_text_and_back(held, text: str) -> None:
    assert format_settings(held, SPACE) == text
    if held:
        neurons, values = parse_settings(text, SPACE.layers)
        back = {
            SPACE.offsets[layer] + neuron: value
            for layer, ids in neurons.items()
            for neuron, value in zip(ids, values[layer].tolist(), strict=True)
        }
        assert back == held


def test_the_command_to_copy(engine: Engine) -> None:
    given = "encoder.layers.0:1=0;2=0"
    line, ablate = same_command(engine, ["generate", "my data"], "it 's\n'", given)
    assert ablate == "encoder.layers.0:1-2"
    echoed, command = line.rsplit(" | ", 1)
    assert (
        subprocess.run(echoed, shell=True, capture_output=True, check=True).stdout == b"it 's '\n"
    )
    assert shlex.split(command)[:2] == ["generate", "my data"]
    assert shlex.split(command)[-4:] == ["--set", given, "--input", "-"]
    assert same_command(engine, ["g"], "a", "1=2")[1] == ""
    assert same_command(engine, ["g"], "a", " ") == ("", "")


def test_held_neurons_to_download(tmp_path) -> None:
    one, two = (save_settings(text, tmp_path) for text in ("1=2", " 1=3 "))
    assert [Path(path).read_text("utf-8") for path in (one, two)] == ["1=2\n", "1=3\n"]
    assert {Path(path).name for path in (one, two)} == {"neurons.set"}


def test_text_is_shown_and_never_run(engine: Engine) -> None:
    before, after = show_translations("a <b>x</b> c", "a <script>y</script> c\x00")
    assert "<del>&lt;b&gt;x&lt;/b&gt; c</del>" in before
    assert "<ins>&lt;script&gt;y&lt;/script&gt; c␀</ins>" in after
    same = show_translations('"', '"')
    assert "With (the same)" in same[1]
    assert 'data-text="&#34;"' in same[1]
    shown = show_neuron(engine, engine.read("the <i>man</i>"), 3)
    assert "&lt;i&gt;man&lt;/i&gt;" in shown
    assert "<i>man" not in shown
