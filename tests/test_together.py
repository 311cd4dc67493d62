"""Several interventions in one batch, and equal sentences once: as each point alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_generate import hypotheses
from tiny_models import USER_DIR, TinyModels, call
from tiny_zoo import Zoo

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.decoding import Translation, Translator
from fairseq_neuron_plugin.evaluation.evaluator import Intervention
from fairseq_neuron_plugin.generation import compact_scores
from fairseq_neuron_plugin.generation import together as joining
from fairseq_neuron_plugin.instruments import Clamp
from fairseq_neuron_plugin.instruments.row_clamp import RowClamp, Rows
from fairseq_neuron_plugin.loading import open_session

LENGTH = ("--max-len-a", "1", "--max-len-b", "5")
BATCHES = (
    *("--cpu", "--required-batch-size-multiple", "1", "--batch-size", "16"),
    *("--num-workers", "0"),
)
TOLERANCE = 1e-4  # between scores; other matrix shapes round differently
SENTENCES, DISTINCT = 24, 17


@pytest.fixture(scope="module")
def data(tiny: TinyModels, tmp_path_factory) -> Path:
    """A test split of short and long sentences, some of them more than once."""
    folder = tmp_path_factory.mktemp("repeated")
    for language in ("en", "de"):
        lines = (tiny.corpus / f"test.{language}").read_text().splitlines()[:DISTINCT]
        lines += lines[: SENTENCES - DISTINCT - 2] + lines[:2]
        (folder / f"test.{language}").write_text("\n".join(lines) + "\n")
    made = call(
        *("fairseq-preprocess", "-s", "en", "-t", "de", "--testpref", folder / "test"),
        *("--srcdict", tiny.data / "dict.en.txt", "--tgtdict", tiny.data / "dict.de.txt"),
        *("--destdir", folder / "bin"),
    )
    assert made.returncode == 0, made.stderr
    return folder / "bin"


def open_translator(data: Path, path: Path, *flags: str, **settings: Any) -> Translator:
    session = open_session([str(data), "--path", str(path), *BATCHES, *LENGTH, *flags])
    return Translator(session, "test", **settings)


@pytest.fixture
def checkpoint(tiny: TinyModels, zoo: Zoo) -> Callable[[str], Path]:
    known = {"lstm": tiny.stock, "neuron_lstm": tiny.neuron}
    return lambda name: known.get(name) or zoo.checkpoint(name)


def interventions(kind: str) -> list[Intervention]:
    """The empty one, and every kind of layer, scope and value."""
    random = np.random.default_rng(5)

    def pick(layer: str, number: int = 12) -> dict[str, list[int]]:
        return {layer: sorted(random.choice(32, number, replace=False).tolist())}

    def means(layer: str) -> dict[str, torch.Tensor]:
        return {layer: torch.linspace(-0.5, 0.5, 12)}

    deep, top = "decoder.layers.0", "decoder.layers.1"
    special = "decoder.attention" if "lstm" in kind else "decoder.layers.0.ffn"
    return [
        Intervention({}, 0.0, "recurrent"),
        Intervention(pick("encoder.layers.1"), 0.0, "full"),
        Intervention(pick(top) | pick("encoder.layers.0", 5), 0.3, "output"),
        Intervention(pick(deep), means(deep), "recurrent"),
        Intervention(pick(deep, 20), 0.0, "full"),
        Intervention(pick(special), 0.1, "recurrent"),
        Intervention(pick(special), means(special), "output"),
        Intervention(pick("decoder.embed_tokens"), 0.2, "recurrent"),
        Intervention(pick("encoder.embed_tokens"), 0.0, "recurrent"),
    ]


class Recorder:
    """Keeps the score of every best hypothesis that a translator's task gives, in order."""

    def __init__(self, translator: Translator) -> None:
        self.scores: list[float] = []
        task = translator.session.task
        step = task.inference_step

        def recorded(*args: Any, **kwargs: Any) -> Any:
            found = step(*args, **kwargs)
            self.scores.extend(float(hypothesis[0]["score"]) for hypothesis in found)
            return found

        task.inference_step = recorded

    def take(self, translator: Translator, parts: int) -> list[list[float]]:
        """The scores in corpus order for each of the interventions that were decoded together."""
        taken, self.scores = self.scores, []
        by_number: list[dict[int, float]] = [{} for _ in range(parts)]
        for batch in translator.batches:
            for scores in by_number:
                rows = [taken.pop(0) for _ in batch.sample["id"]]
                scores.update(zip(batch.numbers, (rows[row] for row in batch.rows), strict=True))
        assert not taken
        return [[scores[number] for number in range(SENTENCES)] for scores in by_number]


