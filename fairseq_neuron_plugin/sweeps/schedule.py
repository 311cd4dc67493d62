"""Which interventions a sweep evaluates, in which chunks, and by which of several shards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .points import Point
from .shards import Shard

UNABLATED = "unablated"  # no point's name: those have dots


@dataclass(frozen=True)
class Job:
    """One distinct intervention.

    Attributes:
        names: of the points that clamp just these neurons, in table order.
        neurons: layer name to indices within the layer; none for the unablated model.
    """

    names: tuple[str, ...]
    neurons: Mapping[str, Sequence[int]]


Chunk = Sequence[Job]  # evaluated together


def distinct_jobs(points: Sequence[Point]) -> list[Job]:
    """The distinct interventions of a sweep, in the order in which its points first have them.

    The unablated model is among them, for comparison: first, under the name `UNABLATED`, if no
    point is it.
    """
    alike: dict[object, list[Point]] = {}
    for point in points:
        alike.setdefault(point.key, []).append(point)
    jobs = [Job(tuple(point.name for point in same), same[0].neurons) for same in alike.values()]
    if all(job.neurons for job in jobs):
        jobs.insert(0, Job((UNABLATED,), {}))
    return jobs


def unablated_name(jobs: Sequence[Job]) -> str:
    """The name under which the unablated model is evaluated."""
    return next(job.names[0] for job in jobs if not job.neurons)


def cut_into_chunks(jobs: Sequence[Job], together: int, shard: Shard | None = None) -> list[Chunk]:
    """A shard's chunks: all jobs are cut into chunks, which are dealt out in turn.

    A chunk holds the same jobs in whatever run it is evaluated, so that its matrices have the same
    shapes and its numbers the same rounding.

    Args:
        jobs: of the whole sweep.
        together: jobs in a chunk.
        shard: None means every chunk.
    """
    chunks = [jobs[start : start + together] for start in range(0, len(jobs), together)]
    return chunks if shard is None else chunks[shard.number :: shard.count]


def unfinished(chunks: Sequence[Chunk], done: Collection[str]) -> list[Chunk]:
    """The chunks with a job of which no point is done; such a chunk is evaluated as a whole."""
    return [
        chunk
        for chunk in chunks
        if any(not any(name in done for name in job.names) for job in chunk)
    ]


def fill_workers(together: int, jobs: int, workers: int) -> int:
    """At most ``together`` jobs in a chunk, and fewer where workers would have nothing to do."""
    return max(1, min(together, -(-jobs // workers)))
