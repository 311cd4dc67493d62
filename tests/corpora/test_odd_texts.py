"""Texts that hold a padding token, a byte order mark, or subwords that nobody spoke of."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from tiny_models import call

from fairseq_neuron_plugin.corpora.notes import find_subword

PAIRS = (("the cat saw a dog .", "die Katze sah Hund ."), ("it ran .", "es lief ."))


@pytest.fixture
def texts(tmp_path) -> dict[str, str]:
    """Paths: a text and its translation, and both with ``<pad>`` as a word."""
    paths = {}
    for name, word in (("plain", ""), ("pad", "<pad> ")):
        for side in range(2):
            path = tmp_path / f"{name}.{side}"
            path.write_text("".join(f"{word}{pair[side]}\n" for pair in PAIRS))
            paths[f"{name}.{side}"] = str(path)
    return paths


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("extract {m} --input {pad.0} --output-dir {out}", "pad.0"),
        (
            "extract {m} --layers decoder.layers.* --input {pad.0} --target-input {plain.1} "
            "--output-dir {out}",
            "pad.0",
        ),
        (
            "extract {m} --layers decoder.layers.* --input {plain.0} --target-input {pad.1} "
            "--output-dir {out}",
            "pad.1",
        ),
        (
            "rank gradient-activation {m} --input {pad.0} --target-input {plain.1} "
            "--output {out}.json",
            "pad.0",
        ),
        (
            "rank cross-model --checkpoints {stock} {neuron} --data {data} --input {pad.0} "
            "--output {out}.json",
            "pad.0",
        ),
        ("generate {m} --set encoder.layers.0:1=0 --input {pad.0} --output-dir {out}", "the text"),
    ],
)
def test_padding_is_no_word(tiny, texts, tmp_path, command, text) -> None:
    given = {
        "m": f"{tiny.data} --path {tiny.stock}",
        **{"stock": str(tiny.stock), "neuron": str(tiny.neuron), "data": str(tiny.data)},
        "out": str(tmp_path / "out"),
        **texts,
    }
    for name, value in given.items():
        command = command.replace(f"{{{name}}}", value)
    program, *arguments = command.split()
    result = call(f"fairseq-neuron-{program}", *arguments, "--cpu")
    where = texts.get(text, text)
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[-1].endswith(
        f"error: {where}, sentence 1, holds the padding token '<pad>', which cannot be a word of "
        "a text"
    )
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out*"))


def test_a_byte_order_mark_is_no_text(tiny, tmp_path, monkeypatch) -> None:
    plain, marked = (
        (mark + "".join(f"{pair[0]}\n" for pair in PAIRS)).encode() for mark in ("", "\ufeff")
    )
    outputs = []
    for content in (plain, marked):
        (tmp_path / "text").write_bytes(content)
        for source in (str(tmp_path / "text"), "-"):
            stream = SimpleNamespace(buffer=io.BytesIO(content))
            monkeypatch.setattr(sys, "stdin", stream)
            result = call(
                *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--cpu"),
                *("--set", "encoder.layers.0:1=0", "--input", source, "--show", "9"),
            )
            assert result.returncode == 0, result.stderr
            outputs.append(result.stdout)
    assert len(set(outputs)) == 1
    assert PAIRS[0][0] in outputs[0]


@pytest.mark.parametrize(
    ("symbols", "example"),
    [
        (["un@@", "a", "b", "happ@@"], "happ@@"),
        (["▁un", "happy", "▁a"], "▁un"),
        (["a", "b", "@@", *map(str, range(100))], None),
        ([], None),
    ],
)
def test_dictionaries_of_subwords(symbols, example) -> None:
    dictionary = SimpleNamespace(symbols=["<s>", *symbols], nspecial=1)
    assert find_subword(dictionary) == example


def test_subwords_read_as_words_and_unknown_words_are_noticed(tiny, tmp_path) -> None:
    (tmp_path / "text").write_text("xyzzy plugh the cat .\n")
    command = (
        *("fairseq-neuron-extract", tiny.data, "--path", tiny.stock, "--cpu"),
        *("--input", tmp_path / "text", "--output-dir", tmp_path / "acts"),
    )
    result = call(*command)
    assert result.returncode == 0
    assert "note: the model does not know 2 of 5 words (40%)" in result.stderr
    assert "read as words" not in result.stderr