def differences(
    found: list[Translation],
    scores: list[float],
    expected: list[Translation],
    expected_scores: list[float],
) -> int:
    """How many hypotheses differ; the test fails if their scores do so, too."""
    assert scores == pytest.approx(expected_scores, abs=TOLERANCE)
    return sum(one != other for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("kind", "beam", "compact"),
    [
        ("lstm", 5, True),
        ("neuron_lstm", 1, False),
        ("transformer", 5, False),
        ("transformer_prenorm", 1, True),
    ],
)
def test_together_as_one_by_one(
    data, checkpoint, monkeypatch, kind: str, beam: int, compact: bool
) -> None:
    monkeypatch.setattr(compact_scores, "PAYS_ON_CPU", 0 if compact else 2**40)
    translator = open_translator(data, checkpoint(kind), "--beam", str(beam))
    recorder = Recorder(translator)
    before = {name: w.clone() for name, w in translator.session.models[0].state_dict().items()}
    points = interventions(kind)
    singles = [translator.translate(point) for point in points]
    whole = recorder.scores
    per_point = len(whole) // len(points)
    expected = []
    for number in range(len(points)):
        recorder.scores = whole[number * per_point : (number + 1) * per_point]
        expected.append(recorder.take(translator, 1)[0])
    assert all(single != singles[0] for single in singles[1:])
    lengths = {len(each.text.split()) for single in singles for each in single}
    assert len(lengths) > 5  # sentences end at different steps

    differ = 0
    for group in (range(len(points)), (3, 0), (0,)):
        counted: list[int] = []
        found = translator.translate_together([points[n] for n in group], counted.append)
        assert sum(counted) == len(group) * SENTENCES
        for number, lines, scores in zip(
            group, found, recorder.take(translator, len(group)), strict=True
        ):
            differ += differences(lines, scores, singles[number], expected[number])
    assert differ <= 2
    after = translator.session.models[0].state_dict()
    assert all(torch.equal(before[name], weight) for name, weight in after.items())


