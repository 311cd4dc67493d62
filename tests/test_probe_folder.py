from __future__ import annotations

import json

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.probe_folder import load_probe, save_probe

SPACE = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 1)))


@pytest.fixture
def probe():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 100)
    X = rng.normal(size=(100, 4)) + 2 * np.eye(3, 4)[y]
    return ElasticNetProbe(1e-3, 2e-3).fit(X, np.array(["NOUN", "Ä|ß", "VERB"])[y])


def save(path, probe):
    result = {"signature": "probe:x", "settings": {"l1": 1e-3, "l2": 2e-3, "acts": "a"}}
    tables = {"labels.csv": [{"label": "a,b", "f1": 0.5}, {"label": "c", "f1": 1.0}]}
    save_probe(path, probe, result, SPACE, "abc", tables)


def test_what_is_read_is_what_was_written(tmp_path, probe):
    save(tmp_path / "probe", probe)
    folder = load_probe(tmp_path / "probe")
    np.testing.assert_array_equal(folder.weight, probe.coef_)
    np.testing.assert_array_equal(folder.intercept, probe.intercept_)
    assert folder.labels == ("NOUN", "VERB", "Ä|ß")
    assert (folder.space, folder.model, folder.signature) == (SPACE, "abc", "probe:x")
    X = np.random.default_rng(1).normal(size=(50, 4))
    assert (folder.classifier().predict(X) == probe.predict(X)).all()
    assert folder.classifier().get_params()["l2"] == 2e-3


def test_files_are_as_designed(tmp_path, probe):
    save(tmp_path / "probe", probe)
    with np.load(tmp_path / "probe" / "probe.npz", allow_pickle=False) as stored:
        assert stored["weight"].shape == (3, 4)
        assert stored["intercept"].shape == (3,)
        assert stored["labels"].dtype.kind == "U"
    result = json.loads((tmp_path / "probe" / "result.json").read_text(encoding="utf-8"))
    assert result["layers"][1] == {"name": "encoder.layers.1", "width": 1}
    assert (tmp_path / "probe" / "labels.csv").read_text() == 'label,f1\n"a,b",0.5\nc,1.0\n'


def test_other_run_is_not_overwritten(tmp_path, probe):
    save(tmp_path / "probe", probe)
    with pytest.raises(UserError, match="holds another run"):
        save(tmp_path / "probe", probe)


def test_nothing_is_left_after_an_error(tmp_path, probe):
    with pytest.raises(ValueError, match="JSON"):
        save_probe(tmp_path / "probe", probe, {"nan": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_damaged_folders(tmp_path, probe):
    with pytest.raises(UserError, match="probe folder not found"):
        load_probe(tmp_path / "none")
    save(tmp_path / "probe", probe)
    archive = tmp_path / "probe" / "probe.npz"
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cannot read .*probe\.npz"):
        load_probe(tmp_path / "probe")
    np.savez(archive, weight=np.zeros((3, 5)), intercept=np.zeros(3), labels=np.array(list("abc")))
    with pytest.raises(UserError, match="damaged"):
        load_probe(tmp_path / "probe")
    np.savez(archive, weight=np.array([{}]), intercept=np.zeros(1), labels=np.array(["a"]))
    with pytest.raises(UserError, match=r"cannot read .*probe\.npz"):
        load_probe(tmp_path / "probe")
    (tmp_path / "probe" / "result.json").write_text('{"format": "something/1"}')
    with pytest.raises(UserError, match="is not a probe folder"):
        load_probe(tmp_path / "probe")
