"""A whole sweep, without a model: the same files however it was come by."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sweep_toy import RESAMPLES, ToyEvaluator, content, make_plan

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.bootstrap import paired_p
from fairseq_neuron_plugin.sweeps.run import SweepRun, run_sweep
from fairseq_neuron_plugin.sweeps.schedule import UNABLATED
from fairseq_neuron_plugin.sweeps.shards import Shard

DISTINCT = 6  # of the plan's 8 points


class Killed(BaseException):
    """In the midst of it."""


@pytest.fixture
def whole(tmp_path) -> dict[str, object]:
    run_sweep(ToyEvaluator(tmp_path), make_plan(), tmp_path / "whole")
    return content(tmp_path / "whole")


def run(tmp_path, plan=None, **how) -> ToyEvaluator:
    """Returns the evaluator."""
    evaluator = ToyEvaluator(tmp_path)
    started = SweepRun(evaluator, plan or make_plan(), tmp_path / "s", **how)
    steps: list[int] = []
    expected = started.steps
    started.evaluate(steps.append)
    assert sum(steps) == expected
    assert started.chunks == []
    if "shard" not in how:
        started.finish()
    return evaluator


def test_numbers_and_tests_against_the_unablated(tmp_path, whole) -> None:
    assert whole["sweep.csv"][0].split(",")[4:] == [
        *("score", "score_low", "score_high", "score_p", "sentences"),
    ]
    result = json.loads((tmp_path / "whole" / "sweep.json").read_text())
    assert result["baseline"] == result["rows"][0]
    resampled = {
        row["name"]: np.load(tmp_path / "whole" / "bootstrap" / f"{row['name']}.npy")
        for row in result["rows"]
    }
    base = resampled["r.top.00000"][0]
    for row in result["rows"]:
        own = resampled[row["name"]]
        assert own.shape == (1, RESAMPLES)
        if row["ablated"] == 0:
            assert row["score_p"] is None
        else:
            assert row["score_p"] == paired_p(base, own[0], 3 * row["ablated"])
    assert whole["hypotheses/r.top.00008.txt"] == whole["hypotheses/r.bottom.00008.txt"]


def test_the_unablated_is_no_point(tmp_path) -> None:
    run(tmp_path, make_plan((2, 5)))
    found = content(tmp_path / "s")
    baseline = json.loads((tmp_path / "s" / "sweep.json").read_text())["baseline"]
    assert baseline["name"] == UNABLATED
    assert (baseline["ranking"], baseline["ablated"], baseline["score"]) == (None, 0, 50.0)
    assert len(found["sweep.csv"]) == 1 + 4
    assert f"hypotheses/{UNABLATED}.txt" in found
    assert f"bootstrap/{UNABLATED}.npy" in found
    with_it = tmp_path / "with"
    run_sweep(ToyEvaluator(tmp_path), make_plan((0, 2, 5)), with_it)
    rows = {row["name"]: row for row in found["sweep.json"]["rows"]}
    for row in content(with_it)["sweep.json"]["rows"]:
        assert row["ablated"] == 0 or rows[row["name"]] == row
    assert not SweepRun(ToyEvaluator(tmp_path), make_plan((2, 5)), tmp_path / "s").chunks


@pytest.mark.parametrize(
    ("how", "chunks"),
    [
        ({"together": 1}, [1] * DISTINCT),
        ({"together": 4}, [4, 2]),
        ({"together": 100}, [DISTINCT]),
        ({"workers": 2}, []),  # in other processes
        ({"workers": 3, "together": 2}, []),
    ],
)
def test_equal_interventions_once_in_chunks_and_workers(tmp_path, whole, how, chunks) -> None:
    assert run(tmp_path, **how).chunks == chunks
    assert content(tmp_path / "s") == whole


@pytest.mark.parametrize("count", [2, 3, 9])
@pytest.mark.parametrize("together", [1, 4])
def test_shards_and_a_merge(tmp_path, whole, count, together) -> None:
    evaluated = 0
    for number in range(count):
        evaluated += sum(run(tmp_path, shard=Shard(number, count), together=together).chunks)
    assert evaluated == DISTINCT
    assert run(tmp_path).chunks == []
    assert content(tmp_path / "s") == whole


def test_a_shard_is_missing_and_another_number_goes_on(tmp_path, whole) -> None:
    assert run(tmp_path, shard=Shard(1, 3)).chunks == [1, 1]
    assert run(tmp_path, shard=Shard(0, 2)).chunks == [1, 1]  # of 3, one is done
    assert run(tmp_path, together=2).chunks == [2, 2]  # whole chunks, where 2 of 6 are missing
    assert content(tmp_path / "s") == whole


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("after", range(DISTINCT))
def test_killed_after_some_evaluations(tmp_path, whole, after, together) -> None:
    calls = []

    def kill(neurons: int) -> None:
        calls.append(neurons)
        if len(calls) > after:
            raise Killed

    with pytest.raises(Killed):
        run_sweep(ToyEvaluator(tmp_path, kill), make_plan(), tmp_path / "s", together=together)
    again = run(tmp_path, together=together)
    assert sum(again.chunks) == DISTINCT - after // together * together
    assert content(tmp_path / "s") == whole
    assert run(tmp_path).chunks == []  # and it is complete


def test_killed_between_a_point_and_its_twin(tmp_path, whole) -> None:
    path = tmp_path / "s"
    run(tmp_path, shard=Shard(0, 1))
    partial = path / "partial.0-of-1.json"
    found = json.loads(partial.read_text())
    rows = [row for row in found["rows"] if not row["name"].startswith("r.bottom.0000")]
    rows += [row for row in found["rows"] if row["name"] == "r.bottom.00002"]
    partial.write_text(json.dumps({**found, "rows": rows}))
    for name in ("r.bottom.00000", "r.bottom.00008"):
        (path / "hypotheses" / f"{name}.txt").unlink()
        (path / "bootstrap" / f"{name}.npy").unlink()
    assert run(tmp_path).chunks == [1]  # r.bottom.00005; the others are copies
    assert content(path) == whole


def test_other_points_are_another_run(tmp_path, whole) -> None:
    run(tmp_path, shard=Shard(0, 2))
    with pytest.raises(UserError, match="its points is"):
        run(tmp_path, make_plan((0, 2)))
    with pytest.raises(UserError, match="points-together must be at least 1, not 0"):
        run(tmp_path, together=0)