def test_rows_have_to_follow_the_search(data, checkpoint, monkeypatch) -> None:
    """Sentences that are finished leave the batch: the rows of the others move up."""
    translator = open_translator(data, checkpoint("lstm"), "--beam", "5")
    points = interventions("lstm")[3:5]
    right = translator.translate_together(points)

    def stay(rows: Rows, new_order: torch.Tensor, beam: int) -> None:
        rows.parts = rows.parts[: len(new_order) // beam]

    monkeypatch.setattr(Rows, "reorder", stay)
    wrong = translator.translate_together(points)
    assert sum(a != b for a, b in zip(wrong[1], right[1], strict=True)) > 2
    monkeypatch.setattr(Rows, "reorder", lambda rows, new_order, beam: None)
    with pytest.raises(AssertionError, match="rows of"):
        translator.translate_together(points)
    assert (
        not {"forward_encoder", "reorder_incremental_state"}
        & vars(translator.generator.model).keys()
    )
    monkeypatch.undo()
    assert translator.translate_together(points) == right


def generate(data: Path, path: Path, *flags: str) -> tuple[list[str], list[float], list[int]]:
    """fairseq-generate: hypotheses, scores (to base e) and lengths with </s>, in corpus order."""
    result = call(
        *("fairseq-generate", data, "--path", path, "--user-dir", USER_DIR, *BATCHES, *LENGTH),
        *flags,
    )
    assert result.returncode == 0, result.stderr
    found = re.findall(r"^H-(\d+)\t(\S+)", result.stdout, flags=re.M)
    scores = {int(number): float(score) * np.log(2) for number, score in found}
    found = re.findall(r"^P-(\d+)\t(.*)$", result.stdout, flags=re.M)
    lengths = {int(number): len(each.split()) for number, each in found}
    numbers = range(SENTENCES)
    return (
        hypotheses(result.stdout, "D"),
        [scores[number] for number in numbers],
        [lengths[number] for number in numbers],
    )


SPECS = {
    "lstm": [
        ("decoder.layers.0:3-20", 0.0, "full"),
        ("decoder.attention:0-7;encoder.layers.0:30-40", 0.2, "output"),
    ],
    "transformer": [
        ("decoder.layers.0.ffn:5-30;decoder.embed_tokens:0-7;encoder.layers.1:7", 0.4, "output"),
    ],
}


def neurons_of(spec: str) -> dict[str, list[int]]:
    found = {}
    for part in spec.split(";"):
        layer, indices = part.split(":")
        first, _, last = indices.partition("-")
        found[layer] = list(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize("kind", SPECS)
def test_together_as_fairseq_generate(data, checkpoint, kind: str) -> None:
    translator = open_translator(data, checkpoint(kind), "--beam", "5")
    recorder = Recorder(translator)
    specs = SPECS[kind]
    points = [Intervention(neurons_of(spec), value, scope) for spec, value, scope in specs]
    found = translator.translate_together([Intervention({}, 0.0, "recurrent"), *points])
    scores = recorder.take(translator, len(found))
    assert sum(len(batch.sample["id"]) for batch in translator.batches) < SENTENCES
    flags = [("--task", "translation")]  # stock fairseq, for the one that ablates nothing
    for spec, value, scope in specs:
        ablation = ("--ablate", spec, "--ablate-value", str(value), "--ablate-scope", scope)
        flags.append(("--task", "neuron_translation", *ablation))
    differ = 0
    for lines, ours, given in zip(found, scores, flags, strict=True):
        texts, theirs, _ = generate(data, checkpoint(kind), "--beam", "5", *given)
        assert ours == pytest.approx(theirs, abs=TOLERANCE)
        differ += sum(line.text != text for line, text in zip(lines, texts, strict=True))
    assert differ <= 1
    assert len({tuple(lines) for lines in found}) == len(found)


def test_cut_by_the_length_limit(data, checkpoint) -> None:
    flags = ("--beam", "3", "--max-len-a", "0", "--max-len-b", "7")
    path = checkpoint("lstm")
    found = open_translator(data, path, *flags).translate(interventions("lstm")[0])
    texts, _, lengths = generate(data, path, *flags, "--task", "translation")
    assert [each.text for each in found] == texts
    assert [each.cut for each in found] == [length == 8 for length in lengths]
    assert 0 < sum(each.cut for each in found) < SENTENCES


def test_whose_length_has_to_match_is_cut(data, checkpoint) -> None:
    """fairseq's --match-source-len lets nothing end before the limit, the source's length."""
    flags = ("--match-source-len", "--batch-size", "1")
    translator = open_translator(data, checkpoint("lstm"), *flags)
    found = translator.translate(interventions("lstm")[0])
    lengths = [len(translator.pairs[number]["source"]) for number in range(SENTENCES)]
    assert [len(each.text.split()) for each in found] == lengths
    assert all(each.cut for each in found)


def test_sampling_is_done_one_at_a_time(data, checkpoint) -> None:
    flags = ("--beam", "2", "--sampling", "--sampling-topk", "5")
    translator = open_translator(data, checkpoint("lstm"), *flags, together=4)
    assert translator.together == 1
    assert sum(len(batch.sample["id"]) for batch in translator.batches) == SENTENCES
    points = interventions("lstm")[:3]
    found = translator.translate_together(points)
    assert found == [translator.translate(point) for point in points]


def test_how_many_together(data, checkpoint) -> None:
    path = checkpoint("lstm")
    one_sentence = open_translator(data, path, "--beam", "5", "--batch-size", "1")
    assert one_sentence.together == 32
    usual = open_translator(data, path, "--beam", "5")
    assert 1 < usual.together < 32
    assert open_translator(data, path, "--beam", "40").together == 1
    assert open_translator(data, path, "--beam", "40", together=3).together == 3


def test_clamps_that_are_never_reached(data, checkpoint, monkeypatch) -> None:
    translator = open_translator(data, checkpoint("lstm"), "--beam", "1")
    monkeypatch.setattr(joining, "_is_of_decoder", lambda layer: False)
    with pytest.raises(UserError, match=r"never reached decoder\.layers\.0"):
        translator.translate_together(interventions("lstm")[3:5])


def test_row_clamp() -> None:
    """Against a loop over rows, in all the shapes in which a decoder's step has them."""
    rows, width, beam = Rows(), 6, 2
    rows.begin(3, 4, torch.device("cpu"))
    clamps = {
        0: Clamp(torch.tensor([1, 4]), torch.tensor([0.5, -0.5]).double(), "full"),
        2: Clamp(torch.tensor([0]), torch.tensor([0.25]).double(), "full"),
    }
    clamp = RowClamp(clamps, 3, width, rows)
    stay = [0, 3, 5, 8, 11]  # of the twelve sentences
    for sentences in (list(range(12)), stay):
        if sentences is stay:
            rows.reorder(torch.tensor([s * beam + b for s in stay for b in (1, 1)]), beam)
        for each in (1, beam):
            values = torch.randn(len(sentences) * each, width)
            expected, cells = values.clone(), values.clone()
            for row in range(len(values)):
                own = clamps.get(sentences[row // each] // 4)
                if own is not None:
                    expected[row, own.indices] = own.values.float()
                    cells[row, own.indices] = 0.0
            for dimension in (0, 1):
                shaped = clamp.apply(values.unsqueeze(dimension))
                assert torch.equal(shaped, expected.unsqueeze(dimension))
            assert torch.equal(clamp.apply(values), expected)
            assert torch.equal(clamp.clear(values), cells)
    clamp.fired += 1
    clamp.fired += 1
    assert [each.fired for each in (clamp, *clamps.values())] == [2, 2, 2]
