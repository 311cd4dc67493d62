"""Run a sweep: every point decoded, scored and written down; equal points decoded once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..files import StrPath, sha256_file
from ..interventions import list_layers
from ..ranking import Ranking
from ..signature import format_signature, short_hash, versions
from .decoding import Translator
from .folder import SweepFolder
from .points import Point, plan_points
from .scoring import Scorer


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep does.

    Attributes:
        points: every point, in table order.
        value: what the neurons are held at.
        scope: see `ablate`.
        split: the split that is translated.
        rankings: by name.
    """

    points: Sequence[Point]
    value: float
    scope: str
    split: str
    rankings: Mapping[str, Ranking]


def plan_sweep(
    translator: Translator,
    rankings: Mapping[str, Ranking],
    amounts: str,
    orders: Sequence[str],
    value: float,
    scope: str,
    split: str,
) -> SweepPlan:
    """A plan for the translator's model; see `plan_points` for the arguments and errors."""
    if not math.isfinite(value):
        raise UserError(f"neurons can be held at finite values only, not {value}")
    layers = list_layers(translator.session.models[0])
    points = plan_points(rankings, amounts, orders, layers)
    return SweepPlan(points, value, scope, split, rankings)


def run_sweep(
    translator: Translator,
    scorer: Scorer,
    plan: SweepPlan,
    output_dir: StrPath,
    progress: Callable[[int], object] = lambda sentences: None,
) -> SweepFolder:
    """Decode and score every point that is not on disk yet.

    Args:
        translator: model and split.
        scorer: the references.
        plan: the points.
        output_dir: the folder; free, empty, or the same sweep, unfinished.
        progress: called with the number of sentences done since the last call; a sweep has
            ``points × sentences``.

    Returns:
        The complete sweep.
    """
    settings = sweep_settings(translator, scorer, plan)
    folder = SweepFolder(output_dir, settings, scorer.references)
    known: dict[Any, str] = {}
    for point in plan.points:
        if point.name in folder.rows:
            progress(len(translator))
        elif point.key in known:
            twin = known[point.key]
            row = {**folder.rows[twin], **_identity(point)}
            folder.add(point.name, folder.hypotheses(twin), row)
            progress(len(translator))
        else:
            _run_point(translator, scorer, plan, point, folder, progress)
        known.setdefault(point.key, point.name)
    if not folder.complete:
        scorer.score(scorer.references)  # sacrebleu knows its signature only after a score
        metrics = scorer.signatures()
        line = format_signature({**settings, **{f"sacrebleu.{k}": v for k, v in metrics.items()}})
        folder.finish([point.name for point in plan.points], {"signature": line, **metrics})
    return folder


def sweep_settings(translator: Translator, scorer: Scorer, plan: SweepPlan) -> dict[str, Any]:
    """Everything that can change the numbers of a sweep, as plain values."""
    cfg = translator.session.cfg
    rankings = ",".join(
        f"{name}={short_hash(repr(ranking.neurons.tolist()))}"
        for name, ranking in plan.rankings.items()
    )
    return {
        "model": sha256_file(translator.session.paths[0])[:12],
        "data": short_hash("\n".join(map(str, _source_ids(translator)))),
        "split": plan.split,
        "rankings": rankings,
        "points": ",".join(point.name for point in plan.points),
        # The same flat ids mean other neurons in a ranking of other layers.
        "neurons": short_hash(repr([point.key for point in plan.points])),
        "value": plan.value,
        "scope": plan.scope,
        **_generation(cfg),
        "batch": cfg.dataset.batch_size or f"tokens{cfg.dataset.max_tokens or 12000}",
        "precision": "fp16" if cfg.common.fp16 else "fp32",
        "overrides": cfg.common_eval.model_overrides,
        "seed": cfg.common.seed,
        "post_process": cfg.common_eval.post_process or "none",
        "bpe": getattr(cfg.bpe, "_name", cfg.bpe) or "none",
        "detokenizer": getattr(cfg.tokenizer, "_name", cfg.tokenizer) or "none",
        "reference": f"{scorer.origin}={short_hash(chr(10).join(scorer.references))}",
        **versions("torch", "fairseq", "sacrebleu"),
    }


def _run_point(
    translator: Translator,
    scorer: Scorer,
    plan: SweepPlan,
    point: Point,
    folder: SweepFolder,
    progress: Callable[[int], object],
) -> None:
    start = time.perf_counter()
    hypotheses = translator.translate(point.neurons, plan.value, plan.scope, progress)
    seconds = round(time.perf_counter() - start, 2)
    row = {**_identity(point), **scorer.score(hypotheses), "sentences": len(hypotheses)}
    folder.add(point.name, hypotheses, {**row, "seconds": seconds})


def _identity(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "ranking": point.ranking,
        "order": point.order,
        "ablated": point.ablated,
        "share": point.share,
        "per_layer": {name: len(ids) for name, ids in point.neurons.items()},
    }


def _generation(cfg: Any) -> dict[str, Any]:
    """The usual settings of the search, and every other one that is not fairseq's default."""
    from fairseq.dataclass.configs import GenerationConfig

    usual = ("beam", "lenpen", "max_len_a", "max_len_b")
    defaults = GenerationConfig()
    return {
        name: value
        for name, value in sorted(cfg.generation.items())
        if name in usual or (not name.startswith("_") and value != getattr(defaults, name, value))
    }


def _source_ids(translator: Translator) -> list[list[int]]:
    dataset = translator.dataset
    return [dataset[number]["source"].tolist() for number in range(len(dataset))]
