"""Which interventions, in which chunks, by which shard."""

from __future__ import annotations

import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.sweeps.points import Point
from fairseq_neuron_plugin.sweeps.schedule import (
    UNABLATED,
    Job,
    cut_into_chunks,
    distinct_jobs,
    fill_workers,
    unablated_name,
    unfinished,
)
from fairseq_neuron_plugin.sweeps.shards import Rank, Shard, parse_shard, torchrun_rank


def point(name: str, **neurons: list[int]) -> Point:
    ranking, order, count = name.split(".")
    return Point(ranking, order, int(count), 0.5, neurons)


TWO = point("r.top.00002", a=[0, 1])
SAME = point("s.top.00002", a=[1, 0])
OTHER = point("r.bottom.00002", a=[0], b=[1])
NONE = point("r.top.00000")
JOBS = [Job((str(number),), {"a": [number]} if number else {}) for number in range(7)]


@pytest.mark.parametrize(
    ("points", "names", "unablated"),
    [
        ([NONE, TWO, OTHER, SAME], ["r.top.00000", "r.top.00002 s.top.00002", "r.bottom.00002"], 0),
        ([TWO, OTHER, NONE], ["r.top.00002", "r.bottom.00002", "r.top.00000"], 2),
        ([OTHER, SAME, TWO], [UNABLATED, "r.bottom.00002", "s.top.00002 r.top.00002"], 0),
    ],
)
def test_equal_interventions_are_one_job_and_the_unablated_is_among_them(
    points, names, unablated
) -> None:
    jobs = distinct_jobs(points)
    assert [" ".join(job.names) for job in jobs] == names
    assert unablated_name(jobs) == names[unablated]
    by_name = {found.name: found for found in points}
    for job in jobs:
        for name in job.names:
            expected = by_name[name].neurons if name in by_name else {}
            assert {k: sorted(v) for k, v in job.neurons.items()} == {
                k: sorted(v) for k, v in expected.items()
            }


@pytest.mark.parametrize(
    ("together", "shard", "expected"),
    [
        (1, None, "0 1 2 3 4 5 6"),
        (3, None, "012 345 6"),
        (9, None, "0123456"),
        (1, Shard(0, 2), "0 2 4 6"),
        (1, Shard(1, 2), "1 3 5"),
        (2, Shard(1, 2), "23 6"),
        (3, Shard(3, 4), ""),
    ],
)
def test_chunks(together, shard, expected) -> None:
    chunks = cut_into_chunks(JOBS, together, shard)
    assert " ".join("".join(job.names[0] for job in chunk) for chunk in chunks) == expected


@pytest.mark.parametrize("together", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_shards_deal_out_all_chunks(together, count) -> None:
    dealt = [cut_into_chunks(JOBS, together, Shard(number, count)) for number in range(count)]
    whole = cut_into_chunks(JOBS, together)
    assert sorted((c for part in dealt for c in part), key=lambda c: c[0].names) == whole
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ("", "0+7,1 2,3"),
        ("0", "0+7,1 2,3"),  # as a whole: 1 is missing
        ("1 7", "2,3"),  # 0 has the numbers of 7
        ("0 1 2 3", ""),
    ],
)
def test_unfinished_chunks(done, expected) -> None:
    chunks = [[Job(("0", "7"), {}), JOBS[1]], JOBS[2:4]]
    left = unfinished(chunks, done.split())
    assert " ".join(",".join("+".join(job.names) for job in chunk) for chunk in left) == expected


@pytest.mark.parametrize(
    ("together", "jobs", "workers", "expected"), [(8, 41, 2, 8), (8, 5, 2, 3), (8, 1, 4, 1)]
)
def test_every_worker_has_a_chunk(together, jobs, workers, expected) -> None:
    assert fill_workers(together, jobs, workers) == expected


@pytest.mark.parametrize(("text", "number", "count"), [("0/1", 0, 1), ("3/4", 3, 4)])
def test_shard(text, number, count) -> None:
    assert parse_shard(text) == Shard(number, count)
    assert str(parse_shard(text)) == text


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/2/3", "a/b", "0/0", "1/"])
def test_no_shard(text) -> None:
    with pytest.raises(UserError, match="cannot read --shard"):
        parse_shard(text)


FULL = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "m", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (FULL, Rank(Shard(3, 4), 1)),
        ({**FULL, "RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "3", "WORLD_SIZE": "4"}, None),  # a batch system's, without torchrun's
        ({}, None),
    ],
)
def test_rank(environment, expected) -> None:
    assert torchrun_rank(environment) == expected
