"""The one line that holds every setting of a probe experiment."""

from __future__ import annotations

from collections.abc import Iterator

from ..files import sha256
from ..signature import format_signature, short_hash, versions
from .experiment_data import HELD_OUT, ProbeData
from .labelled import LabelledTokens
from .probe_folder import PICKED
from .settings import ProbeSettings


def signature(
    settings: ProbeSettings, data: ProbeData, strengths: tuple[float, float] | None = None
) -> str:
    """One line with every setting that can change the result.

    Args:
        settings, data: of the experiment.
        strengths: l1 and l2 of the fit, those of the settings by default; where a grid picks them
            they are known only after it.
    """
    picks = settings.picks and strengths is None
    l1, l2 = strengths or (settings.l1, settings.l2)
    exact = {"tol": settings.tol, "max_iter": settings.max_iter}
    grid = {"grid": settings.plan or "none"}
    if settings.picks:
        grid["margin"] = f"{settings.grid_margin:g}"
    stores = f"{data.store.signature}\n{data.tested.signature}"
    return format_signature(
        {
            "probe": "elastic-net",
            "l1": PICKED if picks else l1,
            "l2": PICKED if picks else l2,
            "solver": settings.solver,
            **(exact if settings.solver == "exact" else {}),
            "device": settings.device,
            "min_count": settings.min_count,
            "balance": settings.balance or "none",
            "split": "given" if settings.test_acts else f"{1 - HELD_OUT:.0%}",
            "seed": settings.seed,
            "train": _content(data.train),
            "test": _content(data.test),
            "acts": short_hash(stores),
            **grid,
            "control_tasks": settings.control_tasks,
            "ablate": ",".join(settings.shares) or "none",
            **versions("torch", "numpy", "sklearn"),
        }
    )


def _content(tokens: LabelledTokens) -> str:
    """12 hexadecimal digits that stand for the words and their labels."""
    words, labels = tokens.word_names, tokens.label_names
    lines: Iterator[bytes] = (
        f"{words[word]}\t{labels[label]}\n".encode()
        for word, label in zip(tokens.word_codes.tolist(), tokens.label_codes.tolist(), strict=True)
    )
    return sha256(lines)[:12]
