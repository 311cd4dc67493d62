"""Checkpoints of every honest kind hold the same model as the one of today they are made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from honest_checkpoints import KINDS
from saved_state import saved_state
from tiny_models import USER_DIR, call

import fairseq_neuron_plugin as fnp

# Kinds whose weights have other names than today's, if they are of a Transformer.
RENAMED = ["fairseq-0.3", "fairseq-0.4", "fairseq-0.6.2", "fairseq-0.9"]
COPIED = ["upstream-0.12.2", "upstream-0.12.2-resumed"]
LSTM = [kind for kind in KINDS if kind not in COPIED]
TRANSFORMER = [*RENAMED, *COPIED, "omegaconf-2.0", "fp16", "wrapped"]
CASES = [
    *(("lstm", kind) for kind in LSTM),
    *(("transformer", kind) for kind in TRANSFORMER),
    ("transformer_prenorm", "fairseq-0.6.2"),
]
SOURCES = torch.tensor([[5, 6, 7, 8, 2], [1, 1, 9, 10, 2]])
LENGTHS = torch.tensor([5, 3])
TARGETS = torch.tensor([[2, 4, 5, 6], [2, 7, 8, 1]])


@pytest.fixture(scope="module")
def source(tiny, zoo) -> Callable[[str], Path]:
    return lambda name: tiny.stock if name == "lstm" else zoo.checkpoint(name)


@pytest.fixture(scope="module")
def of_today(source, tiny, tmp_path_factory) -> Callable[[str, bool], tuple]:
    """Activations and hypotheses of a model, with weights as they are or rounded to half."""
    folder = tmp_path_factory.mktemp("today")

    @cache
    def read(name: str, halved: bool) -> tuple:
        path = source(name)
        if halved:
            state = saved_state(path)
            for weight in state["model"].values():
                if weight.is_floating_point():
                    weight.copy_(weight.half().float())
            path = folder / f"{name}.pt"
            torch.save(state, path)
        return outputs(path, tiny.data)

    return read


def outputs(path: Path, data: Path) -> tuple[dict[str, torch.Tensor], list[tuple[float, str]]]:
    """What the layers put out for two sentences, and the two translations of each."""
    from fairseq.dataclass.configs import GenerationConfig

    model, task = fnp.load_model(path, data)
    layers = [layer.name for layer in fnp.list_layers(model)]
    with torch.no_grad(), fnp.tap(model, layers) as tapped:
        model(SOURCES, LENGTHS, TARGETS)
        activations = {name: tapped[name].clone() for name in tapped}
    generator = task.build_generator([model], GenerationConfig(beam=2, max_len_a=0, max_len_b=12))
    batch = {"net_input": {"src_tokens": SOURCES, "src_lengths": LENGTHS}}
    found = task.inference_step(generator, [model], batch)
    hypotheses = [
        (round(float(hypothesis["score"]), 6), task.target_dictionary.string(hypothesis["tokens"]))
        for beam in found
        for hypothesis in beam
    ]
    return activations, hypotheses


@pytest.mark.parametrize(("model", "kind"), CASES)
def test_the_kind_is_the_same_model(model, kind, source, of_today, tiny, tmp_path):
    path = tmp_path / "checkpoint.pt"
    KINDS[kind](source(model), path)
    expected, translations = of_today(model, kind == "fp16")
    activations, hypotheses = outputs(path, tiny.data)
    assert list(activations) == list(expected)
    for name, output in activations.items():
        torch.testing.assert_close(output, expected[name], rtol=0, atol=0, msg=name)
    assert hypotheses == translations
    assert len({words for _, words in translations}) > 1


@pytest.mark.parametrize(("model", "kinds"), [("lstm", LSTM), ("transformer", TRANSFORMER)])
def test_stock_generate_translates_the_same_with_all_kinds(model, kinds, source, tiny, tmp_path):
    """An ensemble of one model in all its forms translates as the model does."""
    paths = [tmp_path / f"{kind}.pt" for kind in kinds if kind != "fp16"]
    for path in paths:
        KINDS[path.stem](source(model), path)
    expected = generate([source(model)], tiny.data)
    found = generate(paths, tiny.data)
    assert [(number, words) for number, _, words in found] == [
        (number, words) for number, _, words in expected
    ]
    scores = [float(score) for _, score, _ in found]
    assert scores == pytest.approx([float(score) for _, score, _ in expected], abs=2e-4)


def generate(paths: list[Path], data: Path) -> list[tuple[str, ...]]:
    """What stock fairseq-generate prints with the plugin's --user-dir."""
    done = call(
        *("fairseq-generate", data, "--path", ":".join(map(str, paths)), "--user-dir", USER_DIR),
        *("--cpu", "--gen-subset", "valid", "--beam", "2", "--max-len-b", "12", "--max-len-a", "0"),
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", done.stdout, re.MULTILINE)
    assert len(found) >= 32
    return sorted(found)


def test_references_between_the_settings_of_a_language_model_are_followed(zoo, tmp_path):
    path = tmp_path / "checkpoint.pt"
    KINDS["omegaconf-2.0"](zoo.checkpoint("transformer_lm"), path)
    model, _ = fnp.load_model(path, zoo.data("text"))
    assert model.max_positions() == 64
    tokens = torch.tensor([[2, 5, 6, 7]])
    original, _ = fnp.load_model(zoo.checkpoint("transformer_lm"), zoo.data("text"))
    with torch.no_grad():
        assert model(tokens)[0].equal(original(tokens)[0])
