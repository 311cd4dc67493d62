"""Rows of a model without a store: those that a store would hold."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import TinyModels

from fairseq_neuron_plugin import extraction
from fairseq_neuron_plugin.corpora import read_text
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.extraction import ExtractionSettings, extract
from fairseq_neuron_plugin.loading import open_session
from fairseq_neuron_plugin.streaming import StreamedRows


@pytest.fixture(scope="module")
def session(tiny: TinyModels):
    return open_session([str(tiny.data), "--path", str(tiny.stock), "--cpu"])


@pytest.fixture
def corpus(session, tmp_path, tiny):
    """Also sentences without a word, one of them at the end."""
    lines = (tiny.corpus / "probe-test.en").read_text().splitlines()
    (tmp_path / "text").write_text("\n".join([*lines[:40], "", *lines[40:]]) + "\n\n")
    return read_text(session, tmp_path / "text")


@pytest.mark.parametrize("block_rows", [1, 7, 100, 10_000])
def test_rows_are_those_of_a_store(session, corpus, tmp_path, monkeypatch, block_rows) -> None:
    settings = ExtractionSettings(sentence_end=True, max_tokens=300)
    store = extract(session, corpus, tmp_path / "acts", settings)
    monkeypatch.setattr(extraction, "_BLOCK_BYTES", 4 * 96 * 150)  # 150 rows
    rows = StreamedRows(session, corpus, settings)
    assert rows.shape == (len(rows), 96) == store.array.shape
    assert list(rows.words) == store.sentences
    assert rows.space == store.layers
    for start in range(0, len(rows), block_rows):
        for _ in range(2):  # the current block can be had again
            found = rows[start : start + block_rows]
            stored = store.array[start : start + block_rows]
            np.testing.assert_allclose(found, stored, atol=1e-6)
    described = {key: store.manifest[key] for key in ("model", "signature", "unknown_symbols")}
    assert {key: rows.manifest[key] for key in described} == described


def test_rows_are_read_forwards(session, corpus) -> None:
    rows = StreamedRows(session, corpus, ExtractionSettings())
    first = rows[0:10].copy()
    with pytest.raises(ValueError, match="rows 20 to 30 are not next: 10 is"):
        rows[20:30]
    with pytest.raises(ValueError, match="not next"):
        rows[10:20:2]
    second = rows[10:30]
    assert second.shape == (20, 96)
    with pytest.raises(ValueError, match="rows 0 to 10 are not next: 30 is"):
        rows[0:10]
    again = StreamedRows(session, corpus, ExtractionSettings())
    np.testing.assert_allclose(again[:10], first, atol=1e-6)


def test_the_model_is_left_as_it_was(tiny) -> None:
    session = open_session([str(tiny.data), "--path", str(tiny.stock), "--cpu"])
    corpus = read_text(session, tiny.corpus / "test.en")

    def changed() -> int:
        return sum("forward" in module.__dict__ for module in session.models[0].modules())

    rows = StreamedRows(session, corpus, ExtractionSettings())
    assert changed() == 0
    rows[0:10]
    assert changed() > 0
    rows[10 : len(rows)]
    assert changed() == 0


def test_what_cannot_be_read_is_refused(session, corpus) -> None:
    with pytest.raises(UserError, match="these layers read the target side"):
        StreamedRows(session, corpus, ExtractionSettings("decoder.layers.*"))
